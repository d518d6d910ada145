"""The only place where pixels scale: one resize for training and for use, with the way back.

Three rules: `stretch` fills the input whatever the picture's shape; `letterbox` keeps the shape and pads with grey;
`bounded` stretches until one side is scaled by BOUND more than the other, and pads what is left.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache

import cv2
import numpy as np

from passerby.errors import SettingError, did_you_mean
from passerby.geometry.boxes import Floats, clip
from passerby.geometry.planes import Planes
from passerby.records import Pixels

BOUND = 1.25  # 4:3 to 16:9 fill a 3:2 input; upright and square pictures are not pressed flat
BOUNDS = {"stretch": math.inf, "bounded": BOUND, "letterbox": 1.0}  # most that one side may be scaled over the other
RULES = tuple(BOUNDS)
GREY = 114  # the padding of YOLO's letterbox, near the mean of natural pictures
AREA_FROM = 2.5  # bilinear reads 2 x 2 pixels: past this shrink it skips some, so pixels are averaged instead


@dataclass(frozen=True)
class Placement:
    """How a picture lies in the network's input: input = picture * scale + pad, in pixels."""

    width: int
    height: int
    scale_x: float
    scale_y: float
    pad_x: int = 0
    pad_y: int = 0

    def forth(self, boxes: Floats) -> Floats:
        """Boxes (N, 4) in picture pixels -> input pixels; `back` is the inverse."""
        return (boxes * self._scale + self._pad).astype(np.float32)

    def back(self, boxes: Floats) -> Floats:
        """Boxes (N, 4) in input pixels -> picture pixels, cut at the picture's border."""
        return clip(((boxes - self._pad) / self._scale).astype(np.float32), self.width, self.height)

    @cached_property
    def _scale(self) -> Floats:
        return np.array([self.scale_x, self.scale_y] * 2, np.float32)

    @cached_property
    def _pad(self) -> Floats:
        return np.array([self.pad_x, self.pad_y] * 2, np.float32)


@lru_cache(256)
def place(width: int, height: int, input_width: int, input_height: int, rule: str) -> Placement:
    """Where a width x height picture lands in the input under a rule; a padded picture is centred.

    Raises SettingError for an unknown rule.
    """
    if rule not in RULES:
        raise SettingError(f"resize rule '{rule}' is unknown{did_you_mean(rule, RULES)}")
    new_w, new_h = _inner(width, height, input_width, input_height, BOUNDS[rule])
    return Placement(
        width, height, new_w / width, new_h / height, (input_width - new_w) // 2, (input_height - new_h) // 2
    )


def fit(
    pixels: Pixels | Planes, input_width: int, input_height: int, rule: str = "stretch"
) -> tuple[Pixels, Placement]:
    """Resize a picture into the network's input.

    pixels   (H, W, 3) uint8, or a video's planes, which become RGB at the new size
    returns  (input_height, input_width, 3) uint8, and the Placement that maps boxes forth and back
    """
    height, width = pixels.shape[:2]
    placement = place(width, height, input_width, input_height, rule)
    new_w, new_h = _inner(width, height, input_width, input_height, BOUNDS[rule])
    if (new_w, new_h) == (input_width, input_height):
        return scale_to(pixels, input_width, input_height), placement
    canvas = np.full((input_height, input_width, 3), GREY, np.uint8)
    y, x = placement.pad_y, placement.pad_x
    canvas[y : y + new_h, x : x + new_w] = scale_to(pixels, new_w, new_h)
    return canvas, placement


def scale_to(pixels: Pixels | Planes, width: int, height: int) -> Pixels:
    """Pixels (H, W, 3) uint8 at width x height: bilinear, or averaged where the shrink is over AREA_FROM.

    A video's planes are scaled one by one and become RGB then: half as many numbers to scale, and none of the picture's
    other pixels to convert. Converting first gives the same but for rounding, and for colours at edges.
    """
    if isinstance(pixels, Planes):
        if width % 2 or height % 2 or pixels.shape == (height, width):
            return scale_to(pixels.rgb(), width, height)
        u, v = (scale_to(plane, width // 2, height // 2) for plane in (pixels.u, pixels.v))
        return Planes(scale_to(pixels.y, width, height), u, v, pixels.full).rgb()
    shrink = max(pixels.shape[1] / width, pixels.shape[0] / height)
    if shrink == 1 and pixels.shape[:2] == (height, width):
        return pixels
    rule = cv2.INTER_AREA if shrink > AREA_FROM else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=rule), np.uint8)


@lru_cache(256)
def _inner(width: int, height: int, input_width: int, input_height: int, bound: float) -> tuple[int, int]:
    """Width and height of the picture in the input; bound: of BOUNDS."""
    across, down = input_width / width, input_height / height
    most = min(across, down) * bound
    return (
        min(input_width, max(1, round(width * min(across, most)))),
        min(input_height, max(1, round(height * min(down, most)))),
    )
