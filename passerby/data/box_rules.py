"""Rules that make default boxes for a data set, an input and a set of maps, and recipes' words for the result."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from passerby.data.at_input import Objects
from passerby.geometry.anchors import STRIDES, cells_of, published_maps, ranged_maps
from passerby.geometry.fitting import fit_maps
from passerby.geometry.layouts import FOUR, find_layout
from passerby.spec import AnchorMap


@dataclass(frozen=True)
class Question:
    """What is asked: input and resize rule, maps, boxes a cell of each, IoU of a match.

    strides  of the maps, pixels a cell; layout: a row of LAYOUTS, whose maps stand instead of those at strides
    """

    height: int = 300
    width: int = 300
    resize: str = "stretch"
    strides: tuple[int, ...] = STRIDES
    per_map: tuple[int, ...] = (2, 2, 2, 2)
    match_iou: float = 0.5
    layout: str = ""

    def published(self, objects: Objects) -> tuple[AnchorMap, ...]:
        """Sizes 16-32, 32-64, ... at 300 x 300, height/width 1.7, whatever the data; of a layout: its published boxes.

        The sizes are the reference design's.
        """
        side = math.sqrt(self.height * self.width) / 300
        if self.layout:
            return find_layout(self.layout).published(1.7, self.height, self.width, side)
        sizes = [(16.0 * side * 2**k, 32.0 * side * 2**k) for k in range(len(self.strides))]
        return ranged_maps(self.cells(), sizes, 1.7, self.height, self.width)

    def ssd(self, objects: Objects) -> tuple[AnchorMap, ...]:
        """The SSD paper: scales 0.2 to 0.9 of the shorter side, ratios 1, 2, 3, 1/2, 1/3 and one extra square."""
        return published_maps(self.cells(), [FOUR] * len(self.cells()), min(self.height, self.width))

    def ranged(self, objects: Objects) -> tuple[AnchorMap, ...]:
        """A range a stride, sizes from 2 to 4 times the stride, all with the data's median height/width."""
        ratio = float(np.median(objects.sides[:, 1] / objects.sides[:, 0]))
        sizes = [
            (np.geomspace(2, 4, n) * s).tolist() if n > 1 else [math.sqrt(8) * s]
            for s, n in zip(self.steps(), self.per_map, strict=True)
        ]
        return ranged_maps(self.cells(), sizes, ratio, self.height, self.width)

    def fitted(self, objects: Objects) -> tuple[AnchorMap, ...]:
        """K-means on IoU, then refined on the grid of each map."""
        size = self.height, self.width
        return fit_maps(objects.boxes, self.steps(), self.per_map, *size, self.match_iou, self.cells())

    def cells(self) -> tuple[tuple[int, int], ...]:
        """Rows and columns of each map."""
        if self.layout:
            return find_layout(self.layout).cells(self.height, self.width)
        return cells_of(self.strides, self.height, self.width)

    def steps(self) -> tuple[float, ...]:
        """Pixels a cell of each map; of a layout's those that its cells divide the shorter side of the input into."""
        if self.layout:
            return tuple(min(self.height / rows, self.width / columns) for rows, columns in self.cells())
        return self.strides


RULES: dict[str, Callable[[Question, Objects], tuple[AnchorMap, ...]]] = {
    "published": Question.published,
    "ssd": Question.ssd,
    "ranged": Question.ranged,
    "fitted": Question.fitted,
}


def fragment(question: Question, maps: Sequence[AnchorMap]) -> str:
    """Default boxes as keywords of a recipe's Model(...), to be pasted."""
    settings = f'height={question.height},\nwidth={question.width},\nresize="{question.resize}",'
    settings += f'\nlayout="{question.layout}",' if question.layout else ""
    rows = []
    for m in maps:
        pairs = ", ".join(f"({w:.6g}, {h:.6g})" for w, h in m.sizes)
        rows.append(f"    ({pairs}{',' if len(m.sizes) == 1 else ''}),  # {m.columns} x {m.rows} cells")
    return "\n".join([settings, "shapes=(", *rows, "),"])


def override(question: Question, maps: Sequence[AnchorMap]) -> str:
    """The same for a shell: the words after `passerby train RECIPE`."""
    shapes = [[[float(f"{v:.6g}") for v in s] for s in m.sizes] for m in maps]
    values = {"height": question.height, "width": question.width, "resize": question.resize}
    values |= {"layout": question.layout} if question.layout else {}
    words = [f"--set model.{k}={v}" for k, v in values.items()]
    return " ".join([*words, f"--set 'model.shapes={json.dumps(shapes, separators=(',', ':'))}'"])
