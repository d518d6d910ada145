"""Which feature maps carry default boxes, and which boxes were published for them. A layout is one line in LAYOUTS."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from passerby.errors import SettingError, did_you_mean
from passerby.geometry.anchors import published_maps, ranged_maps, shaped_maps
from passerby.spec import AnchorMap

TWO, FOUR = (2.0, 1 / 2), (2.0, 1 / 2, 3.0, 1 / 3)  # ratios beside the two squares: 4 and 6 boxes a cell


class Extra(NamedTuple):
    """A map made of the one before: a 1 x 1 convolution to `squeeze` channels, then a wider one to `channels`."""

    squeeze: int
    channels: int
    kernel: int = 3
    stride: int = 2
    padding: int = 1

    def missing(self, cells: int) -> int:
        """Zeros that a row or column of so many cells lacks for the kernel to fit in once; 0 at usual input sizes."""
        return max(0, self.kernel - cells - 2 * self.padding)

    def cells_after(self, cells: int) -> int:
        """Cells of the map that the convolution makes of so many, rounded down as convolutions do."""
        return (cells + self.missing(cells) + 2 * self.padding - self.kernel) // self.stride + 1


@dataclass(frozen=True)
class Layout:
    """Maps that carry default boxes, finest first, and their published boxes.

    strides  of the backbone's maps that carry boxes, input pixels a cell
    extras   the maps after them, each made of the one before
    sizes    published boxes as sizes: of each map, square root of the area, input pixels whatever the input's size
    ratios   published boxes as the SSD paper has them: of each map, the ratios w / h beside the two squares
    first    with ratios: scale of the first map where it stands outside the rule, share of the shorter input side
    least    with ratios: s_min of the rule; s_max is 0.9
    """

    strides: tuple[int, ...]
    extras: tuple[Extra, ...] = ()
    sizes: tuple[tuple[float, ...], ...] = ()
    ratios: tuple[tuple[float, ...], ...] = ()
    first: float | None = None
    least: float = 0.2

    def cells(self, height: int, width: int) -> tuple[tuple[int, int], ...]:
        """Rows and columns of each map at an input of height x width pixels, as the convolutions make them.

        A backbone halves rounding up, so that its map at stride s has ceil(side / s) cells.
        """
        out = [(-(-height // s), -(-width // s)) for s in self.strides]
        for extra in self.extras:
            out.append((extra.cells_after(out[-1][0]), extra.cells_after(out[-1][1])))
        return tuple(out)

    def published(self, ratio: float, height: int, width: int, scale: float = 1.0) -> tuple[AnchorMap, ...]:
        """The boxes that the layout was published with; ratio (height / width) and scale are those of `sizes`."""
        cells = self.cells(height, width)
        if self.sizes:
            return ranged_maps(cells, _scaled(self.sizes, scale), ratio, height, width)
        return published_maps(cells, self.ratios, min(height, width), self.least, first=self.first)

    def halves(self) -> bool:
        """Whether each map has half the cells of the one before, so that doubling one covers the one before."""
        return all(e.stride == 2 for e in self.extras)


# the usual SSD-Lite and MobileNet-SSD: 512, 256, 256 and 128 channels (github.com/tensorflow/models, ssd_mobilenet_v2)
_SIX = (Extra(256, 512), Extra(128, 256), Extra(128, 256), Extra(64, 128))

LAYOUTS: dict[str, Layout] = {
    # SPEC 1, mb2-ssd-lite-f38: 38 19 10 5 cells at 300; the extra map has half of the usual channels
    "f38": Layout((8, 16, 32), (Extra(128, 256),), sizes=((16, 32), (32, 64), (64, 128), (128, 256))),
    # one map more, for small objects: 75 cells at 300
    "f75": Layout((4, 8, 16, 32), (Extra(128, 256),), sizes=((8, 16), (16, 32), (32, 64), (64, 128), (128, 256))),
    # the maps of f38, the extra one at the usual width: what 2,750,864 parameters were counted of
    "f38_wide": Layout((8, 16, 32), (Extra(256, 512),), sizes=((16, 32), (32, 64), (64, 128), (128, 256))),
    # 19 10 5 3 2 1 at 300, six boxes a cell: 3,000
    "six": Layout((16, 32), _SIX, ratios=(FOUR,) * 6),
    # one map for the two-stage head, as in Ren et al. 2015: 19 cells at 300, and the sizes of all maps of f38
    "c4": Layout((16,), sizes=((16, 32, 64, 128, 256),)),
    # Liu et al. 2016, "SSD", figure 2 and section 3.1: 38 19 10 5 3 1 at 300, 8,732 boxes
    "ssd300": Layout(
        (8, 16),
        (Extra(256, 512), Extra(128, 256), Extra(128, 256, 3, 1, 0), Extra(128, 256, 3, 1, 0)),
        ratios=(TWO, FOUR, FOUR, FOUR, TWO, TWO),
        first=0.1,
    ),
    # the same, section 3.1: 64 32 16 8 4 2 1 at 512, 24,564 boxes; the last convolution is 4 x 4, as in the release
    "ssd512": Layout(
        (8, 16),
        (Extra(256, 512), *(Extra(128, 256),) * 3, Extra(128, 256, 4, 1, 1)),
        ratios=(TWO, FOUR, FOUR, FOUR, FOUR, TWO, TWO),
        first=0.07,
        least=0.15,
    ),
}


def find_layout(name: str) -> Layout:
    """A row of LAYOUTS. Raises SettingError for an unknown name, naming the nearest."""
    if name not in LAYOUTS:
        raise SettingError(f"model.layout: '{name}' is unknown{did_you_mean(name, LAYOUTS)}")
    return LAYOUTS[name]


def stated_maps(
    layout: str,
    shapes: Sequence[Sequence[Sequence[float]]],
    sizes: Sequence[Sequence[float]],
    ratio: float,
    height: int,
    width: int,
    scale: float = 1.0,
) -> tuple[AnchorMap, ...]:
    """Default boxes as a recipe states them: shapes where given, otherwise sizes and ratio, otherwise the published.

    layout  name of a row of LAYOUTS: which maps
    shapes  (w, h) of each map's boxes; sizes: square root of their area; both in input pixels, before `scale`
    ratio   height / width of all boxes stated by sizes
    scale   the resolution multiplier, which shapes and sizes shrink with as the input does

    Raises SettingError for an unknown layout, and as `shaped_maps` and `ranged_maps` do.
    """
    found = find_layout(layout)
    cells = found.cells(height, width)
    if shapes:
        maps = shaped_maps(cells, shapes, "model.shapes")
        return tuple(AnchorMap(m.rows, m.columns, tuple((w * scale, h * scale) for w, h in m.sizes)) for m in maps)
    if sizes:
        return ranged_maps(cells, _scaled(sizes, scale), ratio, height, width)
    return found.published(ratio, height, width, scale)


def _scaled(sizes: Sequence[Sequence[float]], scale: float) -> list[list[float]]:
    return [[s * scale for s in row] for row in sizes]
