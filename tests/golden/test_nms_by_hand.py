"""Suppression worked out by hand."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from passerby.geometry.boxes import iou
from passerby.geometry.nms import nms, nms_per_class

# B overlaps A by 8 of 12 rows (IoU 2/3); C lies on B by 6 of 14 (3/7), on A by 2 of 18 (1/9); D is far away.
A, B, C, D = [0, 0, 10, 10], [0, 2, 10, 12], [0, 6, 10, 16], [50, 50, 60, 60]
FOUR = np.array([A, B, C, D], np.float32)


def scores(*values):
    return np.array(values, np.float32)


def test_the_higher_score_stays():
    assert nms(FOUR, scores(0.9, 0.8, 0.7, 0.6), 0.45).tolist() == [0, 2, 3]
    assert nms(FOUR, scores(0.8, 0.9, 0.7, 0.6), 0.45).tolist() == [1, 2, 3]


def test_a_dropped_box_drops_nobody():
    # at 0.4, B would drop C (3/7), but A has dropped B
    assert nms(FOUR, scores(0.9, 0.8, 0.7, 0.6), 0.4).tolist() == [0, 2, 3]
    assert nms(FOUR, scores(0.7, 0.9, 0.8, 0.6), 0.4).tolist() == [1, 3]


def test_order_is_by_score_not_by_row():
    assert nms(FOUR, scores(0.1, 0.2, 0.3, 0.4), 1.0).tolist() == [3, 2, 1, 0]


def test_equal_scores_keep_their_order():
    assert nms(FOUR, scores(0.5, 0.5, 0.5, 0.5), 0.45).tolist() == [0, 2, 3]
    # turned round: D, C, B, A; C and B stay (3/7), B drops A
    assert nms(FOUR[::-1], scores(0.5, 0.5, 0.5, 0.5), 0.45).tolist() == [0, 1, 2]


def test_only_an_overlap_over_the_threshold_drops():
    half = np.array([[0, 0, 10, 10], [0, 0, 10, 20]], np.float32)  # IoU exactly 0.5
    assert nms(half, scores(0.9, 0.8), 0.5).tolist() == [0, 1]
    assert nms(half, scores(0.9, 0.8), 0.4999).tolist() == [0]


def test_limit_looks_at_the_highest_scores_only():
    assert nms(FOUR, scores(0.1, 0.2, 0.3, 0.4), 0.45, limit=2).tolist() == [3, 2]


def test_no_box_gives_no_index():
    assert nms(np.zeros((0, 4), np.float32), scores(), 0.45).tolist() == []


def test_classes_do_not_suppress_each_other():
    both = np.array([[0.9, 0.2], [0.3, 0.8], [0.0, 0.0], [0.0, 0.5]], np.float32)
    rows, labels = nms_per_class(FOUR, both, floor=0.1, threshold=0.45, keep=200)
    # class 0: A (0.9) drops B (0.3); class 1: B (0.8) drops A (0.2), D (0.5) stays; highest score first
    assert list(zip(rows.tolist(), labels.tolist(), strict=True)) == [(0, 0), (1, 1), (3, 1)]


def test_scores_under_the_floor_go_and_the_floor_itself_stays():
    column = np.array([[0.5], [0.0], [0.25], [0.125]], np.float32)
    rows, _ = nms_per_class(FOUR, column, floor=0.25, threshold=0.45, keep=200)
    assert rows.tolist() == [0, 2]


def test_a_box_under_the_floor_suppresses_nobody():
    rows, _ = nms_per_class(FOUR[:2], np.array([[0.05], [0.04]], np.float32), floor=0.045, threshold=0.45, keep=9)
    assert rows.tolist() == [0]


def test_keep_counts_over_all_classes():
    both = np.array([[0.9, 0.85], [0.0, 0.0], [0.7, 0.0], [0.6, 0.95]], np.float32)
    rows, labels = nms_per_class(FOUR, both, floor=0.1, threshold=0.45, keep=3)
    assert list(zip(rows.tolist(), labels.tolist(), strict=True)) == [(3, 1), (0, 0), (0, 1)]


def test_nothing_over_the_floor_gives_two_empty_columns():
    rows, labels = nms_per_class(FOUR, np.zeros((4, 2), np.float32), floor=0.01, threshold=0.45, keep=200)
    assert rows.shape == labels.shape == (0,)


@given(st.lists(st.tuples(*[st.integers(0, 12)] * 4, st.integers(0, 4)), max_size=14), st.sampled_from([0.2, 0.5, 0.7]))
def test_kept_boxes_lie_apart_and_every_dropped_box_lies_on_a_better_one(rows, threshold):
    boxes = np.array([(x, y, x + w + 1, y + h + 1) for x, y, w, h, _ in rows], np.float32).reshape(-1, 4)
    marks = np.array([s / 4 for *_, s in rows], np.float32)
    kept = nms(boxes, marks, threshold).tolist()
    overlaps = iou(boxes, boxes)
    assert all(overlaps[i, j] <= threshold for i in kept for j in kept if i != j)
    for i in set(range(len(rows))) - set(kept):
        assert any(overlaps[i, k] > threshold and (-marks[k], k) < (-marks[i], i) for k in kept)
