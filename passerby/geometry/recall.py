"""How well default boxes can lie on objects: best overlaps, exact and without laying the default boxes out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from passerby.geometry.anchors import cell_centres
from passerby.geometry.boxes import Floats, area, to_centres
from passerby.spec import AnchorMap


def best_overlaps(boxes: Floats, maps: Sequence[AnchorMap], height: int, width: int) -> Floats:
    """The largest IoU of each object with any default box of each map.

    boxes          (N, 4) x0 y0 x1 y1, input pixels; also past the border
    height, width  of the input, pixels
    returns        (N, M) float32, a column a map; the same as `iou` with `default_boxes`, up to rounding

    Of all boxes of one shape the one in the nearest cell overlaps most, across and down on their own: what two
    intervals of fixed lengths share never grows with the distance of their centres.
    """
    out = np.zeros((len(boxes), len(maps)), np.float32)
    for k, m in enumerate(maps):
        nearest = Nearest.of(boxes, m.rows, m.columns, height, width)
        for shape in m.sizes:
            np.maximum(out[:, k], nearest.overlap(*shape), out=out[:, k])
    return out


class Nearest:
    """Objects, and the centre of the cell of one map that is nearest to each."""

    def __init__(self, boxes: Floats, cx: Floats, cy: Floats) -> None:
        self.boxes, self.cx, self.cy = boxes, cx, cy
        self.areas = area(boxes)

    @classmethod
    def of(cls, boxes: Floats, rows: int, columns: int, height: int, width: int) -> Nearest:
        """For a map of rows x columns cells over an input of height x width pixels."""
        boxes = np.asarray(boxes, np.float32)
        middle = to_centres(boxes)
        return cls(boxes, _nearest(middle[:, 0], columns, width), _nearest(middle[:, 1], rows, height))

    def overlap(self, w: float, h: float) -> Floats:
        """IoU (N,) of each object with the default box w x h pixels in its nearest cell."""
        half_w, half_h = np.float32(w / 2), np.float32(h / 2)
        shared_x = np.minimum(self.boxes[:, 2], self.cx + half_w) - np.maximum(self.boxes[:, 0], self.cx - half_w)
        shared_y = np.minimum(self.boxes[:, 3], self.cy + half_h) - np.maximum(self.boxes[:, 1], self.cy - half_h)
        shared = np.maximum(shared_x, 0) * np.maximum(shared_y, 0)
        return np.asarray(shared / (self.areas + np.float32(w * h) - shared), np.float32)


def recall(overlaps: NDArray[np.float32], match_iou: float) -> float:
    """Share of objects (N,) whose best IoU is over `match_iou`, as matching asks; NaN without objects."""
    return float((overlaps > match_iou).mean()) if len(overlaps) else float("nan")


def _nearest(at: Floats, cells: int, length: int) -> Floats:
    index = np.clip((at / length * cells).astype(np.int64), 0, cells - 1)
    return cell_centres(cells, length)[index]
