"""ATSS and task-aligned assignment worked out by hand on a 2 x 2 map of 40 x 40 pixels."""

from __future__ import annotations

import numpy as np
import pytest

from passerby.geometry.anchors import default_boxes
from passerby.geometry.assign import NOBODY, UNJUDGED, assign, candidates, match_atss
from passerby.records import Truth
from passerby.spec import AnchorMap

MAPS = [AnchorMap(2, 2, ((20.0, 20.0),)), AnchorMap(1, 1, ((40.0, 40.0),))]
FIVE = default_boxes(MAPS, 40, 40)  # corners [0 0 20 20] [20 0 40 20] [0 20 20 40] [20 20 40 40] and [0 0 40 40]


def truth(*boxes, ignore=(), difficult=()):
    rows = range(len(boxes))
    return Truth(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.zeros(len(boxes), np.int64),
        np.array([k in difficult for k in rows], bool),
        np.array([k in ignore for k in rows], bool),
    )


def test_enough_is_mean_plus_deviation_of_the_candidates_and_the_centre_inside():
    # IoU with [0 0 24 20]: 400/480, 80/800, 0, 0 and 480/1600. Mean 0.24667, deviation (n - 1) 0.34945: 0.596 is enough
    owner = match_atss(truth((0, 0, 24, 20)), FIVE, MAPS, 0.5)
    assert owner.tolist() == [0, NOBODY, NOBODY, NOBODY, NOBODY]


def test_a_box_whose_centre_lies_outside_is_left_though_it_overlaps_most():
    # [8 8 30 30]: the first box has its centre (10, 10) inside, as has each of the four; the large one (20, 20) too.
    # IoU: 144/740, 120/764, 120/764, 100/784, 484/1600. Mean 0.188, deviation 0.068: only the large one has enough.
    owner = match_atss(truth((8, 8, 30, 30)), FIVE, MAPS, 0.5)
    assert owner.tolist() == [NOBODY] * 4 + [0]
    # [11 0 40 12]: over 0.5 for none; the second box, [20 0 40 20], has its centre inside and IoU 240/508
    owner = match_atss(truth((11, 0, 40, 12)), FIVE, MAPS, 0.5)
    assert owner.tolist() == [NOBODY, 0, NOBODY, NOBODY, NOBODY]


def test_enough_overlap_is_not_enough_without_the_centre():
    # 4 x 4 boxes of 10 x 10; [5.5 0 15.5 10] overlaps the first by 45/155 and the second by 55/145, no other. Of nine
    # candidates the mean is 0.0744, the deviation 0.149: both have enough, but x = 5 lies outside, x = 15 inside
    maps = [AnchorMap(4, 4, ((10.0, 10.0),))]
    owner = match_atss(truth((5.5, 0, 15.5, 10)), default_boxes(maps, 40, 40), maps, 0.5)
    assert np.flatnonzero(owner == 0).tolist() == [1]


def test_an_object_between_all_centres_still_gets_its_best_box():
    owner = match_atss(truth((1, 1, 5, 5)), FIVE, MAPS, 0.5)
    assert owner.tolist() == [0, NOBODY, NOBODY, NOBODY, NOBODY]


def test_two_objects_that_want_one_box_share_fairly():
    owner = match_atss(truth((0, 0, 20, 20), (1, 1, 7, 7)), FIVE, MAPS, 0.5)
    assert owner[0] == 0  # the whole of it
    assert owner[4] == 1  # what is left that overlaps: 36 of 1600
    assert (owner[1:4] == NOBODY).all()


def test_regions_and_difficult_objects_are_not_judged():
    owner = match_atss(truth((0, 0, 20, 40), (20, 0, 40, 20), ignore=[0], difficult=[1]), FIVE, MAPS, 0.5)
    assert owner.tolist() == [UNJUDGED, UNJUDGED, UNJUDGED, NOBODY, NOBODY]


def test_candidates_are_the_nearest_of_each_map():
    maps = [AnchorMap(4, 4, ((8.0, 8.0),)), AnchorMap(2, 2, ((20.0, 20.0),))]
    boxes = default_boxes(maps, 40, 40)
    near = candidates(boxes[:, :2], np.array([[5.0, 5.0]], np.float32), maps)
    assert near.shape == (9 + 4, 1)
    # centres 5, 15, 25, 35: the third row and column are 20 px off, their corner 28.3; the fourth ones 30
    assert set(near[:9, 0]) == {0, 1, 2, 4, 5, 6, 8, 9, 10}
    assert set(near[9:, 0]) == {16, 17, 18, 19}


def test_assign_takes_the_rule_that_is_asked_for():
    where = truth((0, 0, 14, 14))  # IoU 196/400 with the first box: too little for 0.5, most of all for ATSS
    labels, offsets = assign(where, FIVE, 0.5, (0.1, 0.2), MAPS)
    assert labels.tolist() == [1, 0, 0, 0, 0]
    assert offsets[0, :2] == pytest.approx([-3 / 20 / 0.1] * 2)
    assert (offsets[1:] == 0).all()


def test_no_object_is_all_background():
    assert (match_atss(truth(), FIVE, MAPS, 0.5) == NOBODY).all()
