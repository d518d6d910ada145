"""NanoDet-m (RangiLyu): class scores (1, A_s, C) and distances (1, A_s, 4 * (R + 1)) of each stride s.

Each side's distance from the cell's centre is the mean of a distribution over 0 ... R cells (Li et al. 2020,
"Generalized Focal Loss"). The centre is half a cell inside (NanoDet-m).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from passerby.records import Floats
from passerby.runtime.adapters.base import Adapter, Input, Shape, cells, grid, input_size
from passerby.runtime.adapters.names import coco_if_80
from passerby.runtime.graph import Graph

STRIDES = (8, 16, 32)
SIDES = 4 * 8  # left, top, right, bottom; R = 7
INPUT = Input("stretch", "bgr", (103.53, 116.28, 123.675), (57.375, 57.12, 58.395), size=(320, 320))


def find(graph: Graph, shapes: Sequence[Shape]) -> tuple[int, ...]:
    """Three outputs of distances, and three of scores, by the number of cells of each stride."""
    width, height, _ = input_size(graph.inputs[0], INPUT)
    order = []
    for stride in STRIDES:
        own = [k for k, s in enumerate(shapes) if len(s) == 3 and s[1] == cells(width, height, [stride])]
        distances = [k for k in own if shapes[k][2] == SIDES]
        if len(own) != 2 or not distances:
            return ()
        # where there are 32 classes both look alike; distances come second
        order += [next(k for k in own if k != distances[-1]), distances[-1]]
    return tuple(order)


def decode(outputs: Sequence[Floats], width: int, height: int) -> tuple[Floats, Floats]:
    """Scores (1, A_s, C) and distances (1, A_s, 32) in turns -> boxes (A, 4) input pixels, scores (A, C)."""
    scores = np.concatenate([o[0] for o in outputs[::2]])
    spots, steps = grid(width, height, STRIDES)
    logits = np.concatenate([o[0] for o in outputs[1::2]]).reshape(len(scores), 4, -1)
    shares = np.exp(logits - logits.max(axis=2, keepdims=True))
    bins = np.arange(shares.shape[2], dtype=np.float32)
    reach = (shares @ bins) / shares.sum(axis=2) * steps
    centres = (spots + np.float32(0.5)) * steps
    return np.concatenate([centres - reach[:, :2], centres + reach[:, 2:]], axis=1), scores


ADAPTER = Adapter("NanoDet-m (RangiLyu), distributions a stride", find, decode, INPUT, coco_if_80, 0.4, 0.6)
