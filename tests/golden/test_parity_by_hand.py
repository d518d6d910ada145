"""What moved, what was lost and what was gained between two answers, as a reader can count on paper."""

from __future__ import annotations

import math

import model_fixtures
import pytest

from passerby.deploy.parity_shift import shift_of

found = model_fixtures.found
LEFT, MIDDLE, RIGHT = (0, 0, 10, 10), (20, 0, 30, 10), (40, 0, 50, 10)


def test_a_box_that_moved_one_that_fell_under_the_threshold_and_one_that_rose_over_it(found):
    before = found([LEFT, MIDDLE, RIGHT], [0.9, 0.8, 0.3])
    # 1 px to the right (IoU 9/11); the same box with half the score; 2 px down (IoU 8/12) and over the threshold
    after = found([(40, 2, 50, 12), (1, 0, 11, 10), MIDDLE], [0.6, 0.85, 0.4])
    shift = shift_of([before], [after], 0.5, 0.5)
    assert sorted(shift.boxes) == [0, 1, 2]
    assert sorted(shift.scores) == pytest.approx([0.05, 0.3, 0.4], abs=1e-6)
    assert (shift.before, shift.after, shift.lost, shift.gained) == (2, 2, 1, 1)
    assert shift.by_picture.tolist() == [2]
    assert shift.changed == pytest.approx(2 / 3)


def test_what_both_show_is_paired_before_anything_else(found):
    # alone, the two halves would overlap more in all (2 x 8/12) than the true pair (10/10 + 0): a chain of strangers
    before = found([LEFT, (0, 2, 10, 12)], [0.9, 0.2])
    after = found([LEFT, (0, -2, 10, 8)], [0.9, 0.2])
    shift = shift_of([before], [after], 0.5, 0.5)
    assert shift.boxes.tolist() == [0]
    assert (shift.lost, shift.gained) == (0, 0)


def test_boxes_of_other_labels_and_boxes_far_away_are_no_partners(found):
    names = ("head", "person")
    before = found([LEFT, MIDDLE], [0.9, 0.9], [0, 0], names)
    after = found([LEFT, RIGHT], [0.9, 0.9], [1, 0], names)
    shift = shift_of([before], [after], 0.5, 0.5)
    assert (len(shift.boxes), shift.lost, shift.gained) == (0, 2, 2)


def test_labels_are_told_by_name_not_by_number(found):
    before = found([LEFT], [0.9], [0], ("head", "person"))
    after = found([LEFT], [0.9], [1], ("person", "head"))
    assert shift_of([before], [after], 0.5, 0.5).boxes.tolist() == [0]


def test_each_side_has_its_own_threshold(found):
    shift = shift_of([found([LEFT], [0.35])], [found([LEFT], [0.35])], 0.3, 0.4)
    assert (shift.before, shift.after, shift.lost, shift.gained) == (1, 0, 1, 0)


def test_one_detection_alone_is_no_share(found):
    shift = shift_of([found([LEFT, MIDDLE], [0.9, 0.51])], [found([LEFT, MIDDLE], [0.9, 0.49])], 0.5, 0.5)
    assert (shift.lost, shift.changed) == (1, 0)


def test_empty_pictures_have_nothing_to_share(found):
    shift = shift_of([found()], [found()], 0.5, 0.5)
    assert (shift.before, shift.after, shift.changed) == (0, 0, 0)
    assert not math.isnan(shift.changed)
