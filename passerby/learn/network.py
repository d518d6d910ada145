"""A recipe's network: normalising, backbone and head in one module that takes bytes."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn

from passerby.errors import ModelError, SettingError, did_you_mean
from passerby.geometry.anchors import stated_maps
from passerby.learn.backbones import BACKBONES
from passerby.learn.backbones.mobilenet_v2 import same_padding
from passerby.learn.heads import HEADS
from passerby.learn.heads.base import Targets
from passerby.learn.losses import Losses
from passerby.recipe import Model, Optimiser
from passerby.spec import ModelSpec


@dataclass(frozen=True)
class Habits:
    """How a network treats its input, to suit the weights it starts from; the defaults are torchvision's."""

    padding: str = "symmetric"  # or "same": TensorFlow's, none before and one after where stride 2 meets an even side
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)  # of x / 255
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    epsilon: float = 1e-5  # of the backbone's batch norm


NETWORK_FIELDS = {"width_multiplier", "depth_multiplier", "fusion", "padding", "epsilon", "mean", "std"}


class Detector(nn.Module):
    """Bytes in, what the head makes of them out.

    input   (B, H, W, 3) uint8, RGB
    output  a tuple that `head.decode` turns into boxes and scores
    """

    mean: Tensor
    std: Tensor

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        network = spec.network
        self.backbone = BACKBONES[network["backbone"]](
            network["width_multiplier"], network["depth_multiplier"], network.get("blocks", ())
        )
        self.head = HEADS[network["head"]](self.backbone.channels, spec)
        if network["padding"] == "same":
            same_padding(self.backbone)
        for m in self.backbone.modules():
            if isinstance(m, nn.BatchNorm2d):
                m.eps = network["epsilon"]
        self.register_buffer("mean", torch.tensor(network["mean"]).mul(255).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(network["std"]).mul(255).view(1, 3, 1, 1), persistent=False)

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        outputs: tuple[Tensor, ...] = self.head(self._maps(pixels))
        return outputs

    def losses(self, pixels: Tensor, targets: Targets, how: Optimiser) -> Losses:
        """How wrong its answer to a batch (B, H, W, 3) is."""
        return self.head.losses(self._maps(pixels), targets, how)

    def _maps(self, pixels: Tensor) -> list[Tensor]:
        maps: list[Tensor] = self.backbone((pixels.permute(0, 3, 1, 2).float() - self.mean) / self.std)
        return maps


def spec_of(model: Model, habits: Habits = Habits()) -> ModelSpec:
    """The facts of the model that a recipe describes; habits are those of its backbone weights.

    Raises SettingError for an unknown backbone, head, resize rule or loss, naming the nearest.
    """
    known: dict[str, tuple[str, Collection[str]]] = {
        "backbone": (model.backbone, BACKBONES),
        "head": (model.head, HEADS),
        "resize": (model.resize, ("stretch", "letterbox")),
        "loss": (model.loss, ("focal", "mining")),
    }
    for name, (value, table) in known.items():
        if value not in table:
            raise SettingError(f"model.{name}: '{value}' is unknown{did_you_mean(value, table)}")
    if min(model.height, model.width) < 64:
        raise SettingError(f"model: input {model.width} x {model.height}; want at least 64 pixels a side")
    if not model.labels:
        raise SettingError("model.labels: name at least one class")
    network = {
        "backbone": model.backbone,
        "width_multiplier": model.width_multiplier,
        "depth_multiplier": model.depth_multiplier,
        **({"blocks": list(model.blocks)} if model.blocks else {}),
        "head": model.head,
        "fusion": model.fusion,
        **asdict(habits),
        "mean": list(habits.mean),
        "std": list(habits.std),
    }
    spec = ModelSpec(
        name=model.name,
        height=model.height,
        width=model.width,
        resize=model.resize,
        labels=model.labels,
        anchors=stated_maps(model.shapes, model.sizes, model.ratio, model.height, model.width),
        scoring="sigmoid" if model.loss == "focal" else "softmax",
        network=network,
    )
    spec.check("recipe")
    return spec


def build(spec: ModelSpec, where: str = "model") -> Detector:
    """The untrained network that a spec describes. Raises ModelError when it does not say how to build one."""
    for part, table in (("backbone", BACKBONES), ("head", HEADS)):
        if (name := spec.network.get(part)) not in table:
            raise ModelError(f"{where}: its {part} is {name!r} (known: {', '.join(table)}); update passerby")
    if missing := NETWORK_FIELDS - set(spec.network):
        raise ModelError(f"{where}: its metadata lacks network.{sorted(missing)[0]}; export or train it again")
    return Detector(spec)
