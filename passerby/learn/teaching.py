"""Learning from a better network: who can teach whom; the losses towards what it says: `losses.distil`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from passerby.errors import SettingError
from passerby.learn.checkpoint import load_network
from passerby.learn.network import Detector
from passerby.spec import ModelSpec


def load_teacher(path: Path, spec: ModelSpec) -> Detector:
    """The network of a checkpoint, to teach one of `spec`; it does not learn.

    Raises ModelError for a file that is no checkpoint, SettingError naming the first thing in which the two differ
    that both must share: with other default boxes no row of one is a row of the other.
    """
    network, theirs, _ = load_network(path)
    same: dict[str, Callable[[ModelSpec], str]] = {
        "input": lambda s: f"{s.width} x {s.height}, {s.resize}",
        "labels": lambda s: ", ".join(s.labels),
        "scoring": lambda s: s.scoring,
        "task": lambda s: s.task,
        "default boxes": lambda s: "; ".join(f"{len(m)} of {_sizes(m.sizes)}" for m in s.anchors),
    }
    for name, told in same.items():
        if (a := told(theirs)) != (b := told(spec)):
            raise SettingError(f"optimiser.teacher: {path}: its {name}: {a}; the recipe's: {b}; both must be the same")
    if spec.scoring != "sigmoid" or network.head.ranked:
        raise SettingError("optimiser.teacher: only for model.head=ssd or plain_ssd with model.loss=focal")
    network.requires_grad_(False)
    return network


def ask(teacher: Detector, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """What the teacher says of a batch (B, H, W, 3): logits and offsets, without gradient."""
    with torch.no_grad():
        logits, offsets = teacher(pixels)
    return logits, offsets


def _sizes(sizes: tuple[tuple[float, float], ...]) -> str:
    return ", ".join(f"{w:.1f} x {h:.1f}" for w, h in sizes)
