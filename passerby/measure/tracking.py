"""How well identities are kept: MOTA and IDF1 of tracked detections against sequences whose identities are known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from passerby.errors import ShapeError
from passerby.geometry.boxes import Floats, iou
from passerby.geometry.pairing import pair_up
from passerby.records import Detections, Ints


@dataclass(frozen=True)
class Seen:
    """Who is really in one frame: boxes (N, 4), x0 y0 x1 y1, and their identities (N,)."""

    boxes: Floats
    ids: Ints


def score(truth: Sequence[Seen], tracked: Sequence[Detections], least: float = 0.5) -> dict[str, float]:
    """`mota`, `idf1`, and what they are made of: `misses`, `false_alarms`, `switches`, `objects`.

    truth, tracked  frame by frame; the detections have ids
    least           IoU of a match

    MOTA = 1 - (misses + false alarms + switches) / objects; a match of the frame before stays where it still overlaps
    (Bernardin and Stiefelhagen 2008, "Evaluating multiple object tracking performance: the CLEAR MOT metrics").
    IDF1 = 2 IDTP / (objects + detections), over the pairing of identities that gives most (Ristani et al. 2016,
    "Performance measures and a data set for multi-target, multi-camera tracking").
    Raises ShapeError when the sequences differ in length or detections have no ids.
    """
    if len(truth) != len(tracked):
        raise ShapeError(f"{len(truth)} frames of truth, {len(tracked)} of tracking")
    misses = alarms = switches = objects = found = 0
    last: dict[int, int] = {}  # true identity -> the identity it was given last
    together: Counter[tuple[int, int]] = Counter()
    for frame, (real, given) in enumerate(zip(truth, tracked, strict=True)):
        if given.ids is None:
            raise ShapeError(f"frame {frame}: the detections have no ids")
        overlap = iou(real.boxes, given.boxes)
        for i, j in np.argwhere(overlap >= least).tolist():
            together[int(real.ids[i]), int(given.ids[j])] += 1
        kept = np.array([[last.get(int(a)) == int(b) for b in given.ids] for a in real.ids], bool).reshape(
            overlap.shape
        )
        pairs = pair_up(np.where(overlap >= least, overlap + 2.0 * kept, 0.0))
        for i, j in pairs:
            a, b = int(real.ids[i]), int(given.ids[j])
            switches += last.get(a, b) != b
            last[a] = b
        objects += len(real.ids)
        found += len(given)
        misses += len(real.ids) - len(pairs)
        alarms += len(given) - len(pairs)
    right = _most_together(together)
    return {
        "mota": 1 - (misses + alarms + switches) / objects if objects else float("nan"),
        "idf1": 2 * right / (objects + found) if objects + found else float("nan"),
        "misses": float(misses),
        "false_alarms": float(alarms),
        "switches": float(switches),
        "objects": float(objects),
    }


def _most_together(together: Counter[tuple[int, int]]) -> int:
    """Frames in which true and given identities agree, under the best pairing of the two."""
    real, given = (sorted({pair[k] for pair in together}) for k in (0, 1))
    table = np.zeros((len(real), len(given)))
    for (a, b), n in together.items():
        table[real.index(a), given.index(b)] = n
    return int(sum(table[p] for p in pair_up(table)))
