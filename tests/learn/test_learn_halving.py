"""Depthwise convolutions that halve: the same answers and gradients as torch's own, only sooner."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import conv2d

from passerby.learn.halving import HalvingDepthwise, _Halve, quicken
from passerby.learn.loop import prepare
from passerby.learn.network import build, spec_of
from passerby.learn.quantise_aware import RoundedConv2d


@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize(("rows", "columns"), [(9, 12), (10, 13), (3, 4), (16, 16)])
def test_gradients_are_torchs_own(rows, columns, padding):
    x = torch.randn(2, 5, rows, columns, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(5, 1, 3, 3, dtype=torch.float64, requires_grad=True)
    wanted = conv2d(x, weight, stride=2, padding=padding, groups=5)
    found = _Halve.apply(x, weight, padding)
    assert torch.equal(wanted, found)
    grad = torch.randn_like(wanted)
    for a, b in zip(
        torch.autograd.grad(wanted, (x, weight), grad), torch.autograd.grad(found, (x, weight), grad), strict=True
    ):
        torch.testing.assert_close(a, b)


def test_gradients_in_bfloat16_differ_by_rounding_alone():
    layer = torch.nn.Conv2d(8, 8, 3, 2, 1, groups=8, bias=False)
    x = torch.randn(2, 8, 17, 22).contiguous(memory_format=torch.channels_last)
    grads = []
    for quick in (False, True):
        if quick:
            assert quicken(torch.nn.Sequential(layer)) == 1
        layer.zero_grad()
        source = x.clone().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16):
            layer(source).square().sum().backward()
        grads.append((source.grad, layer.weight.grad.clone()))
    assert type(layer) is HalvingDepthwise
    for a, b in zip(*grads, strict=True):
        assert (a - b).abs().max() <= 0.02 * a.abs().max()


def test_only_halving_depthwise_convolutions_are_turned_and_names_stay(tiny):
    network = build(spec_of(tiny()))
    before = list(network.state_dict())
    assert quicken(network) == sum(isinstance(m, HalvingDepthwise) for m in network.modules()) > 0
    assert list(network.state_dict()) == before
    for m in network.modules():
        if isinstance(m, HalvingDepthwise):
            assert (m.stride, m.groups) == ((2, 2), m.in_channels)


def test_a_mixed_run_has_them_and_rounded_ones_stay_rounded(make_recipe, heads_voc, teller):
    root = heads_voc(2)
    for sets, there in (
        ((), False),
        (("run.precision=bfloat16",), True),
        (("run.precision=bfloat16", "optimiser.quantise_aware=true"), False),
    ):
        network = prepare(make_recipe(root, *sets), teller()).network
        assert any(type(m) is HalvingDepthwise for m in network.modules()) == there
        if "optimiser.quantise_aware=true" in sets:
            assert any(type(m) is RoundedConv2d for m in network.modules())
