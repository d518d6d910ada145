"""Two detectors on one picture: what both find is there, what only one finds is not judged or not there."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from passerby.geometry.boxes import Floats, iou
from passerby.records import Detections

FLOOR = 0.05  # of the one that places: from here on it has an opinion where the other is sure
UNSURE = 0.1  # of the one that decides: from here on something may be there
SAME = 0.4  # IoU of two boxes on one thing
NEAR = 0.3  # IoU from which on a box has to do with another
SMALL = 16  # pixels of height at the deciding one's input: what is smaller it cannot be asked about


class Agreed(NamedTuple):
    """What two detectors come to.

    found    both find it; boxes and scores of the one that places
    regions  (K, 4) what neither proves nor rules out
    """

    found: Detections
    regions: Floats


def agree(found: Detections, other: Detections, shown: float, sure: float, small: float) -> Agreed:
    """What is certain where one detector places best and another, which learnt from other pictures, knows better.

    found  of the one that places, scores from FLOOR on, best first
    other  of the one that decides, scores from UNSURE on; compared by label, its other labels are passed over
    shown  the score from which `found` says by itself that something is there
    sure   the same of `other`
    small  height under which `other` cannot be asked, pixels of the picture

    Certain is what `other` is sure of and `found` places (SAME). What `other` finds and is not that, and what `found`
    alone shows and is small, goes into the regions. All else that `found` alone shows is a false alarm: it is in
    neither, so whoever trains on it learns that nothing is there.
    """
    names = [other.names[k] for k in other.labels]
    mine = [found.names[k] for k in found.labels]
    named = np.array([n in found.names for n in names], bool)
    alike = np.array([[a == b for b in names] for a in mine], bool).reshape(len(found), len(other))
    overlap = np.where(alike, iou(found.boxes, other.boxes), 0)
    free = named & (other.scores >= sure)
    placed = np.zeros(len(other), bool)
    both: list[int] = []
    for k in range(len(found)):
        gain = np.where(free & ~placed, overlap[k], 0)
        if gain.max(initial=0) >= SAME:
            placed[gain.argmax()] = True
            both.append(k)
    alone = np.setdiff1d(np.flatnonzero(found.scores >= shown), both)
    heights = found.boxes[:, 3] - found.boxes[:, 1]
    unasked = [k for k in alone if heights[k] < small and overlap[k].max(initial=0) < NEAR]
    return Agreed(found[both], np.concatenate([other.boxes[named & ~placed], found.boxes[unasked]]))


def without(owners: Floats, things: Floats) -> Floats:
    """Of the boxes of owners (N, 4), say people, those in which no thing's (M, 4) middle lies, say a head's."""
    middles = (things[:, :2] + things[:, 2:]) / 2
    inside = (middles >= owners[:, None, :2]) & (middles <= owners[:, None, 2:])
    held = np.any(np.all(inside, axis=2), axis=1)
    return np.asarray(owners[~held], np.float32)
