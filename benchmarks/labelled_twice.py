"""One picture, labelled twice: what one labelling of SCUT-HEAD Part B lacks of the other's heads.

The set holds pictures twice, at other sizes, each labelled anew (`passerby data check` finds them); by whom is not
known. One labelling of a pair is taken as the truth and the other as a detector's answer, then the other way round:
missed is the share of heads whose partner, one to one by the largest sum of IoU, overlaps them by less than the IoU;
what a labelling has too many counts as false. So this is what a detector that errs like a labelling would get at that
number of false positives an image; it has no score to trade the one for the other. Pairs: train and val, likeness of
0.95 and more.
python benchmarks/labelled_twice.py --root DIR      DIR holds scut_head
"""

from __future__ import annotations

import argparse
from itertools import chain
from pathlib import Path

import numpy as np
from common import save

from passerby import load_data
from passerby.data.duplicates import near_pairs
from passerby.data.look import look_at_all
from passerby.geometry.boxes import iou
from passerby.geometry.pairing import pair_up
from passerby.measure.interval import resamples

LIKENESS = 0.95  # under it the pictures of a pair are cut otherwise, or others of the same room
SIDE = 500  # pixels of the square to which both are brought, so that their boxes can be laid on each other
DRAWS = 2000  # bootstrap over pairs
Pair = tuple[np.ndarray, int, int]  # IoU of each two that belong together; heads of the one, and of the other


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True)
    given = parser.parse_args()
    splits = (load_data(f"voc:scut_head#{split}_B", ("head",), given.root) for split in ("train", "val"))
    samples = list(chain(*splits))
    seen = look_at_all(s.path for s in samples)
    looks = [seen[s.path] for s in samples]
    heads = [boxes_of(s.truth, look.width, look.height) for s, look in zip(samples, looks, strict=True)]
    pairs = [beside(heads[i], heads[j]) for i, j, likeness in near_pairs(looks) if likeness >= LIKENESS]
    whole = [pair for pair in pairs if max(pair[1:]) <= 2 * min(pair[1:])]
    rows: list[dict[str, object]] = []
    for name, some in (("all pairs", pairs), ("without those of which one has twice the labels", whole)):
        for least in (0.5, 0.3):
            missed, false = missed_of(some, least)
            drawn = [missed_of(some, least, times)[0] for times in resamples(len(some), DRAWS, 0)]
            low, high = np.percentile(drawn, (2.5, 97.5))
            rows.append(
                {
                    "pairs": f"{name}: {len(some)}",
                    "heads of both": sum(a + b for _, a, b in some),
                    "IoU": least,
                    "missed by the other": f"{missed:.4f}",
                    "95 %, bootstrap over pairs": f"{low:.4f} to {high:.4f}",
                    "false positives an image": f"{false:.2f}",
                    "median IoU": f"{np.median(np.concatenate([shared for shared, *_ in some])):.2f}",
                }
            )
    save("labelled_twice", "Pictures that SCUT-HEAD Part B holds twice, one labelling measured by the other", rows)


def boxes_of(truth, width: int, height: int) -> np.ndarray:
    """The labelled heads (N, 4) of a picture, in shares of its sides times SIDE."""
    return (truth.boxes[~(truth.ignore | truth.difficult)] / np.array([width, height] * 2) * SIDE).astype(np.float32)


def beside(one: np.ndarray, other: np.ndarray) -> Pair:
    """Two labellings of a picture, head by head."""
    shared = iou(one, other)
    return np.array([shared[i, j] for i, j in pair_up(shared)]), len(one), len(other)


def missed_of(pairs: list[Pair], least: float, times: np.ndarray | int = 1) -> tuple[float, float]:
    """Share of heads that the other labelling lacks at an IoU, and heads an image that only one of them has.

    times  how often each pair counts
    """
    heads = np.array([a + b for _, a, b in pairs]) * times
    alone = heads - 2 * np.array([(shared >= least).sum() for shared, *_ in pairs]) * times
    return alone.sum() / heads.sum(), alone.sum() / (2 * len(pairs))


if __name__ == "__main__":
    main()
