"""YOLOv8 and YOLO11 (Ultralytics): one output (1, 4 + C, A), decoded, not suppressed.

A is one box a cell of strides 8, 16, 32: 8,400 at 640 x 640. A column is cx cy w h in input pixels and C class
probabilities; there is no objectness.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from passerby.geometry.boxes import to_corners
from passerby.records import Floats
from passerby.runtime.adapters.base import Adapter, Input, Shape, cells, input_size
from passerby.runtime.adapters.names import coco_if_80
from passerby.runtime.graph import Graph

INPUT = Input("letterbox", "rgb", std=(255.0,))


def find(graph: Graph, shapes: Sequence[Shape]) -> tuple[int, ...]:
    """The output whose last side counts the cells."""
    width, height, _ = input_size(graph.inputs[0], INPUT)
    want = cells(width, height, (8, 16, 32))
    return next(((k,) for k, s in enumerate(shapes) if len(s) == 3 and s[2] == want and s[1] > 4), ())


def decode(outputs: Sequence[Floats], width: int, height: int) -> tuple[Floats, Floats]:
    """(1, 4 + C, A) -> boxes (A, 4) input pixels, scores (A, C)."""
    rows = outputs[0][0].T
    return to_corners(np.ascontiguousarray(rows[:, :4])), np.ascontiguousarray(rows[:, 4:])


ADAPTER = Adapter("YOLOv8, YOLO11 (Ultralytics), decoded columns", find, decode, INPUT, coco_if_80, 0.25, 0.7)
