"""Backbone weights from a file: names of torchvision, padding and normalising as the file's metadata says."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from passerby.errors import ModelError
from passerby.learn.backbones.base import Backbone
from passerby.learn.network import Habits

PICKLES = (".pth", ".pt", ".bin", ".pkl")


class Taken(NamedTuple):
    """How many tensors came from a file, and which parts of the backbone it did not have: they start at random."""

    tensors: int
    random: tuple[str, ...]

    def told(self) -> str:
        """The same in words."""
        return f"{self.tensors} tensors" + (f"; {', '.join(self.random)} start at random" if self.random else "")


def habits_of(path: Path) -> Habits:
    """Padding, normalising and batch-norm epsilon from the file's metadata; torchvision's where it says nothing.

    Raises ModelError when the file is missing or not safetensors.
    """
    if path.suffix in PICKLES:
        raise ModelError(
            f"{path}: a pickle, which can run code when it is opened; convert it: safetensors.torch.save_file("
            f"torch.load('{path.name}', weights_only=True), '{path.stem}.safetensors'), see docs/guides/networks.md"
        )
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


def load_backbone(backbone: Backbone, path: Path) -> Taken:
    """Fill a backbone from a file with torchvision's names; tensors that the backbone does not have are passed over.

    Raises ModelError naming the first tensor that is missing or of another shape, and the likely cure.
    """
    source = backbone.own_names(safetensors.torch.load_file(str(path)))
    taken: dict[str, Tensor] = {}
    random: dict[str, None] = {}  # in order, each once
    for name, tensor in backbone.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        if name not in source:
            if not name.startswith(backbone.idle):
                raise ModelError(f"{path.name}: no tensor for {name} of the backbone; is it another network?")
            random[name.split(".")[0]] = None
            continue
        if source[name].shape != tensor.shape:
            raise ModelError(
                f"{path.name}: {name} has shape {tuple(source[name].shape)}, the network {tuple(tensor.shape)}; "
                "set model.width_multiplier to the weights' own"
            )
        taken[name] = source[name].to(torch.float32)
    backbone.load_state_dict(taken, strict=False)
    return Taken(len(taken), tuple(random))
