"""Losses over fixed-size targets; no loop over pictures."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from passerby.learn.box_losses import BOX_LOSSES, Pairs, giou
from passerby.recipe import Optimiser
from passerby.spec import ModelSpec

QUALITY_LOSSES = ("quality_focal", "varifocal")  # of scores whose target is how well a box fits
SURE = 0.1  # a teacher's boxes teach where it gives a score of at least this


class Losses(NamedTuple):
    """Sums a batch, divided by its number of positive default boxes, or of sampled ones in each of two stages.

    Of a classifier, which has no boxes: `score` is the mean over pictures, `box` the penalty on its weights, and
    `right` the share of the pictures that it takes for what they are.
    """

    score: Tensor
    box: Tensor
    right: Tensor | None = None

    def plus(self, other: Losses, weight: float) -> Losses:
        """With `weight` times another's score and box losses added."""
        return Losses(self.score + weight * other.score, self.box + weight * other.box, self.right)


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


def varifocal(logits: Tensor, labels: Tensor, overlaps: Tensor, alpha: float, gamma: float) -> Tensor:
    """As `quality_focal`, but a positive weighs by its own target q instead of by how wrong it is.

    logits, labels, overlaps  as in `quality_focal`
    alpha                     as in `focal`: negatives weigh (1 - alpha) p ** gamma

    Zhang et al. 2021, "VarifocalNet", equation 2, where 1 - alpha is called alpha: 0.75.
    """
    target = F.one_hot(labels.clamp(min=0), logits.shape[-1] + 1)[..., 1:].to(logits.dtype)
    target[labels > 0] *= overlaps.unsqueeze(-1)
    loss = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    weight = torch.where(target > 0, target, (1 - alpha) * torch.sigmoid(logits) ** gamma)
    return (loss * weight * (labels >= 0).unsqueeze(-1)).sum()


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
    logits: Tensor,
    offsets: Tensor,
    labels: Tensor,
    targets: Tensor,
    anchors: Tensor,
    spec: ModelSpec,
    how: Optimiser,
    worth: Tensor | None = None,
) -> Losses:
    """(L_conf, L_loc) / N over the batch's N positives, at least 1.

    logits, offsets  of the network; labels (B, A), targets (B, A, 4) of `assign`; anchors (A, 4) cx cy w h
    spec.scoring     "sigmoid": focal, quality focal or varifocal; "softmax": hard-negative mining
    worth            (B, A) how good an answer each positive is, 0..1, as `aligned.align` judges it: the target of its
                     score and the weight of its box, and N is its sum; None: the IoU of its box, each box weighs 1
    """
    logits, offsets = logits.float(), offsets.float()
    positive = labels > 0
    pairs = Pairs.of(offsets[positive], targets[positive], anchors.expand(len(labels), -1, -1)[positive], spec.variance)
    box = BOX_LOSSES[how.box_loss](pairs, how.box_beta)
    if worth is None:
        wanted, count = pairs.iou().detach(), positive.sum().clamp(min=1)
    else:
        wanted = worth[positive]
        box, count = box * wanted, wanted.sum().clamp(min=1)
    if spec.scoring == "softmax":
        score = mining(logits, labels, how.mining_ratio)
    elif not how.quality:
        score = focal(logits, labels, how.focal_alpha, how.focal_gamma)
    elif how.quality_loss == "varifocal":
        score = varifocal(logits, labels, wanted, how.focal_alpha, how.focal_gamma)
    else:
        score = quality_focal(logits, labels, wanted, how.focal_gamma)
    return Losses(score / count, how.box_weight * box.sum() / count)


def distil(
    outputs: tuple[Tensor, Tensor], taught: tuple[Tensor, Tensor], anchors: Tensor, variance: tuple[float, float]
) -> Losses:
    """How far a network is from its teacher, over the teacher's sum of scores, at least 1.

    outputs, taught  logits (B, A, C) of sigmoids and offsets (B, A, 4), of the student and of the teacher
    anchors          (A, 4) cx cy w h, of both

    Scores: cross-entropy with the teacher's as soft targets (Hinton et al. 2015, "Distilling the knowledge in a neural
    network", section 2), weighted by the squared difference as in `losses.quality_focal`, so that the background that
    both agree on does not drown the rest. Boxes: 1 - generalised IoU with the teacher's box times its highest score,
    where that is at least SURE.
    """
    logits, offsets = (x.float() for x in outputs)
    said = taught[0].float().sigmoid()
    apart = (logits.sigmoid() - said).square()
    score = (F.binary_cross_entropy_with_logits(logits, said, reduction="none") * apart).sum()
    weight = said.amax(-1)
    sure = weight >= SURE
    pairs = Pairs.of(offsets[sure], taught[1].float()[sure], anchors.expand(len(logits), -1, -1)[sure], variance)
    box = (giou(pairs, 1.0) * weight[sure]).sum()
    count = (weight * sure).sum().clamp(min=1)
    return Losses(score / count, box / count)


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
    pairs = Pairs.of(offsets[positive], targets[positive], anchors[positive], variance)
    box = BOX_LOSSES[how.box_loss](pairs, how.box_beta).sum()
    return Losses(score / count, how.box_weight * box / count)
