"""LiteRT (the extra [tflite]): runs TFLite files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from passerby.cores import cores
from passerby.errors import MissingExtraError, ModelError
from passerby.runtime.outputs import Array, Model, first_line, lay_out


class LiteRt:
    """LiteRT on the CPU, in the precision that the file has.

    An interpreter serves one caller at a time, so every caller that comes while others run gets one of its own.
    """

    def __init__(self, model: Model, where: str, threads: int, streams: int = 1) -> None:
        try:
            import ai_edge_litert
        except ImportError as e:
            raise MissingExtraError(f"ai-edge-litert (for {Path(where).name})", "tflite") from e
        self.model, self.where = model, where
        self.threads = max(1, (threads or cores()) // streams)
        self.free = [self._open()]
        ins, outs = self.free[0].get_input_details(), self.free[0].get_output_details()
        self.input = ins[0]
        self.places = [o["index"] for o in outs]
        self.scales = [(*o["quantization"], np.dtype(o["dtype"])) for o in outs]
        self.outputs = tuple(_plain(o["name"]) for o in outs)
        kinds = {np.dtype(t["dtype"]) for t in self.free[0].get_tensor_details()}
        self.name = f"litert {ai_edge_litert.__version__} {'int8' if np.dtype(np.int8) in kinds else 'float32'}"

    def answer(self, pixels: Array) -> list[Array]:
        """The input -> every output, in the order of `outputs`; integers with a scale as the numbers they mean."""
        try:
            interpreter = self.free.pop()
        except IndexError:
            interpreter = self._open()
        try:
            shape = self.input["shape_signature"].tolist()
            interpreter.set_tensor(self.input["index"], lay_out(pixels, np.dtype(self.input["dtype"]).name, shape))
            interpreter.invoke()
            answers = [np.asarray(interpreter.get_tensor(k)) for k in self.places]
        finally:
            self.free.append(interpreter)
        return [_real(a, *scale) for a, scale in zip(answers, self.scales, strict=True)]

    def _open(self) -> Any:
        from ai_edge_litert.interpreter import Interpreter

        source = {"model_content": self.model} if isinstance(self.model, bytes) else {"model_path": str(self.model)}
        try:
            interpreter = Interpreter(**source, num_threads=self.threads)
            interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as e:
            raise ModelError(f"{self.where}: LiteRT cannot load it ({first_line(e)}); copy or export it again") from e
        return interpreter


def _real(array: Array, scale: float, zero: int, kind: np.dtype[Any]) -> Array:
    if kind.kind == "f" or not scale:
        return array
    return (array.astype(np.float32) - np.float32(zero)) * np.float32(scale)


def _plain(name: str) -> str:
    """An output's name without what converters put around it: "serving_default_x:0" is x."""
    return name.removeprefix("serving_default_").partition(":")[0]
