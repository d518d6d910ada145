"""Training pictures made of several: objects pasted from another picture, and mosaics of four; numpy and cv2."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from passerby.geometry.boxes import Floats, area, intersection
from passerby.geometry.part import cut
from passerby.geometry.resize import GREY, fit, scale_to
from passerby.recipe import Augment
from passerby.records import Pixels, Truth

Another = Callable[[], tuple[Pixels, Truth]]  # any other training picture, with its truth
BORDER = 0.2  # of a pasted object's sides, around it: there it fades into the picture
LIKE = 2.0  # an object is pasted where one of up to this many times its size is, or of as much less
COVERED = 0.2  # at most this share of the smaller of two objects may lie under the other
TRIES = 10  # places for an object


class Input(NamedTuple):
    """Of the network: width and height, pixels, and the rule that resizes a picture to it."""

    width: int
    height: int
    resize: str


def paste(
    pixels: Pixels, truth: Truth, another: Another, how: Augment, rng: np.random.Generator
) -> tuple[Pixels, Truth]:
    """Up to `how.paste_most` objects of another picture put beside objects of like size.

    pixels   (H, W, 3) uint8; truth: boxes in pixels of that picture
    returns  the same with more in it; the input arrays are left as they are. A picture without objects that count
             stays as it is, so negatives stay negatives

    Copy-paste of Ghiasi et al. 2021, "Simple copy-paste", with boxes for masks: a border that fades out, as in Dwibedi
    et al. 2017, "Cut, paste and learn", section 4.2. Size and place follow an object that is there (0.8 to 1.25 times
    its side, one to three sides away, hardly above or below it), since cameras see heads of one size in one row.
    """
    there = ~(truth.ignore | truth.difficult)
    if not there.any():
        return pixels, truth
    source, theirs = another()
    usable = np.flatnonzero(~(theirs.ignore | theirs.difficult) & (area(theirs.boxes) > 0))
    boxes, labels = truth.boxes, truth.labels
    out = pixels.copy()
    for row in rng.permutation(usable)[: int(rng.integers(1, how.paste_most + 1))]:
        place = _find_place(theirs.boxes[row], truth.boxes[there], boxes, pixels.shape, rng)
        if place is None or not _lay(out, source, theirs.boxes[row], place):
            continue
        boxes = np.concatenate([boxes, place[None]])
        labels = np.append(labels, theirs.labels[row])
    new = np.zeros(len(boxes) - len(truth.boxes), bool)
    more = Truth(boxes, labels, np.append(truth.difficult, new), np.append(truth.ignore, new))
    return out, more


def _find_place(
    box: Floats, near: Floats, taken: Floats, shape: tuple[int, ...], rng: np.random.Generator
) -> Floats | None:
    """Where an object of `box`'s shape goes: a box (4,) beside one of `near` (N, 4) of like size; None: nowhere.

    taken  (M, 4) every box and region of the picture, of which none may be covered
    """
    sides = np.sqrt(area(near))
    width, height = box[2:] - box[:2]
    side = np.sqrt(width * height)
    alike = np.flatnonzero((sides < side * LIKE) & (sides > side / LIKE))
    if not len(alike):
        return None
    for _ in range(TRIES):
        k = rng.choice(alike)
        scale = sides[k] * rng.uniform(0.8, 1.25) / side
        centre = (near[k, :2] + near[k, 2:]) / 2
        away = np.array([rng.uniform(1, 3) * rng.choice([-1, 1]), rng.uniform(-0.5, 0.5)]) * sides[k]
        half = np.array([width, height]) * scale / 2
        place = np.round(np.concatenate([centre + away - half, centre + away + half])).astype(np.float32)
        within = (place[:2] >= 0).all() and place[2] <= shape[1] and place[3] <= shape[0]
        if within and (place[2:] - place[:2] >= 2).all() and _is_free(place, taken):
            return place
    return None


def _is_free(place: Floats, taken: Floats) -> bool:
    """Whether neither covers more than COVERED of the other."""
    shared = intersection(place[None], taken)[0]
    smaller = np.minimum(area(place[None]), area(taken))
    return bool((shared <= COVERED * smaller).all())


def _lay(out: Pixels, source: Pixels, box: Floats, place: Floats) -> bool:
    """Copy `box` of `source` with a fading border onto `place` of `out`, in place; False where it has no pixels."""
    border = np.round((box[2:] - box[:2]) * BORDER)
    low = np.maximum(np.floor(box[:2] - border), 0).astype(int)
    high = np.minimum(np.ceil(box[2:] + border), source.shape[1::-1]).astype(int)
    if (high - low < 2).any():
        return False
    scale = (place[2:] - place[:2]) / (box[2:] - box[:2])
    start = np.round(place[:2] - (box[:2] - low) * scale).astype(int)
    end = start + np.maximum(np.round((high - low) * scale).astype(int), 1)
    patch = scale_to(source[low[1] : high[1], low[0] : high[0]], int(end[0] - start[0]), int(end[1] - start[1]))
    first, last = np.maximum(start, 0), np.minimum(end, out.shape[1::-1])
    if (last <= first).any():
        return False
    patch = patch[first[1] - start[1] : last[1] - start[1], first[0] - start[0] : last[0] - start[0]]
    rows = _fade(first[1], last[1], (place[1], place[3]), max(place[1] - start[1], end[1] - place[3]))
    columns = _fade(first[0], last[0], (place[0], place[2]), max(place[0] - start[0], end[0] - place[2]))
    alpha = (rows[:, None] * columns)[..., None]
    under = out[first[1] : last[1], first[0] : last[0]]
    under[:] = np.round(alpha * patch + (1 - alpha) * under).astype(np.uint8)
    return True


def _fade(first: int, last: int, whole: tuple[float, float], border: float) -> Floats:
    """Of the pixels `first` to `last`: 1 where they lie in `whole`, falling to 0 over `border` on both sides."""
    at = np.arange(first, last) + 0.5
    apart = np.maximum(np.maximum(whole[0] - at, at - whole[1]), 0)
    return np.asarray(np.clip(1 - apart / max(border, 1e-6), 0, 1), np.float32)


def mosaic(
    first: tuple[Pixels, Truth], another: Another, how: Augment, to: Input, rng: np.random.Generator
) -> tuple[Pixels, Truth]:
    """Parts of four pictures around one point, as one picture of the input's size.

    Each is resized as if it stood alone, times a factor from `how.mosaic_scale`, and a random part of it fills its
    quarter; what it is too small for stays grey. So objects keep nearly the size that they have in use, unlike in
    Bochkovskiy et al. 2020, "YOLOv4", section 3.3, where each is shrunk to a quarter.
    """
    canvas = np.full((to.height, to.width, 3), GREY, np.uint8)
    x, y = (round(side * rng.uniform(0.35, 0.65)) for side in (to.width, to.height))
    cells = ((0, 0, x, y), (x, 0, to.width, y), (0, y, x, to.height), (x, y, to.width, to.height))
    parts: list[Truth] = []
    for x0, y0, x1, y1 in cells:
        pixels, truth = first if not parts else another()
        scale = rng.uniform(*how.mosaic_scale)
        small, placement = fit(pixels, max(1, round(to.width * scale)), max(1, round(to.height * scale)), to.resize)
        wide, high = min(x1 - x0, small.shape[1]), min(y1 - y0, small.shape[0])
        left, top = (int(rng.integers(0, n + 1)) for n in (small.shape[1] - wide, small.shape[0] - high))
        canvas[y0 : y0 + high, x0 : x0 + wide] = small[top : top + high, left : left + wide]
        moved = Truth(placement.forth(truth.boxes), truth.labels, truth.difficult, truth.ignore)
        inside = cut(moved, left, top, wide, high)
        shift = np.array([x0, y0, x0, y0], np.float32)
        parts.append(Truth(inside.boxes + shift, inside.labels, inside.difficult, inside.ignore))
    columns = ([getattr(p, name) for p in parts] for name in ("boxes", "labels", "difficult", "ignore"))
    return canvas, Truth(*(np.concatenate(c) for c in columns))
