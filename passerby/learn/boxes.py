"""Offsets -> boxes, in torch: for the exported graph, and for losses that judge boxes."""

from __future__ import annotations

import torch
from torch import Tensor

from passerby.spec import ModelSpec


def corners(offsets: Tensor, anchors: Tensor, variance: tuple[float, float]) -> Tensor:
    """Boxes (..., A, 4), x0 y0 x1 y1, of offsets (..., A, 4) from default boxes (A, 4), cx cy w h.

    The inverse of `geometry.boxes.encode`.
    """
    centre = anchors[..., :2] + offsets[..., :2] * variance[0] * anchors[..., 2:]
    half = anchors[..., 2:] * torch.exp(offsets[..., 2:] * variance[1]) * 0.5
    return torch.cat([centre - half, centre + half], -1)


def centres_of(boxes: Tensor) -> Tensor:
    """x0 y0 x1 y1 -> cx cy w h, both (..., 4)."""
    size = boxes[..., 2:] - boxes[..., :2]
    return torch.cat([boxes[..., :2] + size * 0.5, size], -1)


def offsets_of(boxes: Tensor, anchors: Tensor, variance: tuple[float, float]) -> Tensor:
    """Boxes (..., 4), x0 y0 x1 y1, as offsets from `anchors` (..., 4), cx cy w h; `corners` is the inverse."""
    centres = centres_of(boxes)
    shift = (centres[..., :2] - anchors[..., :2]) / anchors[..., 2:] / variance[0]
    return torch.cat([shift, torch.log(centres[..., 2:] / anchors[..., 2:]) / variance[1]], -1)


def decode(logits: Tensor, offsets: Tensor, anchors: Tensor, spec: ModelSpec) -> tuple[Tensor, Tensor]:
    """What a one-stage head says -> boxes (B, A, 4) input pixels, scores (B, A, classes) 0..1, both float32."""
    logits, offsets = logits.float(), offsets.float()
    scores = logits.softmax(-1)[..., 1:] if spec.scoring == "softmax" else logits.sigmoid()
    return corners(offsets, anchors, spec.variance), scores
