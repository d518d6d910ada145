"""Where a network looked: the gradient of one score on a map of features, drawn over the picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from passerby.errors import SettingError, ShapeError
from passerby.geometry.boxes import iou
from passerby.geometry.resize import Placement, fit
from passerby.learn.checkpoint import load_network
from passerby.learn.network import Detector
from passerby.records import Floats, Pixels
from passerby.runtime.regions import as_shares
from passerby.spec import ModelSpec

RULES = ("points", "channels")


def gradient_map(
    checkpoint: Path,
    pixels: Pixels,
    class_index: int,
    box: Sequence[float] | None = None,
    rule: str = "points",
) -> Floats:
    """What the score of one detection hangs on, over the picture.

    checkpoint   of any head
    pixels       (H, W, 3) uint8 RGB
    class_index  of the model's labels
    box          x0 y0 x1 y1, picture pixels: the detection of highest score times overlap; None: of highest score.
                 Of no use to a classifier, whose score is the whole picture's
    rule         see `weigh`

    returns  (H, W) float32, 0..1; zeros where nothing speaks for the score

    Of the backbone's maps the one is drawn that the score hangs on most: where the sum of |gradient x feature| is
    largest. Raises ModelError for a file that is no checkpoint, SettingError for a class or rule that is not there and
    for a box on which no detection lies, ShapeError for a box that is none.
    """
    network, spec, _ = load_network(checkpoint)
    if not 0 <= class_index < len(spec.labels):
        raise SettingError(f"class {class_index}: {spec.name} has {len(spec.labels)}, want 0 to {len(spec.labels) - 1}")
    if rule not in RULES:
        raise SettingError(f"rule '{rule}' is unknown (known: {', '.join(RULES)})")
    fitted, placement = fit(pixels, spec.width, spec.height, spec.resize)
    wanted = None
    if box is not None:
        wanted = np.array(box, np.float32).reshape(-1)
        if wanted.shape != (4,) or not np.isfinite(wanted).all() or (wanted[2:] <= wanted[:2]).any():
            raise ShapeError(f"box {list(box)}: want x0 y0 x1 y1 with x0 < x1 and y0 < y1, picture pixels")
        wanted = placement.forth(wanted[None])
    maps, gradients = gradients_of(network, spec, fitted, class_index, wanted)
    chosen = max(range(len(maps)), key=lambda i: float((maps[i] * gradients[i]).abs().sum()))
    heat = weigh(maps[chosen], gradients[chosen], rule).relu().numpy()
    return spread(heat, spec, placement)


def gradients_of(
    network: Detector, spec: ModelSpec, fitted: Pixels, class_index: int, wanted: Floats | None
) -> tuple[list[Tensor], list[Tensor]]:
    """The backbone's maps [(C, h, w)] of one picture, and on each the gradient of the logit of one score.

    fitted  (H, W, 3) uint8, the network's input; wanted (1, 4) input pixels, or None

    The logit, log(score / (1 - score)), has the direction of the score's own gradient, and does not fade where the
    score is near 0 or 1.
    """
    seen: list[Tensor] = []
    training = network.training
    kept = [(p, p.requires_grad) for p in network.parameters()]

    def keep(_: torch.nn.Module, __: object, output: list[Tensor]) -> list[Tensor]:
        seen[:] = [m.detach().requires_grad_(True) for m in output]  # gradients go no further back than the maps
        return list(seen)

    handle = network.backbone.register_forward_hook(keep)
    try:
        network.eval().requires_grad_(False)
        with torch.enable_grad():
            answer = network.head.decode(network(torch.from_numpy(fitted[None])))
            score = pick_score(answer, spec.task, class_index, wanted)
            found = torch.autograd.grad(score.logit(1e-7), seen, allow_unused=True)
    finally:
        handle.remove()
        network.train(training)
        for parameter, learns in kept:
            parameter.requires_grad_(learns)
    gradients = [torch.zeros_like(m) if g is None else g for m, g in zip(seen, found, strict=True)]
    return [m.detach()[0] for m in seen], [g[0] for g in gradients]


def pick_score(answer: tuple[Tensor, Tensor], task: str, class_index: int, wanted: Floats | None) -> Tensor:
    """The score of one detection: the highest, or where score times overlap with `wanted` is highest.

    Of a classifier: the class's score. Raises SettingError where nothing lies on `wanted`.
    """
    if task == "localise":
        return answer[0][0, class_index]
    boxes, scores = answer[0][0], answer[1][0, :, class_index]
    if wanted is None:
        return scores.max()
    overlap = torch.from_numpy(iou(boxes.detach().float().numpy(), wanted)[:, 0])
    if not overlap.any():
        raise SettingError(f"no detection lies on the box {wanted[0].round(1).tolist()} (input pixels)")
    return scores[(scores.detach() * overlap).argmax()]


def weigh(features: Tensor, gradients: Tensor, rule: str) -> Tensor:
    """How much each place of a map speaks for the score: (C, h, w), (C, h, w) -> (h, w).

    "channels"  sum over channels of the channel's mean gradient times its features: Grad-CAM (Selvaraju et al. 2017,
                equations 1 and 2). Blind to place: what looks like the object lights up elsewhere too
    "points"    sum over channels of gradient times feature at the place itself: HiResCAM (Draelos and Carin 2020),
                which is exact for a score that is linear in the features, and keeps to the detection asked for
    """
    if rule == "channels":
        return (gradients.mean((1, 2), keepdim=True) * features).sum(0)
    return (gradients * features).sum(0)


def spread(heat: Floats, spec: ModelSpec, placement: Placement) -> Floats:
    """A map (h, w) of the input, bicubic over the picture (H, W), 0..1, without a letterbox's padding."""
    height, width = placement.height, placement.width
    rows = (np.arange(height) + 0.5) * placement.scale_y + placement.pad_y
    columns = (np.arange(width) + 0.5) * placement.scale_x + placement.pad_x
    y = (rows * heat.shape[0] / spec.height - 0.5).astype(np.float32)
    x = (columns * heat.shape[1] / spec.width - 0.5).astype(np.float32)
    grid = np.meshgrid(x, y)
    over = cv2.remap(heat, grid[0], grid[1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    found: Floats = np.maximum(np.asarray(over, np.float32), 0)  # a cubic swings past its points
    return as_shares(found) if found.any() else found
