"""Which default box answers for which object: the rule that trains, and that `passerby anchors` counts with."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from passerby.geometry.boxes import Floats, Variance, area, encode, intersection, iou, to_corners
from passerby.records import Truth

IGNORED = -1  # label of a default box that is not judged
NOBODY, UNJUDGED = -1, -2  # what a default box answers for, beside the rows of a Truth


def assign(truth: Truth, anchors: Floats, match_iou: float, variance: Variance) -> tuple[NDArray[np.int64], Floats]:
    """Targets of every default box.

    truth    boxes in input pixels
    anchors  (A, 4) float32, cx cy w h, input pixels
    returns  labels (A,) int64: 0 background, k + 1 for class k, -1 not judged; offsets (A, 4) float32, of the
             objects answered for (0 elsewhere)
    """
    owner = match(truth, anchors, match_iou)
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
    corners = to_corners(anchors)
    out = np.full(len(anchors), NOBODY, np.int64)
    hazy = truth.ignore | truth.difficult
    if hazy.any():
        regions = truth.boxes[truth.ignore]
        inside = (intersection(corners, regions) > 0.5 * area(corners)[:, None]).any(axis=1)
        near = (iou(corners, truth.boxes[truth.difficult]) > match_iou).any(axis=1)
        out[inside | near] = UNJUDGED
    rows = np.flatnonzero(~hazy)
    if len(rows) == 0:
        return out
    overlaps = iou(corners, truth.boxes[rows])
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
