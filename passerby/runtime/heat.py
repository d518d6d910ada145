"""Where a network sees something: its scores laid out as they lie in the picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from passerby.errors import ModelError
from passerby.geometry.resize import Placement
from passerby.records import Floats, Ints
from passerby.spec import AnchorMap, ModelSpec


def score_maps(scores: Floats, anchors: Sequence[AnchorMap]) -> list[Floats]:
    """The best score of each cell, over its default boxes and all classes.

    scores   (A, C), in the order of `geometry.anchors.default_boxes`
    returns  one (rows, columns) float32 a feature map, finest first
    """
    best = scores.max(axis=1)
    maps = []
    at = 0
    for m in anchors:
        maps.append(best[at : at + len(m)].reshape(m.rows, m.columns, len(m.sizes)).max(axis=2))
        at += len(m)
    return maps


def heat_map(scores: Floats, spec: ModelSpec, placement: Placement | None = None) -> Floats:
    """The best score over all feature maps, on the grid of the finest.

    scores     (A, C) of the graph
    placement  how the picture lies in the input: the padding of a letterbox is left out; None: the whole input
    returns    (rows, columns) float32, 0..1, to be stretched over the picture; all 0 for a two-stage model, whose
               scores are of proposals, which lie on no grid
    """
    finest = spec.anchors[0]
    down = kept_cells(finest.rows, spec.height, placement.pad_y if placement else 0)
    across = kept_cells(finest.columns, spec.width, placement.pad_x if placement else 0)
    heat = np.zeros((len(down), len(across)), np.float32)
    if "proposals" in spec.network:
        return heat
    for cells in score_maps(scores, spec.anchors):
        rows, columns = _cells(down, finest.rows, len(cells)), _cells(across, finest.columns, cells.shape[1])
        np.maximum(heat, cells[rows[:, None], columns], out=heat)
    return heat


@dataclass(frozen=True)
class StrideMap:
    """What one feature map says of a picture.

    stride         input pixels from cell to cell
    rows, columns  of the whole map
    heat           (h, w) float32, 0..1: the best score of each cell that lies over the picture
    """

    stride: float
    rows: int
    columns: int
    heat: Floats


def maps_by_stride(scores: Floats, spec: ModelSpec, placement: Placement | None = None) -> list[StrideMap]:
    """The scores of each feature map where they lie over the picture, finest first; arguments as of `heat_map`.

    Raises ModelError for a two-stage model, whose scores are of proposals, which lie on no grid.
    """
    if "proposals" in spec.network:
        raise ModelError(f"{spec.name}: a two-stage model scores proposals, not cells: there is no map to show")
    out = []
    for cells in score_maps(scores, spec.anchors):
        rows, columns = cells.shape
        down = kept_cells(rows, spec.height, placement.pad_y if placement else 0)
        across = kept_cells(columns, spec.width, placement.pad_x if placement else 0)
        out.append(StrideMap(spec.height / rows, rows, columns, cells[down[:, None], across]))
    return out


def kept_cells(cells: int, length: int, pad: int) -> Ints:
    """The cells of one axis whose centre is not in the padding, or the middle one of a picture that is too thin."""
    centres = (np.arange(cells) + 0.5) / cells * length
    kept = np.flatnonzero((centres >= pad) & (centres <= length - pad))
    return kept if len(kept) else np.array([cells // 2])


def _cells(cells: Ints, of: int, others: int) -> Ints:
    """Which cell of an axis of `others` cells holds the centre of each cell of an axis of `of`."""
    return np.asarray((2 * cells + 1) * others // (2 * of), np.int64)
