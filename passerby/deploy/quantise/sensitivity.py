"""How much each layer alone changes a model's answers when it runs in INT8."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from passerby.deploy.quantise.calibrate import Range
from passerby.deploy.quantise.graph import Graph, Layer
from passerby.deploy.quantise.int8 import write_one
from passerby.geometry.boxes import BoxRows, area
from passerby.records import Floats, Pixels
from passerby.runtime.session import open_engine

SHOWN = 0.1  # score from which a default box is looked at; the rest are background whatever they do
Answer = tuple[BoxRows, Floats]


@dataclass(frozen=True)
class Damage:
    """What INT8 in one layer alone does: to the default boxes that score at all, or to a localiser's answers.

    scores  mean difference of their scores, 0..1
    places  mean of 1 - IoU of their boxes with the float ones, 0..1; of a localiser the mean difference of its maps, as
            a share of a picture's largest value
    """

    layer: Layer
    scores: float
    places: float

    @property
    def total(self) -> float:
        """What layers are ranked by: accuracy falls with either."""
        return self.scores + self.places


def measure(
    graph: Graph,
    ranges: Mapping[str, Range],
    inputs: Sequence[Pixels],
    threads: int = 0,
    progress: Callable[[int, int], None] | None = None,
    layers: Sequence[Layer] | None = None,
    four_bits: bool = False,
) -> list[Damage]:
    """The damage of every layer, or of those named, the worst first.

    inputs     pictures, (1, H, W, 3) uint8 each
    four_bits  whether the layer's weights are stored so
    """
    before = _answers(graph.proto.SerializeToString(), graph, inputs, threads)
    rows, layers = [], graph.layers if layers is None else layers
    for k, layer in enumerate(layers):
        after = _answers(write_one(graph, ranges, layer, four_bits), graph, inputs, threads)
        rows.append(Damage(layer, *_differ(graph, before, after)))
        if progress:
            progress(k + 1, len(layers))
    return sorted(rows, key=lambda d: -d.total)


def drift(graph: Graph, data: bytes, inputs: Sequence[Pixels], threads: int = 0) -> float:
    """How far a file's answers lie from the graph's: mean difference of scores, and of places, added up as a `Damage`.

    data  the file
    """
    before = _answers(graph.proto.SerializeToString(), graph, inputs, threads)
    return sum(_differ(graph, before, _answers(data, graph, inputs, threads)))


def _differ(graph: Graph, before: Sequence[Answer], after: Sequence[Answer]) -> tuple[float, float]:
    return compare_localisers(before, after) if graph.spec.task == "localise" else compare(before, after)


def compare(before: Sequence[Answer], after: Sequence[Answer]) -> tuple[float, float]:
    """Mean difference of scores, and mean 1 - IoU, over the default boxes that score at least SHOWN in either.

    before, after  boxes (A, 4) and scores (A, C) of each picture; 0 and 0 where none scores
    """
    scores, boxes = [], []
    for (box_a, score_a), (box_b, score_b) in zip(before, after, strict=True):
        shown = np.maximum(score_a, score_b).max(axis=1) >= SHOWN
        scores.append(np.abs(score_a[shown] - score_b[shown]).max(axis=1))
        boxes.append(1 - _row_iou(box_a[shown], box_b[shown]))
    apart, moved = np.concatenate(scores), np.concatenate(boxes)
    return (float(apart.mean()), float(moved.mean())) if len(apart) else (0.0, 0.0)


def compare_localisers(before: Sequence[Answer], after: Sequence[Answer]) -> tuple[float, float]:
    """Mean difference of scores (C,), and of maps (C + 1, h, w) as shares of the largest value of a picture's own."""
    scores = [np.abs(np.asarray(a) - np.asarray(b)).mean() for (a, _), (b, _) in zip(before, after, strict=True)]
    maps = [np.abs(a - b).mean() / max(np.abs(a).max(), 1e-6) for (_, a), (_, b) in zip(before, after, strict=True)]
    return float(np.mean(scores)), float(np.mean(maps))


def _row_iou(a: Floats, b: Floats) -> Floats:
    """IoU of each box with the one in the same row, (N, 4) each; 0 where neither has an area."""
    sides = np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2])
    shared = np.maximum(sides, 0).prod(axis=1)
    union = area(a) + area(b) - shared
    return np.asarray(np.divide(shared, union, out=np.zeros_like(shared), where=union > 0), np.float32)


def _answers(data: bytes, graph: Graph, inputs: Sequence[Pixels], threads: int) -> list[Answer]:
    engine = open_engine(data, graph.spec.name, "onnxruntime", threads, spec=graph.spec)
    return [engine.run(pixels) for pixels in inputs]
