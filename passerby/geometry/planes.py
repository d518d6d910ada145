"""A video's picture as its decoder gives it, brightness and colours in planes: RGB where somebody asks for it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from passerby.errors import ShapeError
from passerby.records import Frame, Pixels


@dataclass(frozen=True)
class Planes:
    """YUV 4:2:0, BT.601, uint8; the planes are the decoder's own memory, and read only.

    y     (H, W) brightness, both sides even
    u, v  (H / 2, W / 2) colours
    full  brightness from 0 to 255, as in JPEG; False: from 16 to 235

    Raises ShapeError where the planes do not fit together.
    """

    y: Pixels
    u: Pixels
    v: Pixels
    full: bool = False

    def __post_init__(self) -> None:
        height, width = self.y.shape
        half = height // 2, width // 2
        if height % 2 or width % 2 or self.u.shape != half or self.v.shape != half:
            raise ShapeError(f"planes are {self.y.shape}, {self.u.shape}, {self.v.shape}; want even sides, and halves")

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W)."""
        return self.y.shape[0], self.y.shape[1]

    def rgb(self) -> Pixels:
        """(H, W, 3) uint8 RGB; four pixels share a colour."""
        if not self.full:
            pairs = cv2.merge([self.u, self.v])
            return np.asarray(cv2.cvtColorTwoPlane(self.y, pairs, cv2.COLOR_YUV2RGB_NV12), np.uint8)
        height, width = self.shape
        red, blue = (cv2.resize(c, (width, height), interpolation=cv2.INTER_NEAREST) for c in (self.v, self.u))
        return np.asarray(cv2.cvtColor(cv2.merge([self.y, red, blue]), cv2.COLOR_YCrCb2RGB), np.uint8)


class PlanarFrame(Frame):
    """A Frame whose `pixels` are made of its planes when they are first asked for."""

    def __init__(self, planes: Planes, source: str, index: int = 0, time: float | None = None) -> None:
        for name, value in (("planes", planes), ("source", source), ("index", index), ("time", time)):
            object.__setattr__(self, name, value)

    planes: Planes

    @cached_property
    def pixels(self) -> Pixels:
        """(H, W, 3) uint8 RGB."""
        return self.planes.rgb()

    @property
    def width(self) -> int:
        return self.planes.shape[1]

    @property
    def height(self) -> int:
        return self.planes.shape[0]
