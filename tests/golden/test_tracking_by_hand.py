"""MOTA, IDF1, pairs and the filter, on cases that can be redone by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from passerby.errors import ShapeError
from passerby.geometry.pairing import pair_up
from passerby.measure.tracking import Seen, score
from passerby.records import Detections
from passerby.track.motion import Motion, Noise


def seen(*rows):
    """Rows (id, x): boxes of 10 x 10 at x."""
    ids = np.array([r[0] for r in rows], np.int64)
    return Seen(np.array([[x, 0, x + 10, 10] for _, x in rows], np.float32).reshape(-1, 4), ids)


def tracked(*rows):
    one = seen(*rows)
    n = len(one.ids)
    return Detections(one.boxes, np.ones(n, np.float32), np.zeros(n, np.int64), ("head",), one.ids)


def test_the_largest_sum_wins_over_the_largest_pair():
    # 9 + 1 = 10 by taking the best first; 8 + 7 = 15 together
    assert pair_up([[9, 8], [7, 1]]) == [(0, 1), (1, 0)]
    assert pair_up([[9, 8], [7, 1]], least=7.5) == [(0, 0)]
    assert pair_up([[0.0, 0.0]]) == pair_up(np.zeros((0, 3))) == pair_up(np.zeros((3, 0))) == []
    assert pair_up([[1], [3], [2]]) == [(1, 0)]


@given(st.integers(1, 5), st.integers(1, 5), st.data())
def test_pairs_are_the_best_of_all_pairings(n, m, data):
    gain = data.draw(arrays(np.float64, (n, m), elements=st.integers(0, 6).map(float)))
    small, large = (gain, range(m)) if n <= m else (gain.T, range(n))
    best = max(sum(small[i, j] for i, j in enumerate(p)) for p in itertools.permutations(large, small.shape[0]))
    pairs = pair_up(gain)
    assert sum(gain[p] for p in pairs) == best
    assert len({i for i, _ in pairs}) == len({j for _, j in pairs}) == len(pairs)


def test_a_perfect_track():
    found = score([seen((1, 0), (2, 50))] * 4, [tracked((7, 0), (9, 50))] * 4)
    assert found == {"mota": 1, "idf1": 1, "misses": 0, "false_alarms": 0, "switches": 0, "objects": 8}


def test_a_switch_a_miss_and_a_false_alarm():
    truth = [seen((1, 0))] * 4
    given_ = [tracked((7, 0)), tracked((8, 0)), tracked(), tracked((8, 0), (9, 90))]
    found = score(truth, given_)
    assert (found["switches"], found["misses"], found["false_alarms"]) == (1, 1, 1)
    assert found["mota"] == pytest.approx(1 - 3 / 4)
    assert found["idf1"] == pytest.approx(2 * 2 / (4 + 4))  # 8 is with 1 in two frames; 4 objects, 4 detections


def test_a_match_of_the_frame_before_stays():
    # both overlap by half and more; whoever had it keeps it, though the other overlaps more
    truth = [seen((1, 0)), seen((1, 0))]
    given_ = [tracked((7, 0)), tracked((7, 2), (8, 0))]
    assert score(truth, given_)["switches"] == 0
    assert score(truth, given_)["false_alarms"] == 1


def test_identities_swapped_halfway_halve_idf1():
    truth = [seen((1, 0), (2, 50))] * 4
    given_ = [tracked((7, 0), (8, 50))] * 2 + [tracked((8, 0), (7, 50))] * 2
    found = score(truth, given_)
    assert (found["idf1"], found["switches"], found["mota"]) == (0.5, 2, 1 - 2 / 8)


def test_wrong_lengths_and_missing_ids_are_refused():
    with pytest.raises(ShapeError, match="1 frames of truth, 0 of tracking"):
        score([seen((1, 0))], [])
    with pytest.raises(ShapeError, match="frame 0: the detections have no ids"):
        score([seen((1, 0))], [Detections.none(("head",))])


def test_the_filter_learns_a_steady_speed_and_goes_on_with_it():
    motion = Motion()
    motion.add(np.array([[0, 0, 20, 20]], np.float32))
    for k in range(1, 21):
        motion.predict(0.1)
        motion.correct(np.array([0]), np.array([[5 * k, -2 * k, 20 + 5 * k, 20 - 2 * k]], np.float32))
    assert motion.velocity[0] == pytest.approx([50, -20, 0, 0], abs=1)
    motion.predict(0.4)
    assert motion.boxes()[0] == pytest.approx([120, -48, 140, -28], abs=1)


def test_the_filter_by_hand():
    # size 10, so r = (0.1 * 10)^2 = 1 and the velocity starts with variance (2 * 10)^2 = 400; no wandering
    motion = Motion(Noise(measured=0.1, start=2.0, change=0.0, shape=1.0))
    motion.add(np.array([[0, 0, 10, 10]], np.float32))
    motion.predict(0.5)
    assert motion.pp[0, 0] == pytest.approx(1 + 0.25 * 400)
    assert motion.pv[0, 0] == pytest.approx(0.5 * 400)
    motion.correct(np.array([0]), np.array([[4, 0, 14, 10]], np.float32))
    assert motion.position[0, 0] == pytest.approx(5 + 101 / 102 * 4)
    assert motion.velocity[0, 0] == pytest.approx(200 / 102 * 4)
    assert motion.pp[0, 0] == pytest.approx(101 / 102)
    assert motion.vv[0, 0] == pytest.approx(400 - 200 / 102 * 200)


def test_two_half_steps_are_one_step():
    one, two = Motion(), Motion()
    for m in (one, two):
        m.add(np.array([[0, 0, 10, 30]], np.float32))
        m.predict(0.1)
        m.correct(np.array([0]), np.array([[1, 2, 11, 33]], np.float32))
    one.predict(0.2)
    two.predict(0.1)
    two.predict(0.1)
    assert two.position == pytest.approx(one.position)
    for name in ("pp", "pv", "vv"):  # the size that scales the wandering moves a little between the half steps
        assert getattr(two, name) == pytest.approx(getattr(one, name), rel=0.02)
