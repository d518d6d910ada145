"""AP against a slow reference written from the definition, in plain Python with exact fractions."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from passerby.geometry.pairing import pair_up
from passerby.measure.average_precision import area_ap, eleven_point_ap
from passerby.measure.counting import score as counts
from passerby.measure.jaccard import score as jaccard
from passerby.measure.matching import DROPPED, HIT, MISS, Judged, Matches, Pair
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
        for rule in ("voc", "greedy", "most"):
            matches = judged.matches(label, rule)
            assert (matches.outcome == HIT).sum() <= matches.objects
            assert matches is judged.matches(label, rule)


def most_pairs(things, found, label):
    """Hits of a class in score order: those with which one more pair can be made, by `pair_up` from nothing each time.

    Gives (score, "hit" | "alarm") without those that are dropped, and the number of objects.
    """
    objects = [b for b, k, kind in things if k == label and not kind]
    hard = [b for b, k, kind in things if k == label and kind == "difficult"]
    regions = [b for b, _, kind in things if kind == "ignore"]
    ranked = [box for _, _, box in sorted((-s, n, box) for n, (box, k, s) in enumerate(found) if k == label)]
    scores = sorted((s for _, k, s in found if k == label), reverse=True)
    rows, before = [], 0
    for n, (box, score) in enumerate(zip(ranked, scores, strict=True), 1):
        table = [[float(overlap(b, o) >= Fraction(1, 2)) for o in objects] for b in ranked[:n]]
        now = len(pair_up(np.array(table).reshape(n, len(objects))))
        if now > before:
            rows.append((score, "hit"))
        elif not any(overlap(box, o) >= Fraction(1, 2) for o in hard) and not any(
            Fraction(shared(box, r), size(box)) > Fraction(1, 2) for r in regions
        ):
            rows.append((score, "alarm"))
        before = now
    return rows, len(objects)


@given(PICTURES)
def test_jaccard_equals_the_reference(pictures):
    parts = [[most_pairs(things, found, label) for label in (0, 1)] for things, found in pictures]
    objects = [sum(n for _, n in part) for part in parts]
    rows = [[row for found, _ in part for row in found] for part in parts]
    values = []
    for threshold in sorted({s for found in rows for s, _ in found}):
        shares = []
        for found, there in zip(rows, objects, strict=True):
            shown = [what for s, what in found if s >= threshold]
            k, m = shown.count("hit"), len(shown)
            if m + there:
                shares.append(Fraction(k, m + there - k))
        values.append(sum(shares, Fraction(0)) / len(shares))
    got = jaccard(to_judged(pictures))
    if not sum(objects):
        assert math.isnan(got["jaccard"])
        return
    want = float(max(values, default=Fraction(0)))
    assert got["jaccard"] == pytest.approx(want, abs=1e-12)
    if want:
        at = to_judged(pictures).at(got["jaccard_threshold"])
        kept = at.cut(at.threshold)
        assert jaccard(kept)["jaccard"] == pytest.approx(want, abs=1e-12)


@given(PICTURES, st.integers(0, 8))
def test_count_errors_equal_the_reference(pictures, score):
    judged = to_judged(pictures).at(score / 8)
    errors = []
    for i in range(len(pictures)):
        found, there = zip(*(outcomes(pictures[i : i + 1], label, greedy=True) for label in (0, 1)), strict=True)
        errors.append(sum(s >= score for rows in found for s, _ in rows) - sum(there))
    got = counts(judged)
    if not errors:
        assert math.isnan(got["count_mae"])
        return
    assert got["count_mae"] == pytest.approx(sum(map(abs, errors)) / len(errors))
    assert got["count_rmse"] == pytest.approx(math.sqrt(sum(e * e for e in errors) / len(errors)))
    assert got["count_bias"] == pytest.approx(sum(errors) / len(errors))


def by_the_devkit(outcome, objects):
    """The VOC development kit's own loops over recall and precision, in doubles."""
    hits, alarms, recall, precision = 0, 0, [], []
    for what in outcome:
        hits, alarms = hits + (what == HIT), alarms + (what == MISS)
        recall.append(hits / objects)
        precision.append(hits / (hits + alarms))
    eleven = 0.0
    for tenth in range(11):
        eleven += max((p for r, p in zip(recall, precision, strict=True) if r >= tenth / 10), default=0.0) / 11
    mrec, mpre = [0.0, *recall, 1.0], [0.0, *precision, 0.0]
    for i in range(len(mpre) - 2, -1, -1):
        mpre[i] = max(mpre[i], mpre[i + 1])
    area = math.fsum((mrec[i] - mrec[i - 1]) * mpre[i] for i in range(1, len(mrec)) if mrec[i] != mrec[i - 1])
    return area, eleven


@pytest.mark.parametrize(
    ("detections", "objects", "share"),
    [(20_000, 3_000, 0.1), (20_000, 19_999, 0.999), (20_000, 10, 0.0005), (1, 1, 1.0), (20_000, 7_777, 0.3)],
)
def test_long_lists_lose_no_digits(detections, objects, share):
    rng = np.random.default_rng(objects)
    hit = rng.random(detections) < share * np.linspace(2, 0, detections)
    hit &= np.cumsum(hit) <= objects
    outcome = np.where(hit, HIT, MISS).astype(np.int8)
    outcome[rng.random(detections) < 0.05] = DROPPED
    scores = np.sort(rng.random(detections).astype(np.float32))[::-1]
    matches = Matches(scores, outcome, np.zeros(detections, np.int64), np.array([objects]))
    area, eleven = by_the_devkit([o for o in outcome if o != DROPPED], objects)
    assert area_ap(matches) == pytest.approx(area, abs=1e-12)
    assert eleven_point_ap(matches) == pytest.approx(eleven, abs=1e-12)


def test_recall_that_reaches_a_tenth_exactly_counts_for_it_whatever_the_rounding():
    for objects in (10, 30, 70, 110, 1000, 33330):
        for tenth in range(1, 11):
            hits = objects * tenth // 10
            outcome = np.full(hits, HIT, np.int8)
            scores = np.linspace(1, 0.5, hits, dtype=np.float32)
            matches = Matches(scores, outcome, np.zeros(hits, np.int64), np.array([objects]))
            assert eleven_point_ap(matches) == pytest.approx((tenth + 1) / 11)


def test_a_small_miss_rate_keeps_its_digits():
    # 9,999 of 10,000 found before any alarm: 1 - recall is 1e-4, and MR^-2 is that
    outcome = np.append(np.full(9999, HIT), MISS).astype(np.int8)
    scores = np.linspace(1, 0.1, 10_000, dtype=np.float32)
    matches = Matches(scores, outcome, np.zeros(10_000, np.int64), np.array([10_000]))
    assert log_average_miss_rate(matches) == pytest.approx(1e-4, rel=1e-9)
