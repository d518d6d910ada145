"""Random changes of a training picture and its boxes; numpy and cv2."""

from __future__ import annotations

import math

import cv2
import numpy as np

from passerby.geometry.part import cut
from passerby.geometry.resize import GREY
from passerby.recipe import Augment
from passerby.records import Pixels, Truth


def augment(pixels: Pixels, truth: Truth, how: Augment, rng: np.random.Generator) -> tuple[Pixels, Truth]:
    """One random version of a picture: part or larger canvas, shift, zoom and shear, flip.

    pixels   (H, W, 3) uint8
    truth    boxes in pixels of that picture
    returns  the same, changed; the input arrays are left as they are
    """
    if rng.random() < how.crop:
        pixels, truth = crop(pixels, truth, how, rng)
    elif rng.random() < how.expand:
        pixels, truth = expand(pixels, truth, how.expand_scale, rng)
    if how.shift or how.zoom or how.shear:
        pixels, truth = warp(pixels, truth, how, rng)
    if rng.random() < how.flip:
        pixels, truth = flip(pixels, truth)
    return pixels, truth


def crop(pixels: Pixels, truth: Truth, how: Augment, rng: np.random.Generator, tries: int = 10) -> tuple[Pixels, Truth]:
    """A random part that keeps at least one object, where there is one and `tries` suffice."""
    height, width = pixels.shape[:2]
    for _ in range(tries):
        side = rng.uniform(*how.crop_scale)
        ratio = how.crop_ratio ** rng.uniform(-0.5, 0.5)
        w = int(np.clip(width * side * ratio, 1, width))
        h = int(np.clip(height * side / ratio, 1, height))
        x, y = int(rng.integers(0, width - w + 1)), int(rng.integers(0, height - h + 1))
        inside = cut(truth, x, y, w, h)
        if not inside.ignore.all() or truth.ignore.all():
            return pixels[y : y + h, x : x + w], inside
    return pixels, truth


def expand(pixels: Pixels, truth: Truth, scale: float, rng: np.random.Generator) -> tuple[Pixels, Truth]:
    """The picture on a grey canvas up to `scale` times as large, at a random place."""
    height, width = pixels.shape[:2]
    factor = rng.uniform(1, scale)
    h, w = int(height * factor), int(width * factor)
    y, x = int(rng.integers(0, h - height + 1)), int(rng.integers(0, w - width + 1))
    canvas = np.full((h, w, 3), GREY, np.uint8)
    canvas[y : y + height, x : x + width] = pixels
    return canvas, Truth(truth.boxes + np.array([x, y, x, y], np.float32), truth.labels, truth.difficult, truth.ignore)


def warp(pixels: Pixels, truth: Truth, how: Augment, rng: np.random.Generator) -> tuple[Pixels, Truth]:
    """The picture shifted, zoomed and sheared about its centre; its border goes on outwards as it is there.

    A box becomes the box around its sheared corners, cut at the border as `cut` does it.
    """
    height, width = pixels.shape[:2]
    zoom = 1 + how.zoom * rng.uniform(-1, 1)
    slant = math.tan(math.radians(how.shear * rng.uniform(-1, 1)))
    right, down = how.shift * rng.uniform(-1, 1, 2) * (width, height)
    turn = np.array([[zoom, zoom * slant], [0, zoom]])
    centre = np.array([width / 2, height / 2])
    move = centre - turn @ centre + np.array([right, down])
    half = turn @ (0.5, 0.5) - 0.5  # cv2 counts from the middle of the first pixel, boxes from its corner
    matrix = np.column_stack([turn, move + half])
    out = cv2.warpAffine(pixels, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    corners = truth.boxes[:, [[0, 1], [2, 1], [0, 3], [2, 3]]] @ turn.T + move
    boxes = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1).astype(np.float32)
    moved = Truth(boxes, truth.labels, truth.difficult, truth.ignore)
    return np.asarray(out, np.uint8), cut(moved, 0, 0, width, height)


def flip(pixels: Pixels, truth: Truth) -> tuple[Pixels, Truth]:
    """Left and right exchanged; twice gives the picture back."""
    width = pixels.shape[1]
    boxes = truth.boxes.copy()
    boxes[:, [0, 2]] = width - boxes[:, [2, 0]]
    return np.asarray(cv2.flip(pixels, 1), np.uint8), Truth(boxes, truth.labels, truth.difficult, truth.ignore)


def colour(pixels: Pixels, how: Augment, rng: np.random.Generator) -> Pixels:
    """Brightness, contrast, saturation and hue, each with probability `how.colour`; seldom grey, blurred or hidden.

    pixels  (H, W, 3) uint8; applied to the resized picture, which is smaller
    """
    if rng.random() < how.colour:
        gain, shift = rng.uniform(0.6, 1.4), rng.uniform(-32, 32)
        table = np.clip((np.arange(256) - 128) * gain + 128 + shift, 0, 255).astype(np.uint8)
        pixels = np.asarray(cv2.LUT(pixels, table), np.uint8)
    if rng.random() < how.colour:
        hsv = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV), np.uint8)
        hue = ((np.arange(256) + rng.integers(-9, 10)) % 180).astype(np.uint8)
        saturation = np.clip(np.arange(256) * rng.uniform(0.5, 1.5), 0, 255).astype(np.uint8)
        same = np.arange(256, dtype=np.uint8)
        hsv = np.asarray(cv2.LUT(hsv, np.stack([hue, saturation, same], axis=-1)[None]), np.uint8)
        pixels = np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB), np.uint8)
    if rng.random() < how.grey:
        pixels = np.repeat(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
    if rng.random() < how.blur:
        pixels = np.asarray(cv2.GaussianBlur(pixels, (3, 3), 0), np.uint8)
    return hide(pixels, how.hide, rng) if how.hide and rng.random() < 0.5 else pixels


def hide(pixels: Pixels, share: float, rng: np.random.Generator) -> Pixels:
    """Cells of a grid of 4 to 8 a side greyed, each with probability `share`.

    What tells a class most is missing now and then, so the rest of the object has to be looked at too, and maps cover
    more of it: Singh and Lee 2017, "Hide-and-seek".
    """
    height, width = pixels.shape[:2]
    cells = int(rng.integers(4, 9))
    hidden = rng.random((cells, cells)) < share
    rows, columns = np.arange(height) * cells // height, np.arange(width) * cells // width
    return np.where(hidden[rows][:, columns, None], np.uint8(GREY), pixels)
