"""Parts of a picture: what is left of the truth in them, and how tiles lie over a picture."""

from __future__ import annotations

import math

import numpy as np

from passerby.errors import SettingError
from passerby.geometry.boxes import area, clip, intersection
from passerby.records import Truth

KEEP = 0.5  # an object counts when at least this share of it lies inside the part
Part = tuple[int, int, int, int]  # x, y, width, height


def cut(truth: Truth, x: int, y: int, width: int, height: int) -> Truth:
    """Truth of the part at (x, y): boxes are clipped, and objects wholly outside go.

    An object of which less than KEEP remains can neither be asked for nor punished: it stays as an ignore region.
    """
    part = np.array([[x, y, x + width, y + height]], np.float32)
    shared = intersection(truth.boxes, part)[:, 0]
    share = shared / np.maximum(area(truth.boxes), 1e-6)
    seen = share > 0
    moved = clip(truth.boxes - np.array([x, y, x, y], np.float32), width, height)
    return Truth(moved, truth.labels, truth.difficult, truth.ignore | (share < KEEP))[seen]


def tiles(width: int, height: int, tile_width: int, tile_height: int, overlap: float) -> list[Part]:
    """Tiles that cover a picture, row by row: x, y, width, height, pixels.

    overlap  least share of a tile that the next one covers again, 0 to under 1

    All tiles have the same size, or the picture's where that is smaller; the last of a row or column ends at the
    border, so that none is padded. Raises SettingError for a tile without pixels or an overlap out of range.
    """
    if tile_width < 1 or tile_height < 1 or not 0 <= overlap < 1:
        raise SettingError(
            f"tiles of {tile_width} x {tile_height} that overlap by {overlap:g}: want over 0, and 0 to 1"
        )
    w, h = min(tile_width, width), min(tile_height, height)
    return [(x, y, w, h) for y in _starts(height, h, overlap) for x in _starts(width, w, overlap)]


def _starts(length: int, tile: int, overlap: float) -> list[int]:
    room = length - tile
    if room == 0:
        return [0]
    count = math.ceil(room / max(1.0, tile * (1 - overlap))) + 1
    return [round(i * room / (count - 1)) for i in range(count)]
