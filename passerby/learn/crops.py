"""Pictures for a classifier: what the whole of one is, and parts of pictures with boxes as pictures of their own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from passerby.geometry.boxes import intersection
from passerby.geometry.part import Part
from passerby.records import Floats, Sample, SampleSet

AROUND = 0.25  # of a box's side added on each side: a person is told by where they stand, too
TRIES = 20  # places looked at for a part without any object


@dataclass(frozen=True)
class Crop(Sample):
    """A part of a picture file as a sample of its own; truth is in pixels of the whole picture.

    part  x, y, width, height, pixels; width and height of the sample are the part's
    """

    part: Part = (0, 0, 0, 0)


def output_of(sample: Sample) -> int:
    """Number of the network's output that a labelled picture asks for: 0 the background, k + 1 label k."""
    return 0 if sample.label is None else sample.label + 1


def cut_out(samples: SampleSet, least: int, seed: int) -> SampleSet:
    """Every object that counts as a picture of its own, and as many parts without any object.

    samples  with boxes
    least    sides of objects under it are left out, pixels
    seed     of where the parts without an object lie

    A part without an object has the size of an object's part, its own picture's or another's. Where none of TRIES
    places is free of all boxes, ignored ones too, there is one part less.
    """
    found: list[Sample] = []
    sizes: list[tuple[int, int]] = []
    for s in samples:
        for crop in _objects(s, least):
            found.append(crop)
            sizes.append(crop.part[2:])
    for i, s in enumerate(samples):
        rng = np.random.default_rng((seed, i))
        counted = int((~s.truth.ignore & ~s.truth.difficult).sum())
        for _ in range(max(1, counted) if sizes else 0):
            width, height = sizes[int(rng.integers(len(sizes)))]
            if part := _free(s, min(width, s.width), min(height, s.height), rng):
                found.append(_crop(s, part, None))
    return SampleSet(tuple(found), samples.labels, samples.source, samples.notes, samples.reason)


def _objects(sample: Sample, least: int) -> Iterator[Crop]:
    truth = sample.truth
    for k in np.flatnonzero(~truth.ignore & ~truth.difficult):
        x0, y0, x1, y1 = (float(v) for v in truth.boxes[k])
        if min(x1 - x0, y1 - y0) < least:
            continue
        right, down = (x1 - x0) * AROUND, (y1 - y0) * AROUND
        x, y = max(0, int(x0 - right)), max(0, int(y0 - down))
        part = (x, y, min(sample.width, round(x1 + right)) - x, min(sample.height, round(y1 + down)) - y)
        yield _crop(sample, part, int(truth.labels[k]))


def _free(sample: Sample, width: int, height: int, rng: np.random.Generator) -> Part | None:
    boxes: Floats = sample.truth.boxes
    for _ in range(TRIES):
        x = int(rng.integers(0, sample.width - width + 1))
        y = int(rng.integers(0, sample.height - height + 1))
        part = np.array([[x, y, x + width, y + height]], np.float32)
        if not intersection(boxes, part).any():
            return x, y, width, height
    return None


def _crop(sample: Sample, part: Part, label: int | None) -> Crop:
    return Crop(sample.path, part[2], part[3], sample.truth, label, sample.split, part)
