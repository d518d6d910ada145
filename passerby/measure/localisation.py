"""How well a map shows where things are: boxes around it, its points, and people who stand together told apart.

Every map is that of a label that the picture holds, whatever the model says of it: what is judged is where, not
whether (Choe et al. 2020, "Evaluating weakly supervised object localization methods right").
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from passerby.geometry.boxes import Floats, iou
from passerby.geometry.pairing import pair_up
from passerby.measure.matching import Doubles
from passerby.records import Ints, Truth
from passerby.runtime.regions import NEVER, Regions, find_regions

DELTAS = (0.3, 0.5, 0.7)  # IoU from which a box is right: MaxBoxAccV2
THRESHOLDS = np.linspace(0, 1, 101).astype(np.float32)  # shares of the map's range
BINS = 1000  # of the shares, for the curve over points
GROUP_IOU = 0.3  # the least of DELTAS
RULES = ("split", "plain")


@dataclass(frozen=True)
class Apart:
    """How a rule takes the people of one picture apart.

    regions   how many it makes
    by_spot   people who have a region of their own: one to one, its highest point in their box
    by_iou    the same where the region's box and theirs overlap by at least GROUP_IOU
    """

    regions: int
    by_spot: int
    by_iou: int


@dataclass(frozen=True)
class MapRow:
    """One picture's map against its boxes.

    boxes    how many count
    largest  (T,) IoU of the box around the largest connected region with the box it fits best, at each of THRESHOLDS
    closest  (T,) the best IoU of any connected region's box with any box
    points   (2, BINS) points of the map by share of the range: outside all boxes, and inside any
    apart    rule -> Apart
    """

    boxes: int
    largest: Floats
    closest: Floats
    points: Ints
    apart: dict[str, Apart]


def judge_map(heat: Floats, truth: Truth, threshold: float, split: float) -> MapRow:
    """Set a map against the boxes of its label.

    heat       (h, w) float32, shares of the map's range
    truth      boxes in points of the map; difficult ones are left out, points in ignore regions are not counted
    threshold, split  of the model's own regions
    """
    boxes = truth.boxes[~truth.difficult & ~truth.ignore]
    largest, closest = np.zeros(len(THRESHOLDS), np.float32), np.zeros(len(THRESHOLDS), np.float32)
    for t, level in enumerate(THRESHOLDS):
        _, _, stats, _ = cv2.connectedComponentsWithStats((heat >= level).astype(np.uint8), connectivity=8)
        found = stats[1:].astype(np.float32)  # x, y, width, height, points; the first is what is under the threshold
        found[:, 2:4] += found[:, :2]
        best = iou(found[:, :4], boxes).max(axis=1)
        largest[t], closest[t] = best[found[:, 4].argmax()], best.max()
    rules = {"split": split, "plain": NEVER}
    apart = {name: _take_apart(find_regions(heat, threshold, s), boxes) for name, s in rules.items()}
    return MapRow(len(boxes), largest, closest, _points(heat, boxes, truth.boxes[truth.ignore]), apart)


def _take_apart(regions: Regions, boxes: Floats) -> Apart:
    x, y = (regions.spots[:, k, None] + 0.5 for k in (0, 1))
    inside = (x >= boxes[:, 0]) & (x < boxes[:, 2]) & (y >= boxes[:, 1]) & (y < boxes[:, 3])
    near = iou(regions.boxes, boxes) >= GROUP_IOU
    return Apart(len(regions), *(len(pair_up(gain.astype(np.float64))) for gain in (inside, near)))


def _points(heat: Floats, boxes: Floats, ignored: Floats) -> Ints:
    inside, out = _covered(heat.shape, boxes), _covered(heat.shape, ignored)
    number = np.minimum((heat * BINS).astype(np.int64), BINS - 1)
    counts = [np.bincount(number[where & ~out], minlength=BINS) for where in (~inside, inside)]
    return np.array(counts, np.int64)


def _covered(shape: tuple[int, ...], boxes: Floats) -> NDArray[np.bool_]:
    """(h, w) which points have their centre in any box."""
    ys, xs = np.arange(shape[0])[:, None] + 0.5, np.arange(shape[1])[None] + 0.5
    out = np.zeros((shape[0], shape[1]), bool)
    for x0, y0, x1, y1 in boxes.tolist():
        out |= (xs >= x0) & (xs < x1) & (ys >= y0) & (ys < y1)
    return out


def score_maps(rows: Sequence[MapRow], threshold: float, seed: int = 0) -> dict[str, float]:
    """Every number about where.

    rows       one a (picture, label) whose boxes are known
    threshold  the model's own share of the range
    seed       of the halves

    `box_acc@d`: share of the maps whose largest region's box has IoU d or more with a box, at the threshold that was
    best on the other half of the maps (both ways round, so each map is scored once); `box_acc` their mean over DELTAS,
    `box_acc_any` the same for the best of all regions (MaxBoxAccV2), `box_acc_own` at the model's own threshold;
    `max_box_acc@d`: at the threshold best for these very maps, what papers print. `pxap`: area under the curve of
    precision and recall of points. `best_map_threshold`: where the mean over DELTAS of box_acc is highest.
    """
    if not rows:
        return {}
    largest, closest = (np.array([getattr(r, name) for r in rows]) for name in ("largest", "closest"))
    halves = halve(len(rows), seed)
    held = [held_out(largest >= d, halves) for d in DELTAS]
    curve = box_acc_curve(rows)
    own = int(np.abs(THRESHOLDS - threshold).argmin())
    out = {f"box_acc@{d:g}": value for d, value in zip(DELTAS, held, strict=True)}
    out["box_acc"] = float(np.mean(held))
    out["box_acc_any"] = float(np.mean([held_out(closest >= d, halves) for d in DELTAS]))
    out["box_acc_own"] = float(curve[:, own].mean())
    out |= {f"max_box_acc@{d:g}": float(values.max()) for d, values in zip(DELTAS, curve, strict=True)}
    out["best_map_threshold"] = float(THRESHOLDS[middle_best(curve.mean(axis=0))])
    out["pxap"] = point_ap(np.sum([r.points for r in rows], axis=0))
    return out | {"maps": float(len(rows))} | score_groups(rows)


def box_acc_curve(rows: Sequence[MapRow]) -> Doubles:
    """BoxAcc (DELTAS, THRESHOLDS): share of the maps whose largest region's box is right."""
    largest = np.array([r.largest for r in rows]).reshape(-1, len(THRESHOLDS))
    return np.array([(largest >= d).mean(axis=0) for d in DELTAS])


def halve(count: int, seed: int) -> NDArray[np.bool_]:
    """(count,) which maps belong to the first half, drawn at random."""
    first = np.zeros(count, bool)
    first[np.random.default_rng(seed).permutation(count)[: count // 2]] = True
    return first


def held_out(right: NDArray[np.bool_], first: NDArray[np.bool_]) -> float:
    """Share right where each half is scored at the threshold that is best on the other; NaN for a single map.

    right (P, T), first (P,)
    """
    if len(first) < 2:
        return math.nan
    scored = [right[~half, middle_best(right[half].mean(axis=0))] for half in (first, ~first)]
    return float(np.concatenate(scored).mean())


def middle_best(values: Doubles) -> int:
    """Which of (T,) is highest; of several the middle one, so that chance at the edges decides nothing."""
    best = np.flatnonzero(values == values.max())
    return int(best[len(best) // 2])


def point_ap(points: Ints) -> float:
    """PxAP (Choe et al. 2020, equation 3): sum over thresholds of precision times the gain in recall.

    points (2, BINS): outside and inside the boxes, all maps together. NaN where nothing is inside.
    """
    outside, inside = np.cumsum(points[:, ::-1], axis=1, dtype=np.float64)
    if not inside[-1]:
        return math.nan
    precision = inside / np.maximum(inside + outside, 1)
    gain = np.diff(inside, prepend=0) / inside[-1]
    return float((precision * gain).sum())


def score_groups(rows: Sequence[MapRow]) -> dict[str, float]:
    """People who stand together, by the model's own regions: the rule that splits, and plain connected regions.

    `groups`: maps with two boxes or more. Of them, for each rule: `separated/rule`: share where everybody has a region
    of their own by its highest point; `separated_iou/rule`: by IoU; `apart/rule`: share of the people who have one.
    `one_in_pieces/rule`: share of the maps with a single box that fall into several regions, the price of splitting.
    """
    groups, alone = [r for r in rows if r.boxes > 1], [r for r in rows if r.boxes == 1]
    out = {"groups": float(len(groups))}
    for rule in RULES:
        out[f"separated/{rule}"] = _share([r.apart[rule].by_spot == r.boxes for r in groups])
        out[f"separated_iou/{rule}"] = _share([r.apart[rule].by_iou == r.boxes for r in groups])
        people = sum(r.boxes for r in groups)
        out[f"apart/{rule}"] = sum(r.apart[rule].by_spot for r in groups) / people if people else math.nan
        out[f"one_in_pieces/{rule}"] = _share([r.apart[rule].regions > 1 for r in alone])
    return out


def _share(hits: Sequence[bool]) -> float:
    return float(np.mean(hits)) if hits else math.nan
