"""Miss rate, the numbers at a threshold, and the best threshold, worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from passerby.measure.matching import Judged, Pair
from passerby.measure.miss_rate import REFERENCES, at_threshold, log_average_miss_rate, miss_at, miss_curve, score
from passerby.measure.operating_point import best_f1
from passerby.records import Detections, Truth

BOXES = [[20 * i, 0, 20 * i + 10, 10] for i in range(4)]
FAR = [200, 200, 210, 210]


@pytest.fixture
def ten_pictures(judge):
    """Four objects in ten pictures; hit, alarm, hit, hit, alarm; one object is never found."""
    found = [(0.9, BOXES[0]), (0.8, FAR), (0.7, BOXES[1]), (0.6, BOXES[2])]
    pictures = [{"truth": BOXES, "found": found}, {"found": [(0.5, FAR)]}, *[{}] * 8]
    return judge(pictures, threshold=0.65)


def test_the_nine_references_are_the_papers():
    want = [0.0100, 0.0178, 0.0316, 0.0562, 0.1000, 0.1778, 0.3162, 0.5623, 1.0000]
    np.testing.assert_allclose(REFERENCES, want, atol=5e-5)


def test_the_curve_by_hand(ten_pictures):
    fppi, miss = miss_curve(ten_pictures.matches(0, "greedy"))
    np.testing.assert_allclose(fppi, [0, 0.1, 0.1, 0.1, 0.2], rtol=1e-6)
    np.testing.assert_allclose(miss, [0.75, 0.75, 0.5, 0.25, 0.25], rtol=1e-6)


def test_miss_at_takes_the_first_point_that_reaches_the_reference_else_the_last(ten_pictures):
    matches = ten_pictures.matches(0, "greedy")
    assert [miss_at(matches, r) for r in (0.01, 0.1, 0.11, 0.2, 0.21, 1.0)] == [0.75, 0.75, 0.25, 0.25, 0.25, 0.25]


def test_mr2_by_hand(ten_pictures):
    # the five references up to 0.1 read 0.75, the four above 0.25
    want = math.exp((5 * math.log(0.75) + 4 * math.log(0.25)) / 9)
    assert log_average_miss_rate(ten_pictures.matches(0, "greedy")) == pytest.approx(want, rel=1e-6)
    assert score(ten_pictures) == {"mr2": pytest.approx(want, rel=1e-6), "miss_at_1fppi": pytest.approx(0.25)}


def test_equal_scores_enter_together(judge):
    # hit and alarm of one score: no threshold lies between them, so the curve has one point
    fppi, miss = miss_curve(judge([{"truth": BOXES[:2], "found": [(0.5, BOXES[0]), (0.5, FAR)]}]).matches(0, "greedy"))
    assert (fppi.tolist(), miss.tolist()) == ([1], [0.5])


def test_a_perfect_detector_has_the_least_miss_rate_that_a_log_allows(judge):
    judged = judge([{"truth": BOXES[:1], "found": [(0.9, BOXES[0])]}])
    assert score(judged) == {"mr2": pytest.approx(1e-10), "miss_at_1fppi": 0}


def test_no_detection_misses_all_and_no_object_has_no_number(judge):
    assert score(judge([{"truth": BOXES}])) == {"mr2": 1, "miss_at_1fppi": 1}
    assert all(math.isnan(v) for v in score(judge([{"found": [(0.9, FAR)]}])).values())


def test_classes_with_objects_are_averaged(judge):
    judged = judge([{"truth": BOXES[:2], "labels": [0, 1], "found": [(0.9, BOXES[0], 0)]}], ("a", "b", "none"))
    assert score(judged)["miss_at_1fppi"] == 0.5


def test_at_threshold_by_hand(ten_pictures):
    # over 0.65: two hits, one alarm, of four objects in ten pictures
    assert at_threshold(ten_pictures) == {
        "precision": pytest.approx(2 / 3),
        "recall": 0.5,
        "miss_rate": 0.5,
        "f1": pytest.approx(4 / 7),
        "fppi": pytest.approx(0.1),
    }


def test_a_score_at_the_threshold_is_shown_and_classes_are_pooled(judge):
    picture = {"truth": BOXES[:2], "labels": [0, 1], "found": [(0.3, BOXES[0], 0), (0.29, BOXES[1], 1), (0.8, FAR, 1)]}
    got = at_threshold(judge([picture], ("a", "b"), threshold=0.3))
    assert (got["precision"], got["recall"], got["fppi"]) == (0.5, 0.5, 1)


def test_what_an_ignore_region_excuses_is_no_alarm(judge):
    got = at_threshold(judge([{"truth": [BOXES[0], [190, 190, 220, 220]], "ignore": [0, 1], "found": [(0.9, FAR)]}]))
    assert got["fppi"] == 0
    assert got["recall"] == 0
    assert math.isnan(got["precision"])


def test_best_f1_by_hand(ten_pictures):
    # F1 after each score: 2/5, 2/6, 4/7, 6/8, 6/9; the best ends at 0.6, the next score is 0.5
    assert best_f1(ten_pictures) == 0.55


def test_best_f1_at_the_last_score_lies_halfway_to_zero(judge):
    assert best_f1(judge([{"truth": BOXES[:1], "found": [(0.4, BOXES[0])]}])) == 0.2


@pytest.mark.parametrize("found", [[], [(0.9, FAR)]])
@pytest.mark.parametrize("truth", [[], BOXES])
def test_best_f1_without_a_hit_is_one_half(judge, truth, found):
    assert best_f1(judge([{"truth": truth, "found": found}])) == 0.5


def rows_to_judged(rows, threshold=0.5):
    """One object a hit, all in one picture; rows of (score, is a hit)."""
    boxes = np.array([[20 * i, 0, 20 * i + 10, 10] for i in range(len(rows))], np.float32).reshape(-1, 4)
    hits = np.array([hit for _, hit in rows], bool)
    scores = np.array([s for s, _ in rows], np.float32)
    found = Detections(boxes, scores, np.zeros(len(rows), np.int64), ("head",))
    return Judged([Pair("a", Truth.of(boxes[hits]), found)], ("head",), threshold=threshold)


@given(st.lists(st.tuples(st.integers(1, 99), st.booleans()), min_size=1, max_size=20))
def test_no_threshold_beats_the_best(rows):
    rows = [(s / 100, hit) for s, hit in rows]
    assume(any(hit for _, hit in rows))
    best = at_threshold(rows_to_judged(rows, best_f1(rows_to_judged(rows))))["f1"]
    others = [at_threshold(rows_to_judged(rows, s))["f1"] for s, _ in rows]
    assert best == pytest.approx(max(others))


def test_best_f1_lies_between_close_scores(judge):
    found = [(0.9004, BOXES[0]), *[(0.9002, FAR)] * 50]
    picture = {"truth": BOXES[:1], "found": found}
    assert at_threshold(judge([picture], threshold=best_f1(judge([picture]))))["f1"] == 1
