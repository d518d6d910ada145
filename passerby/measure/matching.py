"""Which detection found which object: the one place where detections and truth meet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from passerby.geometry.boxes import Floats, area, intersection, iou
from passerby.records import Detections, Truth

HIT, MISS, DROPPED = 1, 0, -1  # outcomes of a detection: found an object, false alarm, not judged


@dataclass(frozen=True)
class Pair:
    """One picture's truth and what was detected in it."""

    name: str
    truth: Truth
    found: Detections


@dataclass(frozen=True)
class Matches:
    """All detections of one class over a data set, highest score first, and what became of them.

    scores    (D,) float32
    outcome   (D,) HIT, MISS or DROPPED
    picture   (D,) which picture
    objects   number of objects that count
    pictures  number of pictures
    """

    scores: Floats
    outcome: NDArray[np.int8]
    picture: NDArray[np.int64]
    objects: int
    pictures: int

    def curve(self) -> tuple[Floats, Floats, Floats]:
        """Hits and false alarms so far at each distinct score, from the highest down: (scores, hits, alarms).

        Detections of one score cannot be told apart by a threshold, so they enter together.
        """
        judged = self.outcome != DROPPED
        scores, outcome = self.scores[judged], self.outcome[judged]
        hits, alarms = np.cumsum(outcome == HIT), np.cumsum(outcome == MISS)
        last = np.flatnonzero(np.append(scores[1:] != scores[:-1], True)) if len(scores) else np.zeros(0, np.intp)
        return scores[last], hits[last].astype(np.float32), alarms[last].astype(np.float32)


@dataclass(frozen=True)
class Judged:
    """A predictor's detections over a data set: what every metric reads.

    pairs      one a picture
    labels     class names
    threshold  the model's own, for numbers at its operating point
    floor, nms_iou, cap   the settings the detections were made with; None where the predictor does not say
    coco_cap   detections a picture that COCO AP looks at
    """

    pairs: Sequence[Pair]
    labels: tuple[str, ...]
    threshold: float = 0.5
    floor: float | None = None
    nms_iou: float | None = None
    cap: int | None = None
    coco_cap: int = 100
    _cache: dict[tuple[int, str, float], Matches] = field(default_factory=dict, repr=False, compare=False)

    def matches(self, label: int, rule: str, threshold: float = 0.5) -> Matches:
        """Matches of one class under a rule ("voc" or "greedy") at an IoU threshold; computed once."""
        key = (label, rule, threshold)
        if key not in self._cache:
            self._cache[key] = match(self.pairs, label, rule, threshold)
        return self._cache[key]


def match(
    pairs: Sequence[Pair], label: int, rule: str, threshold: float = 0.5, sizes: tuple[float, float] | None = None
) -> Matches:
    """Match one class over all pictures.

    rule       "voc": a detection goes to the object it overlaps most, and is a false alarm when that one is taken
               (VOC development kit); "greedy": it goes to the free object it overlaps most (Caltech, CrowdHuman)
    threshold  least IoU of a hit
    sizes      only objects whose size (square root of the area, original pixels) lies in [low, high) count; the
               others neither count nor punish, nor do unmatched detections of another size (as in COCO)

    Under both rules difficult objects neither count nor punish, and an unmatched detection that lies more than half
    (intersection / own area) in an ignore region is dropped.
    """
    one = {"voc": _match_voc, "greedy": _match_greedy}[rule]
    scores, outcomes, pictures = [], [], []
    objects = 0
    for i, pair in enumerate(pairs):
        found = pair.found[pair.found.labels == label]
        found = found[np.argsort(-found.scores, kind="stable")]
        mine = (pair.truth.labels == label) & ~pair.truth.ignore
        truth = pair.truth[mine]
        hazy = truth.difficult
        if sizes is not None:
            hazy = hazy | ~_within(truth.boxes, sizes)
        objects += int((~hazy).sum())
        outcome = one(iou(found.boxes, truth.boxes), hazy, threshold)
        loose = outcome == MISS
        regions = pair.truth.boxes[pair.truth.ignore]
        if len(regions) and loose.any():
            share = intersection(found.boxes, regions).max(axis=1) / np.maximum(area(found.boxes), 1e-9)
            outcome[loose & (share > 0.5)] = DROPPED
        if sizes is not None:
            outcome[(outcome == MISS) & ~_within(found.boxes, sizes)] = DROPPED
        scores.append(found.scores)
        outcomes.append(outcome)
        pictures.append(np.full(len(found), i))
    if not scores:
        return Matches(np.zeros(0, np.float32), np.zeros(0, np.int8), np.zeros(0, np.int64), 0, 0)
    score, outcome, picture = np.concatenate(scores), np.concatenate(outcomes), np.concatenate(pictures)
    order = np.argsort(-score, kind="stable")
    return Matches(score[order], outcome[order], picture[order], objects, len(pairs))


def _match_voc(overlaps: Floats, hazy: NDArray[np.bool_], threshold: float) -> NDArray[np.int8]:
    outcome = np.zeros(len(overlaps), np.int8)
    if overlaps.shape[1] == 0:
        return outcome
    taken = np.zeros(overlaps.shape[1], bool)
    for d, t in enumerate(overlaps.argmax(axis=1)):
        if overlaps[d, t] < threshold:
            continue
        if hazy[t]:
            outcome[d] = DROPPED
        elif not taken[t]:
            outcome[d], taken[t] = HIT, True
    return outcome


def _match_greedy(overlaps: Floats, hazy: NDArray[np.bool_], threshold: float) -> NDArray[np.int8]:
    outcome = np.zeros(len(overlaps), np.int8)
    free = overlaps.copy()
    for d in range(len(overlaps)):
        if free.shape[1] == 0:
            break
        # An object that counts is preferred; a difficult one only excuses, and may excuse many.
        clear = np.where(hazy, -1.0, free[d])
        t = int(clear.argmax())
        if clear[t] >= threshold:
            outcome[d] = HIT
            free[:, t] = -1
        elif (np.where(hazy, overlaps[d], -1.0) >= threshold).any():
            outcome[d] = DROPPED
    return outcome


def _within(boxes: Floats, sizes: tuple[float, float]) -> NDArray[np.bool_]:
    size = np.sqrt(area(boxes))
    return np.asarray((size >= sizes[0]) & (size < sizes[1]))


Metric = Callable[[Judged], dict[str, float]]
