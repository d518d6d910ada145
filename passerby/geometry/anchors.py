"""Default boxes: where the network looks, and which shapes it starts from.

A set of default boxes is a list of `AnchorMap`: one feature map, and the boxes centred on each of its cells.
All of them laid out is one (A, 4) array, ordered map by map, row by row, column by column, box by box; the
network's outputs follow the same order.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from passerby.errors import SettingError
from passerby.geometry.boxes import Floats
from passerby.spec import AnchorMap

STRIDES = (8, 16, 32, 64)  # pixels a cell of the four maps of the reference design: 38, 19, 10, 5 cells at 300 pixels
Cells = int | tuple[int, int]  # of one map: a side, or rows and columns


def default_boxes(maps: Sequence[AnchorMap], height: int, width: int) -> Floats:
    """All default boxes of an input picture of height x width pixels.

    returns  (A, 4) float32, cx cy w h, input pixels; centres at ((column + 0.5) / columns * width, ...)

    Liu et al. 2016, "SSD", section 2.2. Boxes are not clipped at the border: the network predicts offsets from
    them, and a clipped default box would lose its shape.
    """
    layers = []
    for m in maps:
        cy, cx = cell_centres(m.rows, height), cell_centres(m.columns, width)
        grid = np.empty((m.rows, m.columns, len(m.sizes), 4), np.float32)
        grid[..., 0] = cx[None, :, None]
        grid[..., 1] = cy[:, None, None]
        grid[..., 2:] = np.asarray(m.sizes, np.float32).reshape(-1, 2)
        layers.append(grid.reshape(-1, 4))
    return np.concatenate(layers) if layers else np.zeros((0, 4), np.float32)


def cell_centres(cells: int, length: int) -> Floats:
    """Centres (cells,) of cells laid evenly over `length` pixels: (i + 0.5) / cells * length."""
    return np.asarray((np.arange(cells, dtype=np.float32) + 0.5) / cells * length, np.float32)


def cells_of(strides: Sequence[float], height: int, width: int) -> tuple[tuple[int, int], ...]:
    """Rows and columns of the maps with these strides, rounded up: 38 x 38, 19 x 19, ... for 8, 16, ... at 300 x 300.

    Raises SettingError for strides that do not rise, or that are not between 1 and the input's shorter side.
    """
    if not strides or any(not 0 < s <= min(height, width) for s in strides):
        raise SettingError(f"strides {list(strides)}: each must lie between 1 and {min(height, width)} pixels")
    if sorted(set(strides)) != list(strides):
        raise SettingError(f"strides {list(strides)} must rise: the finest map comes first")
    return tuple((math.ceil(height / s), math.ceil(width / s)) for s in strides)


def shaped_maps(
    cells: Sequence[Cells], shapes: Sequence[Sequence[Sequence[float]]], where: str = "default boxes"
) -> tuple[AnchorMap, ...]:
    """Default boxes of any shapes.

    cells    of each map: a side, or (rows, columns)
    shapes   for each map its (w, h) in input pixels, at least one
    where    who states them, for errors
    returns  one AnchorMap a map

    Raises SettingError when cells and shapes differ in length, a map has none, or one is no pair of positive numbers.
    """
    if len(cells) != len(shapes):
        raise SettingError(f"{where}: {len(cells)} maps but shapes for {len(shapes)}; give one list of (w, h) a map")
    for k, row in enumerate(shapes):
        if not row:
            raise SettingError(f"{where}: map {k + 1} of {len(cells)} has no shape; each map needs one or more")
        for pair in row:
            if len(pair) != 2 or not all(math.isfinite(v) and v > 0 for v in pair):
                raise SettingError(f"{where}: {tuple(pair)} of map {k + 1} is no (w, h) over 0")
    return tuple(
        AnchorMap(*_rows_columns(n), tuple((float(w), float(h)) for w, h in row))
        for n, row in zip(cells, shapes, strict=True)
    )


def ranged_maps(
    cells: Sequence[Cells], sizes: Sequence[Sequence[float]], ratio: float, height: int = 300, width: int = 300
) -> tuple[AnchorMap, ...]:
    """Default boxes from sizes per map and one shape: the reference design of small person detectors.

    cells    of each map: a side, e.g. (38, 19, 10, 5), or (rows, columns)
    sizes    for each map the sizes in input pixels; a size is the square root of the box's area
    ratio    height / width of every box
    returns  one AnchorMap a map, with w = size / sqrt(ratio), h = size * sqrt(ratio)

    Raises SettingError when cells and sizes differ in length or a number is not positive.
    """
    if len(cells) != len(sizes):
        raise SettingError(f"default boxes: {len(cells)} maps but sizes for {len(sizes)}; give one list of sizes a map")
    if ratio <= 0 or any(s <= 0 for row in sizes for s in row):
        raise SettingError("default boxes: sizes and ratio must be over 0")
    if any(not (0 < rows <= height and 0 < columns <= width) for rows, columns in map(_rows_columns, cells)):
        raise SettingError(f"default boxes: cells a side must lie between 1 and {min(height, width)}")
    root = math.sqrt(ratio)
    return tuple(
        AnchorMap(*_rows_columns(n), tuple((float(s) / root, float(s) * root) for s in row))
        for n, row in zip(cells, sizes, strict=True)
    )


def scales(maps: int, smallest: float = 0.2, largest: float = 0.9) -> list[float]:
    """s_k of m maps, as shares of the input side: s_min + (s_max - s_min)(k - 1)/(m - 1), k = 1..m.

    Liu et al. 2016, "SSD", equation 4. For m = 6: 0.2, 0.34, 0.48, 0.62, 0.76, 0.9.
    """
    if maps == 1:
        return [smallest]
    return [smallest + (largest - smallest) * k / (maps - 1) for k in range(maps)]


def published_maps(
    cells: Sequence[Cells],
    ratios: Sequence[Sequence[float]],
    side: int = 300,
    smallest: float = 0.2,
    largest: float = 0.9,
    first: float | None = None,
) -> tuple[AnchorMap, ...]:
    """Default boxes of the SSD paper: s_k for each map, its ratios, and one extra square.

    cells    of each map: a side, e.g. (38, 19, 10, 5, 3, 1) for SSD300, or (rows, columns)
    ratios   for each map the ratios a = w / h beside 1, e.g. (2, 1/2) or (2, 1/2, 3, 1/3)
    side     input side, pixels
    first    scale of the first map where it stands outside the rule, which then begins with the second
    returns  one AnchorMap a map; a cell has 2 + len(ratios) boxes: the square s_k, the square
             sqrt(s_k s_{k+1}), then w = s_k sqrt(a), h = s_k / sqrt(a) for each ratio

    Liu et al. 2016, "SSD", section 2.2; first: section 3.1. The scale after the last is s_max plus one step.
    """
    if len(cells) != len(ratios):
        raise SettingError(f"default boxes: {len(cells)} maps but ratios for {len(ratios)}; give one list a map")
    ruled = len(cells) - (first is not None)
    steps = ([] if first is None else [first]) + scales(ruled, smallest, largest)
    steps.append(largest + (largest - smallest) / max(1, ruled - 1))
    out = []
    for k, (n, row) in enumerate(zip(cells, ratios, strict=True)):
        s, extra = steps[k] * side, math.sqrt(steps[k] * steps[k + 1]) * side
        shapes = [(s, s), (extra, extra)] + [(s * math.sqrt(a), s / math.sqrt(a)) for a in row]
        out.append(AnchorMap(*_rows_columns(n), tuple(shapes)))
    return tuple(out)


def fit_sizes(shapes: Floats, count: int, rounds: int = 100) -> Floats:
    """Box shapes that fit labelled boxes best: k-means with 1 - IoU of centred boxes as the distance.

    shapes   (N, 2) float32, w h of the labelled boxes, input pixels
    count    how many shapes to fit
    returns  (count, 2) float32, w h, smallest area first

    Starts from evenly spaced quantiles of the area, so the answer is the same every time.
    Redmon and Farhadi 2017, "YOLO9000", section 2 (dimension clusters); the median, not the mean, moves a centre.
    Raises SettingError when there are fewer boxes than shapes.
    """
    shapes = np.asarray(shapes, np.float32)
    if len(shapes) < count or count < 1:
        raise SettingError(f"cannot fit {count} default box shapes to {len(shapes)} boxes")
    order = shapes[np.argsort(shapes[:, 0] * shapes[:, 1], kind="stable")]
    centres = order[((np.arange(count) + 0.5) / count * len(order)).astype(int)]
    for _ in range(rounds):
        nearest = shape_iou(shapes, centres).argmax(axis=1)
        moved = np.array(
            [np.median(shapes[nearest == k], axis=0) if (nearest == k).any() else centres[k] for k in range(count)],
            np.float32,
        )
        if np.array_equal(moved, centres):
            break
        centres = moved
    return np.asarray(centres[np.argsort(centres[:, 0] * centres[:, 1], kind="stable")], np.float32)


def shape_iou(a: Floats, b: Floats) -> Floats:
    """IoU of boxes that share a centre: a (N, 2), b (M, 2), w h -> (N, M)."""
    shared = np.minimum(a[:, None, 0], b[None, :, 0]) * np.minimum(a[:, None, 1], b[None, :, 1])
    union = (a[:, 0] * a[:, 1])[:, None] + (b[:, 0] * b[:, 1])[None, :] - shared
    return np.asarray(shared / np.maximum(union, 1e-9), np.float32)


def _rows_columns(cells: Cells) -> tuple[int, int]:
    return (cells, cells) if isinstance(cells, int) else cells
