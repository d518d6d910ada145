"""The objects of a data set as the network would see them: boxes in input pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from passerby.geometry.resize import place
from passerby.records import Floats, Ints, Sample, SampleSet, Truth


@dataclass(frozen=True)
class Objects:
    """Objects of many pictures: columns of one length N, picture by picture.

    boxes    (N, 4) float32, x0 y0 x1 y1, input pixels
    labels   (N,) int64, index into the data set's labels
    picture  (N,) int64, which sample
    row      (N,) int64, which row of that sample's truth
    """

    boxes: Floats
    labels: Ints
    picture: Ints
    row: Ints

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: NDArray[np.bool_] | Ints) -> Objects:
        return Objects(self.boxes[index], self.labels[index], self.picture[index], self.row[index])

    @property
    def sides(self) -> Floats:
        """Width and height (N, 2), input pixels."""
        return np.asarray(self.boxes[:, 2:] - self.boxes[:, :2], np.float32)

    def with_area(self) -> Objects:
        """Those with a width and a height."""
        return self[np.asarray((self.sides > 0).all(axis=1))]

    @property
    def sizes(self) -> Floats:
        """Square root of the area (N,), input pixels."""
        return np.asarray(np.sqrt(self.sides.prod(axis=1)), np.float32)


def truth_at_input(sample: Sample, height: int, width: int, rule: str) -> Truth:
    """A sample's truth with its boxes in input pixels. Raises SettingError for an unknown resize rule."""
    placement = place(sample.width, sample.height, width, height, rule)
    t = sample.truth
    return Truth(placement.forth(t.boxes), t.labels, t.difficult, t.ignore)


def objects_at_input(samples: SampleSet, height: int, width: int, rule: str) -> Objects:
    """All objects that training asks for: ignore regions, difficult objects and boxes that are no numbers left out.

    height, width  of the input, pixels
    rule           how pictures get there: of geometry.resize.RULES

    Raises SettingError for an unknown resize rule.
    """
    boxes, labels, counts, rows = [np.zeros((0, 4), np.float32)], [np.zeros(0, np.int64)], [], []
    for sample in samples:
        truth = truth_at_input(sample, height, width, rule)
        keep = np.flatnonzero(~(truth.ignore | truth.difficult) & np.isfinite(truth.boxes).all(axis=1))
        boxes.append(truth.boxes[keep])
        labels.append(truth.labels[keep])
        rows.append(keep)
        counts.append(len(keep))
    return Objects(
        np.concatenate(boxes),
        np.concatenate(labels),
        np.repeat(np.arange(len(counts)), counts).astype(np.int64),
        np.concatenate([np.zeros(0, np.int64), *rows]).astype(np.int64),
    )
