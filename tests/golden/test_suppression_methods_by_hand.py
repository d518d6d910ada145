"""Soft, distance-IoU and voting suppression worked out by hand; every method as one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from passerby.errors import SettingError
from passerby.geometry.boxes import iou
from passerby.geometry.nms import METHODS, nms_per_class, suppress

# B overlaps A by 8 of 12 rows (IoU 2/3); D is far away.
A, B, D = [0, 0, 10, 10], [0, 2, 10, 12], [50, 50, 60, 60]
THREE = np.array([A, B, D], np.float32)


def run(method, values, boxes=THREE, floor=0.01, threshold=0.45):
    found, scores, labels = suppress(boxes, np.array(values, np.float32)[:, None], floor, threshold, 200, method)
    assert not labels.any()
    return found.tolist(), scores


def test_soft_lowers_what_overlaps_by_the_overlap():
    found, scores = run("soft", [0.9, 0.6, 0.3])
    assert found == [A, D, B]  # 0.6 x (1 - 2/3) = 0.2 is under 0.3 now
    np.testing.assert_allclose(scores, [0.9, 0.3, 0.2], rtol=1e-5)


def test_soft_leaves_what_overlaps_by_less_than_the_threshold():
    assert run("soft", [0.9, 0.6, 0.3], threshold=0.7)[1].tolist() == pytest.approx([0.9, 0.6, 0.3])


def test_soft_drops_what_falls_under_the_floor():
    assert run("soft", [0.9, 0.6, 0.3], floor=0.25)[0] == [A, D]


def test_soft_lowers_a_score_once_for_each_better_box_it_overlaps():
    # A, B and C lie 2 rows apart: A and C share 6 of 14 rows
    boxes = np.array([A, B, [0, 4, 10, 14], D], np.float32)
    found, scores = run("soft", [0.9, 0.8, 0.84, 0.5], boxes=boxes, threshold=0.4)
    assert found == [A, D, boxes[2].tolist(), B]
    # C: 0.84 x (1 - 6/14) = 0.48; then B: 0.8 x 1/3 x 1/3, lowered by A and by C
    np.testing.assert_allclose(scores, [0.9, 0.5, 0.48, 0.8 / 9], rtol=1e-5)


def test_soft_takes_two_boxes_in_one_place_once_each_without_a_floor():
    found, scores = run("soft", [0.9, 0.6], boxes=np.array([A, A], np.float32), floor=0)
    assert found == [A, A]
    assert scores.tolist() == pytest.approx([0.9, 0])


def test_distance_keeps_two_whose_centres_are_apart():
    # IoU 2/3, centres 2 apart, hull 10 x 12: 2/3 - 4/244 = 0.6503
    assert run("diou", [0.9, 0.6, 0.3], threshold=0.65)[0] == [A, D]
    assert run("diou", [0.9, 0.6, 0.3], threshold=0.66)[0] == [A, B, D]
    assert run("hard", [0.9, 0.6, 0.3], threshold=0.66)[0] == [A, D]


def test_voting_moves_what_stays_to_the_mean_of_what_it_drops():
    found, scores = run("voting", [0.9, 0.6, 0.3])
    np.testing.assert_allclose(found, [[0, 0.8, 10, 10.8], D], rtol=1e-5)  # (0.9 x 0 + 0.6 x 2) / 1.5
    assert scores.tolist() == pytest.approx([0.9, 0.3])


def test_a_box_without_area_keeps_its_place_when_voted_for():
    assert run("voting", [0.5], boxes=np.array([[3, 3, 3, 3]], np.float32))[0] == [[3, 3, 3, 3]]


def test_an_unknown_method_is_named_with_the_nearest():
    with pytest.raises(SettingError, match=r"nms: 'sotf' is unknown.*soft"):
        run("sotf", [0.9, 0.6, 0.3])


def plainly_soft(boxes, scores, floor, threshold):
    """Bodla et al. 2017, figure 3, as it stands there."""
    left, found = dict(enumerate(scores.tolist())), []
    while left and max(left.values()) >= floor:
        best = max(left, key=left.get)
        found.append((boxes[best].tolist(), left.pop(best)))
        for k in left:
            shared = float(iou(boxes[[best]], boxes[[k]])[0, 0])
            left[k] *= 1 - shared if shared > threshold else 1
    return found


@pytest.mark.parametrize("floor", [0.0, 0.05, 0.4])
@pytest.mark.parametrize("count", [0, 1, 30, 200])
def test_soft_is_what_the_paper_writes_down_however_many_there_are(count, floor):
    rng = np.random.default_rng(count)
    corner = rng.uniform(0, 40, (count, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(5, 25, (count, 2))], axis=1).astype(np.float32)
    values = rng.uniform(0, 1, count).astype(np.float32)
    order = np.argsort(-values)
    wanted = plainly_soft(boxes[order], values[order], floor, 0.4)
    found, scores, _ = suppress(boxes, values[:, None], floor, 0.4, 1000, "soft")
    assert len(found) == len(wanted)
    np.testing.assert_allclose(scores, [s for _, s in wanted], rtol=1e-4, atol=1e-12)
    apart = np.diff(scores) < -1e-6  # where two scores all but tie either may come first
    if apart.all():
        np.testing.assert_array_equal(found, np.array([b for b, _ in wanted], np.float32).reshape(-1, 4))


corner = st.integers(0, 40)
box = st.tuples(corner, corner, st.integers(0, 30), st.integers(0, 30)).map(
    lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])
)


@pytest.mark.parametrize("method", METHODS)
@given(st.lists(st.tuples(box, st.lists(st.integers(0, 100), min_size=2, max_size=2)), max_size=12), st.integers(1, 8))
def test_every_method_gives_few_scores_that_fall_and_lie_over_the_floor(method, things, keep):
    boxes = np.array([b for b, _ in things], np.float32).reshape(-1, 4)
    scores = np.array([s for _, s in things], np.float32).reshape(-1, 2) / 100
    before = boxes.copy(), scores.copy()
    found, values, labels = suppress(boxes, scores, 0.05, 0.45, keep, method)
    assert len(found) == len(values) == len(labels) <= keep
    assert (np.diff(values) <= 0).all()
    assert (values >= 0.05 - 1e-6).all()
    assert np.isfinite(found).all()
    assert set(labels.tolist()) <= {0, 1}
    np.testing.assert_array_equal(boxes, before[0])
    np.testing.assert_array_equal(scores, before[1])


@given(st.lists(st.tuples(box, st.lists(st.integers(0, 100), min_size=2, max_size=2)), max_size=12), st.integers(1, 8))
def test_hard_is_what_detectors_always_did(things, keep):
    boxes = np.array([b for b, _ in things], np.float32).reshape(-1, 4)
    scores = np.array([s for _, s in things], np.float32).reshape(-1, 2) / 100
    found, values, labels = suppress(boxes, scores, 0.05, 0.45, keep, "hard")
    rows, expected = nms_per_class(boxes, scores, 0.05, 0.45, keep)
    np.testing.assert_array_equal(found, boxes[rows])
    np.testing.assert_array_equal(values, scores[rows, expected])
    np.testing.assert_array_equal(labels, expected)
