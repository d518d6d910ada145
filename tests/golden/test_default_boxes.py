"""Default boxes worked out by hand, and the counts that the SSD papers print."""

from __future__ import annotations

import math

import numpy as np
import pytest

from passerby.errors import SettingError
from passerby.geometry.anchors import default_boxes, fit_sizes, published_maps, ranged_maps, scales, shape_iou
from passerby.spec import AnchorMap

TWO, FOUR = (2, 1 / 2), (2, 1 / 2, 3, 1 / 3)
F38_SIZES = ((16, 32), (32, 64), (64, 128), (128, 256))


def test_ssd300_has_8732_default_boxes():
    maps = published_maps((38, 19, 10, 5, 3, 1), (TWO, FOUR, FOUR, FOUR, TWO, TWO), side=300)
    assert [len(m.sizes) for m in maps] == [4, 6, 6, 6, 4, 4]
    assert sum(len(m) for m in maps) == 8732
    assert default_boxes(maps, 300, 300).shape == (8732, 4)


def test_ssd512_has_24564_default_boxes():
    maps = published_maps((64, 32, 16, 8, 4, 2, 1), (TWO, FOUR, FOUR, FOUR, FOUR, TWO, TWO), side=512)
    assert [len(m.sizes) for m in maps] == [4, 6, 6, 6, 6, 4, 4]
    assert default_boxes(maps, 512, 512).shape == (24564, 4)


def test_f38_with_two_boxes_a_cell_has_3860_default_boxes():
    boxes = default_boxes(ranged_maps((38, 19, 10, 5), F38_SIZES, 1.7), 300, 300)
    assert boxes.shape == (3860, 4)
    assert boxes.dtype == np.float32


def test_ranged_boxes_keep_size_and_ratio():
    boxes = default_boxes(ranged_maps((38, 19, 10, 5), F38_SIZES, 1.7), 300, 300)
    np.testing.assert_allclose(boxes[:, 3] / boxes[:, 2], 1.7, rtol=1e-5)
    assert sorted({round(math.sqrt(w * h)) for w, h in boxes[:, 2:].astype(float)}) == [16, 32, 64, 128, 256]


def test_scales_of_six_maps_are_the_papers():
    np.testing.assert_allclose(scales(6), [0.2, 0.34, 0.48, 0.62, 0.76, 0.9], rtol=1e-12)


def test_scale_of_one_map_is_the_smallest():
    assert scales(1, 0.3, 0.9) == [0.3]


def test_published_shapes_of_the_first_map_by_hand():
    # s_1 = 0.2 * 300 = 60; the extra square is sqrt(0.2 * 0.34) * 300; ratio 2 is 60 sqrt(2) x 60 / sqrt(2).
    first = published_maps((38, 19, 10, 5, 3, 1), [TWO] * 6, side=300)[0]
    extra = math.sqrt(0.2 * 0.34) * 300
    wide, narrow = 60 * math.sqrt(2), 60 / math.sqrt(2)
    np.testing.assert_allclose(first.sizes, [(60, 60), (extra, extra), (wide, narrow), (narrow, wide)], rtol=1e-9)


def test_extra_square_of_the_last_map_goes_one_step_past_the_largest():
    last = published_maps((38, 19, 10, 5, 3, 1), [TWO] * 6, side=300)[-1]
    np.testing.assert_allclose(last.sizes[1], [math.sqrt(0.9 * 1.04) * 300] * 2, rtol=1e-9)


def test_two_by_two_map_by_hand():
    # 2 rows over 100 pixels: centres at 25 and 75; 2 columns over 200 pixels: centres at 50 and 150.
    boxes = default_boxes([AnchorMap(2, 2, ((20.0, 40.0), (8.0, 8.0)))], height=100, width=200)
    assert boxes.tolist() == [
        [50, 25, 20, 40],
        [50, 25, 8, 8],
        [150, 25, 20, 40],
        [150, 25, 8, 8],
        [50, 75, 20, 40],
        [50, 75, 8, 8],
        [150, 75, 20, 40],
        [150, 75, 8, 8],
    ]


def test_maps_follow_each_other_and_boxes_are_not_clipped():
    boxes = default_boxes([AnchorMap(1, 2, ((4.0, 4.0),)), AnchorMap(1, 1, ((300.0, 300.0),))], 10, 20)
    assert boxes.tolist() == [[5, 5, 4, 4], [15, 5, 4, 4], [10, 5, 300, 300]]


def test_no_map_gives_no_box():
    assert default_boxes([], 300, 300).shape == (0, 4)


@pytest.mark.parametrize(
    ("cells", "sizes", "ratio", "words"),
    [
        ((38, 19), ((16,),), 1.7, "2 maps but sizes for 1"),
        ((38,), ((16, 0),), 1.7, "must be over 0"),
        ((38,), ((16,),), -1.0, "must be over 0"),
        ((0,), ((16,),), 1.7, "between 1 and 300"),
        ((301,), ((16,),), 1.7, "between 1 and 300"),
    ],
)
def test_ranged_maps_name_what_is_wrong(cells, sizes, ratio, words):
    with pytest.raises(SettingError, match=words):
        ranged_maps(cells, sizes, ratio)


def test_published_maps_want_ratios_for_each_map():
    with pytest.raises(SettingError, match="2 maps but ratios for 1"):
        published_maps((38, 19), (TWO,))


def test_shape_iou_by_hand():
    # 10 x 10 and 20 x 5 share 10 x 5 = 50 of 100 + 100 - 50 = 150.
    got = shape_iou(np.array([[10, 10]], np.float32), np.array([[20, 5], [10, 10]], np.float32))
    np.testing.assert_allclose(got, [[1 / 3, 1]], rtol=1e-6)


def test_fit_sizes_recovers_two_clear_clusters_smallest_first():
    rng = np.random.default_rng(3)
    small = np.array([10, 20]) * rng.uniform(0.95, 1.05, (300, 2))
    large = np.array([100, 50]) * rng.uniform(0.95, 1.05, (200, 2))
    shapes = rng.permutation(np.concatenate([large, small])).astype(np.float32)
    fitted = fit_sizes(shapes, 2)
    np.testing.assert_allclose(fitted, [[10, 20], [100, 50]], rtol=0.02)
    np.testing.assert_array_equal(fitted, fit_sizes(shapes, 2))


def test_fit_one_size_is_the_median():
    shapes = np.array([[10, 10], [11, 12], [90, 14]], np.float32)
    assert fit_sizes(shapes, 1).tolist() == [[11, 12]]


@pytest.mark.parametrize("count", [0, 4])
def test_fit_sizes_refuses_what_it_cannot_fit(count):
    with pytest.raises(SettingError, match=f"cannot fit {count} default box shapes to 3 boxes"):
        fit_sizes(np.ones((3, 2), np.float32), count)
