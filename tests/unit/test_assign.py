"""Matching of default boxes and objects, by hand on a 2 x 2 map of 40 x 40 pixels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from passerby.geometry.anchors import default_boxes
from passerby.geometry.assign import assign, best_pairs
from passerby.geometry.boxes import decode, encode, iou, to_corners
from passerby.records import Truth
from passerby.spec import AnchorMap

VARIANCE = (0.1, 0.2)
# corners: [0 0 20 20], [20 0 40 20], [0 20 20 40], [20 20 40 40]
FOUR = default_boxes([AnchorMap(2, 2, ((20.0, 20.0),))], 40, 40)
# the same centres, each with 20 x 20 and 20 x 24
EIGHT = default_boxes([AnchorMap(2, 2, ((20.0, 20.0), (20.0, 24.0)))], 40, 40)


def targets(boxes, anchors=FOUR, match_iou=0.5, **columns):
    return assign(Truth.of(boxes, **columns), anchors, match_iou, VARIANCE)


def test_an_object_takes_its_best_default_box_even_under_the_threshold():
    labels, _ = targets([[20, 0, 30, 10]])  # IoU 100 / 400
    assert labels.tolist() == [0, 1, 0, 0]


def test_offsets_are_those_of_encode_and_by_hand_and_zero_elsewhere():
    labels, offsets = targets([[20, 0, 30, 10]])
    # centre (25, 5) against (30, 10), 10 x 10 against 20 x 20
    np.testing.assert_allclose(offsets[1], [-0.25 / 0.1, -0.25 / 0.1, np.log(0.5) / 0.2, np.log(0.5) / 0.2], rtol=1e-6)
    np.testing.assert_array_equal(offsets[1:2], encode(np.array([[20, 0, 30, 10]], np.float32), FOUR[1:2], VARIANCE))
    assert not offsets[[0, 2, 3]].any()
    assert (labels.dtype, offsets.dtype) == (np.int64, np.float32)


def test_every_default_box_over_the_threshold_answers():
    labels, offsets = targets([[0, 0, 20, 20]], EIGHT)  # IoU 1 and 400 / 480
    assert labels.tolist() == [1, 1, 0, 0, 0, 0, 0, 0]
    np.testing.assert_allclose(offsets[1], [0, 0, 0, np.log(20 / 24) / 0.2], rtol=1e-5)


def test_an_overlap_of_exactly_the_threshold_is_not_over_it():
    tall = default_boxes([AnchorMap(2, 2, ((20.0, 20.0), (20.0, 40.0)))], 40, 40)  # 400 / 800 with the object
    assert targets([[0, 0, 20, 20]], tall)[0].tolist() == [1, 0, 0, 0, 0, 0, 0, 0]
    assert targets([[0, 0, 20, 20]], tall, match_iou=0.49)[0].tolist() == [1, 1, 0, 0, 0, 0, 0, 0]


def test_of_two_objects_that_want_one_default_box_the_nearer_gets_it_and_the_other_its_next_best():
    far, near = [5, 4, 25, 24], [0, 0, 20, 20]  # far: 240 / 560 with box 0, 80 / 720 with box 1, 60 / 740 with box 2
    for boxes in ([far, near], [near, far]):
        labels, offsets = targets(boxes, labels=[0, 0])
        assert labels.tolist() == [1, 1, 0, 0]
        assert not offsets[0].any()  # near is box 0 itself
        np.testing.assert_array_equal(offsets[1:2], encode(np.array([far], np.float32), FOUR[1:2], VARIANCE))


def test_of_two_objects_over_the_threshold_a_default_box_answers_for_the_one_it_overlaps_more():
    # IoU of both with both default boxes of the first cell is over 0.5
    labels, offsets = targets([[0, 0, 20, 20], [0, -2, 20, 22]], EIGHT, labels=[0, 1])
    assert labels.tolist() == [1, 2, 0, 0, 0, 0, 0, 0]
    np.testing.assert_allclose(offsets[:2], 0, atol=1e-6)


def test_the_label_is_the_class_plus_one():
    labels, _ = targets([[0, 0, 20, 20], [20, 20, 40, 40]], labels=[4, 0])
    assert labels.tolist() == [5, 0, 0, 1]


def test_a_picture_without_objects_is_all_background():
    labels, offsets = targets([])
    assert labels.tolist() == [0, 0, 0, 0]
    assert offsets.shape == (4, 4)
    assert not offsets.any()


def test_a_default_box_over_half_in_an_ignore_region_is_not_judged():
    assert targets([[0, 0, 20, 11]], ignore=[True])[0].tolist() == [-1, 0, 0, 0]  # 55 %
    assert targets([[0, 0, 20, 10]], ignore=[True])[0].tolist() == [0, 0, 0, 0]  # exactly half
    assert targets([[0, 0, 40, 40]], ignore=[True])[0].tolist() == [-1, -1, -1, -1]


def test_two_ignore_regions_on_each_other_hide_no_more_than_one():
    twice = [[0, 0, 20, 6], [0, 0, 20, 6]]  # 30 % of the default box, labelled twice
    assert targets(twice, ignore=[True, True])[0].tolist() == [0, 0, 0, 0]


def test_an_object_inside_an_ignore_region_is_still_asked_for():
    labels, _ = targets([[0, 0, 40, 40], [20, 0, 40, 20]], ignore=[True, False])
    assert labels.tolist() == [-1, 1, -1, -1]


def test_a_default_box_on_a_difficult_object_is_not_judged():
    labels, offsets = targets([[0, 0, 20, 20]], EIGHT, difficult=[True])
    assert labels.tolist() == [-1, -1, 0, 0, 0, 0, 0, 0]
    assert not offsets.any()


def test_a_difficult_object_is_never_asked_for_even_where_it_is_the_best():
    labels, _ = targets([[0, 0, 10, 10]], difficult=[True])  # IoU 0.25: under the threshold, so background
    assert labels.tolist() == [0, 0, 0, 0]


def test_an_object_that_overlaps_no_default_box_gets_none():
    assert targets([[100, 100, 120, 120]])[0].tolist() == [0, 0, 0, 0]


def test_best_pairs_by_hand():
    overlaps = np.array([[0.6, 0.7, 0.0], [0.2, 0.1, 0.0], [0.3, 0.0, 0.0]], np.float32)
    # object 1 has 0.7 with box 0; object 0 wanted it too and gets box 2; object 2 overlaps nothing
    assert best_pairs(overlaps) == [(0, 1), (2, 0)]
    assert overlaps.tolist()[0] == pytest.approx([0.6, 0.7, 0.0])


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40), st.integers(4, 30), st.integers(4, 30)), max_size=5))
def test_matches_of_any_objects_keep_the_rules(rows):
    boxes = np.array([[x, y, x + w, y + h] for x, y, w, h in rows], np.float32).reshape(-1, 4)
    anchors = default_boxes([AnchorMap(8, 8, ((8.0, 8.0), (16.0, 16.0)))], 64, 64)
    labels, offsets = assign(Truth.of(boxes, np.arange(len(boxes))), anchors, 0.5, VARIANCE)
    overlaps = iou(to_corners(anchors), boxes)
    positive = labels > 0
    assert set(labels[positive] - 1) == set(range(len(boxes)))  # every object is answered for
    assert positive[(overlaps > 0.5).any(axis=1)].all()
    assert (overlaps[positive, labels[positive] - 1] > 0).all()
    back = decode(offsets[positive], anchors[positive], VARIANCE)
    np.testing.assert_allclose(back, boxes[labels[positive] - 1], atol=1e-3)
    assert not offsets[~positive].any()
