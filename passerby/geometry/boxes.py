"""Boxes as arrays: convert, clip, overlap, and the SSD's offsets.

Corners are x0 y0 x1 y1 with x1, y1 exclusive (width = x1 - x0); centres are cx cy w h.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from passerby.errors import ShapeError

Floats = NDArray[np.float32]


class BoxRows(Protocol):
    """Boxes (A, 4) x0 y0 x1 y1 that are asked for by rows: an array, or what works them out when asked."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: Any, /) -> Any:
        """Boxes (K, 4) float32 of a slice, a mask or an array of rows."""
        ...


Variance = tuple[float, float]
SSD_VARIANCE: Variance = (0.1, 0.2)  # centre, size: the Caffe release of SSD


def as_boxes(boxes: ArrayLike) -> Floats:
    """Any (N, 4) array-like as float32; an empty list becomes (0, 4).

    Raises ShapeError when the last axis is not 4 long.
    """
    array = np.asarray(boxes, dtype=np.float32)
    if array.size == 0:
        return np.zeros((0, 4), np.float32)
    if array.ndim != 2 or array.shape[1] != 4:
        raise ShapeError(f"boxes have shape {array.shape}, want (N, 4)")
    return array


def to_corners(centres: Floats) -> Floats:
    """Cx cy w h -> x0 y0 x1 y1, both (..., 4); `to_centres` is the inverse."""
    half = centres[..., 2:] * np.float32(0.5)
    return np.concatenate([centres[..., :2] - half, centres[..., :2] + half], axis=-1)


def to_centres(corners: Floats) -> Floats:
    """x0 y0 x1 y1 -> cx cy w h, both (..., 4); `to_corners` is the inverse."""
    size = corners[..., 2:] - corners[..., :2]
    return np.concatenate([corners[..., :2] + size * np.float32(0.5), size], axis=-1)


def area(boxes: Floats) -> Floats:
    """Area of each box (N,), square pixels; swapped corners count as 0."""
    size = np.maximum(boxes[..., 2:] - boxes[..., :2], 0)
    return np.asarray(size[..., 0] * size[..., 1], np.float32)


def clip(boxes: Floats, width: float, height: float) -> Floats:
    """Boxes (N, 4) cut at the border of a picture of `width` x `height` pixels."""
    limit = np.array([width, height, width, height], np.float32)
    return np.asarray(np.minimum(np.maximum(boxes, 0), limit), np.float32)


def intersection(a: Floats, b: Floats) -> Floats:
    """Area shared by every pair: a (N, 4), b (M, 4) -> (N, M), square pixels."""
    return shared_by(a[:, None], b)


def iou(a: Floats, b: Floats) -> Floats:
    """Intersection over union of every pair: a (N, 4), b (M, 4) corners -> (N, M) in 0..1.

    Two boxes without area overlap 0, never NaN.
    """
    return iou_of(a[:, None], b)


def shared_by(a: Floats, b: Floats) -> Floats:
    """As `intersection`, of box with box: a and b (..., 4) corners, broadcast -> (...)."""
    width = np.minimum(a[..., 2], b[..., 2]) - np.maximum(a[..., 0], b[..., 0])
    height = np.minimum(a[..., 3], b[..., 3]) - np.maximum(a[..., 1], b[..., 1])
    return np.asarray(np.maximum(width, 0) * np.maximum(height, 0), np.float32)


def iou_of(a: Floats, b: Floats) -> Floats:
    """As `iou`, of box with box: a and b (..., 4) corners, broadcast -> (...) in 0..1."""
    shared = shared_by(a, b)
    union = area(a) + area(b) - shared
    return np.asarray(np.divide(shared, union, out=np.zeros_like(shared), where=union > 0), np.float32)


def encode(boxes: Floats, anchors: Floats, variance: Variance = SSD_VARIANCE) -> Floats:
    """Express boxes as offsets from default boxes; `decode` is the inverse.

    boxes    (A, 4) float32, x0 y0 x1 y1, input pixels
    anchors  (A, 4) float32, cx cy w h,   input pixels
    returns  (A, 4) float32, dx dy dw dh, no unit

    Raises ShapeError when the lengths differ.
    Liu et al. 2016, "SSD", equation 2; variances of the Caffe release.
    """
    _same_length(boxes, anchors)
    centres = to_centres(boxes)
    shift = (centres[:, :2] - anchors[:, :2]) / anchors[:, 2:] / np.float32(variance[0])
    growth = np.log(centres[:, 2:] / anchors[:, 2:]) / np.float32(variance[1])
    return np.concatenate([shift, growth], axis=1).astype(np.float32, copy=False)


def decode(offsets: Floats, anchors: Floats, variance: Variance = SSD_VARIANCE) -> Floats:
    """Turn offsets from default boxes back into boxes; `encode` is the inverse.

    offsets  (A, 4) float32, dx dy dw dh, no unit
    anchors  (A, 4) float32, cx cy w h,   input pixels
    returns  (A, 4) float32, x0 y0 x1 y1, input pixels

    Raises ShapeError when the lengths differ.
    """
    _same_length(offsets, anchors)
    columns = offsets.T.copy()  # a coordinate side by side: numpy is slow at rows of two
    low, high = columns[:2], columns[2:]  # centre and size first, corners then
    low *= np.float32(variance[0])
    low *= anchors.T[2:]
    low += anchors.T[:2]
    high *= np.float32(variance[1])
    np.exp(high, out=high)
    high *= anchors.T[2:]
    half = high * np.float32(0.5)
    np.add(low, half, out=high)
    low -= half
    return np.ascontiguousarray(columns.T)


def _same_length(a: Floats, b: Floats) -> None:
    if a.shape != b.shape or a.ndim != 2 or a.shape[1] != 4:
        raise ShapeError(f"boxes {a.shape} and default boxes {b.shape} must both be (A, 4)")
