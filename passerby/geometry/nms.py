"""Non-maximum suppression: of boxes that lie on each other, the one with the highest score stays.

A model names "hard" or "soft" as its own (`spec.ModelSpec.nms`); the other methods of METHODS are there for comparison.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from passerby.errors import SettingError, did_you_mean
from passerby.geometry.boxes import Floats, area, iou, to_centres

Found = tuple[Floats, Floats]  # boxes (K, 4) and scores (K,) of one class, highest score first
BLOCK = 64  # highest scores of those left that are settled at a time
TABLE = 200  # boxes of which every pair's overlap is worked out at once; of more only those of a box that is taken
LEAST_LEFT = np.float32(1e-30)
CANDIDATES = 2000  # highest scores a class that enter suppression; bounds time on a crowded picture


def nms(boxes: Floats, scores: Floats, threshold: float, limit: int = CANDIDATES) -> NDArray[np.intp]:
    """Greedy suppression of one class.

    boxes      (N, 4) float32, x0 y0 x1 y1
    scores     (N,) float32
    threshold  a box is dropped when its IoU with a kept box of higher score is over this
    limit      only this many highest scores are looked at
    returns    indices of the kept boxes, highest score first; equal scores keep their order
    """
    order = np.argsort(-scores, kind="stable")[:limit]
    return order[sorted_nms(boxes[order], threshold)]


def sorted_nms(boxes: Floats, threshold: float) -> NDArray[np.intp]:
    """`nms` of boxes (N, 4) whose highest score is first: the rows that stay."""
    if len(boxes) <= BLOCK:
        return greedy_rows(iou(boxes, boxes) > threshold)
    left, kept = np.arange(len(boxes)), []
    while len(left):  # the best settle first and take most of the others along
        best, left = left[:BLOCK], left[BLOCK:]
        best = best[greedy_rows(iou(boxes[best], boxes[best]) > threshold)]
        left = left[~(iou(boxes[left], boxes[best]) > threshold).any(axis=1)]
        kept.append(best)
    return np.concatenate(kept)


def nms_per_class(
    boxes: Floats, scores: Floats, floor: float, threshold: float, keep: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Suppression class by class over the raw output of a detector.

    boxes      (A, 4) float32, x0 y0 x1 y1
    scores     (A, C) float32, one column a class
    floor      scores under this are dropped first
    threshold  IoU over which the lower score goes
    keep       at most this many detections a picture, over all classes
    returns    (rows, labels), each (K,): which box, which class; highest score first

    Liu et al. 2016, "SSD", section 3: floor 0.01, IoU 0.45, 200 kept, when measuring.
    """
    rows: list[NDArray[np.intp]] = []
    labels: list[NDArray[np.intp]] = []
    for c in range(scores.shape[1]):
        column = scores[:, c]
        candidates = np.flatnonzero(column >= floor)
        if candidates.size:
            kept = candidates[nms(boxes[candidates], column[candidates], threshold)]
            rows.append(kept)
            labels.append(np.full(len(kept), c))
    if not rows:
        none = np.zeros(0, np.intp)
        return none, none
    row, label = np.concatenate(rows), np.concatenate(labels)
    best = np.argsort(-scores[row, label], kind="stable")[:keep]
    return row[best], label[best]


def suppress(
    boxes: Floats, scores: Floats, floor: float, threshold: float, keep: int, method: str
) -> tuple[Floats, Floats, NDArray[np.intp]]:
    """Suppression class by class, by any of METHODS; `nms_per_class` is "hard", and tells which rows stay.

    boxes, scores, floor, threshold, keep  as in `nms_per_class`; "soft" drops what it lowers under the floor
    returns  boxes (K, 4), scores (K,), labels (K,); highest score first

    Raises SettingError for an unknown method.
    """
    if method not in METHODS:
        raise SettingError(f"nms: '{method}' is unknown{did_you_mean(method, METHODS)}")
    kept: list[tuple[Floats, Floats, NDArray[np.intp]]] = []
    for c in range(scores.shape[1]):
        candidates = np.flatnonzero(scores[:, c] >= floor)
        order = candidates[np.argsort(-scores[candidates, c], kind="stable")[:CANDIDATES]]
        found, values = METHODS[method](boxes[order], scores[order, c], floor, threshold, keep)
        kept.append((found, values, np.full(len(values), c)))
    if len(kept) == 1:  # sorted already; every call of numpy counts beside a network of milliseconds
        found, values, labels = kept[0]
        return found[:keep], values[:keep], labels[:keep]
    found, values, labels = (np.concatenate(column) for column in zip(*kept, strict=True))
    best = np.argsort(-values, kind="stable")[:keep]
    return found[best], values[best], labels[best]


def hard(boxes: Floats, scores: Floats, floor: float, threshold: float, keep: int) -> Found:
    """Greedy suppression of one class by IoU; boxes (N, 4) and scores (N,) highest first, as in all of METHODS."""
    del floor, keep
    rows = sorted_nms(boxes, threshold)
    return boxes[rows], scores[rows]


def soft(boxes: Floats, scores: Floats, floor: float, threshold: float, keep: int) -> Found:
    """Scores times 1 - IoU where a box overlaps one that was taken by more than the threshold; none goes at once.

    Bodla et al. 2017, "Soft-NMS", equation 2 (linear).
    """
    if len(boxes) > BLOCK:
        stay = _may_stay(boxes, scores, floor, threshold)
        boxes, scores = boxes[stay], scores[stay]
    table = _shares_left(iou(boxes, boxes), threshold) if len(boxes) <= TABLE else None
    columns = () if table is not None else (*np.ascontiguousarray(boxes.T), area(boxes))  # in memory side by side
    left, rows, values = scores.copy(), list[int](), list[np.float32]()
    while len(rows) < min(keep, len(boxes)) and (value := left[best := int(left.argmax())]) >= floor:
        rows.append(best)
        values.append(value)
        left *= table[best] if table is not None else _shares_left(_iou_with(columns, best), threshold)
        left[best] = -np.inf
    return boxes[rows].reshape(-1, 4), np.array(values, np.float32)


def _iou_with(columns: tuple[Floats, ...], k: int) -> Floats:
    """IoU of box k with all of them (N,): columns x0 y0 x1 y1 and area, (N,) each."""
    x0, y0, x1, y1, sizes = columns
    shared = np.maximum(np.minimum(x1, x1[k]) - np.maximum(x0, x0[k]), 0)
    shared *= np.maximum(np.minimum(y1, y1[k]) - np.maximum(y0, y0[k]), 0)
    return np.asarray(shared / np.maximum(sizes + sizes[k] - shared, LEAST_LEFT), np.float32)


def _shares_left(shared: Floats, threshold: float) -> Floats:
    """What `soft` leaves of scores where a box that was taken overlaps theirs by `shared`.

    It is never quite nothing, so that what was taken stays at minus infinity.
    """
    return np.asarray(np.where(shared > threshold, np.maximum(1 - shared, LEAST_LEFT), np.float32(1)), np.float32)


def _may_stay(boxes: Floats, scores: Floats, floor: float, threshold: float) -> NDArray[np.bool_]:
    """Which boxes `soft` need look at: a box without a better one near is taken as it is, and many fall under the floor
    by those alone, before they could lower another."""
    best = np.flatnonzero(~np.triu(iou(boxes[:BLOCK], boxes[:BLOCK]) > threshold, 1).any(axis=0))
    shared = iou(boxes, boxes[best])
    lowered = scores * np.where(shared > threshold, 1 - shared, np.float32(1)).prod(axis=1)
    lowered[best] = scores[best]
    return np.asarray(lowered >= floor * (1 - 1e-5), np.bool_)


def diou(boxes: Floats, scores: Floats, floor: float, threshold: float, keep: int) -> Found:
    """Greedy suppression by IoU - (distance of the centres / diagonal of the hull) squared.

    Boxes of two objects, one behind the other, have their centres apart. Zheng et al. 2020, "Distance-IoU loss",
    section 3.5.
    """
    del floor, keep
    centres = to_centres(boxes)[:, :2]
    low = np.minimum(boxes[:, None, :2], boxes[:, :2])
    high = np.maximum(boxes[:, None, 2:], boxes[:, 2:])
    apart = np.square(centres[:, None] - centres).sum(axis=2)
    overlaps = iou(boxes, boxes) - apart / np.maximum(np.square(high - low).sum(axis=2), 1e-9)
    rows = greedy_rows(overlaps > threshold)
    return boxes[rows], scores[rows]


def voting(boxes: Floats, scores: Floats, floor: float, threshold: float, keep: int) -> Found:
    """Greedy suppression; each box that stays becomes the mean, weighted by score, of all that overlap it by more.

    Gidaris and Komodakis 2015, "Object detection via a multi-region CNN", section 5 (box voting).
    """
    del floor, keep
    near = iou(boxes, boxes) > threshold
    rows = greedy_rows(near)
    votes = np.where(near[rows], scores, np.float32(0))
    votes[np.arange(len(rows)), rows] = scores[rows]  # a box without area overlaps nothing, itself included
    mean = votes @ boxes / np.maximum(votes.sum(axis=1, keepdims=True), 1e-9)
    return np.asarray(mean, np.float32).reshape(-1, 4), scores[rows]


def greedy_rows(near: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Rows that stay, of boxes whose highest score is first; near (N, N): which lie on each other."""
    alive = np.ones(len(near), bool)
    for i in np.flatnonzero(np.triu(near, 1).any(axis=1)):  # the others suppress nothing
        if alive[i]:
            alive[i + 1 :] &= ~near[i, i + 1 :]
    return np.flatnonzero(alive)


METHODS: dict[str, Callable[[Floats, Floats, float, float, int], Found]] = {
    "hard": hard,
    "soft": soft,
    "diou": diou,
    "voting": voting,
}
