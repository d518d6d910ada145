"""Training that feels INT8: weights and inputs of convolutions rounded as `deploy.quantise` will, gradients as if not.

For when a quantised file loses more than its budget: a few epochs at a low rate from the trained weights
(`model.start`), then export and quantise as ever. The weights that are kept are the float ones.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

LOWEST, HIGHEST = -127, 127  # of weights, signed and per channel; activations are unsigned


class RoundedConv2d(nn.Conv2d):
    """A convolution whose input and weights are rounded to eight bits; the gradient passes through the rounding.

    Same parameters and names as nn.Conv2d, so that checkpoints are those of the plain network. A batch norm behind it
    scales whole channels, and weights are rounded per channel: folding it at export changes nothing.
    Jacob et al. 2018, "Quantization and training of neural networks", section 3; here each batch's own range is taken.
    """

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        output: Tensor = super()._conv_forward(round_activation(input), round_weight(weight), bias)
        return output


def make_aware(network: nn.Module) -> int:
    """Turn the convolutions of a network into rounded ones, in place, but those that `deploy.quantise` keeps in float:
    the first, and the last ones, which have no batch norm behind them.

    returns  how many are rounded now
    """
    convolutions = [m for m in network.modules() if type(m) is nn.Conv2d]
    inner = [m for m in convolutions[1:] if m.bias is None]  # a batch norm follows, which has the bias
    for m in inner:
        m.__class__ = RoundedConv2d
    return len(inner)


class _Rounded(torch.autograd.Function):
    """A tensor rounded to 256 steps of `scale`, the first of them -zero; the gradient passes as if it were not."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: float, zero: float) -> Tensor:
        steps = x.to(torch.float32, copy=True).mul_(1 / scale).round_().clamp_(-zero, 255 - zero)
        return steps.mul_(scale).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return gradients[0], None, None


def round_activation(x: Tensor) -> Tensor:
    """A tensor rounded to 256 values from its lowest to its highest, zero among them."""
    low, high = min(float(x.detach().amin()), 0.0), max(float(x.detach().amax()), 0.0)
    scale = max((high - low) / 255, torch.finfo(torch.float32).tiny)
    zero = min(max(round(-low / scale), 0), 255)
    # torch's own rounding takes six times as long
    rounded: Tensor = _Rounded.apply(x, scale, float(zero))  # type: ignore[no-untyped-call]
    return rounded


def round_weight(weight: Tensor) -> Tensor:
    """Weights (O, I, h, w) rounded to 255 values, zero in the middle, each of the O channels by its own largest."""
    flat = weight.detach().float().flatten(1)
    scale = (flat.abs().amax(dim=1) / HIGHEST).clamp(min=torch.finfo(torch.float32).tiny)
    zero = torch.zeros(len(scale), dtype=torch.int32, device=weight.device)
    rounded = torch.fake_quantize_per_channel_affine(weight.float(), scale, zero, 0, LOWEST, HIGHEST)
    return rounded.to(weight.dtype)
