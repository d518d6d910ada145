"""Proposals: the best boxes of a first stage, and which of them train the second; whole batches at once."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from passerby.learn.boxes import corners
from passerby.spec import ModelSpec

CANDIDATES = 6  # boxes that enter suppression for each proposal that is wanted, shared evenly by the maps
OVERLAP = 0.7  # IoU over which the lower score goes: Ren et al. 2015, "Faster R-CNN", section 3.3
ROUNDS = 16  # of suppression; even, see `suppress`
GROWTH = 4.0  # log of how many times its default box's side a side may be
LEAST = 1.0  # pixels a side; a proposal that is smaller after clipping is dropped


class Proposals(NamedTuple):
    """Boxes of a first stage, highest score first.

    boxes  (B, K, 4) x0 y0 x1 y1, input pixels, inside the input
    kept   (B, K) bool: not suppressed by one before it, and not too small
    """

    boxes: Tensor
    kept: Tensor


def propose(logits: Tensor, offsets: Tensor, anchors: Tensor, spec: ModelSpec) -> Proposals:
    """The candidates of each map, decoded, sorted and suppressed together; the number of rows depends on no data.

    logits, offsets  (B, A), (B, A, 4) of the default boxes `anchors` (A, 4), cx cy w h, input pixels
    spec             default boxes of each map, input size, variance, and how many proposals are wanted

    Ren et al. 2015, "Faster R-CNN", section 3.3; the best of each map on its own: Lin et al. 2017, "FPN", section 4.1.
    """
    share = CANDIDATES * int(spec.network["proposals"]) // len(spec.anchors)
    rows, at = [], 0
    for length in map(len, spec.anchors):
        rows.append(logits[:, at : at + length].topk(min(share, length), dim=1).indices + at)
        at += length
    chosen = torch.cat(rows, 1)
    chosen = chosen.gather(1, logits.gather(1, chosen).topk(chosen.shape[1], dim=1).indices)
    moves = limit_growth(take(offsets, chosen), spec.variance)
    boxes = corners(moves, anchors[chosen], spec.variance)
    limits = (spec.width, spec.height, spec.width, spec.height)
    boxes = torch.stack([boxes[..., i].clamp(0, limit) for i, limit in enumerate(limits)], -1)
    large = ((boxes[..., 2:] - boxes[..., :2]) >= LEAST).all(-1)
    return Proposals(boxes, suppress(boxes, large, OVERLAP))


def limit_growth(offsets: Tensor, variance: tuple[float, float]) -> Tensor:
    """Offsets (..., 4) that make a side at most exp(GROWTH) times as long: more would overflow."""
    return torch.cat([offsets[..., :2], offsets[..., 2:].clamp(max=GROWTH / variance[1])], -1)


def suppress(boxes: Tensor, valid: Tensor, threshold: float, rounds: int = ROUNDS) -> Tensor:
    """Greedy non-maximum suppression without a loop over boxes: which are kept.

    boxes    (B, K, 4) x0 y0 x1 y1, highest score first
    valid    (B, K) bool: the others are neither kept nor suppress
    returns  (B, K) bool, what `geometry.nms` keeps

    A box is kept when no kept box before it overlaps it by more than `threshold`: a fixed point, reached by applying
    that rule again and again to "all are kept". A box is decided once those are that could suppress it, so n rounds
    are exact where no chain of boxes, each able to suppress the next, is longer than n. The rule turns a set that
    holds the answer into one that lies within it and the other way round, so that after an even number of rounds
    nothing is missing: what a longer chain leaves is too many boxes, which the last suppression of the runtime drops.
    """
    count = boxes.shape[1]
    place = torch.arange(count, device=boxes.device)
    before = place.unsqueeze(0) < place.unsqueeze(1)  # [i, j]: j has the higher score
    rivals = (pairwise_iou(boxes, boxes) > threshold) & before
    kept = valid
    for _ in range(rounds):
        kept = valid & ~(rivals & kept.unsqueeze(1)).any(-1)
    return kept


def best_of(proposals: Proposals, count: int) -> Proposals:
    """The first `count` that are kept; where there are fewer, rows of 0 that are not."""
    total = proposals.kept.shape[1]
    place = torch.arange(total, dtype=torch.float32, device=proposals.kept.device)
    worth = torch.where(proposals.kept, total - place, -place)  # no two are the same: every engine sorts alike
    rows = worth.topk(min(count, total), dim=1).indices
    kept = proposals.kept.gather(1, rows)
    return Proposals(take(proposals.boxes, rows) * kept.unsqueeze(-1), kept)


class Candidates(NamedTuple):
    """What may train the second stage.

    boxes   (B, N, 4) proposals, then the true boxes; detached
    labels  (B, N) int64: 0 background, k + 1 for class k, -1 not judged
    truth   (B, N, 4) the object that each answers for; of use where the label is over 0
    """

    boxes: Tensor
    labels: Tensor
    truth: Tensor


def judge(proposals: Proposals, objects: Tensor, classes: Tensor, least: float = 0.5) -> Candidates:
    """Which object each proposal answers for: the one of best overlap, where IoU is `least` or more.

    objects, classes  (B, M, 4) and (B, M), as in `heads.base.Targets`

    The true boxes are proposals too, so that there are positives from the first step on. A proposal without object is
    not judged where over half of it lies in an object that is not (ignored, difficult): every box of IoU 0.5 does.

    Girshick 2015, "Fast R-CNN", section 2.3: 0.5.
    """
    objects = torch.nn.functional.pad(objects, (0, 0, 0, 1))  # so that there is one to look at
    classes = torch.nn.functional.pad(classes, (0, 1))
    boxes = torch.cat([proposals.boxes, objects], 1)
    valid = torch.cat([proposals.kept, classes > 0], 1)
    overlaps = pairwise_iou(boxes, objects).masked_fill((classes <= 0).unsqueeze(1), 0)
    best, owner = overlaps.max(-1)
    labels = classes.gather(1, owner).masked_fill(best < least, 0)
    size = boxes[..., 2:] - boxes[..., :2]
    area = (size[..., 0] * size[..., 1]).unsqueeze(-1)
    hazy = ((pairwise_shared(boxes, objects) > 0.5 * area) & (classes < 0).unsqueeze(1)).any(-1)
    labels = labels.masked_fill(((labels == 0) & hazy) | ~valid, -1)
    return Candidates(boxes, labels, take(objects, owner))


def draw(labels: Tensor, count: int, positives: int, keys: Tensor) -> tuple[Tensor, Tensor]:
    """A random sample of each picture's rows: at most `positives` of them, the rest background.

    labels   (B, N) int64: over 0 positive, 0 background, -1 not judged
    keys     (B, N) float32, random, 0..1: what decides
    returns  rows (B, min(count, N)), and their labels: -1 where a picture has too few to fill the sample
    """
    hit = labels > 0
    last = torch.where(hit, keys, 0).topk(min(positives, labels.shape[1]), dim=1).values[:, -1:]
    worth = torch.where(hit & (keys >= last), 2 + keys, torch.where(labels == 0, 1 + keys, 0))
    worth, rows = worth.topk(min(count, labels.shape[1]), dim=1)
    return rows, labels.gather(1, rows).masked_fill(worth < 1, -1)


def pairwise_shared(a: Tensor, b: Tensor) -> Tensor:
    """Area shared by every pair: a (B, N, 4), b (B, M, 4) -> (B, N, M), square pixels."""
    a, b = a.unsqueeze(2), b.unsqueeze(1)
    width = torch.minimum(a[..., 2], b[..., 2]) - torch.maximum(a[..., 0], b[..., 0])
    height = torch.minimum(a[..., 3], b[..., 3]) - torch.maximum(a[..., 1], b[..., 1])
    return width.clamp(min=0) * height.clamp(min=0)


def pairwise_iou(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union of every pair, (B, N, M); boxes without area overlap 0, never NaN."""
    shared = pairwise_shared(a, b)
    size_a, size_b = (x[..., 2:] - x[..., :2] for x in (a, b))
    union = (size_a[..., 0] * size_a[..., 1]).unsqueeze(2) + (size_b[..., 0] * size_b[..., 1]).unsqueeze(1) - shared
    return shared / union.clamp(min=1e-9)


def take(values: Tensor, rows: Tensor) -> Tensor:
    """Rows (B, K) of values (B, N, D), picture by picture -> (B, K, D)."""
    return values.gather(1, rows.unsqueeze(-1).expand(-1, -1, values.shape[-1]))
