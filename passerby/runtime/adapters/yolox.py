"""YOLOX (Megvii): one output (1, A, 5 + C), not decoded.

A is one box a cell of strides 8, 16, 32 (and 64 in the P6 models). A row is x y as offsets in cells, w h as logarithms
in cells, objectness and C class probabilities (Ge et al. 2021, "YOLOX"; demo_utils.py of its repository).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from passerby.geometry.boxes import to_corners
from passerby.records import Floats
from passerby.runtime.adapters.base import Adapter, Input, Shape, cells, grid, input_size
from passerby.runtime.adapters.names import coco_if_80
from passerby.runtime.graph import Graph

INPUT = Input("corner", "bgr")
STRIDES = ((8, 16, 32), (8, 16, 32, 64))


def find(graph: Graph, shapes: Sequence[Shape]) -> tuple[int, ...]:
    """The one output of a box a cell."""
    width, height, _ = input_size(graph.inputs[0], INPUT)
    want = [cells(width, height, s) for s in STRIDES]
    return next(((k,) for k, s in enumerate(shapes) if len(s) == 3 and s[1] in want and s[2] > 5), ())


def decode(outputs: Sequence[Floats], width: int, height: int) -> tuple[Floats, Floats]:
    """(1, A, 5 + C) -> boxes (A, 4) input pixels, scores (A, C)."""
    rows = outputs[0][0]
    strides = next(s for s in STRIDES if cells(width, height, s) == len(rows))
    spots, steps = grid(width, height, strides)
    centres = np.concatenate([(rows[:, :2] + spots) * steps, np.exp(rows[:, 2:4]) * steps], axis=1)
    return to_corners(centres), np.asarray(rows[:, 4:5] * rows[:, 5:], np.float32)


ADAPTER = Adapter("YOLOX (Megvii), undecoded rows with objectness", find, decode, INPUT, coco_if_80, 0.3, 0.45)
