"""Where a box will be: a constant-velocity Kalman filter for many boxes at once, in seconds and pixels.

Centre, width and height are four coordinates that do not influence each other, so a box is four filters of position
and velocity, each with a 2 x 2 covariance in closed form. Kalman 1960; the noise is that of white acceleration
(Bar-Shalom et al. 2001, "Estimation with applications to tracking and navigation", section 6.2.2), in sizes of the box.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from passerby.geometry.boxes import Floats, to_centres, to_corners

Columns = NDArray[np.float64]


@dataclass(frozen=True)
class Noise:
    """In sizes of a box (square root of its area).

    measured  standard deviation of a detected coordinate
    start     of the velocity of a box seen for the first time, a second
    change    of how the velocity wanders, a second
    shape     what part of `start` and `change` width and height have; small, since a detector errs more in them than in
              the centre, and a size thought to shrink soon fits parts of a head better than the head
    """

    measured: float = 0.06
    start: float = 4.0
    change: float = 3.0
    shape: float = 0.05


class Motion:
    """The filters of N boxes: position (N, 4) as cx cy w h, velocity (N, 4), covariances (N, 4) each."""

    def __init__(self, noise: Noise | None = None) -> None:
        self.noise = noise or Noise()
        self._shares = np.array([1.0, 1.0, self.noise.shape, self.noise.shape])
        self.position: Columns = np.zeros((0, 4))
        self.velocity: Columns = np.zeros((0, 4))
        self.pp: Columns = np.zeros((0, 4))  # variance of the position,
        self.pv: Columns = np.zeros((0, 4))  # covariance of position and velocity,
        self.vv: Columns = np.zeros((0, 4))  # variance of the velocity

    def __len__(self) -> int:
        return len(self.position)

    def boxes(self) -> Floats:
        """(N, 4) x0 y0 x1 y1, where they are thought to be; width and height at least a pixel."""
        centres = np.concatenate([self.position[:, :2], np.maximum(self.position[:, 2:], 1.0)], axis=1)
        return to_corners(centres.astype(np.float32))

    def add(self, boxes: Floats) -> None:
        """New boxes (M, 4) x0 y0 x1 y1 that stand still as far as is known."""
        centres = to_centres(boxes).astype(np.float64)
        size = _size(centres)
        scale = self._scale(size)
        self.position = np.concatenate([self.position, centres])
        self.velocity = np.concatenate([self.velocity, np.zeros_like(centres)])
        self.pp = np.concatenate([self.pp, np.repeat((self.noise.measured * size) ** 2, 4, axis=1)])
        self.pv = np.concatenate([self.pv, np.zeros_like(centres)])
        self.vv = np.concatenate([self.vv, (self.noise.start * scale) ** 2])

    def keep(self, which: NDArray[np.bool_]) -> None:
        """Forget the boxes that are not in the mask (N,)."""
        for name in ("position", "velocity", "pp", "pv", "vv"):
            setattr(self, name, getattr(self, name)[which])

    def predict(self, seconds: float) -> None:
        """Let time pass; a width or height does not shrink under a pixel."""
        t = seconds
        q = (self.noise.change * self._scale(_size(self.position))) ** 2
        self.position = self.position + self.velocity * t
        self.position[:, 2:] = np.maximum(self.position[:, 2:], 1.0)
        self.pp = self.pp + 2 * t * self.pv + t * t * self.vv + q * t**3 / 3
        self.pv = self.pv + t * self.vv + q * t * t / 2
        self.vv = self.vv + q * t

    def correct(self, rows: NDArray[np.int64], boxes: Floats) -> None:
        """Boxes (M, 4) x0 y0 x1 y1 were seen for the filters `rows` (M,)."""
        seen, r = self.position.copy(), np.full((len(self), 1), np.inf)  # who is not seen teaches nothing
        seen[rows] = centres = to_centres(boxes)
        r[rows] = (self.noise.measured * _size(centres.astype(np.float64))) ** 2
        noisy = self.pp + r
        gain_p, gain_v = self.pp / noisy, self.pv / noisy
        error = seen - self.position
        self.position += gain_p * error
        self.velocity += gain_v * error
        self.vv -= gain_v * self.pv
        left = 1 - gain_p
        self.pp *= left
        self.pv *= left

    def _scale(self, size: Columns) -> Columns:
        return np.asarray(size * self._shares)


def _size(centres: Columns) -> Columns:
    """(N, 1) square root of the area."""
    return np.asarray(np.sqrt(np.maximum(centres[:, 2:3] * centres[:, 3:4], 1.0)))
