"""The detector: a picture in, Detections out."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

import numpy as np

from passerby.errors import ModelError, SettingError, ShapeError
from passerby.geometry.boxes import BoxRows
from passerby.geometry.nms import suppress
from passerby.geometry.planes import PlanarFrame
from passerby.geometry.resize import Placement, fit
from passerby.pictures import read_picture
from passerby.records import Detections, Floats, Frame, Pixels
from passerby.spec import ModelSpec

Picture = Pixels | Frame | str | os.PathLike[str]


class Engine(Protocol):
    """Runs a model's graph; `name` is printed with every measurement."""

    name: str

    def run(self, pixels: Pixels) -> tuple[BoxRows, Floats]:
        """(1, H, W, 3) uint8 RGB -> boxes (A, 4) input pixels, scores (A, C). Several threads may call it at once."""
        ...


class Detector:
    """Finds what its model was trained to find, e.g. heads.

        from passerby import Detector
        found = Detector()("photo.jpg")

    model           a shipped model's name ("head") or a file that passerby exported: .onnx, .xml, .tflite or .param
    threshold       scores under this are not reported; None: the model's own
    engine          "auto", "onnxruntime" or "openvino", of an .onnx file; another format has an engine of its own
    threads         the engine may use; 0: as many as it likes
    nms_iou, max_detections   None: the model's own
    streams         pictures that the engine runs at once, for callers in several threads

    Raises ModelError for a file that is not ours or is a localiser's, SettingError for an unknown name or a value out
    of range.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] = "head",
        threshold: float | None = None,
        engine: str = "auto",
        threads: int = 0,
        nms_iou: float | None = None,
        max_detections: int | None = None,
        streams: int = 1,
    ) -> None:
        from passerby.runtime.model_file import find_model, read_spec
        from passerby.runtime.session import open_engine

        path = find_model(model)
        spec = read_spec(path)
        opened = open_engine(path, str(path), engine, threads, streams, spec)
        self._set(spec, opened, threshold, nms_iou, max_detections)

    @classmethod
    def of(
        cls,
        spec: ModelSpec,
        engine: Engine,
        threshold: float | None = None,
        nms_iou: float | None = None,
        max_detections: int | None = None,
    ) -> Detector:
        """A detector on an engine that is already there, e.g. a network in training."""
        self = cls.__new__(cls)
        self._set(spec, engine, threshold, nms_iou, max_detections)
        return self

    def _set(
        self,
        spec: ModelSpec,
        engine: Engine,
        threshold: float | None,
        nms_iou: float | None,
        max_detections: int | None,
    ) -> None:
        if spec.task != "detect":
            raise ModelError(
                f"{spec.name}: is a localiser (a score of the whole picture, a map), not a detector; "
                "open it with passerby.Localiser"
            )
        self.spec, self.engine = spec, engine
        self.threshold = spec.threshold if threshold is None else threshold
        self.nms = spec.nms  # any of geometry.nms.METHODS may be set, for measuring: `passerby eval --nms`
        self.nms_iou = spec.nms_iou if nms_iou is None else nms_iou
        self.max_detections = spec.max_detections if max_detections is None else max_detections
        need_share("threshold", self.threshold)
        need_share("nms_iou", self.nms_iou)
        need_one("max_detections", self.max_detections)

    @property
    def engine_name(self) -> str:
        """The engine in use, with its version and precision."""
        return self.engine.name

    def __call__(self, picture: Picture, threshold: float | None = None) -> Detections:
        """Detect in one picture; several threads may do so at once.

        picture    a file's path, a Frame, or (H, W, 3) uint8 RGB pixels
        threshold  for this picture only; None: the detector's own
        returns    Detections, boxes in the picture's own pixels, highest score first

        Raises SourceError for a file that cannot be read, ShapeError for an array that is no picture, SettingError for
        a threshold out of range.
        """
        return self.settle(*self.raw(picture), threshold)

    def look(self, picture: Picture, threshold: float | None = None) -> tuple[Detections, Floats]:
        """As a call, and beside it where the network sees something.

        returns  Detections, and scores (h, w) float32 0..1 that lie evenly over the picture: `runtime.heat.heat_map`
        """
        from passerby.runtime.heat import heat_map

        if self.spec.outputs == "nms":
            raise ModelError(f"{self.spec.name}: its graph suppresses inside, and tells nothing of other places")
        boxes, scores, placement = self.raw(picture)
        return self.settle(boxes, scores, placement, threshold), heat_map(scores, self.spec, placement)

    def raw(self, picture: Picture) -> tuple[BoxRows, Floats, Placement]:
        """What the graph says of a picture, for `settle`: boxes (A, 4) input pixels, scores (A, C), and its place.

        `boxes[rows]` are an array, `boxes[:]` all of them: most are never asked for, so they may be worked out then.
        """
        pixels, placement = self.prepare(picture)
        boxes, scores = self.run(pixels)
        return boxes, scores, placement

    def prepare(self, picture: Picture) -> tuple[Pixels, Placement]:
        """The picture as the graph's input (1, H, W, 3) uint8 RGB, and how it lies in it."""
        return as_input(picture, self.spec)

    def run(self, pixels: Pixels) -> tuple[BoxRows, Floats]:
        """The graph alone: boxes (A, 4) input pixels, by rows as in `raw`, and scores (A, C)."""
        return self.engine.run(pixels)

    def finish(
        self, answer: tuple[BoxRows, Floats], placement: Placement, threshold: float | None = None
    ) -> Detections:
        """`settle` of what `run` gave, as `runtime.predictor.Predictor` has it."""
        return self.settle(*answer, placement, threshold)

    def settle(
        self, boxes: BoxRows, scores: Floats, placement: Placement, threshold: float | None = None
    ) -> Detections:
        """Raw output of the graph -> Detections: threshold, suppression, boxes back into the picture.

        boxes (A, 4) input pixels; scores (A, C); threshold None: the detector's own
        """
        floor = self.threshold if threshold is None else threshold
        need_share("threshold", floor)
        found, best, labels = suppress(boxes, scores, floor, self.nms_iou, self.max_detections, self.nms)
        return Detections(
            placement.back(found),
            best.astype(np.float32, copy=False),
            labels.astype(np.int64, copy=False),
            self.spec.labels,
        )


def need_share(name: str, value: float) -> None:
    """Raises SettingError for a number that is not from 0 to 1."""
    if not 0 <= value <= 1:
        raise SettingError(f"{name} is {value}, want a number from 0 to 1")


def need_one(name: str, value: int) -> None:
    """Raises SettingError where a number is under 1."""
    if value < 1:
        raise SettingError(f"{name} is {value}, want at least 1")


def as_input(picture: Picture, spec: ModelSpec) -> tuple[Pixels, Placement]:
    """A picture as a graph's input (1, H, W, 3) uint8 RGB, and how it lies in it. Raises as `as_pixels` does."""
    planes_or_pixels = picture.planes if isinstance(picture, PlanarFrame) else as_pixels(picture)
    pixels, placement = fit(planes_or_pixels, spec.width, spec.height, spec.resize)
    return pixels[None], placement


def as_pixels(picture: Picture) -> Pixels:
    """(H, W, 3) uint8 RGB of a path, a Frame or an array; a grey (H, W) array is repeated.

    Raises SourceError and ShapeError as Detector does.
    """
    if isinstance(picture, Frame):
        return picture.pixels
    if isinstance(picture, (str, Path, os.PathLike)):
        return read_picture(picture)
    pixels = np.asarray(picture)
    if pixels.dtype == np.uint8 and pixels.ndim == 2 and pixels.size:
        return np.repeat(pixels[..., None], 3, axis=2)
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.size == 0:
        raise ShapeError(f"a picture is (H, W, 3) uint8 RGB, not {pixels.shape} {pixels.dtype}")
    return pixels
