"""Channels that say the same on every picture begin anew: a ReLU6 that is always off passes no gradient, ever.

Pretrained MobileNets bring some along: of the 16 channels of MobileNetV1 0.5 that see the picture first, six are
constant, and no training of ours woke one. Nothing that the network answers changes at first.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from passerby.geometry.resize import fit
from passerby.learn.network import Detector
from passerby.records import Pixels
from passerby.spec import ModelSpec

SAME = 1e-3  # of 6: a channel whose lowest and highest value on all pictures lie no further apart says nothing
CLOSE = 1e-3  # how far an answer may move, of the largest
BATCH = 16


class Unit:
    """A convolution, its batch norm, and the activation behind it, if there is one."""

    def __init__(self, convolution: nn.Conv2d, norm: nn.BatchNorm2d, end: nn.Module) -> None:
        self.convolution, self.norm, self.end = convolution, norm, end
        self.depthwise = convolution.groups == convolution.in_channels > 1

    @property
    def statistics(self) -> tuple[Tensor, Tensor]:
        """The batch norm's running mean and variance, to be changed in place."""
        mean, variance = self.norm.running_mean, self.norm.running_var
        assert mean is not None
        assert variance is not None
        return mean, variance


@torch.no_grad()
def revive(network: Detector, spec: ModelSpec, pictures: Sequence[Pixels], seed: int = 0) -> int:
    """Give new weights to the depthwise channels of the trunk that are constant, and to the channels that they read
    where those are constant as well and nothing else reads them.

    What a constant channel adds to the layer behind goes into that layer's batch norm, and the weights that read it
    become 0; they learn first, and the channel after them. It begins with random weights (He et al. 2015) and a batch
    norm that leaves the activation mostly open.
    pictures  (H, W, 3) uint8 RGB each, at least one

    returns  how many depthwise channels
    """
    was = network.training
    network.eval()
    batches = _batches(spec, pictures)
    random = torch.Generator().manual_seed(seed)
    many = 0
    for before, middle, after in _chains(network):
        low, high = _range(network, middle.end, batches)
        dead = (high - low) < SAME
        if not dead.any():
            continue
        first_low, first_high = _range(network, before.end, batches)
        silent = dead & ((first_high - first_low) < SAME)
        for sources in (silent, torch.zeros_like(silent)):  # the second where something else reads a source
            rows = dead & (sources | ~silent)
            changed = (before, middle, after)
            saved = [copy.deepcopy((u.convolution.state_dict(), u.norm.state_dict())) for u in changed]
            answers = network(batches[0])
            _cut(after, rows, low)
            for unit, channels in ((before, sources), (middle, rows)):
                if channels.any():
                    _begin(unit, channels, random)
                    _settle(network, unit, channels, batches)
            if all(_alike(a, b) for a, b in zip(answers, network(batches[0]), strict=True)):
                many += int(rows.sum())
                break
            for unit, (convolution, norm) in zip(changed, saved, strict=True):
                unit.convolution.load_state_dict(convolution)
                unit.norm.load_state_dict(norm)
    network.train(was)
    return many


def _chains(network: Detector) -> Iterator[tuple[Unit, Unit, Unit]]:
    """Every depthwise unit of the trunk between the one that it reads and the 1 x 1 one that reads it."""
    leaves = [m for m in network.backbone.features.modules() if not list(m.children())]
    units = [
        Unit(a, b, c if isinstance(c, (nn.ReLU6, nn.ReLU)) else b)
        for a, b, c in zip(leaves, leaves[1:], [*leaves[2:], nn.Identity()], strict=False)
        if isinstance(a, nn.Conv2d) and isinstance(b, nn.BatchNorm2d)
    ]
    for before, middle, after in zip(units, units[1:], units[2:], strict=False):
        fits = before.convolution.out_channels == middle.convolution.in_channels
        if middle.depthwise and fits and after.convolution.kernel_size == (1, 1) and not after.depthwise:
            yield before, middle, after


def _batches(spec: ModelSpec, pictures: Sequence[Pixels]) -> list[Tensor]:
    fitted = [torch.from_numpy(fit(p, spec.width, spec.height, spec.resize)[0].copy()) for p in pictures]
    return [torch.stack(fitted[k : k + BATCH]) for k in range(0, len(fitted), BATCH)]


def _outputs(network: Detector, module: nn.Module, batches: Sequence[Tensor]) -> Iterator[Tensor]:
    """What a module gives for each batch, (B, C, H, W)."""
    given: list[Tensor] = []
    hook = module.register_forward_hook(lambda _, __, out: given.append(out))
    try:
        for batch in batches:
            network(batch)
            yield given.pop()
    finally:
        hook.remove()


def _range(network: Detector, module: nn.Module, batches: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Lowest and highest value of each channel (C,)."""
    ends = [(out.amin((0, 2, 3)), out.amax((0, 2, 3))) for out in _outputs(network, module, batches)]
    return torch.stack([a for a, _ in ends]).amin(0), torch.stack([b for _, b in ends]).amax(0)


def _cut(after: Unit, rows: Tensor, constant: Tensor) -> None:
    """Let a 1 x 1 unit read nothing of channels that are constant, and answer as before."""
    weight = after.convolution.weight
    after.statistics[0].sub_(weight[:, rows, 0, 0] @ constant[rows])
    weight[:, rows] = 0


def _begin(unit: Unit, rows: Tensor, random: torch.Generator) -> None:
    weight = unit.convolution.weight
    weight[rows] = torch.randn(weight[rows].shape, generator=random) * (2 / weight[0].numel()) ** 0.5
    unit.norm.weight[rows] = 1.0
    unit.norm.bias[rows] = 1.0  # one standard deviation over where the activation closes


def _settle(network: Detector, unit: Unit, rows: Tensor, batches: Sequence[Tensor]) -> None:
    """Give the batch norm of new channels the mean and variance that pictures have there."""
    sums = [
        (out.double().sum((0, 2, 3)), out.double().square().sum((0, 2, 3)), out[:, 0].numel())
        for out in _outputs(network, unit.convolution, batches)
    ]
    count = sum(n for _, _, n in sums)
    mean = torch.stack([s for s, _, _ in sums]).sum(0) / count
    variance = torch.stack([q for _, q, _ in sums]).sum(0) / count - mean.square()
    running_mean, running_var = unit.statistics
    running_mean[rows] = mean[rows].float()
    running_var[rows] = variance[rows].clamp(min=1e-6).float()


def _alike(a: Tensor, b: Tensor) -> bool:
    return bool((a - b).abs().max() <= CLOSE * max(1.0, float(a.abs().max())))
