"""The SSD heads: extra maps, an optional top-down path, and a predictor a map; SSD-Lite's and the paper's own."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from passerby.errors import SettingError
from passerby.geometry.anchors import default_boxes
from passerby.geometry.layouts import Extra, Layout, find_layout
from passerby.learn.aligned import align
from passerby.learn.backbones import BACKBONES
from passerby.learn.backbones.mobilenet_v2 import conv
from passerby.learn.boxes import decode
from passerby.learn.heads.base import Head, Targets
from passerby.learn.losses import Losses, detection_loss, distil
from passerby.recipe import Optimiser
from passerby.spec import ModelSpec

PRIOR = 0.01  # score of an untrained default box; Lin et al. 2017, "Focal loss", section 4.1


class SSD(Head):
    """Logits and offsets of every default box.

    channels  of the backbone's maps, finest first; the last ones carry default boxes, and so do the extra maps made of
              the very last, as the layout says
    spec      its default boxes and classes; of `spec.network` the layout, the width multiplier, and fusion: 0: each map
              is read as it is; over 0: see `TopDown`

    input     [(B, channels[i], h_i, w_i)]
    output    logits (B, A, classes (sigmoid) or classes + 1 (softmax, background first)), offsets (B, A, 4), in the
              order of `geometry.anchors`

    What it shares and what differs: `make_extra` and `make_predictor` are of SSDLite or PlainSSD.
    Raises SettingError where the layout ends before the backbone's last map, or its maps cannot be fused.
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
        self.layout = find_layout(spec.network.get("layout", "f38"))
        _check(self.layout, spec)
        extras = [Extra(_width(e.squeeze, width), _width(e.channels, width), *e[2:]) for e in self.layout.extras]
        read = [*channels[-len(self.layout.strides) :], *(e.channels for e in extras)]
        made = [self.make_extra(c, e) for c, e in zip(read[len(self.layout.strides) - 1 :], extras, strict=False)]
        self.extra, self.further = made[0], nn.ModuleList(made[1:])  # apart, since f38 has only the first
        self.outputs = outputs
        finer = len(channels) - len(self.layout.strides)  # maps that carry no boxes
        self.first = max(0, finer - 1) if fusion else finer
        self.fuse = TopDown([*channels[self.first : finer], *read], fusion, boxes=len(boxes)) if fusion else None
        inputs = self.fuse.widths if self.fuse else read
        self.logits = nn.ModuleList(self.make_predictor(c, n * outputs) for c, n in zip(inputs, boxes, strict=True))
        self.offsets = nn.ModuleList(self.make_predictor(c, n * 4) for c, n in zip(inputs, boxes, strict=True))
        self._start()

    @staticmethod
    @abstractmethod
    def make_extra(inputs: int, extra: Extra) -> nn.Module:
        """The convolutions that make one map of the one before, of `inputs` channels."""

    @staticmethod
    @abstractmethod
    def make_predictor(inputs: int, outputs: int) -> nn.Sequential:
        """What turns a map into one number an output and cell; its last module is the convolution with the bias."""

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        features = list(maps[self.first :])
        for make, extra in zip((self.extra, *self.further), self.layout.extras, strict=True):
            features.append(make(_filled(features[-1], extra)))
        features = self.fuse(features) if self.fuse else features
        logits = [_rows(p(f), self.outputs) for p, f in zip(self.logits, features, strict=True)]
        offsets = [_rows(p(f), 4) for p, f in zip(self.offsets, features, strict=True)]
        return torch.cat(logits, 1), torch.cat(offsets, 1)

    def losses(self, maps: Sequence[Tensor], targets: Targets, how: Optimiser) -> Losses:
        logits, offsets = self(maps)
        with torch.autocast(logits.device.type, enabled=False):
            labels, wanted, worth = targets.labels, targets.offsets, None
            if how.assign == "task_aligned":
                static = labels, wanted
                labels, wanted, worth = align(
                    (logits, offsets), static, targets.objects, targets.classes, self.anchors, self.spec.variance
                )
            losses = detection_loss(logits, offsets, labels, wanted, self.anchors, self.spec, how, worth)
            if targets.taught is None:
                return losses
            taught = distil((logits, offsets), targets.taught, self.anchors, self.spec.variance)
            return losses.plus(taught, how.teacher_weight)

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


class SSDLite(SSD):
    """Depthwise-separable extra maps and predictors (Sandler et al. 2018, "MobileNetV2", section 6.2)."""

    @staticmethod
    def make_extra(inputs: int, extra: Extra) -> nn.Module:
        squeeze, channels, kernel, stride, padding = extra
        depthwise = conv(squeeze, squeeze, kernel, stride, squeeze)
        depthwise[0].padding = (padding, padding)  # type: ignore[assignment]
        return nn.Sequential(conv(inputs, squeeze, 1), depthwise, conv(squeeze, channels, 1))

    @staticmethod
    def make_predictor(inputs: int, outputs: int) -> nn.Sequential:
        return nn.Sequential(conv(inputs, inputs, 3, 1, inputs), nn.Conv2d(inputs, outputs, 1))


class PlainSSD(SSD):
    """Plain convolutions without batch norm, 3 x 3 predictors (Liu et al. 2016, "SSD", section 2 and figure 2)."""

    @staticmethod
    def make_extra(inputs: int, extra: Extra) -> nn.Module:
        squeeze, channels, kernel, stride, padding = extra
        return nn.Sequential(
            nn.Conv2d(inputs, squeeze, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(squeeze, channels, kernel, stride, padding),
            nn.ReLU(inplace=True),
        )

    @staticmethod
    def make_predictor(inputs: int, outputs: int) -> nn.Sequential:
        return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1))


class TopDown(nn.Module):
    """Maps brought to one width, with context from the coarser ones and detail from the finest.

    Each map but the coarsest adds the one below it, doubled in size (Lin et al. 2017, "FPN"), so that small heads are
    judged with their surroundings. The map at stride 8 adds the one at stride 4, halved by a depthwise convolution:
    a head of 8 pixels is one cell at stride 8, and where in the cell it lies is written at stride 4.

    channels  of the maps it reads, finest first: in layout f38 five, at strides 4 to 64
    width     of the maps it makes
    boxes     how many of them carry default boxes. All but the first, as in f38: four maps are made, strides 8 to 64.
              All, as in f75: the finest is made, too, at half the width, since it has four times the cells of the next
    """

    def __init__(self, channels: Sequence[int], width: int, boxes: int) -> None:
        super().__init__()
        fine = channels[0]
        self.detail = nn.Sequential(conv(fine, fine, 3, 2, fine), conv(fine, width, 1))
        self.lateral = nn.ModuleList(conv(c, width, 1) for c in channels[1:])
        self.smooth = nn.ModuleList(_smoothed(width, width) for _ in channels[1:])
        self.widths = [width] * (len(channels) - 1)
        self.finest: Finest | None = None
        if boxes == len(channels):
            self.finest = Finest(fine, width, width // 2)
            self.widths = [width // 2, *self.widths]

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        side = [lateral(m) for lateral, m in zip(self.lateral, maps[1:], strict=True)]
        for i in range(len(side) - 2, -1, -1):
            side[i] = side[i] + _doubled(side[i + 1], side[i])
        side[0] = side[0] + self.detail(maps[0])
        made = [smooth(s) for smooth, s in zip(self.smooth, side, strict=True)]
        return [self.finest(maps[0], made[0]), *made] if self.finest else made


class Finest(nn.Module):
    """The map at stride 4 with what the one at stride 8, `context` channels wide, says of its surroundings."""

    def __init__(self, fine: int, context: int, width: int) -> None:
        super().__init__()
        self.lateral = conv(fine, width, 1)
        self.context = conv(context, width, 1)
        self.smooth = _smoothed(width, width)

    def forward(self, fine: Tensor, context: Tensor) -> Tensor:
        side = self.lateral(fine)
        out: Tensor = self.smooth(side + _doubled(self.context(context), side))
        return out


def _smoothed(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(conv(inputs, inputs, 3, 1, inputs), conv(inputs, outputs, 1))


def _doubled(x: Tensor, like: Tensor) -> Tensor:
    """A map at twice its size, less the last row or column where `like` has one less."""
    up = nn.functional.interpolate(x, scale_factor=2.0, mode="nearest")
    return up[:, :, : like.shape[2], : like.shape[3]]


def _check(layout: Layout, spec: ModelSpec) -> None:
    backbone, name = spec.network["backbone"], spec.network.get("layout", "f38")
    has = BACKBONES[backbone].strides
    tail = has[-len(layout.strides) :]
    if layout.strides != tail or not layout.extras:
        raise SettingError(
            f"model.layout: {name} reads the maps at strides {list(layout.strides)}, an SSD on {backbone} those up to "
            f"its last, {has[-1]}, and makes more of that; set a layout that ends there"
        )
    if spec.network["fusion"] and not (layout.halves() and (len(has) > len(tail) or has[0] == 4)):
        raise SettingError(
            f"model.fusion: the top-down path of {name} on {backbone} lacks a finer map, or maps that each halve the "
            "one before; set model.fusion=0"
        )


def _width(channels: int, multiplier: float) -> int:
    """Channels of an extra map times the width multiplier, in eights, at least 16."""
    return max(16, round(channels * multiplier / 8) * 8)


def _filled(x: Tensor, extra: Extra) -> Tensor:
    """The map, with zeros around it where it has fewer cells than the kernel of the next convolution needs."""
    rows, columns = extra.missing(x.shape[2]), extra.missing(x.shape[3])
    if not rows and not columns:
        return x
    return nn.functional.pad(x, (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2))


def _rows(x: Tensor, width: int) -> Tensor:
    """(B, boxes * width, h, w) -> (B, h * w * boxes, width)."""
    return x.permute(0, 2, 3, 1).reshape(x.shape[0], -1, width)
