"""Which detection found which object: the one place where detections and truth meet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from passerby.geometry.boxes import Floats, area, intersection, iou
from passerby.measure.matches import Doubles as Doubles
from passerby.measure.matches import Matches as Matches
from passerby.measure.one_to_one import DROPPED as DROPPED
from passerby.measure.one_to_one import HIT as HIT
from passerby.measure.one_to_one import MATCHING, match_voc
from passerby.measure.one_to_one import MISS as MISS
from passerby.records import Detections, Ints, Truth

_Key = tuple[int, str, float, tuple[float, float] | None]  # label, rule, IoU threshold, sizes


@dataclass(frozen=True)
class Pair:
    """One picture's truth and what was detected in it."""

    name: str
    truth: Truth
    found: Detections


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
    _cache: dict[_Key, Matches] = field(default_factory=dict, repr=False, compare=False)
    _near: dict[tuple[int, float], Near] = field(default_factory=dict, repr=False, compare=False)

    def matches(
        self, label: int, rule: str, threshold: float = 0.5, sizes: tuple[float, float] | None = None
    ) -> Matches:
        """Matches of one class under a rule of `match`, at an IoU threshold, of objects in a range of sizes.

        Worked out once.
        """
        key = (label, rule, threshold, sizes)
        if key not in self._cache:
            if self.drawn_of is None:
                self._cache[key] = match(self._near_of(label, threshold), rule, threshold, sizes)
            else:
                whole, times = self.drawn_of
                self._cache[key] = whole.matches(label, rule, threshold, sizes).drawn(times)
        return self._cache[key]

    def _near_of(self, label: int, threshold: float) -> Near:
        key = (label, threshold)
        if key not in self._near:
            self._near[key] = look_near(self.pairs, label, threshold)
        return self._near[key]

    def pooled(self, rule: str) -> Matches:
        """Matches of all classes together, each matched on its own, at IoU 0.5; computed once."""
        key = (_ALL, rule, 0.5, None)
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
        return replace(self, pairs=pairs, drawn_of=(self, times), draws={}, _cache={}, _near={})


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


@dataclass(frozen=True, eq=False)
class Near:
    """What matching reads of the pictures of a data set, one class, whatever the rule and the sizes that count.

    scores        (D,) float32 of all detections: picture by picture, in each highest first; picture (D,) which one
    sizes         (D,) square root of their areas; excused (D,) those more than half of which lie in an ignore region
    order         (D,) highest score first over all pictures
    hazy          (N,) of all objects: difficult; object_sizes (N,); object_picture (N,)
    rows          (K,) detections that overlap an object by the threshold or more: the only ones that can be hits
    best          (K,) the object that each of those overlaps most
    overlaps      of each picture that has such: (k, n) IoU of those with its objects
    starts        of each of these pictures: its first among the rows, and its first object
    """

    scores: Floats
    picture: Ints
    sizes: Floats
    excused: NDArray[np.bool_]
    order: NDArray[np.intp]
    hazy: NDArray[np.bool_]
    object_sizes: Floats
    object_picture: Ints
    rows: NDArray[np.intp]
    best: NDArray[np.intp]
    overlaps: list[Floats]
    starts: list[tuple[int, int]]
    pictures: int


def look_near(pairs: Sequence[Pair], label: int, threshold: float) -> Near:
    """The `Near` of a class at an IoU threshold."""
    found, truth = [], []
    for p in pairs:
        own = p.found[p.found.labels == label]
        found.append(own[np.argsort(-own.scores, kind="stable")])
        truth.append(p.truth[(p.truth.labels == label) & ~p.truth.ignore])
    scores = np.concatenate([np.zeros(0, np.float32), *(f.scores for f in found)])
    hazy = np.concatenate([np.zeros(0, bool), *(t.difficult for t in truth)])
    boxes, objects = (
        np.concatenate([np.zeros((0, 4), np.float32), *(x.boxes for x in each)]) for each in (found, truth)
    )
    excused, rows, best = np.zeros(len(scores), bool), [np.zeros(0, np.intp)], [np.zeros(0, np.intp)]
    overlaps, starts = [], []
    first, first_object, first_row = 0, 0, 0
    for p, f, t in zip(pairs, found, truth, strict=True):
        apart = iou(f.boxes, t.boxes)
        near = np.flatnonzero((apart >= threshold).any(axis=1))
        if len(near):
            apart = apart[near]
            rows.append(near + first)
            best.append(apart.argmax(axis=1) + first_object)
            overlaps.append(apart)
            starts.append((first_row, first_object))
        if p.truth.ignore.any() and len(f):
            share = intersection(f.boxes, p.truth.boxes[p.truth.ignore]).max(axis=1) / np.maximum(area(f.boxes), 1e-9)
            excused[first : first + len(f)] = share > 0.5
        first, first_object, first_row = first + len(f), first_object + len(t), first_row + len(near)
    return Near(
        scores,
        np.repeat(np.arange(len(pairs)), [len(f) for f in found]),
        np.sqrt(area(boxes)),
        excused,
        np.argsort(-scores, kind="stable"),
        hazy,
        np.sqrt(area(objects)),
        np.repeat(np.arange(len(pairs)), [len(t) for t in truth]),
        np.concatenate(rows),
        np.concatenate(best),
        overlaps,
        starts,
        len(pairs),
    )


def match(near: Near, rule: str, threshold: float = 0.5, sizes: tuple[float, float] | None = None) -> Matches:
    """Match one class over all pictures.

    near       `look_near` of the pictures, at this threshold
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
    hazy, idle = near.hazy, near.excused
    if sizes is not None:
        hazy, idle = hazy | ~_within(near.object_sizes, sizes), idle | ~_within(near.sizes, sizes)
    outcome = np.zeros(len(near.scores), np.int8)
    if rule == "voc":
        outcome[near.rows] = match_voc(near.best, hazy)
    else:
        one = MATCHING[rule]
        for overlaps, (row, thing) in zip(near.overlaps, near.starts, strict=True):
            here = near.rows[row : row + len(overlaps)]
            outcome[here] = one(overlaps, hazy[thing : thing + overlaps.shape[1]], threshold)
    outcome[(outcome == MISS) & idle] = DROPPED
    objects = np.bincount(near.object_picture[~hazy], minlength=near.pictures)
    return Matches(near.scores[near.order], outcome[near.order], near.picture[near.order], objects)


def _within(values: Floats, sizes: tuple[float, float]) -> NDArray[np.bool_]:
    return np.asarray((values >= sizes[0]) & (values < sizes[1]))


def mean_of_known(values: Doubles) -> Doubles:
    """Mean over the classes (K, R) that have a number, of each resample (R,); NaN where none has."""
    real = ~np.isnan(values)
    return np.where(real.any(axis=0), np.nansum(values, axis=0) / np.maximum(real.sum(axis=0), 1), np.nan)


Metric = Callable[[Judged], dict[str, float]]
