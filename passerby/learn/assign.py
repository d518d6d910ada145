"""Which default box answers for which object; numpy, so that the loader's workers do it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from passerby.geometry.boxes import Floats, Variance, area, encode, intersection, iou, to_corners
from passerby.records import Truth

IGNORED = -1


def assign(truth: Truth, anchors: Floats, match_iou: float, variance: Variance) -> tuple[NDArray[np.int64], Floats]:
    """Targets of every default box.

    truth    boxes in input pixels
    anchors  (A, 4) float32, cx cy w h, input pixels
    returns  labels (A,) int64: 0 background, k + 1 for class k, -1 not judged; offsets (A, 4) float32, of the
             objects answered for (0 elsewhere)

    Each object takes the default box of best overlap; then every default box with IoU over `match_iou` to an object
    answers for its best one (Liu et al. 2016, "SSD", section 2.2). Where two objects want one default box, the one
    that overlaps it more gets it, and the other its next best. A default box without object is not judged where over
    half of it lies in an ignore region, or where it overlaps a difficult object.
    """
    corners = to_corners(anchors)
    labels = np.zeros(len(anchors), np.int64)
    offsets = np.zeros((len(anchors), 4), np.float32)
    hazy = truth.ignore | truth.difficult
    objects = truth[~hazy]
    if hazy.any():
        regions = truth.boxes[truth.ignore]
        inside = (intersection(corners, regions) > 0.5 * area(corners)[:, None]).any(axis=1)
        near = (iou(corners, truth.boxes[truth.difficult]) > match_iou).any(axis=1)
        labels[inside | near] = IGNORED
    if len(objects) == 0:
        return labels, offsets
    overlaps = iou(corners, objects.boxes)
    owner = overlaps.argmax(axis=1)
    positive = overlaps[np.arange(len(anchors)), owner] > match_iou
    for row, column in best_pairs(overlaps):
        owner[row], positive[row] = column, True
    labels[positive] = objects.labels[owner[positive]] + 1
    offsets[positive] = encode(objects.boxes[owner[positive]], anchors[positive], variance)
    return labels, offsets


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
