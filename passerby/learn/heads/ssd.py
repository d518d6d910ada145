"""The SSD-Lite head: one extra map, an optional top-down path, and a depthwise-separable predictor a map."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from passerby.geometry.anchors import default_boxes
from passerby.learn.backbones.mobilenet_v2 import conv
from passerby.learn.boxes import decode
from passerby.learn.heads.base import Head, Targets
from passerby.learn.losses import Losses, detection_loss
from passerby.recipe import Optimiser
from passerby.spec import ModelSpec

EXTRA = (128, 256)  # squeeze and output channels of the extra map, half of the usual SSD-Lite's 256 and 512
PRIOR = 0.01  # score of an untrained default box; Lin et al. 2017, "Focal loss", section 4.1


class SSDLite(Head):
    """Logits and offsets of every default box.

    channels  of the backbone's maps, finest (stride 4) first; those at strides 8, 16 and 32 carry default boxes, and
              so does one map more (stride 64), made of the last
    spec      its default boxes and classes; of `spec.network` the width multiplier, and fusion: 0: each map is read as
              it is (SSD-Lite of Sandler et al. 2018, section 6.2); over 0: see `TopDown`

    input     [(B, channels[i], h_i, w_i)]
    output    logits (B, A, classes (sigmoid) or classes + 1 (softmax, background first)), offsets (B, A, 4), in the
              order of `geometry.anchors`
    """

    anchors: Tensor

    def __init__(self, channels: Sequence[int], spec: ModelSpec) -> None:
        super().__init__()
        self.spec = spec
        self.register_buffer(
            "anchors", torch.from_numpy(default_boxes(spec.anchors, spec.height, spec.width)), persistent=False
        )
        boxes = [len(m.sizes) for m in spec.anchors]
        outputs = len(spec.labels) + (spec.scoring == "softmax")
        fusion, width = spec.network["fusion"], spec.network["width_multiplier"]
        squeeze, extra = (max(16, round(c * width / 8) * 8) for c in EXTRA)
        self.extra = nn.Sequential(
            conv(channels[-1], squeeze, 1), conv(squeeze, squeeze, 3, 2, squeeze), conv(squeeze, extra, 1)
        )
        self.outputs = outputs
        self.fuse = TopDown([*channels, extra], fusion) if fusion else None
        inputs = [fusion] * len(boxes) if fusion else [*channels[1:], extra]
        self.logits = nn.ModuleList(_predictor(c, n * outputs) for c, n in zip(inputs, boxes, strict=True))
        self.offsets = nn.ModuleList(_predictor(c, n * 4) for c, n in zip(inputs, boxes, strict=True))
        self._start()

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        features = [*maps, self.extra(maps[-1])]
        features = self.fuse(features) if self.fuse else features[1:]
        logits = [_rows(p(f), self.outputs) for p, f in zip(self.logits, features, strict=True)]
        offsets = [_rows(p(f), 4) for p, f in zip(self.offsets, features, strict=True)]
        return torch.cat(logits, 1), torch.cat(offsets, 1)

    def losses(self, maps: Sequence[Tensor], targets: Targets, how: Optimiser) -> Losses:
        logits, offsets = self(maps)
        with torch.autocast(logits.device.type, enabled=False):
            return detection_loss(logits, offsets, targets.labels, targets.offsets, self.anchors, self.spec, how)

    def decode(self, outputs: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        logits, offsets = outputs
        return decode(logits, offsets, self.anchors, self.spec)

    def _start(self) -> None:
        """Xavier for what is new; the last bias says PRIOR, so that the first steps are not drowned in background."""
        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                nn.init.xavier_uniform_(m.weight)
        for predictor in self.logits:
            last = predictor[-1]  # type: ignore[index]
            nn.init.normal_(last.weight, std=0.01)
            nn.init.constant_(last.bias, -math.log((1 - PRIOR) / PRIOR))


class TopDown(nn.Module):
    """Every map brought to one width, with context from the coarser ones and detail from the finest.

    Each map but the coarsest adds the one below it, doubled in size (Lin et al. 2017, "FPN"), so that small heads are
    judged with their surroundings. The map at stride 8 adds the one at stride 4, halved by a depthwise convolution:
    a head of 8 pixels is one cell at stride 8, and where in the cell it lies is written at stride 4.

    input   five maps, strides 4 to 64; output  four maps of `width` channels, strides 8 to 64
    """

    def __init__(self, channels: Sequence[int], width: int) -> None:
        super().__init__()
        fine = channels[0]
        self.detail = nn.Sequential(conv(fine, fine, 3, 2, fine), conv(fine, width, 1))
        self.lateral = nn.ModuleList(conv(c, width, 1) for c in channels[1:])
        self.smooth = nn.ModuleList(
            nn.Sequential(conv(width, width, 3, 1, width), conv(width, width, 1)) for _ in channels[1:]
        )

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        side = [lateral(m) for lateral, m in zip(self.lateral, maps[1:], strict=True)]
        for i in range(len(side) - 2, -1, -1):
            up = nn.functional.interpolate(side[i + 1], scale_factor=2.0, mode="nearest")
            side[i] = side[i] + up[:, :, : side[i].shape[2], : side[i].shape[3]]
        side[0] = side[0] + self.detail(maps[0])
        return [smooth(s) for smooth, s in zip(self.smooth, side, strict=True)]


def _predictor(channels: int, outputs: int) -> nn.Sequential:
    """Depthwise 3 x 3, then 1 x 1: SSD-Lite's replacement for a 3 x 3 convolution."""
    return nn.Sequential(conv(channels, channels, 3, 1, channels), nn.Conv2d(channels, outputs, 1))


def _rows(x: Tensor, width: int) -> Tensor:
    """(B, boxes * width, h, w) -> (B, h * w * boxes, width)."""
    return x.permute(0, 2, 3, 1).reshape(x.shape[0], -1, width)
