"""Channels that never change begin anew, and the network answers as before."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from passerby.learn import revive as room
from passerby.learn.network import build, spec_of
from passerby.learn.revive import revive
from passerby.learn.trainee import prepare
from passerby.recipe import Optimiser, Recipe, Run


@pytest.fixture
def pictures():
    random = np.random.default_rng(0)
    return [random.integers(0, 256, (64, 64, 3), np.uint8) for _ in range(6)]


@pytest.fixture(params=["mobilenet_v1", "mobilenet_v2"])
def network(request, tiny, pictures):
    """A network that has seen some noise, and its spec."""
    depth = 1.0 if request.param == "mobilenet_v1" else 0.34
    return settled(spec_of(tiny(backbone=request.param, depth_multiplier=depth)), pictures)


def settled(spec, pictures):
    network = build(spec).train()
    for norm in (m for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d)):
        norm.momentum = 0.5  # a few steps are enough
    with torch.no_grad():
        for _ in range(10):
            network(torch.stack([torch.from_numpy(p) for p in pictures]))
    network.eval()
    revive(network, spec, pictures)  # a few channels of so small a network are constant by themselves
    return network, spec


def chain(network):
    """The first whose source nothing else reads: MobileNetV2's first block adds the stem's output to its own."""
    return list(room._chains(network))[1]


def kill(unit, channel, value):
    """Make a channel constant: no weights, and a batch norm that gives one value."""
    with torch.no_grad():
        unit.convolution.weight[channel] = 0
        unit.statistics[0][channel] = 0
        unit.norm.bias[channel] = value


def answers(network, pictures):
    with torch.no_grad():
        return network(torch.stack([torch.from_numpy(p) for p in pictures]))


def spread(network, unit, pictures, channel):
    seen = []
    hook = unit.end.register_forward_hook(lambda _, __, out: seen.append(out[:, channel]))
    answers(network, pictures)
    hook.remove()
    return float(seen[0].max() - seen[0].min())


@pytest.mark.parametrize("value", [-1.0, 2.5])
def test_a_dead_depthwise_channel_lives_and_no_answer_changes(network, pictures, value):
    net, spec = network
    _, middle, after = chain(net)
    kill(middle, 3, value)
    before = answers(net, pictures)
    assert spread(net, middle, pictures, 3) == 0
    assert revive(net, spec, pictures) >= 1  # what is constant behind it because of it lives again as well
    assert spread(net, middle, pictures, 3) > 0.5
    assert after.convolution.weight[:, 3].abs().max() == 0
    for a, b in zip(before, answers(net, pictures), strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)
    assert revive(net, spec, pictures) == 0


def test_the_channel_that_it_reads_lives_again_too(network, pictures):
    net, spec = network
    first, middle, _ = chain(net)
    kill(first, 2, -1.0)
    kill(middle, 2, -1.0)
    before = answers(net, pictures)
    assert revive(net, spec, pictures) >= 1
    assert spread(net, first, pictures, 2) > 0.5
    assert spread(net, middle, pictures, 2) > 0.5
    for a, b in zip(before, answers(net, pictures), strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)


def test_a_channel_that_something_else_reads_is_left_alone(tiny, pictures):
    """MobileNetV2's first block adds the stem's output to its own: another stem would be another answer."""
    net, spec = settled(spec_of(tiny(backbone="mobilenet_v2")), pictures)
    first, middle, _ = next(room._chains(net))
    kill(first, 2, -1.0)
    kill(middle, 2, -1.0)
    before = answers(net, pictures)
    revive(net, spec, pictures)
    assert spread(net, first, pictures, 2) == 0
    for a, b in zip(before, answers(net, pictures), strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)


def test_new_weights_learn(network, pictures):
    """The layer behind first, then the channel: no gradient is stuck."""
    net, spec = network
    _, middle, after = chain(net)
    kill(middle, 3, -1.0)
    revive(net, spec, pictures)
    pixels = torch.stack([torch.from_numpy(p) for p in pictures])
    optimiser = torch.optim.SGD(net.parameters(), 0.01)
    was = middle.convolution.weight[3].clone()
    for _ in range(2):
        optimiser.zero_grad()
        sum(o.square().mean() for o in net(pixels)).backward()
        optimiser.step()
    assert after.convolution.weight[:, 3].abs().max() > 0
    assert not torch.equal(middle.convolution.weight[3], was)


@pytest.mark.parametrize("asked", [True, False])
def test_the_recipe_decides(tiny, teller, tmp_path, monkeypatch, asked):
    from passerby.learn import trainee

    seen = []
    monkeypatch.setattr(trainee, "read_some", lambda samples: ["picture"] * len(samples))
    monkeypatch.setattr(trainee, "revive", lambda network, spec, pictures: seen.append(len(pictures)) or 7)
    told = teller()
    recipe = Recipe("r", tiny(revive=asked), optimiser=Optimiser(average=0.0), run=Run(device="cpu"))
    prepare(recipe, told, ["one", "two"])
    assert seen == ([2] if asked else [])
    assert ("7 channels of the backbone were constant and begin anew" in told.lines) == asked
