"""A recipe's network: normalising, backbone and head in one module that takes bytes."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn

from passerby.errors import ModelError, SettingError, did_you_mean
from passerby.geometry.layouts import LAYOUTS, find_layout, stated_maps
from passerby.learn.backbones import BACKBONES
from passerby.learn.backbones.dilate import dilate
from passerby.learn.backbones.mobilenet_v2 import same_padding
from passerby.learn.heads import HEADS
from passerby.learn.heads.base import Targets
from passerby.learn.heads.pooled import check_pooled
from passerby.learn.heads.two_stage import check_two_stage
from passerby.learn.losses import Losses
from passerby.recipe import Model, Optimiser
from passerby.spec import RESIZE, SUPPRESSION, ModelSpec


@dataclass(frozen=True)
class Habits:
    """How a network treats its input, to suit the weights it starts from; the defaults are torchvision's."""

    padding: str = "symmetric"  # or "same": TensorFlow's, none before and one after where stride 2 meets an even side
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)  # of x / 255
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    epsilon: float = 1e-5  # of the backbone's batch norm


LARGEST = 8  # multiplier of channels or blocks
LEAST_SIDE = 64  # of an input, pixels
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
            network["width_multiplier"],
            network["depth_multiplier"],
            network.get("blocks", ()),
            network.get("last", False),
            network.get("expand", 6),
        )
        dilate(self.backbone, network["backbone"], network.get("map_stride", 0))
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

    Raises SettingError for an unknown backbone, head, layout, resize rule or loss, naming the nearest, and for a
    layout that reads maps which the backbone does not have.
    """
    known: dict[str, tuple[str, Collection[str]]] = {
        "backbone": (model.backbone, BACKBONES),
        "head": (model.head, HEADS),
        "resize": (model.resize, RESIZE),
        "nms": (model.nms, SUPPRESSION),
        "loss": (model.loss, ("focal", "mining", "sampled", "cross_entropy")),
    }
    for name, (value, table) in known.items():
        if value not in table:
            raise SettingError(f"model.{name}: '{value}' is unknown{did_you_mean(value, table)}")
    height, width = model.input_size()
    if min(height, width) < LEAST_SIDE:
        raise SettingError(f"model: input {width} x {height}; want at least {LEAST_SIDE} pixels a side")
    pooled = HEADS[model.head].task == "localise"
    if not pooled:
        _check_layout(model)
    for field in ("width_multiplier", "depth_multiplier"):
        if not 0 < getattr(model, field) <= LARGEST:
            raise SettingError(f"model.{field} is {getattr(model, field):g}, want a number over 0, at most {LARGEST}")
    if not model.labels:
        raise SettingError("model.labels: name at least one class")
    for loss, head in (("sampled", "two_stage"), ("cross_entropy", "pooled")):
        if model.loss == loss and model.head != head:
            raise SettingError(f"model.loss: {loss} is for model.head={head}, not {model.head}; set focal or mining")
    if model.map_stride and not pooled:
        raise SettingError(f"model.map_stride is for model.head=pooled, not {model.head}; leave it out")
    network = {
        "backbone": model.backbone,
        "width_multiplier": model.width_multiplier,
        "depth_multiplier": model.depth_multiplier,
        **({"blocks": list(model.blocks)} if model.blocks else {}),
        **({"last": True} if model.last else {}),
        **({"expand": model.expand} if model.expand != 6 else {}),
        "head": model.head,
        "layout": model.layout,
        "fusion": model.fusion,
        **(check_two_stage(model) if model.head == "two_stage" else {}),
        **(check_pooled(model) if pooled else {}),
        **asdict(habits),
        "mean": list(habits.mean),
        "std": list(habits.std),
    }
    spec = ModelSpec(
        name=model.name,
        height=height,
        width=width,
        resize=model.resize,
        labels=model.labels,
        anchors=()
        if pooled
        else stated_maps(
            model.layout, model.shapes, model.sizes, model.ratio, height, width, model.resolution_multiplier
        ),
        scoring="sigmoid" if model.loss == "focal" else "softmax",
        nms=model.nms,
        nms_iou=model.nms_iou,
        network=network,
        task=HEADS[model.head].task,
    )
    spec.check("recipe")
    return spec


def _check_layout(model: Model) -> None:
    has = BACKBONES[model.backbone].strides
    if lacking := set(find_layout(model.layout).strides) - set(has):
        fit = [name for name, layout in LAYOUTS.items() if set(layout.strides) <= set(has)]
        raise SettingError(
            f"model.layout: {model.layout} reads a map at stride {min(lacking)}, {model.backbone} has {list(has)}; "
            f"set one of {', '.join(fit)}"
        )


def build(spec: ModelSpec, where: str = "model") -> Detector:
    """The untrained network that a spec describes. Raises ModelError when it does not say how to build one."""
    network = {"layout": "f38", **spec.network}  # the first models had no other
    for part, table in (("backbone", BACKBONES), ("head", HEADS), ("layout", LAYOUTS)):
        if (name := network.get(part)) not in table:
            raise ModelError(f"{where}: its {part} is {name!r} (known: {', '.join(table)}); update passerby")
    if missing := NETWORK_FIELDS - set(spec.network):
        raise ModelError(f"{where}: its metadata lacks network.{sorted(missing)[0]}; export or train it again")
    return Detector(spec)
