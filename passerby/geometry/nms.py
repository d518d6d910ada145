"""Non-maximum suppression: of boxes that lie on each other, the one with the highest score stays.

A model names "hard" or "soft" as its own (`spec.ModelSpec.nms`); the other methods of METHODS are there for comparison.
A network leaves the caches cold, so that numpy's short ways count: `take` for rows, `reduce` for `any` and `prod`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from passerby.errors import SettingError, did_you_mean
from passerby.geometry.boxes import BoxRows, Floats, iou, to_centres

Found = tuple[Floats, Floats]  # boxes (K, 4) and scores (K,) of one class, highest score first
BLOCK = 64  # highest scores of those left that are settled at a time
TABLE = 200  # boxes of which every pair's overlap is worked out at once; of more only those of a box that is taken
BETTER = np.triu(np.ones((BLOCK, BLOCK), bool), 1)  # [i, j]: of boxes sorted by score, i comes before j
LEAST = np.float32(1e-30)
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
    boxes: BoxRows, scores: Floats, floor: float, threshold: float, keep: int
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
    boxes: BoxRows, scores: Floats, floor: float, threshold: float, keep: int, method: str
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
        column = scores[:, c]
        candidates = (column >= floor).nonzero()[0]
        values = column[candidates]
        order = (-values).argsort(kind="stable")[:CANDIDATES]
        found, values = METHODS[method](boxes[candidates.take(order)], values.take(order), floor, threshold, keep)
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
    columns = _columns(boxes)
    if len(boxes) <= BLOCK:
        rows, values = _one_by_one(columns, scores.copy(), scores[:0], floor, threshold, keep)
        return boxes[rows], values
    first = columns[:, :BLOCK]
    better_near = (_shared(first[:, :, None], first) > threshold) & BETTER
    best = (~np.logical_or.reduce(better_near, axis=0)).nonzero()[0]  # their turn comes before that of all they overlap
    left = np.multiply.reduce(_shares_left(columns.take(best, axis=1)[:, :, None], columns, threshold), axis=0)
    left *= scores
    left[best] = -np.inf
    rest = (left >= floor).nonzero()[0]
    taken, values = _one_by_one(columns.take(rest, axis=1), left.take(rest), scores.take(best), floor, threshold, keep)
    rows, values = np.concatenate([best, rest.take(taken)]), np.concatenate([scores.take(best), values])
    order = (-values).argsort(kind="stable")[:keep]
    return boxes.take(rows.take(order), axis=0), values.take(order)


def _one_by_one(
    columns: Floats, left: Floats, taken: Floats, floor: float, threshold: float, keep: int
) -> tuple[NDArray[np.intp], Floats]:
    """Take the highest of the scores `left`, lower what overlaps it, and so on: which were taken (K,), their scores.

    taken  scores of others that were taken before; where `keep` of both are as high, the rest is not looked at
    """
    table = _shares_left(columns[:, :, None], columns, threshold) if len(left) <= TABLE else None
    rows: list[np.intp] = []
    values: list[np.float32] = []
    for count in range(min(keep, len(left))):
        if (value := left[best := left.argmax()]) < floor:
            break
        if count + len(taken) >= keep and count + np.count_nonzero(taken >= value) >= keep:
            break
        rows.append(best)
        values.append(value)
        left *= table[best] if table is not None else _shares_left(columns[:, best], columns, threshold)
        left[best] = -np.inf
    return np.array(rows, np.intp), np.array(values, np.float32)


def _columns(boxes: Floats) -> Floats:
    """x0, y0, x1, y1 and area (5, N) of boxes (N, 4), each side by side in memory."""
    columns = np.empty((5, len(boxes)), np.float32)
    columns[:4] = boxes.T
    size = np.maximum(columns[2:4] - columns[:2], 0)
    np.multiply(size[0], size[1], out=columns[4])
    return columns


def _shared(a: Floats, b: Floats) -> Floats:
    """IoU of two `_columns`, broadcast: (5, N, 1) and (5, M) -> (N, M), (5,) and (5, M) -> (M,); `iou_of` in place."""
    shared = np.minimum(a[2], b[2])
    shared -= np.maximum(a[0], b[0])
    high = np.minimum(a[3], b[3])
    high -= np.maximum(a[1], b[1])
    np.maximum(shared, 0, out=shared)
    shared *= np.maximum(high, 0, out=high)
    union = np.add(a[4], b[4], out=high)
    union -= shared
    shared /= np.maximum(union, LEAST, out=union)
    return np.asarray(shared, np.float32)


def _shares_left(a: Floats, b: Floats, threshold: float) -> Floats:
    """What `soft` leaves of one's score when the other is taken; `_columns`, broadcast as for `_shared`.

    It is never quite nothing, so that what was taken stays at minus infinity.
    """
    shared = _shared(a, b)
    shared *= shared > threshold
    return np.maximum(np.subtract(1, shared, out=shared), LEAST, out=shared)


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
