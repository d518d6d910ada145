"""Default boxes fitted to labelled boxes where they lie: k-means on IoU, then refined on the grid of each map."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from passerby.errors import SettingError
from passerby.geometry.anchors import cells_of, fit_sizes, shaped_maps
from passerby.geometry.boxes import Floats
from passerby.geometry.recall import Nearest
from passerby.spec import AnchorMap

STARTS = (1.0, 1.5, 2.0, 3.5)  # a map's objects begin at this many times its stride; the start that ends best is taken
STEPS = (1.2, 1.1, 1.05, 1.02, 1.01)  # factors of a side that the refinement tries, coarse to fine
ROUNDS = 10  # at most, over all shapes, with each factor
MOST = 10_000  # objects that the fit looks at, evenly spaced; with 36,617 the mean best IoU grew by under 0.0005

Shape = tuple[float, float]  # w, h, input pixels


def fit_maps(
    boxes: Floats,
    strides: Sequence[float],
    per_map: Sequence[int],
    height: int,
    width: int,
    match_iou: float = 0.5,
    cells: Sequence[tuple[int, int]] = (),
) -> tuple[AnchorMap, ...]:
    """Default boxes that lie as well as they can on labelled boxes, with the grid of each map taken into account.

    boxes          (N, 4) x0 y0 x1 y1, input pixels; boxes without area are left out
    strides        of the maps, finest first
    per_map        shapes a cell of each map, each at least 1
    height, width  of the input, pixels
    cells          rows and columns of each map where they do not follow from the strides: `Layout.cells`
    returns        one AnchorMap a map, shapes in order of area

    K-means on IoU (`fit_sizes`) finds first shapes, map by map after the objects were dealt out by size, or for all
    maps at once; then every side is moved as long as the mean of the best IoUs over all objects grows, the recall at
    `match_iou` deciding between equals. Except on the finest map a shape never gets smaller than its map's stride,
    where only chance puts a cell near enough; none gets larger than the input. A map with too few objects starts from
    sizes spread over its range, in the data's median shape. The same boxes give the same answer.

    Raises SettingError without objects, or where per_map and strides do not go together.
    """
    cells = cells or cells_of(strides, height, width)
    if len(per_map) != len(strides) or min(per_map) < 1:
        raise SettingError(f"boxes a cell {list(per_map)}: want one number from 1 on for each of {len(strides)} maps")
    boxes = np.asarray(boxes, np.float32)
    boxes = boxes[((boxes[:, 2:] - boxes[:, :2]) > 0).all(axis=1)]
    if len(boxes) == 0:
        raise SettingError("there is no object to fit default boxes to")
    if len(boxes) > MOST:
        boxes = boxes[np.linspace(0, len(boxes) - 1, MOST).astype(int)]
    sides = boxes[:, 2:] - boxes[:, :2]
    near = [Nearest.of(boxes, *c, height, width) for c in cells]
    starts = [_by_range(sides, strides, per_map, factor) for factor in STARTS]
    if len(boxes) >= sum(per_map):
        starts.append(_all_at_once(sides, per_map))
    tries = [_Refined(near, strides, shapes, height, width, match_iou) for shapes in starts]
    best = max(tries, key=lambda t: t.score)
    return shaped_maps(cells, best.shapes())


def _all_at_once(sides: Floats, per_map: Sequence[int]) -> list[list[Shape]]:
    """First shapes of each map: k-means over all objects, the smallest shapes to the finest map."""
    shapes = iter((float(w), float(h)) for w, h in fit_sizes(sides, sum(per_map)))
    return [[next(shapes) for _ in range(count)] for count in per_map]


def _by_range(sides: Floats, strides: Sequence[float], per_map: Sequence[int], factor: float) -> list[list[Shape]]:
    """First shapes of each map: k-means over the objects in its range, or spread over it where they are few."""
    size = np.sqrt(sides.prod(axis=1))
    root = math.sqrt(float(np.median(sides[:, 1] / sides[:, 0])))
    bounds = [0.0, *(factor * s for s in strides[1:]), math.inf]
    out: list[list[Shape]] = []
    for stride, count, low, high in zip(strides, per_map, bounds, bounds[1:], strict=False):
        inside = sides[(size >= low) & (size < high)]
        if len(inside) >= 4 * count:
            out.append([(float(w), float(h)) for w, h in fit_sizes(inside, count)])
        else:
            low = max(low, stride)
            spread = np.geomspace(low, min(high, 2 * low), count + 2)[1:-1].tolist()
            out.append([(s / root, s * root) for s in spread])
    return out


class _Refined:
    """Coordinate search: shapes that no factor of STEPS improves any more, and their score."""

    def __init__(
        self,
        near: Sequence[Nearest],
        strides: Sequence[float],
        shapes: Sequence[Sequence[Shape]],
        height: int,
        width: int,
        match_iou: float,
    ) -> None:
        self.near, self.match_iou = near, match_iou
        self.least = [0.0, *(float(s) for s in strides[1:])]
        self.height, self.width = float(height), float(width)
        self.where = [k for k, row in enumerate(shapes) for _ in row]
        self.flat = [self.allowed(k, shape) for k, row in enumerate(shapes) for shape in row]
        self.table = np.stack([near[k].overlap(*s) for k, s in zip(self.where, self.flat, strict=True)], axis=1)
        self.score = self.judge(self.table.max(axis=1))
        for step in STEPS:
            for _ in range(ROUNDS):
                moved = [self.improve(i, step) for i in range(len(self.flat))]
                if not any(moved):
                    break

    def improve(self, i: int, step: float) -> bool:
        """Move shape i by one factor each way: width, height, both; whether anything got better."""
        others = np.delete(self.table, i, axis=1).max(axis=1, initial=0)
        moved = False
        for grow in (step, 1 / step):
            for fw, fh in ((grow, 1.0), (1.0, grow), (grow, grow)):
                shape = self.allowed(self.where[i], (self.flat[i][0] * fw, self.flat[i][1] * fh))
                column = self.near[self.where[i]].overlap(*shape)
                score = self.judge(np.maximum(others, column))
                if score > self.score:
                    self.score, self.flat[i], self.table[:, i], moved = score, shape, column, True
        return moved

    def judge(self, best: NDArray[np.float32]) -> tuple[float, float]:
        return float(best.mean(dtype=np.float64)), float((best > self.match_iou).mean())

    def allowed(self, k: int, shape: Shape) -> Shape:
        """The shape, within the input and of at least its map's stride (square root of the area)."""
        w, h = shape
        grow = max(1.0, self.least[k] / math.sqrt(w * h))
        return min(w * grow, self.width), min(h * grow, self.height)

    def shapes(self) -> list[list[Shape]]:
        out: list[list[Shape]] = [[] for _ in self.near]
        for k, (w, h) in zip(self.where, self.flat, strict=True):
            out[k].append((round(w, 1), round(h, 1)))
        return [sorted(row, key=lambda s: s[0] * s[1]) for row in out]
