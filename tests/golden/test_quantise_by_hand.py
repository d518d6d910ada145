"""The quantiser's arithmetic against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("onnx")

from passerby.deploy.quantise.calibrate import LEVELS, Seen, divergence, find_entropy, find_minmax, find_percentile
from passerby.deploy.quantise.half import STORES
from passerby.deploy.quantise.sensitivity import compare


def seen(values):
    values = np.array(values, np.float32)
    return Seen(float(values.min()), float(values.max()), values, np.zeros(1))


def test_min_max_is_what_was_seen():
    assert find_minmax(seen([-1, 0, 2.5])) == (-1, 2.5)


def test_the_percentile_cuts_the_same_share_off_both_ends():
    low, high = find_percentile(seen(np.arange(20_001)))  # 99.99 %: one value in 20,000 at each end
    assert (low, high) == pytest.approx((1, 19_999))


def test_a_histogram_of_no_more_bins_than_steps_loses_nothing():
    assert divergence(np.array([1.0, 0, 3, 4]), 0, 4) == pytest.approx(0, abs=1e-12)


def test_the_divergence_of_two_bins_in_one_step_by_hand():
    counts = np.zeros(2 * LEVELS)
    counts[:2] = 3, 1  # one step holds both: it says 2 and 2
    expected = 0.75 * np.log(0.75 / 0.5) + 0.25 * np.log(0.25 / 0.5)
    assert divergence(counts, 0, 2 * LEVELS) == pytest.approx(expected, abs=2e-3)  # of the bins that hold nothing


def test_saturated_values_are_moved_to_the_last_bin():
    counts = np.array([2.0, 2, 4])  # cut after two bins: really 2 and 6, kept 2 and 2
    expected = 0.25 * np.log(0.25 / 0.5) + 0.75 * np.log(0.75 / 0.5)
    assert divergence(counts, 0, 2) == pytest.approx(expected)


def test_the_entropy_method_cuts_off_one_far_value_and_not_an_even_spread():
    even = np.linspace(-4, 4, 100_000)
    assert find_entropy(seen(even)) == pytest.approx((-4, 4), abs=0.05)
    crowd = np.random.default_rng(0).normal(0, 1, 100_000)
    low, high = find_entropy(seen([*crowd, 40.0, -40.0]))
    assert high < 20
    assert low > -20


@pytest.mark.parametrize("values", [[2.0, 2.0], [-3.0, -2.0], [0.5, 2.0], [-1e-9, 4.0]])
def test_the_range_of_the_entropy_method_holds_zero_whatever_was_seen(values):
    low, high = find_entropy(seen(values))
    assert low <= 0 <= high
    assert low < high


def test_a_tensor_of_nothing_but_zeros_has_no_range():
    assert find_entropy(seen([0.0, 0.0])) == (0, 0)


def test_zeros_do_not_decide_the_range_of_the_entropy_method():
    values = np.linspace(0.01, 6, 50_000)
    assert find_entropy(seen([*values, *np.zeros(500_000)]))[1] == pytest.approx(find_entropy(seen(values))[1], abs=0.1)


def test_bfloat16_keeps_eight_bits_of_the_fraction_rounded_to_even():
    # 1 + 2^-8 lies between 1 and 1 + 2^-7: to even, 1; 1 + 3 * 2^-8 between 1 + 2^-7 and 1 + 2^-6: to even, the upper
    values = np.array([1.0, 1 + 2**-8, 1 + 3 * 2**-8, 1 + 2**-8 + 2**-20, -2.5], np.float32)
    words = np.frombuffer(STORES["bfloat16"](values, "w").raw_data, "<u2")
    back = (words.astype(np.uint32) << 16).view(np.float32)
    assert back.tolist() == [1.0, 1.0, 1 + 2**-6, 1 + 2**-7, -2.5]


def test_damage_is_the_mean_over_boxes_that_score_in_either():
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 10], [0, 0, 10, 10]], np.float32)
    moved = np.array([[0, 0, 10, 5], [0, 0, 10, 10], [50, 50, 60, 60]], np.float32)
    before = (boxes, np.array([[0.9], [0.05], [0.01]], np.float32))
    after = (moved, np.array([[0.8], [0.15], [0.02]], np.float32))
    # the third scores in neither; scores differ by 0.1 and 0.1, boxes overlap by a half and wholly
    assert compare([before], [after]) == pytest.approx((0.1, 0.25))


def test_pictures_without_a_box_that_scores_show_no_damage():
    nothing = (np.zeros((2, 4), np.float32), np.zeros((2, 1), np.float32))
    assert compare([nothing], [nothing]) == (0, 0)
