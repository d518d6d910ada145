"""Random changes of a training picture and its boxes; numpy and cv2."""

from __future__ import annotations

import math
from dataclasses import replace

import cv2
import numpy as np

from passerby.geometry.boxes import area
from passerby.geometry.part import cut
from passerby.geometry.resize import GREY, place
from passerby.learn.mixing import Another, Input, mosaic, paste
from passerby.recipe import Augment
from passerby.records import Pixels, Truth


def augment(
    pixels: Pixels,
    truth: Truth,
    how: Augment,
    rng: np.random.Generator,
    to: Input | None = None,
    another: Another | None = None,
) -> tuple[Pixels, Truth]:
    """One random version of a picture: pasted objects, part or larger canvas, or a mosaic; shift, zoom, shear; flip.

    pixels       (H, W, 3) uint8
    truth        boxes in pixels of that picture
    to, another  the network's input, and any other training picture, for what of `how` needs them: see `recipe.Augment`
    returns      the same, changed; the input arrays are left as they are
    """
    if to and another and how.mosaic and rng.random() < how.mosaic:
        return _turn(*mosaic((pixels, truth), another, how, to, rng), how, rng)
    if another and how.paste and rng.random() < how.paste:
        pixels, truth = paste(pixels, truth, another, how, rng)
    if rng.random() < how.crop:
        pixels, truth = (
            zoom(pixels, truth, how, to, rng) if to and how.object_side[1] else crop(pixels, truth, how, rng)
        )
    elif rng.random() < how.expand:
        pixels, truth = expand(pixels, truth, how.expand_scale, rng)
    return _turn(pixels, truth, how, rng)


def _turn(pixels: Pixels, truth: Truth, how: Augment, rng: np.random.Generator) -> tuple[Pixels, Truth]:
    """What may happen to the whole of a picture, whatever it was made of."""
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
    return lay(pixels, truth, rng.uniform(1, scale), rng)


def lay(pixels: Pixels, truth: Truth, factor: float, rng: np.random.Generator) -> tuple[Pixels, Truth]:
    """The picture at a random place of a grey canvas whose sides are `factor` times its own."""
    height, width = pixels.shape[:2]
    h, w = int(height * factor), int(width * factor)
    y, x = int(rng.integers(0, h - height + 1)), int(rng.integers(0, w - width + 1))
    canvas = np.full((h, w, 3), GREY, np.uint8)
    canvas[y : y + height, x : x + width] = pixels
    return canvas, Truth(truth.boxes + np.array([x, y, x, y], np.float32), truth.labels, truth.difficult, truth.ignore)


def zoom(pixels: Pixels, truth: Truth, how: Augment, to: Input, rng: np.random.Generator) -> tuple[Pixels, Truth]:
    """A part, or a larger canvas, at which the median object is as large at the input as `how.object_side` says.

    Its side there (square root of the area, pixels) is drawn evenly on a scale of logarithms; the part's is no smaller
    than `how.crop_scale[0]` of the picture's, the canvas' no larger than `how.expand_scale` times. So pictures of small
    objects are looked into, and those of large ones from further away, but none is zoomed to where nothing is ever seen
    (scale jitter bound to the object's size: Singh and Davis 2018, "SNIP"). Without objects that count: as `crop`.
    """
    counts = ~(truth.ignore | truth.difficult)
    if not counts.any():
        return crop(pixels, truth, how, rng)
    placement = place(pixels.shape[1], pixels.shape[0], *to)
    side = float(np.median(np.sqrt(area(placement.forth(truth.boxes[counts])))))
    wanted = math.exp(rng.uniform(*np.log(how.object_side)))
    share = float(np.clip(side / wanted, how.crop_scale[0], how.expand_scale))
    if share > 1:
        return lay(pixels, truth, share, rng)
    return crop(pixels, truth, replace(how, crop_scale=(share, share)), rng)


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
