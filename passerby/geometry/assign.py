"""Which default box answers for which object: the rule that trains, and that `passerby anchors` counts with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from passerby.geometry.boxes import Floats, Variance, area, encode, intersection, iou, iou_of, to_centres, to_corners
from passerby.records import Truth
from passerby.spec import AnchorMap

IGNORED = -1  # label of a default box that is not judged
NOBODY, UNJUDGED = -1, -2  # what a default box answers for, beside the rows of a Truth
RULES = ("max_iou", "atss", "task_aligned")  # the last one asks the network: learn/aligned.py
NEAREST = 9  # ATSS: candidates an object, map and box of a cell; Zhang et al. 2020, section 3.3


def assign(
    truth: Truth, anchors: Floats, match_iou: float, variance: Variance, maps: Sequence[AnchorMap] = ()
) -> tuple[NDArray[np.int64], Floats]:
    """Targets of every default box.

    truth    boxes in input pixels
    anchors  (A, 4) float32, cx cy w h, input pixels
    maps     that the default boxes are of: match by `match_atss`; (): by `match`
    returns  labels (A,) int64: 0 background, k + 1 for class k, -1 not judged; offsets (A, 4) float32, of the
             objects answered for (0 elsewhere)
    """
    owner = match_atss(truth, anchors, maps, match_iou) if maps else match(truth, anchors, match_iou)
    labels = np.where(owner == UNJUDGED, IGNORED, 0).astype(np.int64)
    offsets = np.zeros((len(anchors), 4), np.float32)
    positive = owner >= 0
    if positive.any():
        labels[positive] = truth.labels[owner[positive]] + 1
        offsets[positive] = encode(truth.boxes[owner[positive]], anchors[positive], variance)
    return labels, offsets


def match(truth: Truth, anchors: Floats, match_iou: float) -> NDArray[np.int64]:
    """Which object each default box answers for.

    truth    boxes in input pixels
    anchors  (A, 4) float32, cx cy w h, input pixels
    returns  (A,) rows of `truth`, NOBODY for background, UNJUDGED where the truth is not known

    Each object takes the default box of best overlap; then every default box with IoU over `match_iou` to an object
    answers for its best one (Liu et al. 2016, "SSD", section 2.2). Where two objects want one default box, the one
    that overlaps it more gets it, and the other its next best. A default box without object is not judged where over
    half of it lies in an ignore region, or where it overlaps a difficult object.
    """
    out, rows = _without_objects(truth, anchors, match_iou)
    if len(rows) == 0:
        return out
    overlaps = iou(to_corners(anchors), truth.boxes[rows])
    owner = overlaps.argmax(axis=1)
    positive = overlaps[np.arange(len(anchors)), owner] > match_iou
    for row, column in best_pairs(overlaps):
        owner[row], positive[row] = column, True
    out[positive] = rows[owner[positive]]
    return out


def best_pairs(overlaps: Floats) -> list[tuple[int, int]]:
    """One default box for each object, best overlap first, none given twice.

    overlaps  (A, N) IoU
    returns   [(default box, object)]; an object that overlaps nothing gets none
    """
    pairs = []
    taken: set[int] = set()
    best = overlaps.max(axis=0)
    for column in np.argsort(-best, kind="stable"):
        values = overlaps[:, column]
        row = int(values.argmax())
        if row in taken:
            values = values.copy()
            values[list(taken)] = 0
            row = int(values.argmax())
        if values[row] > 0:
            taken.add(row)
            pairs.append((row, int(column)))
    return pairs


def match_atss(truth: Truth, anchors: Floats, maps: Sequence[AnchorMap], match_iou: float) -> NDArray[np.int64]:
    """As `match`, but how much overlap is enough follows from each object's own candidates.

    maps       that the default boxes are of, finest first
    match_iou  of a difficult object with what is not judged for it

    Of each map the NEAREST default boxes a box of a cell whose centres are nearest to the object's are its candidates;
    those answer for it whose IoU is at least mean + standard deviation of all candidates', and whose centre lies in it.
    A default box that suits several answers for the one it overlaps most. Zhang et al. 2020, "Bridging the gap between
    anchor-based and anchor-free detection via adaptive training sample selection", algorithm 1. Unlike there an object
    with no such box, e.g. one smaller than a cell, takes its best one as in `match`.
    """
    out, rows = _without_objects(truth, anchors, match_iou)
    if len(rows) == 0:
        return out
    boxes = truth.boxes[rows]
    near = candidates(anchors[:, :2], to_centres(boxes)[:, :2], maps)
    values = iou_of(to_corners(anchors[near]), boxes)  # (K, N): only these, most default boxes are far from an object
    centres = anchors[near, :2]
    inside = ((centres > boxes[:, :2]) & (centres < boxes[:, 2:])).all(axis=2)
    enough = values >= values.mean(axis=0) + values.std(axis=0, ddof=1)
    suits, column = np.nonzero(enough & inside & (values > 0))
    value, wanted = values[suits, column], near[suits, column]
    order = np.lexsort((-column, value))  # what is written last stays: the best overlap, the first object of equal ones
    owner = np.full(len(anchors), NOBODY, np.int64)
    owner[wanted[order]] = column[order]
    alone = np.ones(len(rows), bool)
    alone[owner[wanted]] = False
    if len(lone := np.flatnonzero(alone)):
        free = np.where(owner[:, None] >= 0, 0, iou(to_corners(anchors), boxes[lone]))
        for row, place in best_pairs(free):
            owner[row] = lone[place]
    positive = owner >= 0
    out[positive] = rows[owner[positive]]
    return out


def candidates(centres: Floats, wanted: Floats, maps: Sequence[AnchorMap]) -> NDArray[np.intp]:
    """Of each map the default boxes that are nearest to each object.

    centres  (A, 2) of default boxes, wanted (N, 2) of objects, input pixels
    returns  (K, N) rows of `centres`; K: over all maps, NEAREST times the boxes of a cell, or all of a small map
    """
    out, start = [], 0
    for m in maps:
        each = len(m.sizes)
        cells = centres[start : start + len(m) : each].reshape(m.rows, m.columns, 2)
        y, x = cells[:, 0, 1], cells[0, :, 0]
        down, across = _nearest(y, wanted[:, 1]), _nearest(x, wanted[:, 0])  # no other row or column has one of them
        apart = np.square(x[across] - wanted[:, :1])[:, None] + np.square(y[down] - wanted[:, 1:])[:, :, None]
        count = min(NEAREST, m.rows * m.columns)
        best = np.argpartition(apart.reshape(len(wanted), -1), count - 1, axis=1)[:, :count]
        numbers = (down[:, :, None] * m.columns + across[:, None]).reshape(len(wanted), -1)
        rows = start + np.take_along_axis(numbers, best, axis=1)[:, :, None] * each + np.arange(each)
        out.append(rows.reshape(len(wanted), -1).T)
        start += len(m)
    return np.concatenate(out)


def _nearest(line: Floats, wanted: Floats) -> NDArray[np.intp]:
    """The NEAREST of evenly spaced places (P,), or all of fewer, to each of (N,): their numbers, (N, at most P)."""
    count = min(NEAREST, len(line))
    step = line[1] - line[0] if len(line) > 1 else 1
    first = np.ceil((wanted - line[0]) / step - NEAREST / 2).clip(0, len(line) - count).astype(np.intp)
    return np.asarray(first[:, None] + np.arange(count), np.intp)


def _without_objects(truth: Truth, anchors: Floats, match_iou: float) -> tuple[NDArray[np.int64], NDArray[np.intp]]:
    """What default boxes (A, 4) answer for while no object has any, NOBODY or UNJUDGED; and the objects' rows."""
    out = np.full(len(anchors), NOBODY, np.int64)
    hazy = truth.ignore | truth.difficult
    if hazy.any():
        corners, regions = to_corners(anchors), truth.boxes[truth.ignore]
        inside = (intersection(corners, regions) > 0.5 * area(corners)[:, None]).any(axis=1)
        near = (iou(corners, truth.boxes[truth.difficult]) > match_iou).any(axis=1)
        out[inside | near] = UNJUDGED
    return out, np.flatnonzero(~hazy)
