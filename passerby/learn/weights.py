"""Backbone weights from a file: names of torchvision, padding and normalising as the file's metadata says."""

from __future__ import annotations

from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from passerby.errors import ModelError
from passerby.learn.backbones.mobilenet_v2 import STAGES, MobileNetV2
from passerby.learn.network import Habits


def habits_of(path: Path) -> Habits:
    """Padding, normalising and batch-norm epsilon from the file's metadata; torchvision's where it says nothing.

    Raises ModelError when the file is missing or not safetensors.
    """
    try:
        with safetensors.safe_open(str(path), "pt") as f:
            meta = f.metadata() or {}
    except FileNotFoundError as e:
        raise ModelError(
            f"{path}: no such weights file; set model.weights (and data.root), or model.weights= for none"
        ) from e
    except (OSError, safetensors.SafetensorError) as e:
        raise ModelError(f"{path}: not a safetensors file ({e})") from e
    padding = "same" if "same" in meta.get("padding", "").lower() else "symmetric"
    epsilon = 1e-3 if "1e-3" in meta.get("padding", "") else 1e-5
    if "127.5" in meta.get("input", ""):  # x / 127.5 - 1
        return Habits(padding, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), epsilon)
    return Habits(padding, epsilon=epsilon)


def load_backbone(backbone: MobileNetV2, path: Path) -> int:
    """Fill a backbone from a file with torchvision's names; returns how many tensors were taken.

    A backbone of fewer blocks (depth multiplier) takes the first blocks of each stage. The classifier and the last
    1 x 1 convolution, which the backbone does not have, are passed over.
    Raises ModelError naming the first tensor that is missing or of another shape, and the likely cure.
    """
    source = safetensors.torch.load_file(str(path))
    places = _published_places()
    target = backbone.state_dict()
    taken: dict[str, Tensor] = {}
    for name, tensor in target.items():
        if name.endswith("num_batches_tracked"):
            continue
        _, entry, rest = name.split(".", 2)
        place = backbone.places[int(entry)]
        old = f"features.{places[place]}.{rest}" if place in places else ""
        if old not in source:
            raise ModelError(
                f"{path.name}: no tensor for {name} (stage {place[0]}, block {place[1]}); is it another network?"
            )
        if source[old].shape != tensor.shape:
            raise ModelError(
                f"{path.name}: {old} has shape {tuple(source[old].shape)}, the network {tuple(tensor.shape)}; "
                "set model.width_multiplier to the weights' own"
            )
        taken[name] = source[old].to(torch.float32)
    backbone.load_state_dict(taken, strict=False)
    return len(taken)


def _published_places() -> dict[tuple[int, int], int]:
    """(stage, block) -> number of the entry in torchvision's `features`, at full depth."""
    places = {(-1, 0): 0}
    for stage, (_, _, blocks, _) in enumerate(STAGES):
        for block in range(blocks):
            places[(stage, block)] = len(places)
    return places
