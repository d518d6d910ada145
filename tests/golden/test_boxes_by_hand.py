"""Box arithmetic worked out by hand: convert, clip, overlap, offsets."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from passerby.errors import ShapeError
from passerby.geometry.boxes import area, as_boxes, clip, decode, encode, intersection, iou, to_centres, to_corners


def boxes(*rows):
    return np.array(rows, np.float32)


def floats(low, high):
    return st.floats(low, high, width=32)


CENTRES = arrays(np.float32, st.tuples(st.integers(1, 6), st.just(2)), elements=floats(-500, 500))


def test_corners_and_centres_by_hand():
    corners = boxes([10, 20, 30, 60])
    assert to_centres(corners).tolist() == [[20, 40, 20, 40]]
    assert to_corners(to_centres(corners)).tolist() == corners.tolist()


def test_area_by_hand_and_swapped_corners_have_none():
    assert area(boxes([0, 0, 4, 5], [4, 0, 0, 5], [4, 5, 0, 0], [3, 3, 3, 9])).tolist() == [20, 0, 0, 0]


def test_clip_cuts_at_width_then_height():
    assert clip(boxes([-5, -5, 500, 500], [1, 2, 3, 4]), 60, 40).tolist() == [[0, 0, 60, 40], [1, 2, 3, 4]]


def test_iou_by_hand():
    a = boxes([0, 0, 10, 10])
    b = boxes([0, 0, 10, 10], [5, 5, 15, 15], [0, 0, 10, 20], [10, 0, 20, 10], [2, 2, 4, 4])
    # identical; 25 of 175; 100 of 200; touching edges share nothing; 4 inside 100
    np.testing.assert_allclose(iou(a, b), [[1, 1 / 7, 0.5, 0, 0.04]], rtol=1e-6)
    assert intersection(a, b).tolist() == [[100, 25, 100, 0, 4]]


def test_iou_of_boxes_without_area_is_zero_not_nan():
    assert iou(boxes([3, 3, 3, 3]), boxes([3, 3, 3, 3], [0, 0, 9, 9])).tolist() == [[0, 0]]


@pytest.mark.parametrize(("n", "m"), [(0, 3), (3, 0), (0, 0)])
def test_iou_with_nothing_is_empty(n, m):
    assert iou(np.ones((n, 4), np.float32), np.ones((m, 4), np.float32)).shape == (n, m)


@given(st.lists(st.tuples(*[st.integers(0, 40)] * 4), min_size=1, max_size=5))
def test_iou_is_symmetric_within_0_and_1_and_1_with_itself(rows):
    b = np.array([(x, y, x + w + 1, y + h + 1) for x, y, w, h in rows], np.float32)
    overlaps = iou(b, b)
    np.testing.assert_array_equal(overlaps, overlaps.T)
    assert overlaps.min() >= 0
    assert overlaps.max() <= 1
    np.testing.assert_array_equal(np.diag(overlaps), np.ones(len(b)))


def test_encode_by_hand():
    # centre moves by 4 of 20 and by -4 of 40, width doubles, height stays; divided by the variances 0.1 and 0.2
    offsets = encode(boxes([34, 26, 74, 66]), boxes([50, 50, 20, 40]))
    np.testing.assert_allclose(offsets, [[2, -1, math.log(2) / 0.2, 0]], rtol=1e-6, atol=1e-6)
    assert offsets.dtype == np.float32


def test_encode_with_unit_variance_is_the_papers_equation():
    offsets = encode(boxes([34, 26, 74, 66]), boxes([50, 50, 20, 40]), (1.0, 1.0))
    np.testing.assert_allclose(offsets, [[0.2, -0.1, math.log(2), 0]], rtol=1e-6, atol=1e-6)


def test_decode_of_zero_offsets_is_the_default_box():
    assert decode(np.zeros((1, 4), np.float32), boxes([50, 50, 20, 40])).tolist() == [[40, 30, 60, 70]]


@given(CENTRES, st.data())
def test_decode_is_the_inverse_of_encode(centres, data):
    sizes = arrays(np.float32, centres.shape, elements=floats(1, 500))
    truth = to_corners(np.concatenate([centres, data.draw(sizes)], axis=1))
    places = arrays(np.float32, centres.shape, elements=floats(0, 300))
    anchors = np.concatenate([data.draw(places), data.draw(sizes)], axis=1)
    np.testing.assert_allclose(decode(encode(truth, anchors), anchors), truth, rtol=1e-4, atol=2e-2)


@pytest.mark.parametrize("turn", [encode, decode])
def test_offsets_want_one_default_box_each(turn):
    with pytest.raises(ShapeError, match=r"\(2, 4\).*\(3, 4\)"):
        turn(np.ones((2, 4), np.float32), np.ones((3, 4), np.float32))


def test_offsets_want_four_columns():
    with pytest.raises(ShapeError, match=r"\(A, 4\)"):
        encode(np.ones((2, 5), np.float32), np.ones((2, 5), np.float32))


def test_as_boxes_takes_lists_and_nothing():
    assert as_boxes([[1, 2, 3, 4]]).dtype == np.float32
    assert as_boxes([]).shape == (0, 4)
    with pytest.raises(ShapeError, match=r"shape \(2, 3\), want \(N, 4\)"):
        as_boxes([[1, 2, 3], [4, 5, 6]])
