"""Non-maximum suppression: of boxes that lie on each other, the one with the highest score stays."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from passerby.geometry.boxes import Floats, iou

CANDIDATES = 1000  # highest scores a class that enter suppression; bounds time on a crowded picture


def nms(boxes: Floats, scores: Floats, threshold: float, limit: int = CANDIDATES) -> NDArray[np.intp]:
    """Greedy suppression of one class.

    boxes      (N, 4) float32, x0 y0 x1 y1
    scores     (N,) float32
    threshold  a box is dropped when its IoU with a kept box of higher score is over this
    limit      only this many highest scores are looked at
    returns    indices of the kept boxes, highest score first; equal scores keep their order
    """
    order = np.argsort(-scores, kind="stable")[:limit]
    overlaps = iou(boxes[order], boxes[order]) > threshold
    alive = np.ones(len(order), bool)
    for i in range(len(order)):
        if alive[i]:
            alive[i + 1 :] &= ~overlaps[i, i + 1 :]
    return order[alive]


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
