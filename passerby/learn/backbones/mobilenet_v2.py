"""MobileNetV2 (Sandler et al. 2018), scaled in width (channels) and depth (blocks a stage), with its maps exposed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from passerby.errors import SettingError
from passerby.learn.backbones.base import Backbone, Places

# expansion, channels, blocks, stride of the first: Sandler et al. 2018, table 2
STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
LAST = 1280  # channels of the last 1 x 1 convolution; a width multiplier under 1 leaves it as it is, as published
PUBLISHED: Places = (  # (stage, block) of each entry of torchvision's `features`; the stem and that convolution beside
    (-1, 0),
    *((stage, block) for stage, (_, _, blocks, _) in enumerate(STAGES) for block in range(blocks)),
    (len(STAGES), 0),
)


def scaled(channels: float, width: float, divisor: int = 8) -> int:
    """Channels times the width multiplier, rounded to a multiple of 8, never under 90 % of what was asked."""
    wanted = channels * width
    rounded = max(divisor, int(wanted + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * wanted else rounded


def conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Convolution, batch norm, ReLU6."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU6(inplace=True),
    )


class InvertedResidual(nn.Module):
    """Expand 1 x 1, depthwise 3 x 3, project 1 x 1 without activation; added to the input where shapes allow."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.expands = expansion != 1
        self.adds = stride == 1 and inputs == outputs
        self.hidden = hidden
        layers: list[nn.Module] = [conv(inputs, hidden, 1)] if self.expands else []
        layers += [
            conv(hidden, hidden, 3, stride, hidden),
            nn.Conv2d(hidden, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        ]
        self.conv = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(x)
        return x + out if self.adds else out

    def with_expansion(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The block's output, and the wide map inside it, before the stride: what SSD-Lite's heads read."""
        wide = self.conv[0](x)
        out = wide
        for layer in list(self.conv)[1:]:
            out = layer(out)
        return (x + out if self.adds else out), wide


class MobileNetV2(Backbone):
    """The trunk, giving maps at strides 4, 8, 16 and 32.

    The maps at strides 4, 8 and 16 are the expansions (6 x channels) inside the first block of the next stride, as
    SSD-Lite reads them at stride 16; the one at stride 32 is the last block's output (320 channels).

    width   multiplies channels; depth multiplies the blocks of each stage (at least one stays)
    blocks  of each stage, instead of depth: trunks of other proportions; 0 leaves a stage out that strides by 1
    expand  how much wider a block is inside than its input, 6 as published; the first stage's blocks are not wider
    last    add the 1 x 1 convolution to 1,280 channels that the classifier and the usual SSD-Lite read at stride 32

    Parameter names are torchvision's (`features.0.0.weight`, ...), so public weights of that naming load.
    """

    strides = (4, 8, 16, 32)
    published = PUBLISHED

    def __init__(
        self, width: float = 1.0, depth: float = 1.0, blocks: Sequence[int] = (), last: bool = False, expand: int = 6
    ) -> None:
        super().__init__()
        if not 2 <= expand <= 6:
            raise SettingError(f"model.expand is {expand}, want 2 to 6 (the published network: 6)")
        counts = list(blocks) or [max(1, round(n * depth)) for _, _, n, _ in STAGES]
        if len(counts) != len(STAGES) or any(n < (s == 2) for n, (*_, s) in zip(counts, STAGES, strict=True)):
            raise SettingError(
                f"model.blocks: {counts}: want {len(STAGES)} numbers, at least 1 where a stage halves the map "
                f"(the published network: {[n for _, _, n, _ in STAGES]})"
            )
        channels = scaled(32, width)
        layers: list[nn.Module] = [conv(3, channels, 3, 2)]
        places = [(-1, 0)]
        self._taps: dict[int, int] = {}  # entry -> stride of the map inside it
        stride = 2
        for stage, (expansion, base, _, first) in enumerate(STAGES):
            outputs = scaled(base, width)
            for block in range(counts[stage]):
                step = first if block == 0 else 1
                if step == 2 and stride in self.strides:
                    self._taps[len(layers)] = stride
                layers.append(InvertedResidual(channels, outputs, step, min(expansion, expand)))
                places.append((stage, block))
                channels, stride = outputs, stride * step
        if last:
            outputs = scaled(LAST, max(1.0, width))
            layers.append(conv(channels, outputs, 1))
            places.append((len(STAGES), 0))
            channels = outputs
        self.features, self.places = nn.ModuleList(layers), tuple(places)
        wide = [layers[i].hidden for i in self._taps]
        self.channels: tuple[int, ...] = (*[int(w) for w in wide], channels)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> list[Tensor]:
        maps = []
        for i, block in enumerate(self.features):
            if i in self._taps:
                x, wide = block.with_expansion(x)  # type: ignore[operator]
                maps.append(wide)
            else:
                x = block(x)
        return [*maps, x]

    def _part(self, source: Mapping[str, Tensor], entry: int, mine: int) -> dict[str, Tensor]:
        """The tensors of one entry of a weights file; where the block here is narrower inside, its weightiest channels.

        A channel inside a block weighs as much as it adds to the block's output: the scale that the depthwise
        convolution's batch norm gives it (|gamma|; Liu et al. 2017, "Network slimming", section 3) times the L1 norm of
        the weights that read it (Li et al. 2017, "Pruning filters", section 3.1). They keep their order.
        """
        block, start = self.features[mine], f"features.{entry}."
        part = {name: tensor for name, tensor in source.items() if name.startswith(start)}
        project = part.get(f"{start}conv.2.weight")  # (outputs, hidden, 1, 1) of a block that expands
        if not isinstance(block, InvertedResidual) or not block.expands or project is None:
            return part
        if project.shape[1] <= block.hidden:
            return part
        weight = part[f"{start}conv.1.1.weight"].abs() * project.abs().sum((0, 2, 3))
        kept = weight.topk(block.hidden).indices.sort().values
        inner = (f"{start}conv.0.", f"{start}conv.1.")
        narrow = {k: v[kept] if k.startswith(inner) and v.ndim else v for k, v in part.items()}
        return narrow | {f"{start}conv.2.weight": project[:, kept]}


def same_padding(module: nn.Module) -> None:
    """Mark every strided convolution for TensorFlow's SAME padding; see `weights.load_backbone`."""
    for m in module.modules():
        if isinstance(m, nn.Conv2d) and m.stride[0] == 2:
            m.register_forward_pre_hook(_pad_same)
            m.padding = (0, 0)


def _pad_same(module: nn.Module, inputs: tuple[Tensor]) -> Tensor:
    """Where stride 2 meets an even side one row or column after and none before; both sides where it is odd."""
    (x,) = inputs
    bottom, right = (1, 1)
    top, left = x.shape[2] % 2, x.shape[3] % 2
    return torch.nn.functional.pad(x, (left, right, top, bottom))
