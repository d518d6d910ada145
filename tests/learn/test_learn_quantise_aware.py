"""Training that feels INT8: what is rounded, how, and that nothing of it stays in the checkpoint."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from passerby.learn.network import build, spec_of
from passerby.learn.quantise_aware import RoundedConv2d, make_aware, round_activation, round_weight
from passerby.learn.trainee import prepare
from passerby.recipe import Optimiser, Recipe, Run


def test_activations_by_hand():
    # 0 to 255 in steps of 1: halves go to the even neighbour
    x = torch.tensor([0.0, 0.4, 0.6, 2.5, 255.0])
    assert round_activation(x).tolist() == [0, 0, 1, 2, 255]
    # -51 to 204: zero is a value of its own
    assert round_activation(torch.tensor([-51.0, 0.0, 0.2, 204.0])).tolist() == [-51, 0, 0, 204]


def test_weights_by_hand_each_channel_by_its_own_largest():
    weight = torch.tensor([[127.0, 1.4, -1.6], [1.27, 0.014, -0.016]]).reshape(2, 3, 1, 1)
    expected = torch.tensor([[127.0, 1, -2], [1.27, 0.01, -0.02]]).reshape(2, 3, 1, 1)
    torch.testing.assert_close(round_weight(weight), expected)


def test_nothing_but_zeros_stays_zeros():
    assert round_activation(torch.zeros(3)).tolist() == [0, 0, 0]
    assert round_weight(torch.zeros(2, 1, 1, 1)).abs().sum() == 0


def test_the_gradient_passes_through_the_rounding():
    x = torch.tensor([0.3, 1.7, 9.0], requires_grad=True)
    round_activation(x).sum().backward()
    assert x.grad.tolist() == [1, 1, 1]


def test_the_first_and_the_last_convolutions_are_not_rounded(tiny):
    network = build(spec_of(tiny()))
    names = set(network.state_dict())
    many = make_aware(network)
    plain = [n for n, m in network.named_modules() if type(m) is nn.Conv2d]
    kinds = ("logits", "offsets")
    assert sorted(plain) == sorted(
        ["backbone.features.0.0", *(f"head.{kind}.{k}.1" for kind in kinds for k in range(4))]
    )
    assert many == sum(type(m) is RoundedConv2d for m in network.modules()) > 20
    assert set(network.state_dict()) == names


def test_a_batch_norm_folded_into_rounded_weights_is_the_same(tiny):
    torch.manual_seed(0)
    weight, scale = torch.randn(8, 4, 3, 3), torch.rand(8, 1, 1, 1) + 0.1
    torch.testing.assert_close(round_weight(weight) * scale, round_weight(weight * scale), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("aware", [True, False])
def test_the_recipe_decides_and_the_average_rounds_too(tiny, teller, aware):
    recipe = Recipe("tiny", tiny(), optimiser=Optimiser(quantise_aware=aware), run=Run(device="cpu"))
    told = teller()
    trainee = prepare(recipe, told)
    for network in (trainee.network, trainee.average.network):
        assert any(type(m) is RoundedConv2d for m in network.modules()) == aware
    assert any("round as INT8 does" in line for line in told.lines) == aware


def test_weights_that_felt_the_rounding_lose_less_by_it():
    """Small regressions through a convolution whose weights differ a hundredfold within a channel."""

    def loss_when_rounded(aware, seed):
        torch.manual_seed(seed)
        network = nn.Sequential(
            nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 1, bias=False), nn.BatchNorm2d(8), nn.Conv2d(8, 1, 1)
        )
        with torch.no_grad():
            network[1].weight.mul_(torch.logspace(-2, 0, 8).reshape(1, 8, 1, 1))
        x = torch.randn(256, 3, 1, 1)
        target = x[:, :1] * 2 - x[:, 1:2]
        if aware:
            make_aware(network)
        optimiser = torch.optim.Adam(network.parameters(), 0.01)
        for _ in range(150):
            optimiser.zero_grad()
            (network(x) - target).square().mean().backward()
            optimiser.step()
        make_aware(network)
        return (network(x) - target).square().mean().item()

    assert sum(loss_when_rounded(True, k) for k in range(3)) < sum(loss_when_rounded(False, k) for k in range(3))
