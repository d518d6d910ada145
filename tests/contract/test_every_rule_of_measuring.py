"""Every rule that matches or chooses a threshold, and every metric with an interval, keeps its table's promise."""

from __future__ import annotations

import math

import numpy as np
import pytest

from passerby.errors import SettingError
from passerby.geometry.boxes import iou
from passerby.measure.evaluate import METRICS
from passerby.measure.interval import METRICS_OF_PICTURES, interval
from passerby.measure.matching import DROPPED, HIT, MISS
from passerby.measure.one_to_one import RULES_OF_MATCHING
from passerby.measure.operating_point import RULES, choose

ONE, TWO, FAR, REGION = [0, 0, 10, 10], [20, 10, 60, 40], [100, 100, 140, 150], [200, 200, 300, 300]
INSIDE = [210, 210, 230, 230]
FOUND = [(0.9, ONE, 0), (0.8, FAR, 0), (0.7, TWO, 1), (0.6, INSIDE, 0), (0.3, TWO, 0), (0.2, ONE, 1)]
PICTURES = [
    {"truth": [ONE, TWO, REGION], "labels": [0, 1, 0], "ignore": [0, 0, 1], "found": FOUND},
    {"truth": [ONE, TWO], "difficult": [0, 1], "found": FOUND[:2]},
    {"found": FOUND[1:2]},
    {},
]


@pytest.fixture
def judged(judge):
    return judge(PICTURES, ("head", "person"), floor=0.01)


@pytest.mark.parametrize("rule", RULES_OF_MATCHING)
def test_matching_sorts_all_detections_and_finds_no_object_twice(judged, rule):
    for label in (0, 1):
        matches = judged.matches(label, rule)
        assert len(matches.scores) == sum(int((p.found.labels == label).sum()) for p in judged.pairs)
        assert (np.diff(matches.scores) <= 0).all()
        assert set(matches.outcome.tolist()) <= {HIT, MISS, DROPPED}
        hits = np.bincount(matches.picture[matches.outcome == HIT], minlength=4)
        assert (hits <= matches.objects_in).all()


@pytest.mark.parametrize("rule", RULES_OF_MATCHING)
def test_dropping_low_scores_changes_no_outcome_of_those_above(judge, rule):
    rng = np.random.default_rng(2)
    corner = rng.uniform(0, 60, (12, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(15, 30, (12, 2))], axis=1)
    near = boxes.repeat(3, 0) + rng.normal(0, 3, (36, 4))
    found = [(float(s), box, 0) for s, box in zip(rng.random(36), near.tolist(), strict=True)]
    judged = judge([{"truth": boxes.tolist(), "difficult": rng.random(12) < 0.2, "found": found}])
    whole = judged.matches(0, rule).outcome
    assert 5 < (whole == HIT).sum() < 30
    for n in range(36):
        assert judged.cut(cap=n).matches(0, rule).outcome.tolist() == whole[:n].tolist()


@pytest.mark.parametrize("rule", RULES_OF_MATCHING)
def test_a_hit_overlaps_some_object_by_half(judged, rule):
    for label in (0, 1):
        matches = judged.matches(label, rule)
        for i, p in enumerate(judged.pairs):
            mine = p.found[p.found.labels == label]
            best = iou(mine.boxes, p.truth.boxes[p.truth.labels == label]).max(axis=1, initial=0)
            assert (best[matches.outcome[matches.picture == i] == HIT] >= 0.5).all()


@pytest.mark.parametrize("metric", METRICS_OF_PICTURES)
def test_an_interval_is_of_the_number_that_eval_prints(judged, metric):
    printed = {k: v for name, row in METRICS.items() if name != "coco" for k, v in row(judged).items()}
    assert interval(judged, metric, rounds=2).value == pytest.approx(printed[metric], abs=0, nan_ok=True)


@pytest.mark.parametrize("metric", METRICS_OF_PICTURES)
def test_an_interval_has_its_ends_in_order(judged, metric):
    got = interval(judged, metric, rounds=40)
    assert got.low <= got.high or (math.isnan(got.low) and math.isnan(got.high))


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_chooses_a_number_between_floor_and_highest_score_or_refuses_in_one_line(judged, judge, rule):
    goals = [""] if RULES[rule].high is None else ["=0", "=0.1", "=0.5", "=1"]
    chosen = 0
    for goal in goals:
        for some in (judged, judge(PICTURES[1:]), judge([])):
            got = choose_or_say(some, rule + goal)
            if isinstance(got, str):
                assert got.startswith(rule)
                assert "\n" not in got
                continue
            chosen += 1
            assert type(got.threshold) is float
            assert (some.floor or 0) <= got.threshold <= 0.9
            assert "{" not in got.words
    assert chosen


def choose_or_say(judged, by):
    try:
        return choose(judged, by)
    except SettingError as e:
        return str(e)
