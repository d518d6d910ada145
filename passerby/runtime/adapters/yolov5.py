"""YOLOv5 (Ultralytics; also v6 and v7 exports of that shape): one output (1, A, 5 + C), decoded, not suppressed.

A is three boxes a cell of strides 8, 16, 32: 25,200 at 640 x 640. A row is cx cy w h in input pixels, objectness, and C
class probabilities; a score is objectness times class.
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
    """The one output of three boxes a cell; training outputs beside it are passed over."""
    width, height, _ = input_size(graph.inputs[0], INPUT)
    want = 3 * cells(width, height, (8, 16, 32))
    return next(((k,) for k, s in enumerate(shapes) if len(s) == 3 and s[1] == want and s[2] > 5), ())


def decode(outputs: Sequence[Floats], width: int, height: int) -> tuple[Floats, Floats]:
    """(1, A, 5 + C) -> boxes (A, 4) input pixels, scores (A, C)."""
    rows = outputs[0][0]
    return to_corners(rows[:, :4]), np.asarray(rows[:, 4:5] * rows[:, 5:], np.float32)


ADAPTER = Adapter("YOLOv5 (Ultralytics), decoded rows with objectness", find, decode, INPUT, coco_if_80, 0.25, 0.45)
