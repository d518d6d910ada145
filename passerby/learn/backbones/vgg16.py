"""VGG16 as SSD uses it (Liu et al. 2016, section 3): fully connected layers as convolutions, conv4_3 normalised."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from passerby.learn.backbones.base import Backbone, Places, refuse
from passerby.learn.backbones.mobilenet_v2 import scaled

# channels of the convolutions, all 3 x 3, and 0 for a pooling layer: Simonyan and Zisserman 2015, table 1, column D
LAYERS = (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0)
CONV4_3 = 22  # number in torchvision's `features` of the ReLU after it
FULL = 1024  # channels of fc6 and fc7, of 4,096 in the classifier


class VGG16(Backbone):
    """The trunk, giving L2-normalised conv4_3 (stride 8) and fc7 (stride 16).

    Pooling rounds up, as in the Caffe release: 300 -> 150 -> 75 -> 38 -> 19 cells. pool5 is 3 x 3 with stride 1; fc6
    is 3 x 3 with dilation 6, fc7 1 x 1.

    width  multiplies channels: no part of the published network, but small ones train quickly; depth, blocks, last
           and expand are not of this network

    Names are torchvision's `vgg16` (`features.0.weight`, ...), and fc6, fc7, norm.
    """

    strides = (8, 16)
    idle = ("fc6.", "fc7.", "norm.")

    def __init__(
        self, width: float = 1.0, depth: float = 1.0, blocks: Sequence[int] = (), last: bool = False, expand: int = 6
    ) -> None:
        super().__init__()
        refuse("vgg16", depth, blocks, last, expand)
        layers: list[nn.Module] = []
        channels = 3
        for base in LAYERS:
            if base:
                layers += [nn.Conv2d(channels, scaled(base, width), 3, padding=1), nn.ReLU(inplace=True)]
                channels = scaled(base, width)
            else:
                layers.append(nn.MaxPool2d(2, 2, ceil_mode=True))
        layers[-1] = nn.MaxPool2d(3, 1, 1)
        full = scaled(FULL, width)
        self.features = nn.ModuleList(layers)
        self.fc6 = nn.Conv2d(channels, full, 3, padding=6, dilation=6)
        self.fc7 = nn.Conv2d(full, full, 1)
        self.norm = L2Norm(channels)
        self.channels = (channels, full)
        for m in self.modules():
            if isinstance(m, nn.Conv2d):  # He et al. 2015: without batch norm the start must keep the variance
                nn.init.kaiming_normal_(m.weight, nonlinearity="relu")
                nn.init.zeros_(m.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> list[Tensor]:
        for layer in self.features[: CONV4_3 + 1]:
            x = layer(x)
        fine = self.norm(x)
        for layer in self.features[CONV4_3 + 1 :]:
            x = layer(x)
        return [fine, self.fc7(self.fc6(x).relu()).relu()]

    def own_names(self, source: Mapping[str, Tensor], places: Places = ()) -> dict[str, Tensor]:
        """fc6 and fc7 are decimated from the classifier where the file has it."""
        del places  # there is one trunk
        own = {name: tensor for name, tensor in source.items() if not name.startswith("classifier.")}
        inputs, full = self.fc6.in_channels, self.fc6.out_channels
        names = [f"classifier.{layer}.{part}" for layer in (0, 3) for part in ("weight", "bias")]
        if set(names) <= set(source) and source[names[0]].shape[1] == inputs * 49:
            six, six_bias, seven, seven_bias = (source[name] for name in names)
            own["fc6.weight"] = decimate(six.view(-1, inputs, 7, 7), (full, inputs, 3, 3))
            own["fc7.weight"] = decimate(seven.view(*seven.shape, 1, 1), (full, full, 1, 1))
            own["fc6.bias"], own["fc7.bias"] = decimate(six_bias, (full,)), decimate(seven_bias, (full,))
        return own


class L2Norm(nn.Module):
    """Each cell's channels brought to length 1, times a learnt scale a channel that starts at 20.

    Liu et al. 2016, section 3.1, after Liu et al. 2015, "ParseNet": conv4_3 has a larger scale than the later maps.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.full((channels,), 20.0))

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.normalize(x, dim=1, eps=1e-6) * self.scale.view(1, -1, 1, 1)


def decimate(weight: Tensor, shape: Sequence[int]) -> Tensor:
    """Every n-th entry along each dimension, n the ratio of the sizes rounded up: 7 -> 3 takes 0, 3, 6.

    Liu et al. 2016, "SSD", section 3 ("subsample parameters from fc6 and fc7"): 4096 x 512 x 7 x 7 becomes
    1024 x 512 x 3 x 3, every 4th output and every 3rd row and column.
    """
    for dim, size in enumerate(shape):
        step = -(-weight.shape[dim] // size)
        weight = weight.index_select(dim, torch.arange(0, weight.shape[dim], step)[:size])
    return weight
