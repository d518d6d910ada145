"""Jaccard index, count errors and one-to-one matching, worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from passerby.measure.counting import count_errors, mae_curve, score
from passerby.measure.jaccard import jaccard_curve
from passerby.measure.jaccard import score as jaccard
from passerby.measure.matching import DROPPED, HIT, MISS

ONE, TWO, THREE, FAR = [0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10], [80, 80, 90, 90]
REGION = [100, 100, 200, 200]
INSIDE = [110, 110, 120, 120]


@pytest.fixture
def three_pictures(judge):
    """Two objects and a false alarm between their scores; one object; none, with a false alarm."""
    first = {"truth": [ONE, TWO], "found": [(0.9, ONE), (0.8, FAR), (0.7, TWO)]}
    return judge([first, {"truth": [ONE], "found": [(0.6, ONE)]}, {"found": [(0.5, FAR)]}], threshold=0.65)


def test_the_jaccard_index_at_every_threshold(three_pictures):
    # picture 1: 1/2, 1/3, 2/3; picture 2: 1 from 0.6 on; picture 3 is in the mean, as 0, from its false alarm on
    scores, index = jaccard_curve(three_pictures)
    np.testing.assert_allclose(scores, [0.9, 0.8, 0.7, 0.6, 0.5], rtol=1e-6)
    np.testing.assert_allclose(index, [1 / 4, 1 / 6, 1 / 3, 5 / 6, 5 / 9], rtol=1e-12)


def test_the_best_is_taken_and_its_threshold_lies_halfway_to_the_next_score(three_pictures):
    assert jaccard(three_pictures) == {"jaccard": pytest.approx(5 / 6), "jaccard_threshold": 0.55}


def test_equal_scores_enter_the_index_together(judge):
    # after the hit alone it would be 1
    assert jaccard(judge([{"truth": [ONE], "found": [(0.5, ONE), (0.5, FAR)]}]))["jaccard"] == 0.5


def test_a_perfect_detector_has_a_jaccard_index_of_one(judge):
    assert jaccard(judge([{"truth": [ONE, TWO], "found": [(0.9, ONE), (0.2, TWO)]}, {}]))["jaccard"] == 1


def test_no_hit_is_zero_without_a_threshold_and_no_object_no_number(judge):
    for found in ([], [(0.9, FAR)]):
        got = jaccard(judge([{"truth": [ONE], "found": found}]))
        assert got["jaccard"] == 0
        assert math.isnan(got["jaccard_threshold"])
    assert math.isnan(jaccard(judge([{"found": [(0.9, FAR)]}]))["jaccard"])


def test_classes_are_matched_apart_and_pooled_in_the_index(judge):
    # the person's box found as a head: k 1, m 2, n 2
    picture = {"truth": [ONE, TWO], "labels": [0, 1], "found": [(0.9, ONE, 0), (0.9, TWO, 0)]}
    assert jaccard(judge([picture], ("head", "person")))["jaccard"] == pytest.approx(1 / 3)


def test_difficult_objects_and_what_regions_excuse_are_in_none_of_k_m_and_n(judge):
    picture = {"truth": [ONE, TWO, REGION], "difficult": [0, 1, 0], "ignore": [0, 0, 1]}
    judged = judge([{**picture, "found": [(0.9, TWO), (0.8, INSIDE), (0.7, ONE)]}])
    assert jaccard(judged)["jaccard"] == 1
    assert judged.matches(0, "most").outcome.tolist() == [DROPPED, DROPPED, HIT]


def test_as_many_objects_as_one_to_one_pairs_allow_are_found(judge):
    # the first fits both objects and best the upper one (9/11, 8/12), the second the upper one only (0.9; 6/13)
    truth = [[0, 0, 10, 10], [0, 3, 10, 13]]
    judged = judge([{"truth": truth, "found": [(0.9, [0, 1, 10, 11]), (0.8, [0, 0, 10, 9])]}])
    assert judged.matches(0, "greedy").outcome.tolist() == [HIT, MISS]
    assert judged.matches(0, "most").outcome.tolist() == [HIT, HIT]
    assert jaccard(judged)["jaccard"] == 1


def test_a_chain_of_exchanges_is_followed_to_its_end(judge):
    # detection i fits objects i and i + 1, the first a little better (14.1/17.9, 13.9/18.1); the last fits object 0
    truth = [[4 * i, 0, 4 * i + 16, 10] for i in range(5)]
    found = [(0.9 - 0.1 * i, [4 * i + 1.9, 0, 4 * i + 17.9, 10]) for i in range(4)] + [(0.1, [0, 0, 13, 10])]
    judged = judge([{"truth": truth, "found": found}])
    assert judged.matches(0, "most").outcome.tolist() == [HIT] * 5
    assert judged.matches(0, "greedy").outcome.tolist() == [HIT] * 4 + [MISS]


def test_count_errors_by_hand(three_pictures):
    # from 0.65 on: three shown of two there, none of one, none of none
    assert count_errors(three_pictures).tolist() == [1, -1, 0]
    assert score(three_pictures) == {
        "count_mae": pytest.approx(2 / 3),
        "count_rmse": pytest.approx(math.sqrt(2 / 3)),
        "count_bias": 0,
    }


def test_a_large_error_weighs_more_in_the_root_of_squares(judge):
    found = [(0.9, [20 * i, 50, 20 * i + 10, 60]) for i in range(4)]
    got = score(judge([{"found": found}, {}]))
    assert got == {"count_mae": 2, "count_rmse": pytest.approx(math.sqrt(8)), "count_bias": 2}


def test_what_regions_excuse_and_difficult_objects_are_not_counted(judge):
    picture = {"truth": [ONE, TWO, REGION], "difficult": [0, 1, 0], "ignore": [0, 0, 1]}
    assert count_errors(judge([{**picture, "found": [(0.9, TWO), (0.8, INSIDE), (0.7, ONE)]}])).tolist() == [0]
    assert count_errors(judge([picture])).tolist() == [-1]


def test_an_object_inside_a_region_is_counted_when_found(judge):
    picture = {"truth": [INSIDE, REGION], "ignore": [0, 1], "found": [(0.9, INSIDE), (0.8, INSIDE)]}
    assert count_errors(judge([picture])).tolist() == [0]


def test_the_count_error_at_every_threshold(three_pictures):
    # errors a picture: (-1 -1 0), (0 -1 0), (1 -1 0), (1 0 0), (1 0 1)
    scores, errors = mae_curve(three_pictures.pooled("greedy"))
    np.testing.assert_allclose(scores, [0.9, 0.8, 0.7, 0.6, 0.5], rtol=1e-6)
    np.testing.assert_allclose(errors, [2 / 3, 1 / 3, 2 / 3, 1 / 3, 2 / 3], rtol=1e-12)


def test_without_pictures_there_is_no_count(judge):
    assert all(math.isnan(v) for v in score(judge([])).values())
