"""Which detection found which object: the one place where detections and truth meet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from passerby.geometry.boxes import Floats, area, intersection, iou
from passerby.measure.one_to_one import DROPPED as DROPPED
from passerby.measure.one_to_one import HIT as HIT
from passerby.measure.one_to_one import MATCHING
from passerby.measure.one_to_one import MISS as MISS
from passerby.records import Detections, Ints, Truth

Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class Pair:
    """One picture's truth and what was detected in it."""

    name: str
    truth: Truth
    found: Detections


@dataclass(frozen=True, eq=False)
class Matches:
    """All detections of one class (or of all) over a data set, highest score first, and what became of them.

    scores      (D,) float32
    outcome     (D,) HIT, MISS or DROPPED
    picture     (D,) which picture
    objects_in  (P,) how many objects that count each picture has
    """

    scores: Floats
    outcome: NDArray[np.int8]
    picture: Ints
    objects_in: Ints

    @property
    def objects(self) -> int:
        """Number of objects that count."""
        return int(self.objects_in.sum())

    @property
    def pictures(self) -> int:
        """Number of pictures."""
        return len(self.objects_in)

    def counted(self) -> Matches:
        """The same without the detections that are not judged."""
        kept = self.outcome != DROPPED
        return Matches(self.scores[kept], self.outcome[kept], self.picture[kept], self.objects_in)

    def ends(self) -> NDArray[np.intp]:
        """Where each distinct score ends (K,): detections of one score cannot be told apart by a threshold."""
        if not len(self.scores):
            return np.zeros(0, np.intp)
        return np.flatnonzero(np.append(self.scores[1:] != self.scores[:-1], True))

    def curve(self) -> tuple[Floats, Doubles, Doubles]:
        """Hits and false alarms so far at each distinct score, from the highest down: (scores, hits, alarms).

        Detections of one score cannot be told apart by a threshold, so they enter together.
        """
        judged = self.counted()
        last = judged.ends()
        hits, alarms = (np.cumsum(judged.outcome == what, dtype=np.float64)[last] for what in (HIT, MISS))
        return judged.scores[last], hits, alarms

    @cached_property
    def by_hit(self) -> tuple[Ints, Ints, Ints]:
        """The picture of each hit (H,) and false alarm (F,), and how many false alarms stand before each hit (H,)."""
        judged = self.counted()
        hit = judged.outcome == HIT
        return judged.picture[hit], judged.picture[~hit], np.cumsum(~hit)[hit]

    def drawn(self, times: Ints) -> Matches:
        """What `match` would say of a data set in which each picture stands as often as drawn; nothing is rematched.

        times  (P,) how often
        """
        often = times[self.picture]
        index = np.repeat(np.arange(len(often)), often)
        starts = np.cumsum(often) - often
        copy = np.arange(len(index)) - starts[index]
        if self.twins is not None:  # equal scores of one picture: all of the first copy, then all of the second, ...
            first, nth, size = (column[index] for column in self.twins)
            place = starts[first] + copy * size + nth
            index[place], copy[place] = index.copy(), copy.copy()
        picture = (np.cumsum(times) - times)[self.picture[index]] + copy
        return Matches(self.scores[index], self.outcome[index], picture, np.repeat(self.objects_in, times))

    @cached_property
    def twins(self) -> tuple[Ints, Ints, Ints] | None:
        """Of the run of equal scores of one picture that each detection is in: its first, the place in it, its size.

        None where all scores of a picture differ.
        """
        new = (self.scores[1:] != self.scores[:-1]) | (self.picture[1:] != self.picture[:-1])
        if new.all():
            return None
        firsts = np.flatnonzero(np.append(True, new))
        sizes = np.diff(firsts, append=len(self.scores))
        first = np.repeat(firsts, sizes)
        return first, np.arange(len(first)) - first, np.repeat(sizes, sizes)


@dataclass(frozen=True)
class Judged:
    """A predictor's detections over a data set: what every metric reads.

    pairs      one a picture
    labels     class names
    threshold  the model's own, for numbers at its operating point
    floor, nms_iou, cap   the settings the detections were made with; None where the predictor does not say
    coco_cap   detections a picture that COCO AP looks at
    drawn_of   where it is a resample: of what, and how often each picture was drawn
    draws      metrics of its own resamples, kept by `interval`: (metric, rounds, seed, threshold) -> (rounds,)
    """

    pairs: Sequence[Pair]
    labels: tuple[str, ...]
    threshold: float = 0.5
    floor: float | None = None
    nms_iou: float | None = None
    cap: int | None = None
    coco_cap: int = 100
    drawn_of: tuple[Judged, Ints] | None = field(default=None, repr=False, compare=False)
    draws: dict[tuple[str, int, int, float], Doubles] = field(default_factory=dict, repr=False, compare=False)
    _cache: dict[tuple[int, str, float], Matches] = field(default_factory=dict, repr=False, compare=False)

    def matches(self, label: int, rule: str, threshold: float = 0.5) -> Matches:
        """Matches of one class under a rule of `match` at an IoU threshold; computed once."""
        key = (label, rule, threshold)
        if key not in self._cache:
            if self.drawn_of is None:
                self._cache[key] = match(self.pairs, label, rule, threshold)
            else:
                whole, times = self.drawn_of
                self._cache[key] = whole.matches(label, rule, threshold).drawn(times)
        return self._cache[key]

    def pooled(self, rule: str) -> Matches:
        """Matches of all classes together, each matched on its own, at IoU 0.5; computed once."""
        key = (_ALL, rule, 0.5)
        if key not in self._cache:
            if self.drawn_of is None:
                self._cache[key] = _pool([self.matches(k, rule) for k in range(len(self.labels))], len(self.pairs))
            else:
                whole, times = self.drawn_of
                self._cache[key] = whole.pooled(rule).drawn(times)
        return self._cache[key]

    def undrawn(self, rule: str) -> tuple[Matches, Ints]:
        """`pooled` before resampling, and how often each picture was drawn (P,); once where it is no resample."""
        whole, times = self.drawn_of or (self, np.ones(len(self.pairs), np.int64))
        return whole.pooled(rule), times

    def at(self, threshold: float) -> Judged:
        """The same at another operating point."""
        return replace(self, threshold=float(threshold))  # the cache goes along: no match depends on it

    def cut(self, floor: float = 0.0, cap: int | None = None) -> Judged:
        """As if the predictor had dropped scores under `floor` and kept the `cap` best detections a picture."""
        pairs = []
        for p in self.pairs:
            best = np.argsort(-p.found.scores, kind="stable")
            best = best[p.found.scores[best] >= floor][:cap]
            pairs.append(Pair(p.name, p.truth, p.found[best]))
        least = max(floor, self.floor or 0.0) or self.floor
        most = min((c for c in (cap, self.cap) if c is not None), default=None)
        return Judged(pairs, self.labels, self.threshold, least, self.nms_iou, most, self.coco_cap)

    def drawn(self, times: Ints) -> Judged:
        """A data set in which each picture stands as often as drawn (P,); `matches` and `pooled` are not rematched."""
        pairs = [pair for pair, n in zip(self.pairs, times.tolist(), strict=True) for _ in range(n)]
        return replace(self, pairs=pairs, drawn_of=(self, times), draws={}, _cache={})


_ALL = -1  # in the cache: all classes together


def _pool(parts: Sequence[Matches], pictures: int) -> Matches:
    none = Matches(np.zeros(0, np.float32), np.zeros(0, np.int8), np.zeros(0, np.int64), np.zeros(pictures, np.int64))
    parts = parts or [none]
    scores = np.concatenate([m.scores for m in parts])
    order = np.argsort(-scores, kind="stable")
    return Matches(
        scores[order],
        np.concatenate([m.outcome for m in parts])[order],
        np.concatenate([m.picture for m in parts])[order],
        np.sum([m.objects_in for m in parts], axis=0),
    )


def match(
    pairs: Sequence[Pair], label: int, rule: str, threshold: float = 0.5, sizes: tuple[float, float] | None = None
) -> Matches:
    """Match one class over all pictures.

    rule       "voc": a detection goes to the object it overlaps most, and is a false alarm when that one is taken
               (VOC development kit); "greedy": it goes to the free object it overlaps most (Caltech, CrowdHuman);
               "most": pairs are made so that, from any score on, as many objects are found as one-to-one pairs allow
               (maximum bipartite matching, as in CrowdHuman's Jaccard index)
    threshold  least IoU of a hit
    sizes      only objects whose size (square root of the area, original pixels) lies in [low, high) count; the
               others neither count nor punish, nor do unmatched detections of another size (as in COCO)

    Under all rules difficult objects neither count nor punish, and an unmatched detection that lies more than half
    (intersection / own area) in an ignore region is dropped.
    """
    one = MATCHING[rule]
    scores, outcomes, pictures = [], [], []
    objects = np.zeros(len(pairs), np.int64)
    for i, pair in enumerate(pairs):
        found = pair.found[pair.found.labels == label]
        found = found[np.argsort(-found.scores, kind="stable")]
        mine = (pair.truth.labels == label) & ~pair.truth.ignore
        truth = pair.truth[mine]
        hazy = truth.difficult
        if sizes is not None:
            hazy = hazy | ~_within(truth.boxes, sizes)
        objects[i] = (~hazy).sum()
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
        return Matches(np.zeros(0, np.float32), np.zeros(0, np.int8), np.zeros(0, np.int64), objects)
    score, outcome, picture = np.concatenate(scores), np.concatenate(outcomes), np.concatenate(pictures)
    order = np.argsort(-score, kind="stable")
    return Matches(score[order], outcome[order], picture[order], objects)


def _within(boxes: Floats, sizes: tuple[float, float]) -> NDArray[np.bool_]:
    size = np.sqrt(area(boxes))
    return np.asarray((size >= sizes[0]) & (size < sizes[1]))


Metric = Callable[[Judged], dict[str, float]]
