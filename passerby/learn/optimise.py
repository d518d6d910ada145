"""Optimiser, learning rate and the moving average of the weights."""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor, nn

from passerby.errors import SettingError
from passerby.geometry.assign import RULES
from passerby.learn.box_losses import BOX_LOSSES
from passerby.learn.losses import QUALITY_LOSSES
from passerby.learn.network import Detector
from passerby.recipe import Optimiser


def make_optimiser(network: nn.Module, how: Optimiser) -> torch.optim.Optimizer:
    """SGD, Adam or AdamW; weight decay on convolution weights only (of Adam: its gradient is added to the others').

    Raises SettingError for another kind, or an unknown loss or rule of assigning.
    """
    known = {"box_loss": BOX_LOSSES, "quality_loss": QUALITY_LOSSES, "assign": RULES}
    for name, table in known.items():
        if (value := getattr(how, name)) not in table:
            raise SettingError(f"optimiser.{name}: '{value}' is unknown (known: {', '.join(sorted(table))})")
    weights = [p for p in network.parameters() if p.requires_grad and p.ndim > 1]
    rest = [p for p in network.parameters() if p.requires_grad and p.ndim <= 1]
    groups = [{"params": weights, "weight_decay": how.decay}, {"params": rest, "weight_decay": 0.0}]
    if how.kind == "sgd":
        return torch.optim.SGD(groups, lr=how.rate, momentum=how.momentum, nesterov=how.nesterov)
    if how.kind == "adamw":
        return torch.optim.AdamW(groups, lr=how.rate)
    if how.kind == "adam":
        return torch.optim.Adam(groups, lr=how.rate)
    raise SettingError(f"optimiser.kind: '{how.kind}' is unknown (known: adam, adamw, sgd)")


def rate_at(step: int, steps: int, warmup: int, how: Optimiser) -> float:
    """Learning rate of a step: linear up to `rate` over `warmup` steps, then half a cosine down to rate * final."""
    if step < warmup:
        return how.rate * (step + 1) / warmup
    done = (step - warmup) / max(1, steps - warmup)
    return how.rate * (how.final + (1 - how.final) * 0.5 * (1 + math.cos(math.pi * min(1.0, done))))


class Average:
    """Exponential moving average of all weights and batch-norm statistics; what is validated and saved.

    The decay grows with the steps, min(decay, (1 + t) / (10 + t)), so that the start is forgotten.
    """

    def __init__(self, network: Detector, decay: float) -> None:
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self.decay, self.steps = decay, 0

    @torch.no_grad()
    def update(self, network: Detector) -> None:
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        mine = [t for t in self.network.state_dict().values() if t.is_floating_point()]
        theirs = [t for t in network.state_dict().values() if t.is_floating_point()]
        torch._foreach_lerp_(mine, theirs, 1 - decay)

    def state(self) -> dict[str, Tensor]:
        return self.network.state_dict()
