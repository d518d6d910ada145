"""What a data set looks like to a network: boxes by size, shape, number and place, at one input size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from passerby.data.at_input import objects_at_input
from passerby.geometry.boxes import iou
from passerby.records import Floats, Ints, SampleSet

QUANTILES = (5, 25, 50, 75, 95)  # percent
UNDER = (8, 12, 16, 32)  # sizes, input pixels
CELLS = 8  # of the grid of positions, a side
NMS_IOU = 0.45  # Liu et al. 2016, "SSD", section 3
BORDER = 1.0  # picture pixels from the border within which a box touches it


@dataclass(frozen=True)
class Part:
    """One part of a data set: all of it, one class, or one split.

    pictures    in the part; of a class: that show it
    negatives   pictures of the part without an object of it
    objects     that training asks for: neither difficult nor ignore regions
    difficult, ignored  boxes that are one of these
    size        quantiles (QUANTILES) of the square root of the area, input pixels
    under       share of objects smaller than each of UNDER
    ratio       quantiles of height / width, in input pixels
    a_picture   quantiles of objects a picture, all pictures of the data set or split counted
    most        objects in the fullest picture
    places      CELLS x CELLS share of objects whose centre lies in that part of the picture, row 0 above
    at_border   share of objects that touch the picture's border
    crowded     share of objects that suppression at IoU 0.45 cannot tell from another of their class
    """

    name: str
    pictures: int
    negatives: int
    objects: int
    difficult: int
    ignored: int
    size: tuple[float, ...]
    under: tuple[float, ...]
    ratio: tuple[float, ...]
    a_picture: tuple[float, ...]
    most: int
    places: tuple[tuple[float, ...], ...]
    at_border: float
    crowded: float


@dataclass(frozen=True)
class Statistics:
    """A data set at one input size; NaN (null in JSON) where there is no object to measure.

    picture_size  quantiles (QUANTILES) of the pictures' widths and of their heights, pixels
    """

    source: str
    labels: tuple[str, ...]
    height: int
    width: int
    resize: str
    picture_size: tuple[tuple[float, ...], tuple[float, ...]]
    all: Part
    classes: tuple[Part, ...]
    splits: tuple[Part, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain nested dicts, for JSON."""
        raw: dict[str, Any] = without_nan(asdict(self))
        return raw | {"quantiles": QUANTILES, "under_px": UNDER, "nms_iou": NMS_IOU}


@dataclass(frozen=True)
class _Columns:
    """Every object of the data set in columns, and every picture."""

    sides: Floats
    labels: Ints
    picture: Ints
    x: Floats
    y: Floats
    at_border: NDArray[np.bool_]
    crowded: NDArray[np.bool_]
    pictures: int


def describe(samples: SampleSet, height: int, width: int, rule: str = "stretch") -> Statistics:
    """Statistics of a data set at an input of height x width pixels under a resize rule.

    Raises SettingError for an unknown resize rule.
    """
    columns = _columns(samples, height, width, rule)
    everything = np.ones(len(samples), bool)
    splits = [s.split for s in samples]
    names = list(dict.fromkeys(splits)) if any(splits) else []
    return Statistics(
        samples.source,
        samples.labels,
        height,
        width,
        rule,
        (_quantiles([s.width for s in samples]), _quantiles([s.height for s in samples])),
        _part("all", samples, columns, everything),
        tuple(_part(name, samples, columns, everything, k) for k, name in enumerate(samples.labels)),
        tuple(_part(n or "(none)", samples, columns, np.array([s == n for s in splits])) for n in names),
    )


def _columns(samples: SampleSet, height: int, width: int, rule: str) -> _Columns:
    objects = objects_at_input(samples, height, width, rule)
    boxes = np.concatenate(
        [np.zeros((0, 4), np.float32), *(s.truth.boxes[~(s.truth.ignore | s.truth.difficult)] for s in samples)]
    )
    boxes = boxes[np.isfinite(boxes).all(axis=1)]
    sizes = np.array([(s.width, s.height) for s in samples], np.float32).reshape(-1, 2)[objects.picture]
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2 / sizes
    edge = (boxes[:, :2] < BORDER).any(axis=1) | (boxes[:, 2:] > sizes - BORDER).any(axis=1)
    crowded = np.zeros(len(boxes), bool)
    ends = np.searchsorted(objects.picture, np.arange(len(samples) + 1))
    for a, b in pairwise(ends):
        if b - a > 1:
            overlaps = iou(boxes[a:b], boxes[a:b])
            np.fill_diagonal(overlaps, 0)
            alike = objects.labels[a:b, None] == objects.labels[a:b]
            crowded[a:b] = ((overlaps > NMS_IOU) & alike).any(axis=1)
    return _Columns(
        objects.sides, objects.labels, objects.picture, middle[:, 0], middle[:, 1], edge, crowded, len(samples)
    )


def _part(
    name: str, samples: SampleSet, every: _Columns, pictures: NDArray[np.bool_], label: int | None = None
) -> Part:
    """The part of some pictures, or of one class in them."""
    inside = pictures[every.picture]
    if label is not None:
        inside &= every.labels == label
    sides = every.sides[inside]
    size = np.sqrt(sides.prod(axis=1))
    tall = (sides > 0).all(axis=1)
    counts = np.bincount(every.picture[inside], minlength=every.pictures)[pictures]
    hazy = [
        t if label is None else t[t.labels == label]
        for t in (s.truth for s, wanted in zip(samples, pictures, strict=True) if wanted)
    ]
    grid = np.histogram2d(every.y[inside], every.x[inside], CELLS, ((0, 1), (0, 1)))[0]
    n = int(inside.sum())
    return Part(
        name,
        int((counts > 0).sum()) if label is not None else len(counts),
        int((counts == 0).sum()),
        n,
        int(sum((t.difficult & ~t.ignore).sum() for t in hazy)),
        int(sum(t.ignore.sum() for t in hazy)),
        _quantiles(size),
        tuple(float((size < u).mean()) if n else math.nan for u in UNDER),
        _quantiles(sides[tall, 1] / sides[tall, 0]),
        _quantiles(counts),
        int(counts.max(initial=0)),
        tuple(tuple(row) for row in (grid / max(1, n)).tolist()),
        float(every.at_border[inside].mean()) if n else math.nan,
        float(every.crowded[inside].mean()) if n else math.nan,
    )


def _quantiles(values: Sequence[int] | NDArray[Any]) -> tuple[float, ...]:
    if len(values) == 0:
        return (math.nan,) * len(QUANTILES)
    return tuple(float(v) for v in np.percentile(values, QUANTILES))


def without_nan(value: Any) -> Any:
    """The same with None for NaN: JSON has no NaN."""
    if isinstance(value, dict):
        return {k: without_nan(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_nan(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
