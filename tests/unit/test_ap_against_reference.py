"""AP against a slow reference written from the definition, in plain Python with exact fractions."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from passerby.measure.average_precision import area_ap, eleven_point_ap
from passerby.measure.matching import HIT, Judged, Pair
from passerby.measure.miss_rate import REFERENCES, log_average_miss_rate
from passerby.records import Detections, Truth

CELL = st.integers(0, 6)
BOX = st.tuples(CELL, CELL, st.integers(1, 6), st.integers(1, 6)).map(lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3]))
THING = st.tuples(BOX, st.integers(0, 1), st.sampled_from(["", "", "", "difficult", "ignore"]))
SCORE = st.integers(0, 8)  # few, so that many are equal
FOUND = st.tuples(BOX, st.integers(0, 1), SCORE)


@st.composite
def picture(draw):
    """Things, and detections of which most lie on a thing, so that there are hits and double hits."""
    things = draw(st.lists(THING, max_size=6))
    found = draw(st.lists(FOUND, max_size=4))
    for box, label, _ in draw(st.lists(st.sampled_from(things), max_size=6)) if things else []:
        longer = draw(st.integers(0, 2))
        found.append(((*box[:3], box[3] + longer), label, draw(SCORE)))
    return things, draw(st.permutations(found))


PICTURES = st.lists(picture(), max_size=4)


def shared(a, b):
    return max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))


def size(a):
    return (a[2] - a[0]) * (a[3] - a[1])


def overlap(a, b):
    return Fraction(shared(a, b), size(a) + size(b) - shared(a, b))


def outcomes(pictures, label, greedy=False):
    """(score, "hit" | "alarm") of each judged detection, highest score first, and the number of objects."""
    ranked = sorted(
        (-score, i, n, box)
        for i, (_, found) in enumerate(pictures)
        for n, (box, k, score) in enumerate(found)
        if k == label
    )
    taken, rows = set(), []
    for minus, i, _, box in ranked:
        things = [(n, b, kind) for n, (b, k, kind) in enumerate(pictures[i][0]) if k == label and kind != "ignore"]
        regions = [b for b, _, kind in pictures[i][0] if kind == "ignore"]
        near = [(overlap(box, b), -n, kind) for n, b, kind in things if overlap(box, b) >= Fraction(1, 2)]
        if greedy:
            near = [t for t in near if not t[2] and (i, t[1]) not in taken] or [t for t in near if t[2]]
        best = max(near, default=None, key=lambda t: t[:2])
        if best and best[2] == "difficult":
            continue
        if best and (i, best[1]) not in taken:
            taken.add((i, best[1]))
            rows.append((-minus, "hit"))
        elif not any(Fraction(shared(box, r), size(box)) > Fraction(1, 2) for r in regions):
            rows.append((-minus, "alarm"))
    return rows, sum(k == label and not kind for things, _ in pictures for _, k, kind in things)


def slow_ap(rows, objects):
    """Area and 11-point AP; recall and precision are compared as fractions."""
    points, hits = [], 0
    for rank, (_, what) in enumerate(rows, 1):
        hits += what == "hit"
        points.append((Fraction(hits, objects), Fraction(hits, rank)))
    best = lambda recall: max((p for r, p in points if r >= recall), default=Fraction(0))  # noqa: E731
    area = sum((best(Fraction(k, objects)) for k in range(1, objects + 1)), Fraction(0)) / objects
    return float(area), float(sum(best(Fraction(t, 10)) for t in range(11)) / 11)


def slow_mr2(rows, objects, pictures):
    points = []
    for score in sorted({s for s, _ in rows}, reverse=True):
        inside = [what for s, what in rows if s >= score]
        points.append((inside.count("alarm") / pictures, 1 - inside.count("hit") / objects))
    logs = []
    for reference in REFERENCES:
        reached = [miss for fppi, miss in points if fppi >= reference - 1e-9]
        miss = reached[0] if reached else (points[-1][1] if points else 1.0)
        logs.append(math.log(max(miss, 1e-10)))
    return math.exp(sum(logs) / 9)


def to_judged(pictures):
    pairs = []
    for things, found in pictures:
        truth = Truth.of(
            [b for b, _, _ in things],
            [k for _, k, _ in things],
            [kind == "difficult" for *_, kind in things],
            [kind == "ignore" for *_, kind in things],
        )
        boxes = np.array([b for b, _, _ in found], np.float32).reshape(-1, 4)
        scores, labels = np.array([s / 8 for *_, s in found], np.float32), np.array([k for _, k, _ in found], np.int64)
        pairs.append(Pair("x", truth, Detections(boxes, scores, labels, ("a", "b"))))
    return Judged(pairs, ("a", "b"))


@settings(max_examples=200)
@given(PICTURES)
@example([])
@example([([], [])])
@example([([((0, 0, 2, 2), 0, "")], [])])
@example([([], [((0, 0, 2, 2), 0, 4)])])
@example([([((0, 0, 2, 2), 0, "difficult")], [((0, 0, 2, 2), 0, 4)])])
def test_area_and_11_point_ap_equal_the_reference(pictures):
    judged = to_judged(pictures)
    for label in (0, 1):
        rows, objects = outcomes(pictures, label)
        matches = judged.matches(label, "voc")
        assert matches.objects == objects
        assert (matches.outcome[matches.outcome >= 0] == HIT).tolist() == [what == "hit" for _, what in rows]
        if objects:
            area, eleven = slow_ap(rows, objects)
            assert area_ap(matches) == pytest.approx(area, abs=1e-6)
            assert eleven_point_ap(matches) == pytest.approx(eleven, abs=1e-6)
        else:
            assert math.isnan(area_ap(matches))
            assert math.isnan(eleven_point_ap(matches))


@settings(max_examples=200)
@given(PICTURES)
def test_greedy_matching_and_mr2_equal_the_reference(pictures):
    judged = to_judged(pictures)
    for label in (0, 1):
        rows, objects = outcomes(pictures, label, greedy=True)
        matches = judged.matches(label, "greedy")
        assert (matches.outcome[matches.outcome >= 0] == HIT).tolist() == [what == "hit" for _, what in rows]
        if objects:
            want = slow_mr2(rows, objects, len(pictures))
            assert log_average_miss_rate(matches) == pytest.approx(want, rel=1e-4)
        else:
            assert math.isnan(log_average_miss_rate(matches))


@given(PICTURES)
def test_every_object_is_found_at_most_once(pictures):
    judged = to_judged(pictures)
    for label in (0, 1):
        for rule in ("voc", "greedy"):
            matches = judged.matches(label, rule)
            assert (matches.outcome == HIT).sum() <= matches.objects
            assert matches is judged.matches(label, rule)
