"""Pictures in planes: colours by the formulas of BT.601, and the same picture as when it is converted first."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from passerby.errors import ShapeError
from passerby.geometry.planes import PlanarFrame, Planes
from passerby.geometry.resize import RULES, fit, scale_to
from passerby.records import Frame


def one_colour(y, u, v, full=False, height=4, width=6):
    half = height // 2, width // 2
    return Planes(np.full((height, width), y, np.uint8), np.full(half, u, np.uint8), np.full(half, v, np.uint8), full)


@pytest.mark.parametrize(
    ("yuv", "full", "rgb"),
    [
        ((126, 128, 128), False, (128, 128, 128)),  # (126 - 16) * 255 / 219
        ((16, 128, 128), False, (0, 0, 0)),
        ((235, 128, 128), False, (255, 255, 255)),
        ((81, 90, 240), False, (254, 0, 0)),  # Poynton 2012, "Digital video and HD", table 26.3: red
        ((145, 54, 34), False, (0, 255, 1)),  # green
        ((41, 240, 110), False, (0, 0, 255)),  # blue
        ((126, 128, 128), True, (126, 126, 126)),
        ((76, 85, 255), True, (254, 0, 0)),
        ((150, 44, 21), True, (0, 255, 1)),
    ],
)
def test_colours_are_those_of_bt_601(yuv, full, rgb):
    pixels = one_colour(*yuv, full).rgb()
    assert pixels.shape == (4, 6, 3)
    assert pixels.dtype == np.uint8
    assert np.abs(pixels.astype(int) - rgb).max() <= 2


def test_four_pixels_share_a_colour_and_keep_their_brightness():
    y = np.array([[50, 60, 70, 80], [90, 100, 110, 120]], np.uint8)
    u, v = np.array([[128, 128]], np.uint8), np.array([[128, 180]], np.uint8)
    for full in (False, True):
        pixels = Planes(y, u, v, full).rgb().astype(int)
        assert (np.ptp(pixels[:, :2], axis=2) == 0).all()  # grey
        assert (pixels[:, 2:, 0] > pixels[:, 2:, 1] + 40).all()  # redder, all four
        assert (np.diff(pixels[:, :2, 1].ravel()) > 0).all()


@pytest.mark.parametrize(
    ("y", "u", "v"),
    [((4, 6), (2, 3), (2, 2)), ((4, 6), (4, 6), (4, 6)), ((5, 6), (2, 3), (2, 3)), ((4, 7), (2, 3), (2, 3))],
)
def test_planes_that_do_not_fit_together_are_told(y, u, v):
    with pytest.raises(ShapeError, match="want even sides, and halves"):
        Planes(*(np.zeros(shape, np.uint8) for shape in (y, u, v)))


def test_a_frame_of_planes_is_a_frame_whose_pixels_come_when_asked_for(monkeypatch):
    asked = []
    rgb = Planes.rgb
    monkeypatch.setattr(Planes, "rgb", lambda self: asked.append(1) or rgb(self))
    frame = PlanarFrame(one_colour(126, 128, 128), "door", 3, 0.5)
    assert isinstance(frame, Frame)
    assert (frame.width, frame.height, frame.source, frame.index, frame.time) == (6, 4, "door", 3, 0.5)
    assert not asked
    assert (frame.pixels == 128).all()
    assert frame.pixels is frame.pixels
    assert len(asked) == 1


def planes_of(pixels, full=False):
    """(H, W, 3) RGB -> planes, by OpenCV."""
    height, width = pixels.shape[:2]
    if full:
        y, red, blue = cv2.split(cv2.cvtColor(pixels, cv2.COLOR_RGB2YCrCb))
        half = width // 2, height // 2
        return Planes(y, *(cv2.resize(c, half, interpolation=cv2.INTER_AREA) for c in (blue, red)), True)
    block = cv2.cvtColor(pixels, cv2.COLOR_RGB2YUV_I420)
    u, v = block[height:].reshape(2, height // 2, width // 2)
    return Planes(block[:height], u, v)


def picture(height, width, low, high, channels):
    """Numbers from `low` to `high` that change slowly, as four pixels share a colour; one channel: grey."""
    small = np.random.default_rng(0).integers(low, high, (4, 5, channels)).astype(np.uint8)
    large = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR).reshape(height, width, channels)
    return np.ascontiguousarray(np.broadcast_to(large, (height, width, 3)))


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("size", [(48, 64), (120, 90), (480, 640), (400, 30), (48, 32), (20, 20)])
@pytest.mark.parametrize(("colours", "mean", "most"), [((0, 255, 1), 1, 2), ((110, 150, 3), 1.5, 12)])
def test_planes_fit_as_their_rgb_does(size, rule, full, colours, mean, most):
    planes = planes_of(picture(*size, *colours), full)
    pixels, placement = fit(planes, 48, 32, rule)
    wanted, same = fit(planes.rgb(), 48, 32, rule)
    assert placement == same
    assert pixels.shape == (32, 48, 3)
    apart = np.abs(pixels.astype(int) - wanted)
    assert apart.mean() < mean
    assert apart.max() <= most


def test_planes_of_the_right_size_or_an_odd_one_are_converted_first():
    planes = planes_of(picture(40, 60, 0, 255, 3))
    np.testing.assert_array_equal(scale_to(planes, 60, 40), planes.rgb())
    np.testing.assert_array_equal(scale_to(planes, 31, 20), scale_to(planes.rgb(), 31, 20))
    np.testing.assert_array_equal(scale_to(planes, 30, 21), scale_to(planes.rgb(), 30, 21))
