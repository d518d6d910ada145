"""Losses of boxes, row by row. A loss is one function here and one line in BOX_LOSSES."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from passerby.learn.boxes import corners

LARGEST = 4.0  # log of a size over the default box's: a prediction is wrong enough there, and more would overflow


class Pairs(NamedTuple):
    """Predicted and true boxes, row by row.

    offsets, targets  (P, 4) from default boxes, no unit
    found, true       (P, 4) x0 y0 x1 y1, input pixels
    """

    offsets: Tensor
    targets: Tensor
    found: Tensor
    true: Tensor

    @classmethod
    def of(cls, offsets: Tensor, targets: Tensor, anchors: Tensor, variance: tuple[float, float]) -> Pairs:
        """Of offsets (P, 4) from the default boxes `anchors` (P, 4), cx cy w h."""
        held = torch.cat([offsets[:, :2], offsets[:, 2:].clamp(max=LARGEST / variance[1])], 1)
        return cls(offsets, targets, corners(held, anchors, variance), corners(targets, anchors, variance))

    def shared(self) -> tuple[Tensor, Tensor]:
        """Intersection and union, each (P,), square pixels."""
        both = torch.minimum(self.found[:, 2:], self.true[:, 2:]) - torch.maximum(self.found[:, :2], self.true[:, :2])
        shared = both.clamp(min=0).prod(dim=1)
        return shared, _sides(self.found).prod(dim=1) + _sides(self.true).prod(dim=1) - shared

    def hull(self) -> Tensor:
        """Width and height (P, 2) of the smallest box around both, pixels."""
        return torch.maximum(self.found[:, 2:], self.true[:, 2:]) - torch.minimum(self.found[:, :2], self.true[:, :2])

    def iou(self) -> Tensor:
        """Intersection over union (P,)."""
        shared, union = self.shared()
        return shared / union


def smooth_l1(pairs: Pairs, beta: float) -> Tensor:
    """Of the four offsets, summed (P,): Girshick 2015, "Fast R-CNN", equation 3; straight from `beta` on."""
    return F.smooth_l1_loss(pairs.offsets, pairs.targets, beta=beta, reduction="none").sum(1)


def giou(pairs: Pairs, beta: float) -> Tensor:
    """1 - generalised IoU (P,): Rezatofighi et al. 2019, "Generalized intersection over union", algorithm 1.

    Unlike smooth L1 it asks for the overlap that a hit is judged by, which a small box loses to an error of a pixel.
    """
    del beta
    shared, union = pairs.shared()
    hull = pairs.hull().prod(dim=1)
    return 1 - shared / union + (hull - union) / hull


def diou(pairs: Pairs, beta: float) -> Tensor:
    """1 - IoU + (distance of the centres / diagonal of the hull) squared, (P,).

    Zheng et al. 2020, "Distance-IoU loss", equation 7. It draws boxes together that do not overlap, straight.
    """
    del beta
    apart = (pairs.found[:, :2] + pairs.found[:, 2:] - pairs.true[:, :2] - pairs.true[:, 2:]) / 2
    return 1 - pairs.iou() + apart.square().sum(1) / pairs.hull().square().sum(1)


def ciou(pairs: Pairs, beta: float) -> Tensor:
    """`diou` and a v, with v = 4 / pi^2 (difference of atan(width / height))^2 and a = v / (1 - IoU + v), (P,).

    Zheng et al. 2020, "Distance-IoU loss", equations 8 to 11; a is a constant to the gradient.
    """
    slants = [torch.atan(s[:, 0] / s[:, 1]) for s in (_sides(pairs.found), _sides(pairs.true))]
    v = 4 / math.pi**2 * (slants[0] - slants[1]).square()
    with torch.no_grad():
        share = v / (1 - pairs.iou() + v).clamp(min=1e-7)
    return diou(pairs, beta) + share * v


def _sides(boxes: Tensor) -> Tensor:
    return boxes[:, 2:] - boxes[:, :2]


BOX_LOSSES: dict[str, Callable[[Pairs, float], Tensor]] = {
    "smooth_l1": smooth_l1,
    "giou": giou,
    "diou": diou,
    "ciou": ciou,
}
