"""Losses over fixed-size targets; no loop over pictures."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from passerby.recipe import Optimiser


class Losses(NamedTuple):
    """Sums a batch, divided by its number of positive default boxes."""

    score: Tensor
    box: Tensor


def focal(logits: Tensor, labels: Tensor, alpha: float, gamma: float) -> Tensor:
    """Sigmoid focal loss, summed over all judged default boxes and classes.

    logits  (B, A, C); labels (B, A): 0 background, k + 1 for class k, -1 not judged

    Lin et al. 2017, "Focal loss for dense object detection", equation 5.
    """
    target = F.one_hot(labels.clamp(min=0), logits.shape[-1] + 1)[..., 1:].to(logits.dtype)
    loss = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    p = torch.sigmoid(logits)
    hard = (1 - (p * target + (1 - p) * (1 - target))) ** gamma
    weight = alpha * target + (1 - alpha) * (1 - target)
    return (loss * hard * weight * (labels >= 0).unsqueeze(-1)).sum()


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


def detection_loss(
    logits: Tensor, offsets: Tensor, labels: Tensor, targets: Tensor, scoring: str, how: Optimiser
) -> Losses:
    """(L_conf, L_loc) / N over the batch's N positives, at least 1.

    logits, offsets  of the network; labels (B, A), targets (B, A, 4) of `assign`
    scoring          "sigmoid": focal; "softmax": hard-negative mining
    """
    logits, offsets = logits.float(), offsets.float()
    positive = labels > 0
    count = positive.sum().clamp(min=1)
    if scoring == "sigmoid":
        score = focal(logits, labels, how.focal_alpha, how.focal_gamma)
    else:
        score = mining(logits, labels, how.mining_ratio)
    box = F.smooth_l1_loss(offsets[positive], targets[positive], beta=how.box_beta, reduction="sum")
    return Losses(score / count, how.box_weight * box / count)
