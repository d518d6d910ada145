"""Engines that run a model's graph. An engine is one line in ENGINES; one of another format than .onnx in BY_FORMAT."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from passerby.cores import cores
from passerby.errors import MissingExtraError, ModelError, SettingError, did_you_mean
from passerby.records import Floats, Pixels
from passerby.runtime.detector import Engine
from passerby.runtime.lite_rt import LiteRt
from passerby.runtime.ncnn_net import NcnnNet
from passerby.runtime.openvino_front import normalise_first
from passerby.runtime.outputs import OPEN, Answering, Array, Model, Read, first_line, lay_out
from passerby.runtime.tuned import default_engine, find_choice
from passerby.runtime.undecoded import leave_offsets
from passerby.spec import ModelSpec

KINDS = {"tensor(float)": "float32", "tensor(uint8)": "uint8", "f32": "float32", "u8": "uint8"}  # of inputs


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
        port = self.session.get_inputs()[0]
        self.input, self.kind, self.shape = port.name, KINDS.get(port.type, ""), tuple(port.shape)
        self.outputs = tuple(o.name for o in self.session.get_outputs())
        self.name = f"onnxruntime {onnxruntime.__version__} float32"

    def run(self, pixels: Pixels) -> tuple[Floats, Floats]:
        """(1, H, W, 3) uint8 RGB -> boxes (A, 4) input pixels, scores (A, C)."""
        boxes, scores = self.answer(pixels)
        return boxes[0], scores[0]

    def answer(self, pixels: Array) -> list[Array]:
        """The input -> every output, in the order of `outputs`."""
        return list(self.session.run(None, {self.input: lay_out(pixels, self.kind, self.shape)}))


class OpenVino:
    """OpenVINO on the CPU, in the precision it finds best (bfloat16 where the processor multiplies in it), or another.

    precision  as OpenVINO says it, e.g. "f32"; "": it finds the best
    """

    first = threading.Lock()  # two first runs at one moment lock each other up for good (2026.4): one at a time

    def __init__(self, model: Model, where: str, threads: int, streams: int = 1, precision: str = "") -> None:
        core = openvino_core()
        import openvino  # it is there: so is its core

        if isinstance(model, Path) and model.suffix == ".xml" and not (weights := model.with_suffix(".bin")).is_file():
            raise ModelError(f"{where}: its weights {weights.name} are not beside it; copy them there")
        settings = {"PERFORMANCE_HINT": "LATENCY"} if streams == 1 else {"NUM_STREAMS": str(streams)}
        if threads:
            settings["INFERENCE_NUM_THREADS"] = str(threads)
        if precision:
            settings["INFERENCE_PRECISION_HINT"] = precision
        try:
            graph = core.read_model(model)
            normalise_first(graph)
            self.compiled = core.compile_model(graph, "CPU", settings)
        except RuntimeError as e:
            raise ModelError(f"{where}: OpenVINO cannot load it ({first_line(e)}); copy or export it again") from e
        self.free = [self.compiled.create_infer_request()]  # a request serves one caller at a time
        self.begun, self.tensor = False, openvino.Tensor
        ports = self.compiled.outputs
        self.outputs = tuple(p.get_any_name() if p.get_names() else "" for p in ports)
        known = all(p.get_partial_shape().is_static and p.get_element_type() == openvino.Type.f32 for p in ports)
        self.places = [tuple(p.shape) for p in ports] if known else []
        port = self.compiled.input(0)
        self.kind = KINDS.get(port.get_element_type().get_type_name(), "")
        self.shape = tuple(n.get_length() if n.is_static else OPEN for n in port.get_partial_shape())
        words = {"f32": "float32", "bf16": "bfloat16", "f16": "float16"}
        kind = str(self.compiled.get_property("INFERENCE_PRECISION_HINT").to_string())
        self.name = f"openvino {openvino.__version__.split('-')[0]} {words.get(kind, kind)}"

    def run(self, pixels: Pixels) -> tuple[Floats, Floats]:
        """(1, H, W, 3) uint8 RGB -> boxes (A, 4) input pixels, scores (A, C)."""
        boxes, scores = self.answer(pixels)
        return boxes[0], scores[0]

    def answer(self, pixels: Array) -> list[Array]:
        """The input -> every output, in the order of `outputs`."""
        if self.begun:
            return self._infer(pixels)
        with self.first:
            answer = self._infer(pixels)
            self.begun = True
            return answer

    def _infer(self, pixels: Array) -> list[Array]:
        try:
            request = self.free.pop()
        except IndexError:
            request = self.compiled.create_infer_request()
        try:
            given = lay_out(pixels, self.kind, self.shape)
            if not given.flags.carray:  # to be shared
                given = np.require(given, requirements=["C", "A", "W"])
            request.set_input_tensor(0, self.tensor(given, shared_memory=True))
            answer = [np.empty(shape, np.float32) for shape in self.places]  # it writes into them: nothing is copied
            for k, place in enumerate(answer):  # a tensor does not keep its array: none of them is used after this
                request.set_output_tensor(k, self.tensor(place, shared_memory=True))
            request.infer(share_outputs=True)  # tensors are set above: looking at arrays it would do again each time
            # else copies: the next run writes over its outputs
            return answer or [np.array(request.get_output_tensor(k).data) for k in range(len(self.outputs))]
        finally:
            self.free.append(request)


def openvino_core() -> Any:
    """The one `openvino.Core` of this process: made once, kept to its end. Raises MissingExtraError without openvino.

    With every Core comes a stack for signals, set for the calling thread and unmapped with the Core. Of two Cores the
    second puts the first one's stack back, which may be gone by then: the next signal that Python handles, Ctrl-C or a
    child's end, would kill the process (2026.4).
    """
    try:
        import openvino
    except ImportError as e:
        raise MissingExtraError("openvino", "openvino") from e
    with _CORE_LOCK:
        if not _CORE:
            _CORE.append(openvino.Core())
        return _CORE[0]


_CORE: list[Any] = []
_CORE_LOCK = threading.Lock()
Make = Callable[[Model, str, int, int], Answering]
ENGINES: dict[str, Make] = {
    "onnxruntime": OnnxRuntime,
    "openvino": OpenVino,
    "openvino-f32": partial(OpenVino, precision="f32"),
}
BY_FORMAT: dict[str, tuple[str, Make]] = {  # extension: the engine's name, and the one that runs it
    ".xml": ("openvino", OpenVino),
    ".tflite": ("litert", LiteRt),
    ".param": ("ncnn", NcnnNet),
}


def open_engine(
    model: Model, where: str, kind: str = "auto", threads: int = 0, streams: int = 1, spec: ModelSpec | None = None
) -> Engine:
    """An engine with a model loaded, that any number of threads may call at once.

    model    the file, or the bytes of an .onnx file; where: its name, for errors
    kind     a name from ENGINES, or "auto": what `passerby tune` chose, else OpenVINO where it is installed, else ONNX
             Runtime; a file of another format has an engine of its own, by BY_FORMAT
    threads  of all streams together; 0: as many as the engine likes
    streams  pictures that it runs at once: 1 answers soonest, one a core answers most of them
    spec     the file's own: how its outputs are read, and its precision; None: decoded, float32

    Raises SettingError for an unknown engine or one that does not run the file's format, negative threads or no stream,
    MissingExtraError, ModelError.
    """
    if threads < 0:
        raise SettingError(f"threads is {threads}, want 0 (all) or more")
    if streams < 1:
        raise SettingError(f"streams is {streams}, want 1 or more")
    chosen = find_choice(model, streams) if kind == "auto" and not threads else None
    if chosen:
        kind, threads = chosen.engine, chosen.threads
    make, offsets = _make_of(model, where, kind), False
    if spec and spec.task == "detect" and spec.outputs == "decoded" and not _own_of(model):
        model, offsets = _without_decoding(model)
    read = Read(make(model, where, threads, streams), spec, offsets)
    if chosen:
        read.name += f", {chosen.told()}"
    return read


def _own_of(model: Model) -> tuple[str, Make] | None:
    """The engine of a file of another format than .onnx."""
    return BY_FORMAT.get(model.suffix.lower()) if isinstance(model, Path) else None


def _without_decoding(model: Model) -> tuple[Model, bool]:
    """An .onnx file that leaves decoding to `Read`, and whether it does; one that cannot be read is the engine's."""
    try:
        data = model.read_bytes() if isinstance(model, Path) else model
    except OSError:
        return model, False
    left = leave_offsets(data)
    return (left, True) if left else (model, False)


def _make_of(model: Model, where: str, kind: str) -> Make:
    """What opens a model. Raises SettingError as `open_engine` does."""
    own = _own_of(model)
    known = ["auto", *ENGINES, *(name for name, _ in BY_FORMAT.values())]
    if kind not in known:
        raise SettingError(f"no engine '{kind}'{did_you_mean(kind, known)}")
    if own:
        if kind not in ("auto", own[0]):
            raise SettingError(f"{where}: engine '{kind}' does not run such files; {own[0]} does: leave --engine out")
        return own[1]
    if kind == "auto":
        kind = default_engine()
    if kind not in ENGINES:
        raise SettingError(f"{where}: engine '{kind}' does not run .onnx files; {' and '.join(ENGINES)} do")
    return ENGINES[kind]
