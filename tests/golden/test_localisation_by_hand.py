"""What is measured of a localiser, on cases that can be redone by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from passerby.measure.classification import auc, score_pictures
from passerby.measure.localisation import (
    BINS,
    DELTAS,
    RULES,
    THRESHOLDS,
    Apart,
    MapRow,
    box_acc_curve,
    halve,
    held_out,
    judge_map,
    middle_best,
    point_ap,
    score_groups,
    score_maps,
)
from passerby.measure.picture_labels import UNKNOWN
from passerby.records import Truth


def column(*values):
    return np.array(values, np.float32)[:, None]


def at(row, threshold):
    """A MapRow's (largest, closest) at a threshold."""
    t = round(threshold * 100)
    return round(float(row.largest[t]), 4), round(float(row.closest[t]), 4)


def test_accuracy_loss_precision_and_recall_of_four_pictures():
    got = score_pictures(column(0.9, 0.6, 0.4, 0.2), np.int8([[1], [0], [1], [0]]), threshold=0.3)
    # right at 0.5: the first and the last. At 0.3 three are called positive, two of them rightly
    assert got["accuracy"] == 0.5
    assert got["accuracy_at_threshold"] == 0.75
    assert got["precision"] == pytest.approx(2 / 3)
    assert got["recall"] == 1
    assert got["loss"] == pytest.approx(-(math.log(0.9) + math.log(0.4) + math.log(0.4) + math.log(0.8)) / 4)
    assert got["auc"] == 0.75  # of the 4 pairs of one that holds and one that does not, 0.4 under 0.6 is wrong
    assert (got["positives"], got["negatives"]) == (2, 2)


def test_what_is_unknown_does_not_count():
    known = score_pictures(column(0.9, 0.2), np.int8([[1], [0]]), 0.5)
    assert score_pictures(column(0.9, 0.2, 0.1), np.int8([[1], [0], [UNKNOWN]]), 0.5) == known


def test_being_wholly_wrong_costs_a_finite_loss():
    assert score_pictures(column(0.0), np.int8([[1]]), 0.5)["loss"] == pytest.approx(-math.log(1e-7))


def test_without_positives_there_is_no_auc_and_no_recall():
    got = score_pictures(column(0.9, 0.2), np.int8([[0], [0]]), 0.95)
    assert math.isnan(got["auc"])
    assert math.isnan(got["recall"])
    assert math.isnan(got["precision"])
    assert got["accuracy"] == 0.5


def test_equal_scores_count_half():
    assert auc(np.float32([0.5, 0.5]), np.array([True, False])) == 0.5
    assert auc(np.float32([0.5, 0.5, 0.9]), np.array([True, False, True])) == 0.75


def test_boxes_around_regions_at_each_threshold():
    # a hill of 2 x 2 at 0.6, one of 2 x 4 at 1, on a floor of 0; the person is where the small hill is
    heat = np.zeros((4, 10), np.float32)
    heat[0:2, 0:2], heat[0:2, 5:9] = 0.6, 1
    row = judge_map(heat, Truth.of([[0, 0, 2, 4]]), 0.5, 0.1)
    assert at(row, 0.0) == (0.2, 0.2)  # the whole map: 40 points, 8 of them the person's
    assert at(row, 0.5) == (0.0, 0.5)  # the largest is the other hill; the small one covers half
    assert at(row, 0.61) == (0.0, 0.0)
    assert row.boxes == 1


def test_with_several_boxes_the_best_fit_counts():
    heat = np.zeros((2, 10), np.float32)
    heat[:, 0:4] = 1
    row = judge_map(heat, Truth.of([[6, 0, 10, 2], [0, 0, 4, 2]]), 0.5, 0.1)
    assert at(row, 0.5) == (1.0, 1.0)


def test_points_inside_and_outside_the_union_of_boxes():
    heat = np.zeros((1, 10), np.float32)
    heat[0, 0:3] = 1  # three hot points, two of them inside; the third box holds one cold point; one point is ignored
    truth = Truth.of([[0, 0, 2, 1], [1, 0, 2, 1], [5, 0, 6, 1], [2, 0, 3, 1]], ignore=[0, 0, 0, 1])
    row = judge_map(heat, truth, 0.5, 0.1)
    outside, inside = row.points
    assert (inside[BINS - 1], inside[0], inside.sum()) == (2, 1, 3)
    assert (outside[BINS - 1], outside[0], outside.sum()) == (0, 6, 6)
    # from the top: precision 2/2 for 2/3 of the points, then 3/9 for the last third
    assert point_ap(row.points) == pytest.approx(1 * 2 / 3 + 3 / 9 * 1 / 3)


def test_difficult_objects_are_no_boxes():
    heat = np.zeros((1, 4), np.float32)
    heat[0, 0] = 1
    row = judge_map(heat, Truth.of([[0, 0, 1, 1], [2, 0, 4, 1]], difficult=[0, 1]), 0.5, 0.1)
    assert row.boxes == 1
    assert row.points[1].sum() == 1


def rows_of(*right):
    """Rows whose largest region fits with IoU 1 at these thresholds, and with 0 elsewhere."""
    out = []
    for hits in right:
        largest = np.zeros(len(THRESHOLDS), np.float32)
        largest[[round(h * 100) for h in hits]] = 1
        out.append(MapRow(1, largest, largest, np.ones((2, BINS), np.int64), dict.fromkeys(RULES, Apart(1, 1, 1))))
    return out


def test_the_threshold_is_chosen_on_one_half_and_scored_on_the_other():
    # in the first half 0.2 is right, in the second 0.8: each half's choice fails on the other
    first = np.array([True, True, False, False])
    right = np.array([r.largest for r in rows_of([0.2], [0.2], [0.8], [0.8])]) > 0.5
    assert held_out(right, first) == 0
    assert held_out(right, np.array([True, False, True, False])) == 0.5
    assert right.mean(axis=0).max() == 0.5  # what a paper would print
    assert math.isnan(held_out(right[:1], first[:1]))


def test_of_equally_good_thresholds_the_middle_one_is_taken():
    assert middle_best(np.array([0, 1, 1, 1, 0.5])) == 2
    assert middle_best(np.array([1.0])) == 0


def test_halves_are_the_same_every_time_and_as_large_as_can_be():
    assert halve(7, 3).sum() == 3
    assert halve(7, 3).tolist() == halve(7, 3).tolist()
    assert halve(40, 3).tolist() != halve(40, 4).tolist()


def test_all_numbers_of_maps_that_agree():
    got = score_maps(rows_of([0.4], [0.4, 0.6], [0.4], [0.4]), threshold=0.6)
    assert [got[f"box_acc@{d:g}"] for d in DELTAS] == [1, 1, 1]
    assert (got["box_acc"], got["box_acc_any"]) == (1, 1)
    assert got["box_acc_own"] == 0.25
    assert got["best_map_threshold"] == pytest.approx(0.4)
    assert got["max_box_acc@0.5"] == 1
    assert got["maps"] == 4
    assert got["pxap"] == pytest.approx(0.5)  # as many points outside as inside at every level
    assert score_maps([], 0.5) == {}


def test_the_curve_is_the_share_of_maps_that_are_right():
    curve = box_acc_curve(rows_of([0.4], [0.4, 0.6]))
    assert curve.shape == (3, 101)
    assert curve[1, [40, 60, 50]].tolist() == [1, 0.5, 0]


def test_people_who_stand_together_are_told_apart_by_the_valley_between_them():
    # two people of 3 columns, a pass of 0.7 between their peaks of 1
    heat = np.full((20, 7), 0.7, np.float32)
    heat[:, 1], heat[:, 5] = 1, 1
    heat[0, 0] = 0
    truth = Truth.of([[0, 0, 3, 20], [4, 0, 7, 20]])
    row = judge_map(heat, truth, 0.5, split=0.15)
    assert row.apart["split"] == Apart(regions=2, by_spot=2, by_iou=2)
    assert row.apart["plain"] == Apart(regions=1, by_spot=1, by_iou=1)
    got = score_groups([row])
    assert (got["groups"], got["separated/split"], got["separated/plain"]) == (1, 1, 0)
    assert (got["separated_iou/split"], got["separated_iou/plain"]) == (1, 0)
    assert (got["apart/split"], got["apart/plain"]) == (1, 0.5)
    assert math.isnan(got["one_in_pieces/split"])


def test_one_person_in_pieces_is_told_and_a_region_serves_one_person():
    heat = np.zeros((2, 9), np.float32)
    heat[:, 1], heat[:, 7] = 1, 1
    row = judge_map(heat, Truth.of([[0, 0, 9, 2]]), 0.5, 0.1)
    assert score_groups([row])["one_in_pieces/split"] == 1
    heat[:, 7] = 0
    row = judge_map(heat, Truth.of([[0, 0, 3, 2], [0, 0, 4, 2]]), 0.5, 0.1)
    assert row.apart["split"].by_spot == 1  # both boxes hold the one peak
