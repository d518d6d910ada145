"""What every head gives: the one interface between a network's maps and training, export and use."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

from torch import Tensor, nn

from passerby.learn.losses import Losses
from passerby.recipe import Optimiser


class Targets(NamedTuple):
    """What a batch should be answered with.

    labels   (B, A) int64, of each default box: 0 background, k + 1 for class k, -1 not judged; of a classifier A is 1:
             the picture
    offsets  (B, A, 4) float32, of the objects that they answer for
    objects  (B, M, 4) float32, x0 y0 x1 y1, input pixels: the objects themselves; rows past a picture's own are 0
    classes  (B, M) int64, of the objects: k + 1 for class k, -1 not judged (ignored, difficult), 0 no object
    taught   what `optimiser.teacher` says of the batch: logits (B, A, C), offsets (B, A, 4); None: there is none
    """

    labels: Tensor
    offsets: Tensor
    objects: Tensor
    classes: Tensor
    taught: tuple[Tensor, Tensor] | None = None


class Head(nn.Module, ABC):
    """Maps -> outputs -> losses, or boxes and scores.

    ranked  whether rows come in the order of computed scores, which two engines may sort differently where scores are
            nearly the same; else a row is a default box
    task    of `spec.TASKS`: "detect", or "localise"
    """

    ranked = False
    task: ClassVar[str] = "detect"

    @abstractmethod
    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Of the backbone's maps [(B, channels[i], h_i, w_i)] whatever `decode` needs."""

    @abstractmethod
    def losses(self, maps: Sequence[Tensor], targets: Targets, how: Optimiser) -> Losses:
        """How wrong the answer to a batch is."""

    @abstractmethod
    def decode(self, outputs: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        """Boxes (B, R, 4) float32, x0 y0 x1 y1, input pixels, and scores (B, R, classes) float32, 0..1.

        Where the task is "localise": scores (B, classes), 0..1, and maps (B, classes + 1, h, w), background first.
        """
