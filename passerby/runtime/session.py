"""Engines that run a model's graph. An engine is one class here and one line in ENGINES."""

from __future__ import annotations

import importlib.util
import os
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime

from passerby.cores import cores
from passerby.errors import MissingExtraError, ModelError, SettingError, did_you_mean
from passerby.records import Floats, Pixels
from passerby.runtime.detector import Engine

Model = bytes | Path


class OnnxRuntime:
    """ONNX Runtime on the CPU, float32."""

    def __init__(self, model: Model, where: str, threads: int, streams: int = 1) -> None:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # errors come back as exceptions
        if streams > 1:  # each caller brings a thread; what is left is shared by all of them
            options.intra_op_num_threads = max(1, (threads or cores()) - streams + 1)
        elif not threads and cores() < (os.cpu_count() or 1):
            options.intra_op_num_threads = cores()  # left to itself it takes all of the machine's, and they get in line
        else:
            options.intra_op_num_threads = threads
        try:
            self.session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as e:  # its errors have no public base class
            raise ModelError(f"{where}: ONNX Runtime cannot load it ({first_line(e)}); copy or export it again") from e
        self.input = self.session.get_inputs()[0].name
        self.name = f"onnxruntime {onnxruntime.__version__} float32"

    def run(self, pixels: Pixels) -> tuple[Floats, Floats]:
        """(1, H, W, 3) uint8 RGB -> boxes (A, 4) input pixels, scores (A, C)."""
        boxes, scores = self.session.run(None, {self.input: pixels})
        return boxes[0], scores[0]


class OpenVino:
    """OpenVINO on the CPU, in the precision it finds best (bfloat16 where the processor multiplies in it)."""

    first = threading.Lock()  # two first runs at one moment lock each other up for good (2026.4): one at a time

    def __init__(self, model: Model, where: str, threads: int, streams: int = 1) -> None:
        try:
            import openvino
        except ImportError as e:
            raise MissingExtraError("openvino", "openvino") from e
        core = openvino.Core()
        settings = {"PERFORMANCE_HINT": "LATENCY"} if streams == 1 else {"NUM_STREAMS": str(streams)}
        if threads:
            settings["INFERENCE_NUM_THREADS"] = str(threads)
        try:
            self.compiled = core.compile_model(core.read_model(model), "CPU", settings)
        except RuntimeError as e:
            raise ModelError(f"{where}: OpenVINO cannot load it ({first_line(e)}); copy or export it again") from e
        self.free = [self.compiled.create_infer_request()]  # a request serves one caller at a time
        self.begun = False
        precision = {"f32": "float32", "bf16": "bfloat16", "f16": "float16"}
        kind = str(self.compiled.get_property("INFERENCE_PRECISION_HINT").to_string())
        self.name = f"openvino {openvino.__version__.split('-')[0]} {precision.get(kind, kind)}"

    def run(self, pixels: Pixels) -> tuple[Floats, Floats]:
        """(1, H, W, 3) uint8 RGB -> boxes (A, 4) input pixels, scores (A, C)."""
        if self.begun:
            return self._infer(pixels)
        with self.first:
            answer = self._infer(pixels)
            self.begun = True
            return answer

    def _infer(self, pixels: Pixels) -> tuple[Floats, Floats]:
        try:
            request = self.free.pop()
        except IndexError:
            request = self.compiled.create_infer_request()
        try:
            request.infer([pixels], share_inputs=True, share_outputs=True)
            return (
                np.array(request.get_output_tensor(0).data[0]),  # copies: the next run writes over its outputs
                np.array(request.get_output_tensor(1).data[0]),
            )
        finally:
            self.free.append(request)


ENGINES: dict[str, Callable[[Model, str, int, int], Engine]] = {
    "onnxruntime": OnnxRuntime,
    "openvino": OpenVino,
}


def open_engine(model: Model, where: str, kind: str = "auto", threads: int = 0, streams: int = 1) -> Engine:
    """An engine with a model loaded, that any number of threads may call at once.

    model    the .onnx file, or its bytes; where: its name, for errors
    kind     a name from ENGINES, or "auto": OpenVINO where it is installed, else ONNX Runtime
    threads  of all streams together; 0: as many as the engine likes
    streams  pictures that it runs at once: 1 answers soonest, one a core answers most of them

    Raises SettingError for an unknown engine, negative threads or no stream, MissingExtraError, ModelError.
    """
    if threads < 0:
        raise SettingError(f"threads is {threads}, want 0 (all) or more")
    if streams < 1:
        raise SettingError(f"streams is {streams}, want 1 or more")
    if kind == "auto":
        kind = "openvino" if importlib.util.find_spec("openvino") else "onnxruntime"
    if kind not in ENGINES:
        raise SettingError(f"no engine '{kind}'{did_you_mean(kind, ['auto', *ENGINES])}")
    return ENGINES[kind](model, where, threads, streams)


def first_line(error: Exception) -> str:
    """The first line of what an engine says is wrong."""
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
