"""What a model's graph ends in, and how it is read: decoded boxes, raw logits and offsets, or suppressed boxes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from passerby.errors import ModelError
from passerby.geometry.anchors import default_boxes
from passerby.geometry.boxes import BoxRows
from passerby.records import Floats, Pixels
from passerby.runtime.undecoded import Undecoded
from passerby.spec import ModelSpec

Array = NDArray[Any]
Model = bytes | Path
OPEN = -1  # a side that a file leaves open


class Answering(Protocol):
    """An engine with a graph of ours loaded."""

    @property
    def name(self) -> str:
        """Engine, version, precision."""
        ...

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of its outputs, in order; "" where the file keeps none."""
        ...

    def answer(self, pixels: Array) -> list[Array]:
        """(1, H, W, 3) uint8 RGB -> every output, in the order of `outputs`. Several threads may call it at once."""
        ...


class Read:
    """An engine whose outputs are read as its model's spec says; a `runtime.detector.Engine`.

    engine   the graph
    spec     how it ends; None: two outputs, decoded
    offsets  it was loaded without its decoding, by `runtime.undecoded.leave_offsets`: what it calls boxes are offsets
    """

    def __init__(self, engine: Answering, spec: ModelSpec | None = None, offsets: bool = False) -> None:
        self.engine, self.spec = engine, spec
        self.name = engine.name
        if spec is not None and spec.precision == "int8":  # the engine cannot tell what the file holds
            self.name = f"{engine.name.rpartition(' ')[0]} int8"
        self.order = _order(engine.outputs, names_of(spec)) if spec else []
        undecoded = spec is not None and (offsets or spec.outputs == "raw")
        self.anchors = default_boxes(spec.anchors, spec.height, spec.width) if spec and undecoded else None

    def run(self, pixels: Pixels) -> tuple[BoxRows, Floats]:
        """(1, H, W, 3) uint8 RGB -> boxes (A, 4) input pixels, scores (A, C); of a localiser scores (C,), maps.

        Raises ModelError where the graph gives something else than its spec says.
        """
        answer = self.engine.answer(pixels)
        ordered = [answer[k] for k in self.order] or answer
        if self.spec and self.anchors is not None:
            return self._undecoded(ordered, self.spec, self.anchors)
        if self.spec and self.spec.outputs == "nms":
            boxes, scores, labels = ordered
            return spread(boxes, scores, labels, len(self.spec.labels))
        return ordered[0][0], ordered[1][0]

    def _undecoded(self, ordered: Sequence[Array], spec: ModelSpec, anchors: Floats) -> tuple[Undecoded, Floats]:
        if spec.outputs == "raw":
            offsets, logits = read_raw(ordered, spec)
            scores = score(logits, spec.scoring)
        else:
            offsets, scores = (one[0] for one in ordered)
        if offsets.shape != anchors.shape:
            raise ModelError(
                f"{spec.name}: gives {offsets.shape} offsets, want {anchors.shape}; export the model again"
            )
        return Undecoded(offsets, anchors, spec.variance), scores


def names_of(spec: ModelSpec) -> list[str]:
    """The outputs of a model's graph, in the order in which `export` writes them.

    returns  decoded: boxes, scores (a localiser's: scores, maps); nms: boxes, scores, labels; raw: the logits of every
             map, then the offsets of every map, the finest first, e.g. logits_0_38x38
    """
    if spec.task == "localise":
        return ["scores", "maps"]
    if spec.outputs == "nms":
        return ["boxes", "scores", "labels"]
    if spec.outputs == "raw":
        sides = [f"{k}_{m.rows}x{m.columns}" for k, m in enumerate(spec.anchors)]
        return [f"{what}_{side}" for what in ("logits", "offsets") for side in sides]
    return ["boxes", "scores"]


def read_raw(outputs: Sequence[Array], spec: ModelSpec) -> tuple[Floats, Floats]:
    """Raw outputs -> offsets (A, 4), logits (A, C), or (A, C + 1) with softmax.

    outputs  logits (..., A_k, C), or (..., A_k, C + 1) background first where the spec says softmax, of every map, then
             offsets (..., A_k, 4) of every map, in the order of `names_of`; A_k boxes: row by row, column by column

    Raises ModelError where an output has another size.
    """
    counts, maps = [len(m) for m in spec.anchors], len(spec.anchors)
    classes = len(spec.labels) + (spec.scoring == "softmax")
    parts = []
    for name, count, width, part in zip(
        names_of(spec.with_(outputs="raw")), counts * 2, [classes] * maps + [4] * maps, outputs, strict=True
    ):
        if part.size != count * width:
            raise ModelError(f"{spec.name}: its output {name} is {part.shape}, want (1, {count}, {width})")
        parts.append(np.asarray(part, np.float32).reshape(count, width))
    return np.concatenate(parts[maps:]), np.concatenate(parts[:maps])


def score(logits: Floats, scoring: str) -> Floats:
    """Logits (A, C) -> scores 0..1: sigmoid, or softmax without its first column, the background."""
    if scoring == "sigmoid":
        return np.asarray(np.exp(-np.logaddexp(np.float32(0), -logits)), np.float32)
    risen = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray((risen / risen.sum(axis=1, keepdims=True))[:, 1:], np.float32)


def spread(boxes: Array, scores: Array, labels: Array, classes: int) -> tuple[Floats, Floats]:
    """Boxes (N, 4), scores (N,) and labels (N,) of a graph that suppresses inside -> boxes (N, 4), scores (N, C).

    A box scores in its own class, and 0 in every other: suppressing it again changes nothing.
    """
    table = np.zeros((len(scores), classes), np.float32)
    table[np.arange(len(scores)), np.asarray(labels, np.int64)] = scores
    return np.asarray(boxes, np.float32), table


def lay_out(pixels: Array, kind: str, shape: Sequence[Any]) -> Array:
    """Pixels (1, H, W, 3) as a graph's input wants them: its numpy type, and channels first where its shape is so."""
    if len(shape) == 4 and shape[1] == 3 and shape[3] != 3:
        pixels = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))
    return pixels.astype(kind) if kind and pixels.dtype != kind else pixels


def first_line(error: Exception) -> str:
    """The first line of what an engine says is wrong."""
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__


def _order(given: Sequence[str], wanted: Sequence[str]) -> list[int]:
    """Where each wanted output lies: by name where the file keeps names, else as they come."""
    if set(wanted) <= set(given):
        return [given.index(name) for name in wanted]
    return list(range(len(wanted)))
