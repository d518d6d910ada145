"""Where predictors disagree: objects that one of them found and another missed, picture by picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from passerby.geometry.boxes import iou
from passerby.measure.matching import HIT, MISS, Judged, Pair, look_near, match
from passerby.records import Detections


@dataclass(frozen=True)
class Look:
    """One predictor at its own threshold, on one picture.

    shown    the detections from its threshold on
    outcome  (D,) HIT, MISS (a false alarm) or DROPPED, of each of them
    found    (T,) whether each object was found; False for those that do not count
    counts   (T,) whether each object counts: neither difficult nor an ignore region
    """

    shown: Detections
    outcome: NDArray[np.int8]
    found: NDArray[np.bool_]
    counts: NDArray[np.bool_]

    @property
    def alarms(self) -> int:
        """Detections that found nothing."""
        return int((self.outcome == MISS).sum())


def look(judged: Judged, picture: int) -> Look:
    """What one predictor shows in a picture at its threshold, by the greedy rule at IoU 0.5, class by class."""
    pair = judged.pairs[picture]
    order = np.argsort(-pair.found.scores, kind="stable")
    shown = pair.found[order[pair.found.scores[order] >= judged.threshold]]
    outcome = np.zeros(len(shown), np.int8)
    counts = ~pair.truth.difficult & ~pair.truth.ignore
    found = np.zeros(len(pair.truth), bool)
    for k in range(len(judged.labels)):
        own = np.flatnonzero(shown.labels == k)
        outcome[own] = match(look_near([Pair(pair.name, pair.truth, shown)], k, 0.5), "greedy").outcome
        free = iou(shown.boxes, pair.truth.boxes)
        free[:, ~counts | (pair.truth.labels != k)] = -1
        for d in own[outcome[own] == HIT]:  # matching took the free object that it overlaps most: so do we
            t = int(free[d].argmax())
            found[t], free[:, t] = True, -1
    return Look(shown, outcome, found, counts)


def disagreement(looks: Sequence[Look]) -> int:
    """How many objects of a picture some of them found and some missed; of one alone: how many it missed."""
    if len(looks) == 1:
        return int((looks[0].counts & ~looks[0].found).sum())
    found = np.stack([x.found for x in looks])
    return int((found.any(axis=0) & ~found.all(axis=0)).sum())


def most_disputed(judged: Sequence[Judged], many: int) -> list[tuple[int, int, list[Look]]]:
    """The pictures of most disagreement, worst first: (picture, disagreement, what each predictor shows).

    many  at most so many; pictures on which all agree are left out. Equal ones: more false alarms first
    """
    if not judged:
        return []
    rows = []
    for i in range(len(judged[0].pairs)):
        looks = [look(j, i) for j in judged]
        if score := disagreement(looks):
            rows.append((i, score, looks))
    rows.sort(key=lambda row: (-row[1], -sum(x.alarms for x in row[2]), row[0]))
    return rows[:many]
