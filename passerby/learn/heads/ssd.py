"""The SSD-Lite head: one extra map, an optional top-down path, and a depthwise-separable predictor a map."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from passerby.learn.backbones.mobilenet_v2 import conv

EXTRA = (128, 256)  # squeeze and output channels of the extra map, half of the usual SSD-Lite's 256 and 512


class SSDLite(nn.Module):
    """Logits and offsets of every default box.

    channels  of the backbone's maps, finest first; one map more (stride 64) is made of the last
    boxes     default boxes a cell of each map, the extra one last
    outputs   logits a default box: classes (sigmoid) or classes + 1 (softmax, background first)
    fusion    0: each map is read as it is (SSD-Lite of Sandler et al. 2018, section 6.2). Over 0: every map is first
              brought to that many channels, and each but the coarsest adds the one below it, doubled in size (the
              top-down path of Lin et al. 2017, "FPN"), so that small heads are judged with their surroundings
    prior     score of an untrained default box; Lin et al. 2017, "Focal loss", section 4.1

    input     [(B, channels[i], h_i, w_i)]
    output    logits (B, A, outputs), offsets (B, A, 4), in the order of `geometry.anchors`
    """

    def __init__(
        self,
        channels: Sequence[int],
        boxes: Sequence[int],
        outputs: int,
        fusion: int = 0,
        prior: float = 0.01,
        width: float = 1.0,
    ) -> None:
        super().__init__()
        squeeze, extra = (max(16, round(c * width / 8) * 8) for c in EXTRA)
        self.extra = nn.Sequential(
            conv(channels[-1], squeeze, 1), conv(squeeze, squeeze, 3, 2, squeeze), conv(squeeze, extra, 1)
        )
        inputs = [*channels, extra]
        self.outputs = outputs
        self.lateral = nn.ModuleList()
        self.smooth = nn.ModuleList()
        if fusion:
            self.lateral.extend(conv(c, fusion, 1) for c in inputs)
            self.smooth.extend(
                nn.Sequential(conv(fusion, fusion, 3, 1, fusion), conv(fusion, fusion, 1)) for _ in inputs
            )
            inputs = [fusion] * len(inputs)
        self.logits = nn.ModuleList(_predictor(c, n * outputs) for c, n in zip(inputs, boxes, strict=True))
        self.offsets = nn.ModuleList(_predictor(c, n * 4) for c, n in zip(inputs, boxes, strict=True))
        self._start(prior)

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        features = [*maps, self.extra(maps[-1])]
        if self.lateral:
            features = self._fuse(features)
        logits = [_rows(p(f), self.outputs) for p, f in zip(self.logits, features, strict=True)]
        offsets = [_rows(p(f), 4) for p, f in zip(self.offsets, features, strict=True)]
        return torch.cat(logits, 1), torch.cat(offsets, 1)

    def _fuse(self, features: Sequence[Tensor]) -> list[Tensor]:
        side = [lateral(f) for lateral, f in zip(self.lateral, features, strict=True)]
        for i in range(len(side) - 2, -1, -1):
            up = nn.functional.interpolate(side[i + 1], scale_factor=2.0, mode="nearest")
            side[i] = side[i] + up[:, :, : side[i].shape[2], : side[i].shape[3]]
        return [smooth(s) for smooth, s in zip(self.smooth, side, strict=True)]

    def _start(self, prior: float) -> None:
        """Xavier for what is new; the last bias says `prior`, so that the first steps are not drowned in background."""
        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                nn.init.xavier_uniform_(m.weight)
        for predictor in self.logits:
            last = predictor[-1]  # type: ignore[index]
            nn.init.normal_(last.weight, std=0.01)
            nn.init.constant_(last.bias, -math.log((1 - prior) / prior))


def _predictor(channels: int, outputs: int) -> nn.Sequential:
    """Depthwise 3 x 3, then 1 x 1: SSD-Lite's replacement for a 3 x 3 convolution."""
    return nn.Sequential(conv(channels, channels, 3, 1, channels), nn.Conv2d(channels, outputs, 1))


def _rows(x: Tensor, width: int) -> Tensor:
    """(B, boxes * width, h, w) -> (B, h * w * boxes, width)."""
    return x.permute(0, 2, 3, 1).reshape(x.shape[0], -1, width)
