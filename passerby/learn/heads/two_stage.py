"""Faster R-CNN: a first stage that proposes boxes, a second that looks into each of them again."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from passerby.errors import ModelError, SettingError
from passerby.geometry.anchors import default_boxes
from passerby.learn.backbones.mobilenet_v2 import conv
from passerby.learn.boxes import centres_of, corners, offsets_of
from passerby.learn.heads.base import Head, Targets
from passerby.learn.heads.necks import NECKS
from passerby.learn.losses import Losses, sampled_loss
from passerby.learn.proposals import best_of, draw, judge, limit_growth, propose, take
from passerby.learn.roi import BINS, RoIAlign, reachable
from passerby.recipe import Model, Optimiser
from passerby.spec import ModelSpec

FIRST, FIRST_POSITIVE = 256, 128  # default boxes of a picture that train: Ren et al. 2015, section 3.1.2
POSITIVE = 4  # one in so many boxes that train the second stage: Girshick 2015, "Fast R-CNN", section 2.3
LEAST = 0.5  # IoU from which on a proposal is an object's: the same


class TwoStage(Head):
    """Faster R-CNN (Ren et al. 2015) on our own default boxes, matching and losses.

    First stage: at each default box one logit, object or not, and offsets (class-agnostic). Its targets are those of
    `geometry.assign`: over `optimiser.match_iou` an object's own, everything else background. The paper wants over 0.7
    and under 0.3, and leaves out what is between; with one rule for all networks, 0.5, nothing is between, and small
    objects get more than their one best box. Of them 256 a picture train, at most half of them positive.

    Second stage: the features inside each proposal (`RoIAlign`), two fully connected layers, then a softmax over the
    classes and background, and offsets from the proposal that are the same for all classes (as in Dai et al. 2016,
    "R-FCN", section 2), so that a row is one box however many classes there are. `optimiser.rois`
    a picture train, at most a quarter of them positive (IoU 0.5 or more).

    channels  of the backbone's maps
    spec      its default boxes and classes; of `spec.network` layout (see `necks.NECKS`), fusion: channels of all maps
              that the two stages read; proposals: boxes that enter the second stage; box_head: width of its layers

    input     [(B, channels[i], h_i, w_i)]
    output    proposals (B, R, 4), whether each is one (B, R), logits (B, R, classes + 1), offsets (B, R, 4);
              R = spec.network["proposals"], best first

    Raises ModelError naming the field that `spec.network` lacks.
    """

    anchors: Tensor
    draws: Tensor
    ranked = True

    def __init__(self, channels: Sequence[int], spec: ModelSpec) -> None:
        super().__init__()
        self.spec = spec
        network = spec.network
        for name in ("proposals", "box_head", "layout"):
            if name not in network:
                raise ModelError(f"{spec.name}: its metadata lacks network.{name}; export or train it again")
        self.register_buffer(
            "anchors", torch.from_numpy(default_boxes(spec.anchors, spec.height, spec.width)), persistent=False
        )
        # Kept in checkpoints: a resumed run draws the samples that it would have drawn. Seed, and batches so far.
        self.register_buffer("draws", torch.tensor([int(torch.randint(2**31, ())), 0]))
        width = network["fusion"]
        self.neck = NECKS[network["layout"]](channels, width)
        self.first = nn.ModuleList(FirstStage(width, len(m.sizes)) for m in spec.anchors)
        self.align = RoIAlign(reachable(self.neck.strides, spec.height, spec.width), spec.height, spec.width)
        self.second = SecondStage(width * BINS * BINS, network["box_head"], len(spec.labels))
        _fill(self.neck)

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, ...]:
        features = self.neck(maps)
        boxes, kept = best_of(propose(*self._look(features), self.anchors, self.spec), self.spec.network["proposals"])
        return boxes, kept, *self.second(self.align(features[: len(self.align.strides)], boxes))

    def losses(self, maps: Sequence[Tensor], targets: Targets, how: Optimiser) -> Losses:
        """The sums of both stages' score losses and of their box losses."""
        features = self.neck(maps)
        logits, offsets = self._look(features)
        keys = torch.Generator().manual_seed(int(self.draws.sum()))
        self.draws[1] += 1
        first = self._first_loss(logits, offsets, targets, how, keys)
        proposals = propose(logits.detach(), offsets.detach(), self.anchors, self.spec)
        candidates = judge(proposals, targets.objects, targets.classes, LEAST)
        rows, labels = draw(candidates.labels, how.rois, how.rois // POSITIVE, _keys(candidates.labels, keys))
        boxes, truth = take(candidates.boxes, rows), take(candidates.truth, rows).flatten(0, 1)
        classes, moves = self.second(self.align(features[: len(self.align.strides)], boxes))
        anchors = centres_of(boxes).flatten(0, 1)
        wanted = offsets_of(truth, anchors, self.spec.variance)  # no number where there is no object: nobody asks
        second = sampled_loss(
            classes.flatten(0, 1), moves.flatten(0, 1), labels.flatten(), wanted, anchors, self.spec.variance, how
        )
        # A label that is no number shows here whichever rows are drawn, so that the loop can name its file.
        sound = (targets.offsets.sum() + targets.objects.sum()) * 0
        return Losses(first.score + second.score, first.box + second.box + sound)

    def decode(self, outputs: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        boxes, kept, logits, offsets = outputs
        offsets = limit_growth(offsets.float(), self.spec.variance)
        scores = logits.float().softmax(-1)[..., 1:] * kept.unsqueeze(-1)
        return corners(offsets, centres_of(boxes), self.spec.variance), scores

    def _look(self, features: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Logits (B, A) and offsets (B, A, 4) of the default boxes, in the order of `geometry.anchors`."""
        logits, offsets = zip(*(s(f) for s, f in zip(self.first, features, strict=True)), strict=True)
        return torch.cat(logits, 1).float(), torch.cat(offsets, 1).float()

    def _first_loss(
        self, logits: Tensor, offsets: Tensor, targets: Targets, how: Optimiser, keys: torch.Generator
    ) -> Losses:
        judged = targets.labels.clamp(max=1)
        rows, labels = draw(judged, FIRST, FIRST_POSITIVE, _keys(judged, keys))
        chosen = logits.gather(1, rows).flatten()
        return sampled_loss(
            torch.stack([torch.zeros_like(chosen), chosen], -1),
            take(offsets, rows).flatten(0, 1),
            labels.flatten(),
            take(targets.offsets, rows).flatten(0, 1),
            self.anchors[rows].flatten(0, 1),
            self.spec.variance,
            how,
        )


class FirstStage(nn.Module):
    """Object or not, and offsets, of the default boxes of one map; depthwise-separable as SSD-Lite's predictors.

    input  (B, C, h, w); output logits (B, h * w * boxes), offsets (B, h * w * boxes, 4)
    """

    def __init__(self, channels: int, boxes: int) -> None:
        super().__init__()
        self.trunk = nn.Sequential(conv(channels, channels, 3, 1, channels), conv(channels, channels, 1))
        self.logits = nn.Conv2d(channels, boxes, 1)
        self.offsets = nn.Conv2d(channels, boxes * 4, 1)
        _fill(self)
        for layer in (self.logits, self.offsets):
            nn.init.normal_(layer.weight, std=0.01)  # Ren et al. 2015, section 3.1.3

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.trunk(x)
        logits, offsets = self.logits(x), self.offsets(x)
        return logits.permute(0, 2, 3, 1).flatten(1), offsets.permute(0, 2, 3, 1).reshape(len(x), -1, 4)


class SecondStage(nn.Module):
    """Two fully connected layers, then class logits and offsets: (B, R, inputs) -> (B, R, classes + 1), (B, R, 4)."""

    def __init__(self, inputs: int, width: int, classes: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(inputs, width), nn.ReLU(inplace=True), nn.Linear(width, width), nn.ReLU(inplace=True)
        )
        self.logits = nn.Linear(width, classes + 1)
        self.offsets = nn.Linear(width, 4)
        _fill(self)
        for layer, spread in ((self.logits, 0.01), (self.offsets, 0.001)):
            nn.init.normal_(layer.weight, std=spread)  # Girshick 2015, "Fast R-CNN", section 2.3

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.layers(x)
        return self.logits(x), self.offsets(x)


def check_two_stage(model: Model) -> dict[str, int]:
    """The fields of `spec.network` that are this head's alone.

    Raises SettingError naming the field of the recipe that it cannot work with.
    """
    if model.layout not in NECKS:
        raise SettingError(f"model.layout: {model.layout} is not for model.head=two_stage; set {' or '.join(NECKS)}")
    if model.loss != "sampled":
        raise SettingError(f"model.loss: {model.loss} is not for model.head=two_stage; set sampled")
    for name in ("fusion", "box_head", "proposals"):
        if getattr(model, name) < 1:
            raise SettingError(f"model.{name} is {getattr(model, name)}; model.head=two_stage wants at least 1")
    return {"proposals": model.proposals, "box_head": model.box_head}


def _keys(labels: Tensor, generator: torch.Generator) -> Tensor:
    """Random numbers (B, N), made on the CPU: the same on every device."""
    return torch.rand(labels.shape, generator=generator).to(labels.device)


def _fill(part: nn.Module) -> None:
    """Xavier for what is new, as in the SSD heads."""
    for m in part.modules():
        if isinstance(m, (nn.Conv2d, nn.Linear)):
            nn.init.xavier_uniform_(m.weight)
            if m.bias is not None:
                nn.init.zeros_(m.bias)
