"""Matching, average precision and sizes on cases small enough to work out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from passerby.measure.average_precision import area_ap, by_size, eleven_point_ap, precision_recall, score
from passerby.measure.matching import DROPPED, HIT, MISS

ONE, TWO, THREE = [0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10]
FAR, FARTHER = [80, 80, 90, 90], [60, 60, 70, 70]


def test_hit_miss_hit_of_three_objects(judge):
    # precision 1, 1/2, 2/3 at recall 1/3, 1/3, 2/3. Area: 1/3 * 1 + 1/3 * 2/3. 11 points: 4 * 1 + 3 * 2/3 + 4 * 0.
    judged = judge([{"truth": [ONE, TWO, THREE], "found": [(0.9, ONE), (0.8, FAR), (0.7, TWO)]}])
    matches = judged.matches(0, "voc")
    assert matches.outcome.tolist() == [HIT, MISS, HIT]
    precision, recall = precision_recall(matches)
    np.testing.assert_allclose(precision, [1, 1 / 2, 2 / 3], rtol=1e-6)
    np.testing.assert_allclose(recall, [1 / 3, 1 / 3, 2 / 3], rtol=1e-6)
    assert area_ap(matches) == pytest.approx(5 / 9, abs=1e-6)
    assert eleven_point_ap(matches) == pytest.approx(6 / 11, abs=1e-6)


def test_precision_is_made_monotone(judge):
    # miss, hit, hit: precision 0, 1/2, 2/3 at recall 0, 1/2, 1; made monotone it is 2/3 everywhere
    judged = judge([{"truth": [ONE, TWO], "found": [(0.9, FAR), (0.8, ONE), (0.7, TWO)]}])
    assert score(judged) == {"ap50": pytest.approx(2 / 3), "ap50_11pt": pytest.approx(2 / 3)}


def test_all_found_is_one_and_nothing_found_is_zero(judge):
    assert score(judge([{"truth": [ONE, TWO], "found": [(0.9, ONE), (0.1, TWO)]}])) == {"ap50": 1, "ap50_11pt": 1}
    assert score(judge([{"truth": [ONE, TWO]}])) == {"ap50": 0, "ap50_11pt": 0}


def test_an_overlap_of_exactly_one_half_is_a_hit(judge):
    judged = judge([{"truth": [ONE], "found": [(0.9, [0, 0, 10, 20])]}])
    assert judged.matches(0, "voc").outcome.tolist() == [HIT]
    assert judged.matches(0, "greedy").outcome.tolist() == [HIT]
    assert judged.matches(0, "voc", 0.51).outcome.tolist() == [MISS]


def test_the_second_detection_of_an_object_is_a_false_alarm(judge):
    judged = judge([{"truth": [ONE], "found": [(0.8, ONE), (0.9, [0, 0, 10, 9])]}])
    matches = judged.matches(0, "voc")
    assert matches.outcome.tolist() == [HIT, MISS]  # the higher score comes first and takes it
    np.testing.assert_allclose(matches.scores, [0.9, 0.8])


def test_voc_and_greedy_differ_where_the_best_object_is_taken(judge):
    # the second detection overlaps ONE by 9/11 and the other object by 8/12; ONE is taken
    judged = judge([{"truth": [ONE, [0, 3, 10, 13]], "found": [(0.9, ONE), (0.8, [0, 1, 10, 11])]}])
    assert judged.matches(0, "voc").outcome.tolist() == [HIT, MISS]
    assert judged.matches(0, "greedy").outcome.tolist() == [HIT, HIT]
    assert score(judged)["ap50"] == pytest.approx(0.5)  # AP is VOC's rule


@pytest.mark.parametrize("rule", ["voc", "greedy"])
def test_a_difficult_object_neither_counts_nor_punishes(judge, rule):
    judged = judge([{"truth": [ONE, TWO], "difficult": [0, 1], "found": [(0.9, TWO), (0.8, TWO), (0.7, ONE)]}])
    matches = judged.matches(0, rule)
    assert matches.outcome.tolist() == [DROPPED, DROPPED, HIT]
    assert matches.objects == 1
    assert area_ap(matches) == 1


@pytest.mark.parametrize("rule", ["voc", "greedy"])
def test_an_ignore_region_excuses_what_lies_more_than_half_inside(judge, rule):
    region = [60, 0, 100, 40]
    inside, half, mostly = [70, 10, 80, 20], [55, 0, 65, 10], [56, 0, 66, 10]  # shares 1, 0.5 and 0.6
    found = [(0.9, inside), (0.8, half), (0.7, mostly), (0.6, ONE)]
    matches = judge([{"truth": [ONE, region], "ignore": [0, 1], "found": found}]).matches(0, rule)
    assert matches.outcome.tolist() == [DROPPED, MISS, DROPPED, HIT]
    assert matches.objects == 1


def test_an_object_inside_an_ignore_region_is_still_found(judge):
    matches = judge([{"truth": [ONE, [0, 0, 50, 50]], "ignore": [0, 1], "found": [(0.9, ONE)]}]).matches(0, "voc")
    assert matches.outcome.tolist() == [HIT]


def test_classes_are_matched_apart_and_averaged(judge):
    picture = {"truth": [ONE, TWO], "labels": [0, 1], "found": [(0.9, ONE, 0), (0.8, ONE, 1), (0.7, TWO, 1)]}
    got = score(judge([picture], ("head", "person", "dog")))
    assert got["ap50/head"] == 1
    assert got["ap50/person"] == pytest.approx(0.5)
    assert math.isnan(got["ap50/dog"])
    assert got["ap50"] == pytest.approx(0.75)


def test_pictures_are_matched_apart_and_ranked_together(judge):
    # ONE lies in picture 0 only; the same box in picture 1 is a false alarm of a higher score
    matches = judge([{"truth": [ONE], "found": [(0.5, ONE)]}, {"found": [(0.6, ONE)]}]).matches(0, "voc")
    assert matches.outcome.tolist() == [MISS, HIT]
    assert matches.picture.tolist() == [1, 0]
    assert (matches.objects, matches.pictures) == (1, 2)


def test_equal_scores_keep_the_order_of_pictures(judge):
    matches = judge([{"found": [(0.5, FAR)]}, {"truth": [ONE], "found": [(0.5, ONE), (0.5, FAR)]}]).matches(0, "voc")
    assert matches.outcome.tolist() == [MISS, HIT, MISS]
    assert area_ap(matches) == pytest.approx(0.5)


def test_without_objects_there_is_no_number(judge):
    assert all(math.isnan(v) for v in score(judge([{"found": [(0.9, ONE)]}])).values())


def test_by_size_by_hand(judge):
    # sizes 10, 16, 40 and 100; found: 10 and 100 surely, 16 under the threshold, a false alarm of size 20
    small, middle, large, huge = [0, 0, 10, 10], [20, 0, 36, 16], [50, 0, 90, 40], [100, 0, 200, 100]
    found = [(0.95, [300, 300, 320, 320]), (0.9, small), (0.6, huge), (0.4, middle)]
    got = by_size(judge([{"truth": [small, middle, large, huge], "found": found}], threshold=0.5))
    want = {"0-16": (1, 1, 1), "16-32": (1, 0.5, 0), "32-64": (1, 0, 0), "64+": (1, 1, 1)}
    assert len(got) == 12
    for name, (objects, ap, recall) in want.items():
        assert got[f"objects@{name}"] == objects
        assert got[f"ap50@{name}"] == pytest.approx(ap, abs=1e-6)
        assert got[f"recall@{name}"] == recall


def test_a_size_without_objects_has_no_number(judge):
    got = by_size(judge([{"truth": [ONE], "found": [(0.9, ONE), (0.8, FAR), (0.7, FARTHER)]}]))
    assert got["objects@64+"] == 0
    assert math.isnan(got["ap50@64+"])
    assert math.isnan(got["recall@64+"])
    assert got["ap50@0-16"] == 1


def test_a_detection_of_another_size_may_find_an_object(judge):
    # the object has size 15, the detection 17: it counts in 0-16 and is no false alarm in 16-32
    truth, detection = [0, 0, 15, 15], [0, 0, 17, 17]
    got = by_size(judge([{"truth": [truth, [50, 50, 70, 70]], "found": [(0.9, detection), (0.8, [50, 50, 70, 70])]}]))
    assert got["ap50@0-16"] == 1
    assert got["ap50@16-32"] == 1
