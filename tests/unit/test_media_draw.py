"""Boxes drawn: where, in which colour, and on a copy."""

from __future__ import annotations

import numpy as np
import pytest

from passerby import draw
from passerby.media.draw import COLOURS


def black(width=200, height=150):
    return np.zeros((height, width, 3), np.uint8)


def test_the_picture_itself_is_not_changed(found):
    pixels = black()
    pixels.flags.writeable = False
    out = draw(pixels, found([[20, 30, 120, 90]]))
    assert not pixels.any()
    assert out.any()
    assert out.shape == pixels.shape
    assert out.dtype == np.uint8


def test_nothing_found_is_a_copy(found, make_pixels):
    pixels = make_pixels(200, 150)
    out = draw(pixels, found())
    np.testing.assert_array_equal(out, pixels)
    assert not np.shares_memory(out, pixels)


def test_a_box_is_drawn_on_its_own_edge_pixels(found):
    # x 20 to 120, y 30 to 90: the first and last pixels inside are 20, 119 and 30, 89
    out = draw(black(), found([[20, 30, 120, 90]]), scores=False)
    for x, y in ((20, 60), (119, 60), (60, 30), (60, 89), (20, 30), (119, 89)):
        assert tuple(out[y, x]) == COLOURS[0], (x, y)
    assert not out[34:86, 24:116].any()  # inside
    outside = out.copy()
    outside[28:92, 18:122] = 0
    assert not outside.any()


def test_each_label_has_its_colour(found):
    boxes = [[20, 30, 60, 90], [100, 30, 140, 90]]
    out = draw(black(), found(boxes, labels=[0, 1], names=("head", "person")), scores=False)
    assert tuple(out[60, 20]) == COLOURS[0]
    assert tuple(out[60, 100]) == COLOURS[1]
    assert COLOURS[0] != COLOURS[1]


def test_more_labels_than_colours_are_no_error(found):
    last = len(COLOURS)
    out = draw(black(), found([[20, 30, 60, 90]], labels=[last], names=tuple(map(str, range(last + 1)))))
    assert tuple(out[60, 20]) == COLOURS[0]


def test_the_best_detection_lies_on_top(found):
    box = [20, 30, 60, 90]
    out = draw(black(), found([box, box], [0.9, 0.5], [1, 0], ("head", "person")), scores=False)
    assert tuple(out[60, 20]) == COLOURS[1]


def test_the_score_stands_above_a_wide_box(found):
    wide = found([[20, 60, 120, 120]])
    plain, told = draw(black(), wide, scores=False), draw(black(), wide)
    changed = np.argwhere((plain != told).any(axis=2))
    assert len(changed) > 0
    assert changed[:, 0].max() <= 62
    assert changed[:, 0].min() > 30


def test_a_score_has_no_room_on_a_small_box(found):
    small = found([[20, 60, 26, 66]])
    np.testing.assert_array_equal(draw(black(), small), draw(black(), small, scores=False))


def test_a_view_can_be_drawn_on(found, make_pixels):
    view = make_pixels(200, 150)[::-1, ::2]
    out = draw(view, found([[10, 10, 40, 60]]), scores=False)
    np.testing.assert_array_equal(out[80:], view[80:])


@pytest.mark.parametrize(
    "box",
    [[0, 0, 1, 1], [0, 0, 200, 150], [150, 100, 300, 300], [-50, -50, 20, 20], [30, 30, 30, 30], [199, 149, 200, 150]],
    ids=str,
)
@pytest.mark.parametrize(("width", "height"), [(200, 150), (1, 1), (20_000, 20)])
def test_boxes_at_and_past_the_border_are_no_error(found, box, width, height):
    assert draw(black(width, height), found([box])).shape == (height, width, 3)
