"""Pictures to prove an export on where the user gives none: drawn by rule, the same every time."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from passerby.data import load_data
from passerby.records import Pixels, SampleSet

COUNT = 6
SIZE = 480, 640  # height, width


def draw_examples(folder: Path) -> SampleSet:
    """COUNT pictures without labels in a folder: noise, and rows of drawn heads over shoulders.

    They make scores rise and fall all over the maps. They say nothing about accuracy: for that, pictures with boxes
    are needed.
    """
    for k in range(COUNT):
        pixels = draw_noise(k) if k == 0 else draw_crowd(k)
        cv2.imwrite(str(folder / f"drawn_{k}.png"), pixels)
    return load_data(f"folder:{folder}")


def draw_noise(seed: int) -> Pixels:
    """(H, W, 3) uint8 of noise."""
    return np.random.default_rng(seed).integers(0, 256, (*SIZE, 3), np.uint8)


def draw_crowd(seed: int) -> Pixels:
    """(H, W, 3) uint8, BGR: heads of 8 to 70 pixels, hair above face, over shoulders, on a shaded wall."""
    draw = np.random.default_rng(seed)
    height, width = SIZE
    wall = np.linspace(90, 200, height)[:, None, None] * np.array([0.9, 1.0, 1.05])
    picture = np.repeat(wall, width, axis=1).clip(0, 255).astype(np.uint8)
    for radius in sorted(draw.integers(4, 36, 24)):
        r = int(radius)
        x, y = int(draw.integers(r, width - r)), int(draw.integers(r, height - r))
        cloth, skin = draw.integers(20, 220, 3).tolist(), int(draw.integers(90, 220))
        face = (skin * 0.65, skin * 0.8, float(skin))
        hair = (skin * 0.12, skin * 0.15, skin * 0.2)
        cv2.ellipse(picture, (x, y + 3 * r), (2 * r, 2 * r), 0, 180, 360, cloth, -1, cv2.LINE_AA)
        cv2.ellipse(picture, (x, y), (r, int(1.3 * r)), 0, 0, 360, face, -1, cv2.LINE_AA)
        cv2.ellipse(picture, (x, y - r // 4), (r, int(1.1 * r)), 0, 180, 360, hair, -1, cv2.LINE_AA)
    speckle = draw.normal(0, 6, (height, width, 1))
    return np.asarray((cv2.GaussianBlur(picture, (0, 0), 1) + speckle).clip(0, 255), np.uint8)
