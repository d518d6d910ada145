"""Regions of a map, worked out by hand."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from passerby.errors import ModelError
from passerby.geometry.resize import place
from passerby.runtime.regions import GRID, NEVER, as_shares, find_regions, lay


def line(*values):
    """A map of one row."""
    return np.array([values], np.float32)


def told(regions):
    return [(box.tolist(), round(float(peak), 3)) for box, peak in zip(regions.boxes, regions.peaks, strict=True)]


def test_two_hills_apart_are_two_regions_and_the_higher_comes_first():
    heat = line(0.1, 0.7, 0.6, 0.2, 0.1, 0.8, 1.0)
    assert told(find_regions(heat, 0.5)) == [([5, 0, 7, 1], 1.0), ([1, 0, 3, 1], 0.7)]
    assert find_regions(heat, 0.5).spots.tolist() == [[6, 0], [1, 0]]


def test_a_valley_above_the_threshold_parts_people_only_when_it_is_deep_enough():
    # peaks 1.0 and 0.8 with a pass of 0.6 between them: the lower rises by 0.2
    heat = line(0.7, 1.0, 0.7, 0.6, 0.8, 0.7, 0.1)
    apart = find_regions(heat, 0.5, split=0.15)
    assert told(apart) == [([0, 0, 3, 1], 1.0), ([3, 0, 6, 1], 0.8)]  # 0.6 drains to 0.8
    assert told(find_regions(heat, 0.5, split=0.25)) == [([0, 0, 6, 1], 1.0)]
    assert told(find_regions(heat, 0.5, NEVER)) == [([0, 0, 6, 1], 1.0)]


def test_of_three_peaks_the_shallow_one_goes_to_the_hill_it_leans_on():
    # 0.62 rises by 0.02 over its pass to 0.9, which rises by 0.4 over its pass to 1.0
    heat = line(1.0, 0.5, 0.9, 0.6, 0.62, 0.3)
    assert told(find_regions(heat, 0.4, split=0.1)) == [([0, 0, 2, 1], 1.0), ([2, 0, 5, 1], 0.9)]  # 0.5 drains to 1.0


def test_a_speck_that_hardly_reaches_the_threshold_is_none_but_the_plain_rule_keeps_it():
    heat = line(1.0, 0.2, 0.55, 0.2)
    assert told(find_regions(heat, 0.5, split=0.1)) == [([0, 0, 1, 1], 1.0)]
    assert told(find_regions(heat, 0.5, NEVER)) == [([0, 0, 1, 1], 1.0), ([2, 0, 3, 1], 0.55)]


def test_the_highest_is_kept_however_high_the_threshold():
    assert told(find_regions(line(0.3, 1.0, 0.2), 1.0, split=0.5)) == [([1, 0, 2, 1], 1.0)]


def test_corners_touch():
    heat = np.array([[1, 0], [0, 0.9]], np.float32)
    assert told(find_regions(heat, 0.5, NEVER)) == [([0, 0, 2, 2], 1.0)]
    assert len(find_regions(heat, 0.5, split=0.2)) == 1  # the pass over the corner is as high as 0.9


def test_a_plateau_is_one_region():
    assert told(find_regions(np.ones((3, 4), np.float32), 0.5, split=0.01)) == [([0, 0, 4, 3], 1.0)]
    assert told(find_regions(line(0, 1, 1, 1, 0), 0.5, split=0.01)) == [([1, 0, 4, 1], 1.0)]


def test_who_stand_side_by_side_and_touch_at_their_feet_are_two():
    heat = np.array([[1, 0, 1], [1, 0, 1], [1, 1, 1]], np.float32)
    assert [box for box, _ in told(find_regions(heat, 0.5))] == [[0, 0, 2, 3], [2, 0, 3, 3]]
    assert len(find_regions(heat, 0.5, NEVER)) == 1


def test_peaks_above_one_another_are_one_person():
    heat = np.full((24, 24), 0.1, np.float32)
    heat[2:22, 10:14] = 0.6
    heat[4:8, 10:14], heat[16:20, 10:14] = 1.0, 0.9  # a head and legs, say
    assert told(find_regions(heat, 0.5)) == [([10, 2, 14, 22], 1.0)]
    assert len(find_regions(heat.T.copy(), 0.5)) == 2


def test_nothing_high_enough_is_no_region():
    for split in (0.1, NEVER):
        none = find_regions(line(0.1, 0.2), 0.5, split)
        assert len(none) == 0
        assert none.boxes.shape == (0, 4)
        assert none.spots.shape == (0, 2)


@given(st.integers(0, 2**32 - 1), st.floats(0.05, 0.9), st.sampled_from([0.02, 0.1, 0.3]))
def test_regions_part_the_connected_ones_and_lie_inside_them(seed, threshold, split):
    small = np.random.default_rng(seed).random((4, 5), np.float32)
    heat = as_shares(cv2.resize(small, (20, 16), interpolation=cv2.INTER_CUBIC))
    whole, parts = find_regions(heat, threshold, NEVER), find_regions(heat, threshold, split)
    assert len(parts) >= 1
    assert parts.peaks[0] == whole.peaks[0] == 1
    assert (np.diff(parts.peaks) <= 0).all()
    for box, (x, y), peak in zip(parts.boxes, parts.spots, parts.peaks, strict=True):
        assert heat[y, x] == peak >= threshold
        assert box[0] <= x < box[2]
        assert box[1] <= y < box[3]
        assert any((w[:2] <= box[:2]).all() and (w[2:] >= box[2:]).all() for w in whole.boxes)
    # every connected region that rises enough keeps its peak
    assert {tuple(s) for s, p in zip(whole.spots.tolist(), whole.peaks, strict=True) if p >= threshold + split} <= {
        tuple(s) for s in parts.spots.tolist()
    }


def test_shares_of_the_range():
    assert as_shares(line(-2, 0, 2)).tolist() == [[0, 0.5, 1]]
    assert as_shares(line(3, 3)).tolist() == [[1, 1]]  # says nothing about where: everywhere


def test_a_map_is_laid_over_the_picture_by_a_cubic_whose_cells_keep_their_places():
    laid = lay(np.eye(2, dtype=np.float32), 224, 112)
    assert laid.heat.shape == (GRID // 2, GRID)
    assert (laid.step_x, laid.step_y) == (224 / GRID, 224 / GRID)
    ys, xs = np.nonzero(laid.heat > 0.99)
    corners = {(bool(x < GRID / 2), bool(y < GRID / 4)) for x, y in zip(xs, ys, strict=True)}
    assert corners == {(True, True), (False, False)}
    np.testing.assert_allclose(laid.to_input(np.float32([[0, 0, GRID, GRID / 2]])), [[0, 0, 224, 112]])


def test_the_padding_of_a_letterbox_is_no_part_of_the_map():
    # 200 x 100 in 224 x 224: 56 rows of grey above and below; the lowest values lie there and do not count
    values = np.array([[0, 0], [5, 6], [6, 5], [0, 0]], np.float32)
    placement = place(200, 100, 224, 224, "letterbox")
    laid = lay(values, 224, 224, placement)
    assert laid.heat.shape == (GRID // 2, GRID)
    assert laid.top == 56
    np.testing.assert_allclose(placement.back(laid.to_input(np.float32([[0, 0, GRID, GRID / 2]]))), [[0, 0, 200, 100]])
    plain = lay(values, 224, 224).heat
    assert (laid.heat.min(), laid.heat.max()) == (0, 1)
    assert plain[GRID // 4 : -GRID // 4].min() > 0.4


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_map_that_is_no_number_is_refused(bad):
    with pytest.raises(ModelError, match="no numbers"):
        lay(line(0, bad), 32, 32)
