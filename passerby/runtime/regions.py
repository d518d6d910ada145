"""Regions of a map: where it is high enough, connected, and split where people stand together."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from passerby.errors import ModelError
from passerby.geometry.resize import Placement
from passerby.records import Floats, Ints
from passerby.runtime.heat import kept_cells

GRID = 56  # points along the longer side of the input on which regions are found: 4 pixels of 224
SPLIT = 0.15  # of the range: how deep the valley between two people must be; the choice: docs/guides/localise.md
UPRIGHT = 8  # points: standard deviation, up and down, of what smooths a map before its valleys are looked for
Labels = NDArray[np.int64]  # (h, w) which region a point belongs to, 0: none
NEVER = float("inf")  # as `split`: connected regions stay whole


@dataclass(frozen=True)
class Regions:
    """What `find_regions` finds: columns of one length N, the highest peak first.

    boxes  (N, 4) float32, x0 y0 x1 y1, points of the map; x1 and y1 exclusive
    peaks  (N,) float32, the map's highest value in each
    spots  (N, 2) int64, x and y of the point that holds it
    """

    boxes: Floats
    peaks: Floats
    spots: Ints

    def __len__(self) -> int:
        return len(self.peaks)


@dataclass(frozen=True)
class Laid:
    """A map over the picture alone, on a grid that is fine enough to draw boxes from.

    heat   (rows, columns) float32, 0..1: the share of the map's range over the picture
    left, top       of the grid's first point, input pixels
    step_x, step_y  from point to point, input pixels
    """

    heat: Floats
    left: float
    top: float
    step_x: float
    step_y: float

    def to_input(self, boxes: Floats) -> Floats:
        """Boxes (N, 4) in points of the grid -> input pixels."""
        return (boxes * self._step() + self._start()).astype(np.float32)

    def from_input(self, boxes: Floats) -> Floats:
        """Boxes (N, 4) in input pixels -> points of the grid; the inverse of `to_input`."""
        return ((boxes - self._start()) / self._step()).astype(np.float32)

    def _step(self) -> Floats:
        return np.array([self.step_x, self.step_y] * 2, np.float32)

    def _start(self) -> Floats:
        return np.array([self.left, self.top] * 2, np.float32)


def lay(values: Floats, width: int, height: int, placement: Placement | None = None) -> Laid:
    """A raw map, bicubic on a finer grid, without the padding of a letterbox, as shares of its range.

    values         (h, w) float32, over the whole input
    width, height  of the input, pixels

    A map that is the same everywhere becomes 1 everywhere: it says nothing about where, so the whole picture is meant.
    Raises ModelError where the map has a value that is no number.
    """
    if not np.isfinite(values).all():
        raise ModelError("the model's map has values that are no numbers; export the model again")
    scale = GRID / max(width, height)
    columns, rows = max(values.shape[1], round(width * scale)), max(values.shape[0], round(height * scale))
    fine = np.asarray(cv2.resize(values, (columns, rows), interpolation=cv2.INTER_CUBIC), np.float32)
    down = kept_cells(rows, height, placement.pad_y if placement else 0)
    across = kept_cells(columns, width, placement.pad_x if placement else 0)
    inner = fine[down[0] : down[-1] + 1, across[0] : across[-1] + 1]
    step_x, step_y = width / columns, height / rows
    return Laid(as_shares(inner), float(across[0] * step_x), float(down[0] * step_y), step_x, step_y)


def as_shares(values: Floats) -> Floats:
    """(value - lowest) / (highest - lowest), 0..1; ones where all are the same. Zhou et al. 2016; Choe et al. 2020."""
    low, high = float(values.min()), float(values.max())
    if high - low <= 1e-6 * max(abs(low), abs(high)):
        return np.ones_like(values)
    return ((values - low) / (high - low)).astype(np.float32)


def find_regions(heat: Floats, threshold: float, split: float = SPLIT) -> Regions:
    """Connected regions (8 neighbours) of what is at least `threshold`, taken apart at valleys.

    heat       (h, w) float32
    threshold  a point under it belongs to no region
    split      each region rises by at least this over the highest pass to a higher one, or over the threshold where
               none can be reached; the highest of all is always kept. NEVER: all connected regions, each whole

    People are upright: peaks above one another are mostly head, body and legs of one person. So the map is smoothed
    up and down before its peaks and valleys are looked for; `threshold`, boxes and peaks are of the map as it is.
    Every point drains uphill to a peak (a watershed of the map turned over); then peaks that rise too little over
    their highest pass are joined with the higher neighbour, from the highest pass down: what is left are the h-maxima
    and their basins (Soille 2003, "Morphological Image Analysis", chapters 6 and 9).
    """
    inside = heat >= threshold
    if split == NEVER:
        _, labels = cv2.connectedComponents(inside.astype(np.uint8), connectivity=8)
        found = _regions(heat, np.asarray(labels, np.int64))
    else:
        relief = as_shares(np.asarray(cv2.GaussianBlur(heat, (1, 6 * UPRIGHT + 1), UPRIGHT), np.float32))
        found = _regions(heat, _join(relief, _basins(relief, inside), split))
        kept = found.peaks >= threshold + split
        kept[:1] = True
        found = Regions(found.boxes[kept], found.peaks[kept], found.spots[kept])
    return found


def _regions(heat: Floats, labels: Labels) -> Regions:
    """Boxes and peaks of labelled points (h, w), 0 where none."""
    boxes, peaks, spots = [], [], []
    for k in np.unique(labels[labels > 0]).tolist():
        ys, xs = np.nonzero(labels == k)
        values = heat[ys, xs]
        best = int(values.argmax())
        boxes.append((xs.min(), ys.min(), xs.max() + 1, ys.max() + 1))
        peaks.append(values[best])
        spots.append((xs[best], ys[best]))
    order = np.argsort(-np.array(peaks, np.float32), kind="stable")
    return Regions(
        np.array(boxes, np.float32).reshape(-1, 4)[order],
        np.array(peaks, np.float32)[order],
        np.array(spots, np.int64).reshape(-1, 2)[order],
    )


def _basins(heat: Floats, inside: NDArray[np.bool_]) -> Labels:
    """(h, w) which peak each point drains to, 1.. ; 0 outside. Of equal neighbours the first in reading order wins."""
    h, w = heat.shape
    rank = np.empty(heat.size, np.int64)
    rank[np.argsort(-heat, axis=None, kind="stable")] = np.arange(heat.size, 0, -1)  # no two alike
    padded = np.zeros((h + 2, w + 2), np.int64)
    padded[1:-1, 1:-1] = np.where(inside, rank.reshape(h, w), 0)
    numbers = np.arange(heat.size).reshape(h, w)
    best, uphill = padded[1:-1, 1:-1].copy(), numbers.copy()
    for dy, dx in _NEIGHBOURS:
        other = padded[1 + dy : 1 + dy + h, 1 + dx : 1 + dx + w]
        higher = other > best
        best[higher], uphill[higher] = other[higher], numbers[higher] + dy * w + dx
    to = uphill.ravel()
    while (to != (farther := to[to])).any():  # each round doubles how far uphill a point looks
        to = farther
    labels = np.zeros(heat.size, np.int64)
    at = np.flatnonzero(inside)
    labels[at] = np.unique(to[at], return_inverse=True)[1] + 1
    return labels.reshape(h, w)


_NEIGHBOURS = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if dy or dx]


def _join(heat: Floats, labels: Labels, split: float) -> Labels:
    """Basins joined over passes that are less than `split` under the lower of their two peaks, highest pass first."""
    n = int(labels.max(initial=0))
    peak = np.zeros(n + 1, np.float32)
    np.maximum.at(peak, labels.ravel(), heat.ravel())
    group = np.arange(n + 1)
    for height, a, b in _passes(heat, labels):
        a, b = _end(group, a), _end(group, b)
        if a != b and min(peak[a], peak[b]) - height < split:
            low, high = (a, b) if peak[a] < peak[b] else (b, a)
            group[low] = high
    return np.array([_end(group, k) for k in range(n + 1)], np.int64)[labels]


def _passes(heat: Floats, labels: Labels) -> list[tuple[float, int, int]]:
    """(height, a, b) of every two basins that touch: the highest way from one into the other; highest first."""
    h, w = labels.shape
    pairs, heights = [], []
    for dy, dx in ((0, 1), (1, 0), (1, 1), (1, -1)):
        here = (slice(0, h - dy), slice(max(0, -dx), w - max(0, dx)))
        there = (slice(dy, h), slice(max(0, dx), w - max(0, -dx)))
        a, b = labels[here], labels[there]
        edge = (a != b) & (a > 0) & (b > 0)
        pairs.append(np.sort(np.stack([a[edge], b[edge]], axis=1), axis=1))
        heights.append(np.minimum(heat[here][edge], heat[there][edge]))
    pair, height = np.concatenate(pairs), np.concatenate(heights)
    order = np.argsort(-height, kind="stable")
    first = np.sort(np.unique(pair[order], axis=0, return_index=True)[1])  # of each pair its highest way
    chosen = order[first]
    return list(zip(height[chosen].tolist(), *pair[chosen].T.tolist(), strict=True))


def _end(group: Ints, k: int) -> int:
    """The basin that this one was joined with in the end."""
    while group[k] != k:
        k = int(group[k])
    return k
