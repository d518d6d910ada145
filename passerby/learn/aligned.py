"""Which default boxes answer for which object, asked of the network as it stands: a batch at once, in fixed shapes."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from passerby.learn.boxes import corners, offsets_of

MOST = 13  # positives an object; Feng et al. 2021, section 4.1


class Aligned(NamedTuple):
    """Targets of a batch: labels (B, A), offsets (B, A, 4), and worth (B, A), 0..1; see `losses.detection_loss`."""

    labels: Tensor
    offsets: Tensor
    worth: Tensor


@torch.no_grad()
def align(
    outputs: tuple[Tensor, Tensor],
    static: tuple[Tensor, Tensor],
    objects: Tensor,
    classes: Tensor,
    anchors: Tensor,
    variance: tuple[float, float],
) -> Aligned:
    """The default boxes that find each object best already: those of highest score times IoU ** 6.

    outputs           logits (B, A, C) of sigmoids, offsets (B, A, 4), of the network as it stands
    static            labels (B, A) and offsets (B, A, 4) of `geometry.assign`: what is not judged there (-1) is not
                      judged here where it has no object; a row that is no number stays one
    objects, classes  (B, M, 4) x0 y0 x1 y1, input pixels, and (B, M): of `heads.base.Targets`
    anchors           (A, 4) cx cy w h

    Candidates of an object are default boxes whose centre lies in it, and its positives of `static`, so that one
    smaller than a cell has some. Of those the MOST best answer for it; one that suits several, for the object that its
    predicted box overlaps most. Their worth is the product, scaled so that the best one's is its IoU.
    Feng et al. 2021, "TOOD: Task-aligned one-stage object detection", section 3.2, with its alpha 1 and beta 6.
    """
    logits, offsets = outputs
    if not objects.shape[1]:
        return Aligned(*static, torch.zeros_like(static[1][..., 0]))
    broken = ~torch.isfinite(static[1]).all(-1)
    real = classes > 0
    boxes = torch.nan_to_num(objects)
    found = torch.nan_to_num(corners(offsets.float(), anchors, variance))
    overlap = pair_iou(boxes, found)
    scores = logits.float().sigmoid().transpose(1, 2)
    place = (classes - 1).clamp(min=0).unsqueeze(-1).expand(-1, -1, scores.shape[2])
    fits = scores.gather(1, place) * overlap.pow(3).square()  # quicker than pow(6)
    fits = fits * (inside(anchors[:, :2], boxes) | mine(static, boxes, anchors, variance)) * real.unsqueeze(-1)
    best, rows = fits.topk(min(MOST, fits.shape[2]), dim=2)
    chosen = torch.zeros_like(fits, dtype=torch.bool).scatter_(2, rows, best > 0)
    value, owner = torch.where(chosen, overlap, torch.full_like(overlap, -1.0)).max(dim=1)
    positive = value >= 0
    scale = (overlap * chosen).amax(2) / best[..., 0].clamp(min=1e-12)
    worth = (fits * scale.unsqueeze(-1)).gather(1, owner.unsqueeze(1)).squeeze(1) * positive
    labels = torch.where(positive, classes.gather(1, owner), static[0].clamp(max=0))
    wanted = boxes.gather(1, owner.unsqueeze(-1).expand(-1, -1, 4))
    targets = torch.where(positive.unsqueeze(-1), offsets_of(wanted, anchors, variance), 0.0)
    return Aligned(
        torch.where(broken, static[0], labels),
        torch.where(broken.unsqueeze(-1), static[1], targets),
        torch.where(broken, 1.0, worth.clamp(max=1.0)),
    )


def pair_iou(a: Tensor, b: Tensor) -> Tensor:
    """IoU of every pair: a (B, M, 4), b (B, A, 4), x0 y0 x1 y1 -> (B, M, A); boxes without area overlap 0."""
    x0, y0, x1, y1 = a.unsqueeze(3).unbind(2)  # sides apart: sums over a last axis of 2 are slow
    u0, v0, u1, v1 = b.unsqueeze(1).unbind(3)
    across = (torch.minimum(x1, u1) - torch.maximum(x0, u0)).clamp(min=0)
    shared = across * (torch.minimum(y1, v1) - torch.maximum(y0, v0)).clamp(min=0)
    areas = [(x[..., 2:] - x[..., :2]).clamp(min=0).prod(-1) for x in (a, b)]
    return shared / (areas[0].unsqueeze(2) + areas[1].unsqueeze(1) - shared).clamp(min=1e-9)


def inside(centres: Tensor, boxes: Tensor) -> Tensor:
    """Whether each of the points (A, 2) lies in each box (B, M, 4): (B, M, A)."""
    x, y = centres.unbind(1)
    x0, y0, x1, y1 = boxes.unsqueeze(3).unbind(2)
    return (x > x0) & (x < x1) & (y > y0) & (y < y1)


def mine(static: tuple[Tensor, Tensor], boxes: Tensor, anchors: Tensor, variance: tuple[float, float]) -> Tensor:
    """Whether each default box was assigned to each object before the network was asked: (B, M, A).

    Whose it is follows from where its offsets lead: to the object whose corners are nearest.
    """
    labels, offsets = static
    led = corners(torch.nan_to_num(offsets), anchors, variance)
    apart = torch.cdist(led, boxes)
    owner = apart.argmin(2)
    return (torch.arange(boxes.shape[1], device=boxes.device)[:, None] == owner[:, None]) & (labels > 0).unsqueeze(1)
