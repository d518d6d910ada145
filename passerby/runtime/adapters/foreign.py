"""A file of another maker as a predictor: its graph, and the adapter that knows how to read it."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from passerby.errors import ModelError, SettingError, did_you_mean
from passerby.geometry.nms import nms_per_class
from passerby.geometry.resize import GREY, Placement
from passerby.records import Detections, Floats
from passerby.runtime.adapters import ADAPTERS
from passerby.runtime.adapters.base import Adapter, input_size, lay_out
from passerby.runtime.detector import Picture, as_pixels, need_share
from passerby.runtime.graph import Array, Graph, as_floats, open_graph
from passerby.runtime.model_file import read_metadata
from passerby.runtime.outputs import first_line

MAX_DETECTIONS = 200


@dataclass(frozen=True)
class Known:
    """What is known of a model that is not passerby's: its file's name, its labels, its threshold."""

    name: str
    labels: tuple[str, ...]
    threshold: float


class Foreign:
    """A detector of another maker behind `runtime.predictor.Predictor`.

    path            .onnx, .xml (OpenVINO) or .tflite
    floor           scores under this are dropped; None: the adapter's threshold
    engine, threads as `open_graph` has them
    adapter         a name from ADAPTERS; "": found by the shapes of its outputs
    labels          class names, in the order of the graph's classes; empty: what the file or the adapter says
    nms_iou, max_detections   None: the adapter's, 200

    Raises ModelError for a file that cannot be loaded, that no adapter knows, or whose classes have no names or another
    number than `labels`; SettingError for an unknown adapter, or a setting out of range.
    """

    def __init__(
        self,
        path: Path,
        floor: float | None = None,
        engine: str = "auto",
        threads: int = 0,
        adapter: str = "",
        labels: Sequence[str] = (),
        nms_iou: float | None = None,
        max_detections: int | None = None,
    ) -> None:
        if adapter and adapter not in ADAPTERS:
            raise SettingError(f"no adapter '{adapter}'{did_you_mean(adapter, ADAPTERS)}")
        self.path, self.graph = path, open_graph(path, engine, threads)
        answer, self.kind, self.order = _recognise(path, self.graph, adapter)
        self.adapter = ADAPTERS[self.kind]
        self.width, self.height, self.first = input_size(self.graph.inputs[0], self.adapter.input)
        classes = self._decode(answer)[1].shape[1]
        names = tuple(labels) or _stated_names(path) or self.adapter.labels(self.graph, classes)
        if not names:
            # where the graph suppresses inside, only the classes of one picture are known
            many = "" if self.adapter.nms_iou is None else f" for its {classes} classes"
            raise ModelError(f"{path}: read as {self.kind}; it states no names{many}; say them: --labels a,b,c")
        if self.adapter.nms_iou is not None and len(names) != classes:
            raise ModelError(
                f"{path}: has {classes} classes, and {len(names)} names were given for them: {list(names)}"
            )
        self.spec = Known(path.stem, names, self.adapter.threshold)
        self.columns = list(range(len(names)))
        self.threshold = self.adapter.threshold if floor is None else floor
        self.nms_iou = self.adapter.nms_iou if nms_iou is None or self.adapter.nms_iou is None else nms_iou
        self.max_detections = MAX_DETECTIONS if max_detections is None else max_detections
        need_share("threshold", self.threshold)
        if self.nms_iou is not None:
            need_share("nms_iou", self.nms_iou)
        if self.max_detections < 1:
            raise SettingError(f"max_detections is {self.max_detections}, want at least 1")

    @property
    def engine_name(self) -> str:
        """The engine in use, with its version."""
        return self.graph.name

    def only(self, labels: Sequence[str]) -> None:
        """Find these classes only: scores of the others are dropped before suppression, which takes time for each."""
        self.columns = [k for k, name in enumerate(self.spec.labels) if name in labels]

    def __call__(self, picture: Picture) -> Detections:
        """Detect in one picture, as `runtime.Detector` does."""
        array, placement = self.prepare(picture)
        return self.finish(self.run(array), placement)

    def prepare(self, picture: Picture) -> tuple[Array, Placement]:
        """The picture as the graph's input, and how it lies in it."""
        port = self.graph.inputs[0]
        return lay_out(as_pixels(picture), self.width, self.height, self.first, self.adapter.input, port.kind)

    def run(self, array: Array) -> list[Array]:
        """The graph alone."""
        return self.graph.run(array)

    def finish(self, answer: list[Array], placement: Placement, threshold: float | None = None) -> Detections:
        """Decoding, suppression where the graph has none inside, and boxes back into the picture."""
        floor = self.threshold if threshold is None else threshold
        if self.adapter.nms_iou is None:  # a row has one class, and 0 for the others: that is no detection
            floor = max(floor, float(np.finfo(np.float32).tiny))
        boxes, scores = self._decode(answer)
        known = [k for k in self.columns if k < scores.shape[1]]  # the last classes may not occur in a picture
        scores = scores[:, known]
        busy = np.flatnonzero(scores.max(axis=1, initial=0) >= floor)
        boxes, scores = boxes[busy], scores[busy]
        overlap = 1.0 if self.nms_iou is None else self.nms_iou
        rows, columns = nms_per_class(boxes, scores, floor, overlap, self.max_detections)
        return Detections(
            placement.back(boxes[rows]),
            np.clip(scores[rows, columns], 0, 1).astype(np.float32, copy=False),
            np.array(known, np.int64)[columns],
            self.spec.labels,
        )

    def _decode(self, answer: list[Array]) -> tuple[Floats, Floats]:
        return self.adapter.decode(as_floats([answer[k] for k in self.order]), self.width, self.height)


def _recognise(path: Path, graph: Graph, wanted: str) -> tuple[list[Array], str, tuple[int, ...]]:
    """What the graph says of grey, the name of the adapter that knows its shapes, and its order of the outputs."""
    if len(graph.inputs) != 1 or len(graph.inputs[0].shape) != 4:
        inputs = ", ".join(map(str, graph.inputs))
        raise ModelError(f"{path}: its inputs are {inputs}; want one of (1, 3, H, W) or (1, H, W, 3)")
    answers: dict[tuple[int, int, bool], list[Array]] = {}
    for name in [wanted] if wanted else ADAPTERS:
        adapter = ADAPTERS[name]
        size = input_size(graph.inputs[0], adapter.input)  # makers differ where the file leaves it open
        if size not in answers:
            answers[size] = _run_grey(path, graph, adapter, size)
        if order := adapter.find(graph, [a.shape for a in answers[size]]):
            return answers[size], name, order
    outputs = ", ".join(map(str, graph.outputs))
    if wanted:
        raise ModelError(f"{path}: its outputs {outputs} are not what the adapter {wanted} reads")
    raise ModelError(
        f"{path}: no adapter knows its outputs {outputs} (there are: {', '.join(ADAPTERS)}); write one as "
        "docs/guides/compare.md says, or give a Python function: FILE.py:function"
    )


def _run_grey(path: Path, graph: Graph, adapter: Adapter, size: tuple[int, int, bool]) -> list[Array]:
    width, height, first = size
    grey = np.full((height, width, 3), GREY, np.uint8)
    array, _ = lay_out(grey, width, height, first, adapter.input, graph.inputs[0].kind)
    try:
        return graph.run(array)
    except Exception as e:  # engines' errors have no common base class
        raise ModelError(f"{path}: does not run on a picture of {width} x {height} ({first_line(e)})") from e


def _stated_names(path: Path) -> tuple[str, ...]:
    """Class names in an ONNX file's metadata, as Ultralytics writes them: names = {0: 'person', ...}."""
    if path.suffix != ".onnx":
        return ()
    try:
        names = ast.literal_eval(read_metadata(path).get("names", "{}"))
        return tuple(str(names[k]) for k in range(len(names)))
    except (ValueError, SyntaxError, KeyError, IndexError, TypeError):
        return ()
