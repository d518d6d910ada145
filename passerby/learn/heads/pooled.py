"""A classifier with maps: global average pooling, one dense layer, and where each of its outputs comes from."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from passerby.errors import SettingError
from passerby.learn.heads.base import Head, Targets
from passerby.learn.losses import Losses
from passerby.recipe import Model, Optimiser
from passerby.spec import ModelSpec


class Pooled(Head):
    """What a picture holds, and where it shows.

    Features f_k (x, y) of the backbone's last map are averaged over the picture; one dense layer of weights w_{k,c}
    turns the averages into a logit for the background (c = 0) and one a class. The class activation map of output c is
    sum over k of w_{k,c} f_k (x, y): Zhou et al. 2016, "Learning deep features for discriminative localization",
    equation 2. So logit c is the mean of map c, plus the bias.

    channels  of the backbone's maps, finest first; only the last is read
    spec      its labels

    input     [(B, channels[i], h_i, w_i)]
    output    logits (B, C + 1), maps (B, C + 1, h, w): raw, without the bias, not normalised
    """

    task = "localise"
    weights: Tensor

    def __init__(self, channels: Sequence[int], spec: ModelSpec) -> None:
        super().__init__()
        outputs = len(spec.labels) + 1
        self.dense = nn.Linear(channels[-1], outputs)
        self.maps = ActivationMaps()
        # Follows from the training data, which a checkpoint does not hold: set anew by who trains.
        self.register_buffer("weights", torch.ones(outputs), persistent=False)
        nn.init.xavier_uniform_(self.dense.weight)
        nn.init.zeros_(self.dense.bias)
        # What all outputs share is nothing to a softmax, but would lie over every map; no gradient brings it back.
        with torch.no_grad():
            self.dense.weight -= self.dense.weight.mean(0)

    def balance(self, counts: Sequence[int]) -> None:
        """Let every class weigh alike in the loss: pictures of class c weigh N / (classes x counts[c]).

        counts  pictures of the background and of each class, none of them 0; N is their sum
        """
        total = sum(counts)
        self.weights.copy_(torch.tensor([total / (len(counts) * n) for n in counts]))

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, ...]:
        features = maps[-1]
        return self.dense(features.mean((2, 3))), self.maps(features, self.dense.weight)

    def losses(self, maps: Sequence[Tensor], targets: Targets, how: Optimiser) -> Losses:
        """Weighted cross-entropy over the batch's pictures, and `how.l2` times the sum of squared dense weights."""
        logits = self.dense(maps[-1].mean((2, 3))).float()
        wanted = targets.labels[:, 0]
        each = F.cross_entropy(logits, wanted, reduction="none") * self.weights[wanted]
        penalty = how.l2 * self.dense.weight.float().square().sum()
        return Losses(each.mean(), penalty, (logits.detach().argmax(1) == wanted).float().mean())

    def decode(self, outputs: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        """Scores (B, C): softmax over all outputs, without the background's; and the maps (B, C + 1, h, w)."""
        logits, maps = outputs
        return logits.float().softmax(-1)[:, 1:], maps.float()


class ActivationMaps(nn.Module):
    """sum over k of w_{k,c} f_k (x, y); features (B, K, h, w), weights (C + 1, K) -> (B, C + 1, h, w)."""

    def forward(self, features: Tensor, weights: Tensor) -> Tensor:
        return F.conv2d(features, weights[:, :, None, None])


def check_pooled(model: Model) -> dict[str, int]:
    """The fields of `spec.network` that are this head's alone.

    Raises SettingError naming the field of the recipe that it cannot work with.
    """
    if model.loss != "cross_entropy":
        raise SettingError(f"model.loss: {model.loss} is not for model.head=pooled; set cross_entropy")
    if model.sizes or model.shapes or model.fusion:
        field = "fusion" if model.fusion else "shapes" if model.shapes else "sizes"
        raise SettingError(f"model.{field}: model.head=pooled has no default boxes; leave it out")
    return {"map_stride": model.map_stride}
