"""Losses over fixed-size targets; no loop over pictures."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from passerby.learn.boxes import corners
from passerby.recipe import Optimiser
from passerby.spec import ModelSpec


class Losses(NamedTuple):
    """Sums a batch, divided by its number of positive default boxes, or of sampled ones in each of two stages.

    Of a classifier, which has no boxes: `score` is the mean over pictures, `box` the penalty on its weights, and
    `right` the share of the pictures that it takes for what they are.
    """

    score: Tensor
    box: Tensor
    right: Tensor | None = None


def focal(logits: Tensor, labels: Tensor, alpha: float, gamma: float) -> Tensor:
    """Sigmoid focal loss, summed over all judged default boxes and classes.

    logits  (B, A, C); labels (B, A): 0 background, k + 1 for class k, -1 not judged

    Lin et al. 2017, "Focal loss for dense object detection", equation 5.
    """
    target = F.one_hot(labels.clamp(min=0), logits.shape[-1] + 1)[..., 1:].to(logits.dtype)
    loss = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    hard = torch.exp(gamma * F.logsigmoid(logits * (1 - 2 * target)))  # (1 - p_t) ** gamma, finite gradient at p_t = 1
    weight = alpha * target + (1 - alpha) * (1 - target)
    return (loss * hard * weight * (labels >= 0).unsqueeze(-1)).sum()


def quality_focal(logits: Tensor, labels: Tensor, overlaps: Tensor, gamma: float) -> Tensor:
    """Focal loss whose target of a positive is how well its box fits, so that the best-placed box scores highest.

    logits    (B, A, C); labels (B, A) as in `focal`
    overlaps  (P,) IoU of the P positives' predicted boxes with their objects, in the order of `labels > 0`

    Li et al. 2020, "Generalized focal loss", equation 5 (quality focal loss).
    """
    target = F.one_hot(labels.clamp(min=0), logits.shape[-1] + 1)[..., 1:].to(logits.dtype)
    target[labels > 0] *= overlaps.unsqueeze(-1)
    loss = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    hard = (torch.sigmoid(logits) - target).abs() ** gamma
    return (loss * hard * (labels >= 0).unsqueeze(-1)).sum()


def mining(logits: Tensor, labels: Tensor, ratio: float) -> Tensor:
    """Softmax cross-entropy of all positives and, a picture, of the `ratio` times as many hardest negatives.

    logits  (B, A, C + 1), background first; labels (B, A) as in `focal`

    Liu et al. 2016, "SSD", section 2.2 (hard negative mining); a picture without objects gives its `ratio` hardest.
    """
    loss = F.cross_entropy(logits.transpose(1, 2), labels.clamp(min=0), reduction="none")
    positive, negative = labels > 0, labels == 0
    wanted = (positive.sum(dim=1).clamp(min=1) * ratio).long()
    shown = torch.where(negative, loss.detach(), torch.full_like(loss, -1.0))
    rank = shown.argsort(dim=1, descending=True).argsort(dim=1)
    return (loss * (positive | (negative & (rank < wanted.unsqueeze(1))))).sum()


def overlap(offsets: Tensor, targets: Tensor, anchors: Tensor, variance: tuple[float, float]) -> tuple[Tensor, Tensor]:
    """IoU and generalised IoU of predicted and true boxes, row by row, each (P,).

    offsets, targets  (P, 4) offsets from the default boxes `anchors` (P, 4), cx cy w h

    Rezatofighi et al. 2019, "Generalized intersection over union", algorithm 1. Unlike smooth L1 it asks for the
    overlap that a hit is judged by, which a small box loses to an error of a pixel.
    """
    top = 4.0 / variance[1]  # at exp(4) times the default box a prediction is wrong enough; more would overflow
    offsets = torch.cat([offsets[:, :2], offsets[:, 2:].clamp(max=top)], 1)
    a, b = corners(offsets, anchors, variance), corners(targets, anchors, variance)
    shared = (torch.minimum(a[:, 2:], b[:, 2:]) - torch.maximum(a[:, :2], b[:, :2])).clamp(min=0).prod(dim=1)
    hull = (torch.maximum(a[:, 2:], b[:, 2:]) - torch.minimum(a[:, :2], b[:, :2])).prod(dim=1)
    union = (a[:, 2:] - a[:, :2]).prod(dim=1) + (b[:, 2:] - b[:, :2]).prod(dim=1) - shared
    iou = shared / union
    return iou, iou - (hull - union) / hull


def detection_loss(
    logits: Tensor, offsets: Tensor, labels: Tensor, targets: Tensor, anchors: Tensor, spec: ModelSpec, how: Optimiser
) -> Losses:
    """(L_conf, L_loc) / N over the batch's N positives, at least 1.

    logits, offsets  of the network; labels (B, A), targets (B, A, 4) of `assign`; anchors (A, 4) cx cy w h
    spec.scoring     "sigmoid": focal, or quality focal; "softmax": hard-negative mining
    """
    logits, offsets = logits.float(), offsets.float()
    positive = labels > 0
    count = positive.sum().clamp(min=1)
    rows = anchors.expand(len(labels), -1, -1)[positive]
    iou, generalised = overlap(offsets[positive], targets[positive], rows, spec.variance)
    if spec.scoring == "softmax":
        score = mining(logits, labels, how.mining_ratio)
    elif how.quality:
        score = quality_focal(logits, labels, iou.detach(), how.focal_gamma)
    else:
        score = focal(logits, labels, how.focal_alpha, how.focal_gamma)
    if how.box_loss == "giou":
        box = (1 - generalised).sum()
    else:
        box = F.smooth_l1_loss(offsets[positive], targets[positive], beta=how.box_beta, reduction="sum")
    return Losses(score / count, how.box_weight * box / count)


def sampled_loss(
    logits: Tensor,
    offsets: Tensor,
    labels: Tensor,
    targets: Tensor,
    anchors: Tensor,
    variance: tuple[float, float],
    how: Optimiser,
) -> Losses:
    """(L_conf, L_loc) / N over the N judged rows of a balanced sample, at least 1.

    logits   (N, C + 1), background first; labels (N,): 0 background, k + 1 for class k, -1 not judged
    offsets  (N, 4), and targets (N, 4), both from `anchors` (N, 4), cx cy w h; of use where the label is over 0

    Softmax cross-entropy, and the box loss of the positives; both over the sample's size, so that they weigh alike:
    Ren et al. 2015, "Faster R-CNN", section 3.1.2.
    """
    logits, offsets = logits.float(), offsets.float()
    positive = labels > 0
    count = (labels >= 0).sum().clamp(min=1)
    score = F.cross_entropy(logits, labels, ignore_index=-1, reduction="sum")
    offsets, targets = offsets[positive], targets[positive]
    if how.box_loss == "giou":
        box = (1 - overlap(offsets, targets, anchors[positive], variance)[1]).sum()
    else:
        box = F.smooth_l1_loss(offsets, targets, beta=how.box_beta, reduction="sum")
    return Losses(score / count, how.box_weight * box / count)
