"""What is drawn over a picture: identities, lines, zones, the strip of counts, and the banner."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from passerby.media.draw import ALARM, HEAT, HOT, LINE, ZONE, draw, draw_heat, overlay
from passerby.media.panels import BAR, GAP, SIDE, side_by_side


def black(width=320, height=240):
    return np.zeros((height, width, 3), np.uint8)


def lit(out):
    """Rows and columns that are not black."""
    return np.argwhere(out.any(axis=2))


def test_an_identity_stands_beside_the_score(found):
    plain = found([[20, 60, 120, 140]], [0.83])
    told = draw(black(), replace(plain, ids=np.array([7])))
    assert (told != draw(black(), plain)).any()
    assert (told != draw(black(), replace(plain, ids=np.array([8])))).any()
    np.testing.assert_array_equal(draw(black(), replace(plain, ids=np.array([7])), False), draw(black(), plain, False))


def test_where_score_and_identity_have_no_room_the_identity_stays(found):
    small = replace(found([[100, 60, 120, 90]]), ids=np.array([7]))
    assert (draw(black(), small) != draw(black(), small, scores=False)).any()
    tiny = replace(found([[100, 60, 106, 66]]), ids=np.array([7]))
    np.testing.assert_array_equal(draw(black(), tiny), draw(black(), tiny, scores=False))


def test_thick_lines_are_thick(found):
    thin, thick = (draw(black(), found([[20, 30, 120, 90]]), False, thick=k) for k in (1, 3))
    assert len(lit(thick)) > len(lit(thin))


def test_nothing_to_say_is_a_copy(make_pixels):
    pixels = make_pixels(320, 240)
    out = overlay(pixels)
    np.testing.assert_array_equal(out, pixels)
    assert not np.shares_memory(out, pixels)


def test_a_line_goes_from_start_to_end_with_an_arrow_to_its_right_hand():
    out = overlay(black(), {"door": ((160, 20), (160, 220))}, people=None)
    assert tuple(out[60, 160]) == LINE
    upper = out[:180]  # above its name
    columns = lit(upper)[:, 1]
    assert columns.min() < 152  # going down the picture, the right hand is on the left
    assert columns.max() <= 164


def test_counts_change_what_is_written():
    line = {"door": ((160, 20), (160, 220))}
    one, two = (overlay(black(), line, None, {"door": {"in": n, "out": 0}}, 1) for n in (1, 2))
    rows = np.argwhere((one != two).any(axis=2))[:, 0]
    assert rows.min() < 40  # in the strip
    assert rows.max() > 180  # at the line


def test_a_zone_is_filled_lightly_within_its_corners():
    out = overlay(black(), None, {"desk": [(100, 100), (220, 100), (220, 200), (100, 200)]})
    assert out[150, 160].any()
    assert tuple(out[150, 100]) == ZONE
    assert out[150, 160].max() < 60
    assert not out[210:].any()
    assert not out[:, :90].any()


def test_the_banner_is_red_over_the_whole_width():
    out = overlay(black(), note="STALE 12 s")
    assert (out[120, :3] == ALARM).all()
    assert (out[120, -3:] == ALARM).all()
    assert not out[:40].any()
    assert (out != overlay(black(), note="LOST 12 s")).any()


@pytest.mark.parametrize(("width", "height"), [(1, 1), (16, 9), (5000, 40)])
def test_any_size_can_be_drawn_on(width, height):
    lines, zones = {"a": ((0, 0), (width, height))}, {"b": [(0, 0), (width, 0), (width, height)]}
    out = overlay(black(width, height), lines, zones, {"a": {"in": 1, "out": 2}}, 3, "LOST 3 s")
    assert out.shape == (height, width, 3)


def test_a_line_past_the_border_and_a_line_of_no_length_are_no_error():
    overlay(black(), {"a": ((-50, -50), (900, 900)), "b": ((5, 5), (5, 5))}, people=2)


def test_heat_leaves_the_picture_where_there_is_none_and_reddens_it_where_it_is_high(make_pixels):
    pixels = make_pixels(64, 48)
    before = pixels.copy()
    np.testing.assert_array_equal(draw_heat(pixels, np.zeros((3, 4), np.float32)), pixels)
    hot = draw_heat(pixels, np.ones((48, 64), np.float32)).astype(int)
    np.testing.assert_allclose(hot, pixels + HEAT * (np.array(HOT) - pixels.astype(int)), atol=0.6)
    np.testing.assert_array_equal(pixels, before)
    assert (draw_heat(pixels, np.zeros((3, 4), np.float32), "person 0.97") != pixels).any()


def test_panels_stand_side_by_side_under_their_titles(make_pixels):
    wide = make_pixels(200, 100)
    one, two = side_by_side([("a", wide)]), side_by_side([("a", wide), ("b", wide)])
    assert one.shape == (BAR + SIDE // 2, SIDE, 3)
    assert two.shape == (BAR + SIDE // 2, 2 * SIDE + GAP, 3)
    with_legend = side_by_side([("a", wide)], "score")
    np.testing.assert_array_equal(with_legend[:, :SIDE], one)
    strip = with_legend[BAR:, SIDE + GAP + 10].astype(int)
    assert (np.diff(strip[:, 0]) <= 0).all()  # red fades from 1 at the top to grey at 0
    assert strip[-1].tolist() == [150, 150, 150]


def test_a_panel_of_a_thin_picture_is_as_wide_as_its_title():
    assert side_by_side([("a title that is long", black(2, 400))]).shape[1] > 100
