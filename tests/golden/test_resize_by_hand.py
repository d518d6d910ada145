"""Where a picture lands in the input under each rule, and the way back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from passerby.errors import SettingError
from passerby.geometry.resize import GREY, RULES, Placement, fit, place, scale_to
from passerby.spec import RESIZE

WHOLE = {"width": st.integers(1, 5000), "height": st.integers(1, 5000), "side": st.sampled_from([32, 300, 512])}


def boxes(*rows):
    return np.array(rows, np.float32)


def test_stretch_by_hand():
    placement = place(600, 150, 300, 300, "stretch")
    assert placement == Placement(600, 150, 0.5, 2.0, 0, 0)
    assert placement.forth(boxes([60, 30, 600, 150])).tolist() == [[30, 60, 300, 300]]
    assert placement.back(boxes([30, 60, 300, 300])).tolist() == [[60, 30, 600, 150]]


def test_letterbox_by_hand():
    # 400 x 200 in 300 x 300: three quarters, 300 x 150, 75 rows of grey above and below
    placement = place(400, 200, 300, 300, "letterbox")
    assert placement == Placement(400, 200, 0.75, 0.75, 0, 75)
    there = placement.forth(boxes([0, 0, 400, 200], [40, 80, 80, 120]))
    assert there.tolist() == [[0, 75, 300, 225], [30, 135, 60, 165]]
    assert placement.back(boxes([30, 135, 60, 165])).tolist() == [[40, 80, 80, 120]]


def test_upright_letterbox_pads_left_and_right_and_enlarges():
    assert place(50, 100, 300, 300, "letterbox") == Placement(50, 100, 3.0, 3.0, 75, 0)


def test_bounded_stretches_as_far_as_it_may_and_pads_the_rest():
    # 400 x 200 in 300 x 300: across 0.75, down at most 0.75 x 1.25
    placement = place(400, 200, 300, 300, "bounded")
    assert placement == Placement(400, 200, 0.75, 188 / 200, 0, 56)
    assert place(200, 400, 300, 300, "bounded") == Placement(200, 400, 188 / 200, 0.75, 56, 0)
    pixels, _ = fit(np.full((200, 400, 3), 7, np.uint8), 300, 300, "bounded")
    assert (pixels[:56] == GREY).all()
    assert (pixels[56:244] == 7).all()
    assert (pixels[244:] == GREY).all()


@pytest.mark.parametrize(("width", "height"), [(640, 480), (1920, 1080), (600, 400), (720, 480)])
def test_bounded_is_stretch_for_the_usual_shapes(width, height):
    assert place(width, height, 576, 384, "bounded") == place(width, height, 576, 384, "stretch")


def test_the_rules_are_those_of_model_files():
    assert RULES == RESIZE


def test_boxes_in_the_padding_come_back_cut_at_the_border():
    placement = place(400, 200, 300, 300, "letterbox")
    assert placement.back(boxes([-10, 0, 310, 300])).tolist() == [[0, 0, 400, 200]]


def test_one_pixel_fills_the_input_under_every_rule():
    for rule in RULES:
        pixels, placement = fit(np.full((1, 1, 3), 200, np.uint8), 300, 300, rule)
        assert pixels.shape == (300, 300, 3)
        assert set(np.unique(pixels)) == {200}
        assert placement.back(boxes([0, 0, 300, 300])).tolist() == [[0, 0, 1, 1]]


def test_a_20000_x_20_picture_becomes_one_row_in_the_middle():
    pixels, placement = fit(np.full((20, 20000, 3), 255, np.uint8), 300, 300, "letterbox")
    assert (placement.pad_x, placement.pad_y) == (0, 149)
    assert set(np.unique(pixels[149])) == {255}
    assert set(np.unique(np.delete(pixels, 149, axis=0))) == {GREY}
    np.testing.assert_allclose(placement.back(boxes([0, 149, 300, 150])), [[0, 0, 20000, 20]], rtol=1e-6)


def test_a_20000_x_20_picture_stretches():
    pixels, placement = fit(np.full((20, 20000, 3), 7, np.uint8), 300, 200, "stretch")
    assert pixels.shape == (200, 300, 3)
    assert (placement.scale_x, placement.scale_y) == (300 / 20000, 10.0)


@given(rule=st.sampled_from(RULES), corners=st.lists(st.floats(0, 1), min_size=4, max_size=4), **WHOLE)
def test_boxes_inside_the_picture_come_back(rule, corners, width, height, side):
    x0, x1 = sorted(corners[:2])
    y0, y1 = sorted(corners[2:])
    box = boxes([x0 * width, y0 * height, x1 * width, y1 * height])
    placement = place(width, height, side, side, rule)
    there = placement.forth(box)
    np.testing.assert_allclose(placement.back(there), box, rtol=1e-3, atol=1e-3 * max(width, height))
    assert there.min() >= -1e-3
    assert there.max() <= side * (1 + 1e-5)


@given(rule=st.sampled_from(RULES), **WHOLE)
def test_the_whole_picture_covers_the_inner_rectangle(rule, width, height, side):
    placement = place(width, height, side, side, rule)
    x0, y0, x1, y1 = placement.forth(boxes([0, 0, width, height]))[0]
    np.testing.assert_allclose([x0, y0], [placement.pad_x, placement.pad_y])
    left_over = (side - (x1 - x0) - 2 * x0, side - (y1 - y0) - 2 * y0)
    assert all(-1e-3 <= v <= 1 + 1e-3 for v in left_over)  # centred; an odd padding leaves one pixel


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(("width", "height"), [(120, 80), (80, 120), (640, 640), (1600, 500)])
def test_pixels_land_where_boxes_land(rule, width, height):
    pixels = np.zeros((height, width, 3), np.uint8)
    box = boxes([width * 0.25, height * 0.5, width * 0.75, height * 0.875])
    x0, y0, x1, y1 = box[0].astype(int)
    pixels[y0:y1, x0:x1] = 255
    small, placement = fit(pixels, 300, 300, rule)
    rows, columns = np.where(small[..., 0] > 184)  # halfway between the padding's grey and white
    seen = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    np.testing.assert_allclose(seen, placement.forth(box)[0], atol=1.01)


def test_same_size_is_left_alone_and_a_strong_shrink_averages():
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[::4] = 200  # one row in four: the mean is 50, while two neighbours give 0 or 100
    assert scale_to(pixels, 8, 8) is pixels
    assert scale_to(pixels, 2, 2).tolist() == np.full((2, 2, 3), 50).tolist()


def test_an_unknown_rule_names_the_nearest():
    with pytest.raises(SettingError, match=r"resize rule 'leterbox' is unknown \(did you mean 'letterbox'\?\)"):
        place(10, 10, 300, 300, "leterbox")
    with pytest.raises(SettingError, match="crop"):
        fit(np.zeros((4, 4, 3), np.uint8), 300, 300, "crop")
