"""Which detection of one picture gets which object: VOC's rule, the greedy one, and the one that makes most pairs.

A rule is one function here; those that go picture by picture have a line in MATCHING, and take
  overlaps   (D, T) float32, IoU of each detection that overlaps an object enough, highest score first, with each object
  hazy       (T,) bool, objects that neither count nor punish
  threshold  least IoU of a hit
All give the outcomes (D,): HIT, MISS or DROPPED. What a detection gets never depends on those of lower scores.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from passerby.geometry.boxes import Floats

HIT, MISS, DROPPED = 1, 0, -1  # outcomes of a detection: found an object, false alarm, not judged


def match_voc(best: NDArray[np.intp], hazy: NDArray[np.bool_]) -> NDArray[np.int8]:
    """A detection goes to the object it overlaps most, and is a false alarm when that one is taken (VOC kit).

    Of all pictures at once, since nobody gives way to anybody.
    best  (D,) the object that each detection overlaps most, of those that overlap one enough; in each picture highest
          score first; hazy: (N,) of the objects of all pictures
    """
    outcome = np.where(hazy[best], DROPPED, MISS).astype(np.int8)
    clear = np.flatnonzero(outcome == MISS)
    outcome[clear[np.unique(best[clear], return_index=True)[1]]] = HIT
    return outcome


def match_greedy(overlaps: Floats, hazy: NDArray[np.bool_], threshold: float) -> NDArray[np.int8]:
    """A detection goes to the free object it overlaps most (Caltech, CrowdHuman)."""
    outcome = np.zeros(len(overlaps), np.int8)
    clear = np.where(hazy, -1.0, overlaps)
    for d in range(len(overlaps)):
        # An object that counts is preferred; a difficult one only excuses, and may excuse many.
        t = int(clear[d].argmax())
        if clear[d, t] >= threshold:
            outcome[d] = HIT
            clear[:, t] = -1
        elif (overlaps[d, hazy] >= threshold).any():
            outcome[d] = DROPPED
    return outcome


def match_most(overlaps: Floats, hazy: NDArray[np.bool_], threshold: float) -> NDArray[np.int8]:
    """A detection is a hit when with it and those of higher scores one more object can be found than without it.

    So the hits from any score on are as many as pairs can be made there: who finds no path now finds none later
    (augmenting paths; Berge 1957, "Two theorems in graph theory").
    """
    outcome = np.zeros(len(overlaps), np.int8)
    fits = {d: np.flatnonzero((overlaps[d] >= threshold) & ~hazy).tolist() for d in range(len(overlaps))}
    owner: dict[int, int] = {}  # object -> its detection
    for d in fits:
        if _augment(fits, owner, d):
            outcome[d] = HIT
        elif (overlaps[d, hazy] >= threshold).any():
            outcome[d] = DROPPED
    return outcome


def _augment(fits: dict[int, list[int]], owner: dict[int, int], start: int) -> bool:
    """Give `start` an object, others changing theirs where that is needed; False, and no change, when it cannot be."""
    reached: dict[int, int] = {}  # object -> the detection that asks for it
    holds: dict[int, int] = {}  # detection -> the object it would give away
    asking = [start]
    for d in asking:  # grows while it is gone through: breadth first
        for t in fits[d]:
            if t in reached:
                continue
            reached[t] = d
            if t in owner:
                holds[owner[t]] = t
                asking.append(owner[t])
                continue
            while reached[t] != start:
                owner[t] = reached[t]
                t = holds[reached[t]]
            owner[t] = start
            return True
    return False


MATCHING: dict[str, Callable[[Floats, NDArray[np.bool_], float], NDArray[np.int8]]] = {
    "greedy": match_greedy,
    "most": match_most,
}
RULES_OF_MATCHING = ("voc", *MATCHING)
