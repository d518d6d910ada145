"""The localiser: a picture in; out come a score of the whole picture, a map of where, and regions as Detections."""

from __future__ import annotations

import os
from dataclasses import dataclass

import cv2
import numpy as np

from passerby.errors import ModelError, SettingError
from passerby.geometry.resize import Placement
from passerby.records import Detections, Floats, Pixels
from passerby.runtime.detector import Detector, Engine, Picture, as_input, need_one, need_share
from passerby.runtime.model_file import find_model, read_spec
from passerby.runtime.regions import SPLIT, Laid, find_regions, lay
from passerby.runtime.session import open_engine
from passerby.spec import ModelSpec


@dataclass(frozen=True)
class Located:
    """What a localiser says of one picture.

    label    of the highest score, whatever the threshold
    score    of that label, 0..1: how sure the model is that the picture holds it
    scores   (C,) float32, of every label
    grid     (h, w) float32, 0..1: the label's activation map as shares of its range, where regions are found
    map      (H, W) float32, 0..1: the same over the picture's own pixels
    regions  Detections: boxes around where the map is high, of every label whose score reaches the threshold
    """

    label: str
    score: float
    scores: Floats
    grid: Floats
    map: Floats
    regions: Detections


class Localiser:
    """Says whether a picture holds what its model was trained on labels of, and where it looked.

        from passerby import Localiser
        there = Localiser().locate("photo.jpg")     # there.score, there.map, there.regions

    model          a shipped model's name ("person-map") or an .onnx file of a localiser
    threshold      regions that score under this are not reported; None: the model's own
    engine         "auto", "onnxruntime" or "openvino"
    threads        the engine may use; 0: as many as it likes
    map_threshold  share of the map's range from which on a point belongs to a region; None: the model's own
    split          how much two peaks must rise over the pass between them to be two people; `regions.NEVER`: connected
                   regions stay whole
    max_detections None: the model's own
    streams        pictures that the engine runs at once, for callers in several threads

    A region scores the picture's score times its peak's share of the range, so the first scores what the picture does,
    and a picture has a region exactly where its score reaches the threshold.
    Raises ModelError for a file that is not ours or no localiser's, SettingError for an unknown name or a value out of
    range.
    """

    nms_iou: float | None = None  # regions do not overlap as detections of one object do: nothing is suppressed

    def __init__(
        self,
        model: str | os.PathLike[str] = "person-map",
        threshold: float | None = None,
        engine: str = "auto",
        threads: int = 0,
        map_threshold: float | None = None,
        split: float = SPLIT,
        max_detections: int | None = None,
        streams: int = 1,
    ) -> None:
        path = find_model(model)
        spec = read_spec(path)
        need_localiser(spec)
        opened = open_engine(path, str(path), engine, threads, streams, spec)
        self._set(spec, opened, threshold, map_threshold, split, max_detections)

    @classmethod
    def of(
        cls,
        spec: ModelSpec,
        engine: Engine,
        threshold: float | None = None,
        map_threshold: float | None = None,
        split: float = SPLIT,
        max_detections: int | None = None,
    ) -> Localiser:
        """A localiser on an engine that is already there: `run` gives scores (C,) and maps (C + 1, h, w)."""
        need_localiser(spec)
        self = cls.__new__(cls)
        self._set(spec, engine, threshold, map_threshold, split, max_detections)
        return self

    def _set(
        self,
        spec: ModelSpec,
        engine: Engine,
        threshold: float | None,
        map_threshold: float | None,
        split: float,
        max_detections: int | None,
    ) -> None:
        self.spec, self.engine, self.split = spec, engine, split
        self.threshold = spec.threshold if threshold is None else threshold
        self.map_threshold = spec.map_threshold if map_threshold is None else map_threshold
        self.max_detections = spec.max_detections if max_detections is None else max_detections
        need_share("threshold", self.threshold)
        need_share("map_threshold", self.map_threshold)
        if not split > 0:
            raise SettingError(f"split is {split}, want a number over 0")
        need_one("max_detections", self.max_detections)

    @property
    def engine_name(self) -> str:
        """The engine in use, with its version and precision."""
        return self.engine.name

    def __call__(self, picture: Picture, threshold: float | None = None) -> Detections:
        """The regions of one picture as Detections; several threads may call at once.

        picture    a file's path, a Frame, or (H, W, 3) uint8 RGB pixels
        threshold  for this picture only; None: the localiser's own
        returns    Detections, boxes in the picture's own pixels, highest score first

        Raises SourceError, ShapeError and SettingError as Detector does, ModelError where the graph gives no map.
        """
        pixels, placement = self.prepare(picture)
        return self.settle(*self.run(pixels), placement, threshold)

    def locate(self, picture: Picture, threshold: float | None = None) -> Located:
        """Label, score, map over the picture's own pixels, and regions. For arguments and errors see a call."""
        pixels, placement = self.prepare(picture)
        scores, maps = self.run(pixels)
        found = self.settle(scores, maps, placement, threshold)
        best = int(scores.argmax())
        grid = self.lay_map(maps, best, placement).heat
        size = (placement.width, placement.height)
        over = np.asarray(cv2.resize(grid, size, interpolation=cv2.INTER_CUBIC), np.float32)
        over = np.clip(over, 0, 1)  # a cubic swings past its points
        return Located(self.spec.labels[best], float(scores[best]), scores, grid, over, found)

    def look(self, picture: Picture, threshold: float | None = None) -> tuple[Detections, Floats]:
        """As a call, and beside it where the model sees something, as Detector has it.

        returns  Detections, and (h, w) float32 0..1 that lies evenly over the picture: the highest of all labels' maps,
                 each times its label's score, so that a picture without anything stays dark
        """
        pixels, placement = self.prepare(picture)
        scores, maps = self.run(pixels)
        found = self.settle(scores, maps, placement, threshold)
        heats = [self.lay_map(maps, k, placement).heat * score for k, score in enumerate(scores)]
        return found, np.max(heats, axis=0).astype(np.float32)

    def prepare(self, picture: Picture) -> tuple[Pixels, Placement]:
        """The picture as the graph's input (1, H, W, 3) uint8 RGB, and how it lies in it."""
        return as_input(picture, self.spec)

    def run(self, pixels: Pixels) -> tuple[Floats, Floats]:
        """The graph alone: scores (C,), 0..1, and raw maps (C + 1, h, w), the background's first.

        Raises ModelError where the graph gives something else.
        """
        scores, maps = map(np.asarray, self.engine.run(pixels))
        count = len(self.spec.labels)
        if scores.shape != (count,) or maps.ndim != 3 or len(maps) != count + 1 or maps.size == 0:
            raise ModelError(
                f"{self.spec.name}: gives scores {scores.shape} and maps {maps.shape}, want ({count},) and "
                f"({count + 1}, rows, columns); export the model again"
            )
        return scores, maps

    def finish(self, answer: tuple[Floats, Floats], placement: Placement, threshold: float | None = None) -> Detections:
        """`settle` of what `run` gave, as `runtime.predictor.Predictor` has it."""
        return self.settle(*answer, placement, threshold)

    def lay_map(self, maps: Floats, label: int, placement: Placement | None = None) -> Laid:
        """The map of a label over the picture, as shares of its range; `maps` as `run` gives them."""
        return lay(maps[label + 1], self.spec.width, self.spec.height, placement)

    def settle(self, scores: Floats, maps: Floats, placement: Placement, threshold: float | None = None) -> Detections:
        """Raw output of the graph -> Detections: regions of each label's map, those that score enough.

        scores (C,); maps (C + 1, h, w); threshold None: the localiser's own
        """
        floor = self.threshold if threshold is None else threshold
        need_share("threshold", floor)
        boxes, values, labels = [np.zeros((0, 4), np.float32)], [np.zeros(0, np.float32)], [np.zeros(0, np.int64)]
        for k in np.flatnonzero(scores >= floor).tolist():
            laid = self.lay_map(maps, k, placement)
            regions = find_regions(laid.heat, self.map_threshold, self.split)
            score = (regions.peaks * scores[k]).astype(np.float32)
            enough = score >= floor
            boxes.append(placement.back(laid.to_input(regions.boxes[enough])))
            values.append(score[enough])
            labels.append(np.full(int(enough.sum()), k, np.int64))
        score = np.concatenate(values)
        best = np.argsort(-score, kind="stable")[: self.max_detections]
        return Detections(np.concatenate(boxes)[best], score[best], np.concatenate(labels)[best], self.spec.labels)


def open_model(
    model: str | os.PathLike[str],
    threshold: float | None = None,
    engine: str = "auto",
    threads: int = 0,
    nms_iou: float | None = None,
    max_detections: int | None = None,
    streams: int = 1,
) -> Detector | Localiser:
    """A model of ours, by its name or file, as what it is: a Detector or a Localiser, whose calls are the same.

    For the arguments see both; `nms_iou` is of no use to a localiser. Raises as both do.
    """
    path = find_model(model)
    spec = read_spec(path)
    opened = open_engine(path, str(path), engine, threads, streams, spec)
    return model_of(spec, opened, threshold, nms_iou, max_detections)


def model_of(
    spec: ModelSpec,
    engine: Engine,
    threshold: float | None = None,
    nms_iou: float | None = None,
    max_detections: int | None = None,
) -> Detector | Localiser:
    """As `open_model`, on an engine that is already there, e.g. a network in training."""
    if spec.task == "localise":
        return Localiser.of(spec, engine, threshold, max_detections=max_detections)
    return Detector.of(spec, engine, threshold, nms_iou, max_detections)


def need_localiser(spec: ModelSpec) -> None:
    """Raises ModelError for the spec of a detector."""
    if spec.task != "localise":
        raise ModelError(f"{spec.name}: is a detector, not a localiser; open it with passerby.Detector")
