"""Bootstrap intervals: the same as naively rebuilding the data set, and as wide as they should be."""

from __future__ import annotations

import math

import numpy as np
import pytest

from passerby.errors import DataError, SettingError
from passerby.measure.interval import METRICS_OF_PICTURES, difference, draws, interval, resamples
from passerby.measure.matching import Judged, Pair
from passerby.records import Detections, Truth

LABELS = ("head", "person")


def made(seed, pictures=12, steps=1000, shift=1.5):
    """Pictures with 0 to 5 objects of two classes, difficult ones and regions; detections on and beside them."""
    rng, truths = np.random.default_rng(seed), np.random.default_rng(1)
    pairs = []
    for i in range(pictures):
        n = int(truths.integers(0, 6))
        corner = truths.uniform(0, 100, (n, 2))
        boxes = np.concatenate([corner, corner + truths.uniform(8, 20, (n, 2))], axis=1)
        truth = Truth.of(boxes, truths.integers(0, 2, n), truths.random(n) < 0.1, truths.random(n) < 0.1)
        found = np.concatenate([boxes.repeat(2, 0), rng.uniform(0, 100, (4, 4))])
        found[-4:, 2:] = found[-4:, :2] + 12
        found[: 2 * n] += rng.normal(0, shift, (2 * n, 4))
        scores = rng.integers(1, steps, len(found)) / steps
        order = np.argsort(-scores, kind="stable")
        labels = rng.integers(0, 2, len(found))
        detections = Detections(
            found[order].astype(np.float32), scores[order].astype(np.float32), labels[order].astype(np.int64), LABELS
        )
        pairs.append(Pair(f"{i}.jpg", truth, detections))
    return Judged(pairs, LABELS, threshold=0.4)


@pytest.mark.parametrize("steps", [1000, 8], ids=["scores differ", "many scores are equal"])
@pytest.mark.parametrize("metric", METRICS_OF_PICTURES)
def test_it_equals_a_data_set_rebuilt_from_the_pictures_drawn(metric, steps):
    judged = made(3, steps=steps)
    got = draws(judged, metric, rounds=20, seed=7)
    want = []
    for times in resamples(len(judged.pairs), 20, 7):
        again = [pair for pair, n in zip(judged.pairs, times, strict=True) for _ in range(n)]
        want.append(METRICS_OF_PICTURES[metric](Judged(again, LABELS, threshold=0.4)))
    assert len(set(want)) > 3
    np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-12)


def test_each_round_draws_as_many_pictures_as_there_are_and_not_the_same():
    rounds = list(resamples(50, 40, 0))
    assert all(t.sum() == 50 and t.shape == (50,) for t in rounds)
    assert len({tuple(t) for t in rounds}) == 40
    assert np.mean([(t == 0).mean() for t in rounds]) == pytest.approx(math.exp(-1), abs=0.03)


def test_nothing_is_matched_again(monkeypatch):
    from passerby.measure import matching

    judged = made(1)
    interval(judged, "ap50", rounds=2)
    monkeypatch.setattr(matching, "match", lambda *args: pytest.fail("matched again"))
    interval(judged, "ap50", rounds=50, seed=1)


@pytest.mark.parametrize("metric", METRICS_OF_PICTURES)
def test_identical_predictors_are_a_tie_with_a_difference_of_exactly_nothing(metric):
    got = difference(made(5), made(5), metric, rounds=30)
    assert (got.value, got.low, got.high, got.tie) == (0, 0, 0, True)


def test_a_better_predictor_is_no_tie_and_the_sign_says_which():
    good, bad = made(5, 40, shift=0.5), made(6, 40, shift=6)
    got = difference(good, bad, "recall", rounds=200)
    assert 0 < got.low < got.value < got.high
    assert not got.tie
    other = difference(bad, good, "recall", rounds=200)
    assert (other.value, other.low, other.high, other.tie) == pytest.approx((-got.value, -got.high, -got.low, False))


def test_pairing_by_picture_makes_the_interval_narrower():
    a, b = made(5, 40), made(5, 40)
    b.pairs[0] = Pair("0.jpg", b.pairs[0].truth, Detections.none(LABELS))
    paired = difference(a, b, "recall", rounds=200)
    unpaired = draws(a, "recall", 200, 0) - draws(b, "recall", 200, 1)
    assert paired.high - paired.low < 0.5 * np.ptp(np.quantile(unpaired, [0.025, 0.975]))


def test_the_value_lies_inside_and_a_higher_level_is_wider():
    judged = made(2, 40)
    narrow, wide = (interval(judged, "recall", rounds=300, level=level) for level in (0.5, 0.99))
    assert wide.low < narrow.low < narrow.value == wide.value < narrow.high < wide.high


def test_the_same_seed_gives_the_same_interval_and_another_another():
    first, same, other = (interval(made(2), "ap50", rounds=50, seed=s) for s in (0, 0, 1))
    assert first == same != other


def test_95_percent_intervals_hold_the_truth_about_95_times_in_100():
    # one object a picture, found with probability 0.7: the share found has a known spread
    box = np.array([[0, 0, 10, 10]], np.float32)
    hit = Detections(box, np.ones(1, np.float32), np.zeros(1, np.int64), ("head",))
    held, widths = 0, []
    for seed in range(80):
        lucky = np.random.default_rng(seed).random(80) < 0.7
        pairs = [Pair("x", Truth.of(box), hit if found else Detections.none(("head",))) for found in lucky]
        got = interval(Judged(pairs, ("head",)), "recall", rounds=200, seed=seed)
        held += got.low <= 0.7 <= got.high
        widths.append(got.high - got.low)
    assert 69 <= held <= 80
    assert np.mean(widths) == pytest.approx(2 * 1.96 * math.sqrt(0.7 * 0.3 / 80), rel=0.1)


def test_another_threshold_is_another_number():
    judged = made(2)
    assert interval(judged, "recall", rounds=20).value != interval(judged.at(0.9), "recall", rounds=20).value
    assert interval(judged.at(0.9), "recall", rounds=20).high < interval(judged, "recall", rounds=20).low


def test_resamples_without_objects_are_left_out(judge):
    judged = judge([{"truth": [[0, 0, 10, 10]], "found": [(0.9, [0, 0, 10, 10])]}, {}, {}])
    assert np.isnan(draws(judged, "recall", 100)).any()
    got = interval(judged, "recall", rounds=100)
    assert (got.value, got.low, got.high) == (1, 1, 1)


@pytest.mark.parametrize("metric", METRICS_OF_PICTURES)
def test_without_pictures_there_is_no_number_and_no_difference(judge, metric):
    got = difference(judge([]), judge([]), metric, rounds=5)
    assert got.tie
    assert math.isnan(got.low) or got.low == got.high == 0


@pytest.mark.parametrize("call", [interval, lambda j, m: difference(j, j, m)])
def test_an_unknown_metric_names_the_nearest(judge, call):
    with pytest.raises(SettingError, match=r"no interval of 'ap5' \(did you mean 'ap50'\?\)"):
        call(judge([{}]), "ap5")


def test_settings_out_of_range_are_refused(judge):
    with pytest.raises(SettingError, match="rounds is 0"):
        interval(judge([{}]), rounds=0)
    for level in (0, 1, 95, float("nan")):
        with pytest.raises(SettingError, match="level is"):
            interval(judge([{}]), level=level)


def test_other_pictures_cannot_be_compared():
    with pytest.raises(DataError, match="judged on other pictures"):
        difference(made(1, 5), made(1, 6))
