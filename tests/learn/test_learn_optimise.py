"""Learning rate, weight decay and the moving average, by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from passerby.errors import SettingError
from passerby.learn.network import build, spec_of
from passerby.learn.optimise import Average, make_optimiser, rate_at
from passerby.recipe import Optimiser

HOW = Optimiser(rate=0.1, final=0.01)


def test_the_rate_rises_in_a_straight_line_to_its_peak_then_falls_along_half_a_cosine():
    # 10 steps of warm-up, 100 after them
    assert rate_at(0, 110, 10, HOW) == pytest.approx(0.01)
    assert rate_at(4, 110, 10, HOW) == pytest.approx(0.05)
    assert rate_at(9, 110, 10, HOW) == pytest.approx(0.1)  # end of warm-up
    assert rate_at(10, 110, 10, HOW) == pytest.approx(0.1)
    assert rate_at(60, 110, 10, HOW) == pytest.approx(0.1 * (0.01 + 0.99 / 2))  # middle
    assert rate_at(35, 110, 10, HOW) == pytest.approx(0.1 * (0.01 + 0.99 * (1 + 2**-0.5) / 2))  # a quarter
    assert rate_at(110, 110, 10, HOW) == pytest.approx(0.001)
    assert rate_at(500, 110, 10, HOW) == pytest.approx(0.001)  # never rises again


def test_the_rate_never_leaves_its_bounds_and_falls_after_the_warm_up():
    rates = [rate_at(s, 300, 30, HOW) for s in range(300)]
    assert rates[:30] == sorted(rates[:30])
    assert rates[30:] == sorted(rates[30:], reverse=True)
    assert max(rates) <= 0.1
    assert min(rates[30:]) >= 0.001


def test_a_run_that_is_all_warm_up_has_a_rate():
    assert rate_at(2, 3, 3, HOW) == pytest.approx(0.1)
    assert rate_at(3, 3, 3, HOW) == pytest.approx(0.1)


def test_the_moving_average_by_hand():
    network = nn.Linear(1, 1, bias=False)
    network.weight.data.fill_(1.0)
    average = Average(network, decay=0.25)
    network.weight.data.fill_(3.0)
    average.update(network)  # decay min(0.25, 2 / 11) = 2 / 11
    first = 1.0 * 2 / 11 + 3.0 * 9 / 11
    assert average.network.weight.item() == pytest.approx(first)
    network.weight.data.fill_(5.0)
    average.update(network)  # min(0.25, 3 / 12) = 0.25
    assert average.network.weight.item() == pytest.approx(first * 0.25 + 5.0 * 0.75)
    for _ in range(10):
        average.update(network)  # and stays 0.25
    assert average.network.weight.item() == pytest.approx(5.0 + (first - 5.0) * 0.25**11, rel=1e-6)
    assert network.weight.item() == 5.0


def test_the_moving_average_covers_batch_norm_statistics_and_keeps_whole_numbers_whole():
    network = nn.BatchNorm2d(1)
    average = Average(network, decay=0.9)
    network.running_mean.fill_(11.0)
    network.num_batches_tracked.fill_(4)
    average.update(network)
    assert average.network.running_mean.item() == pytest.approx(11.0 * 9 / 11)
    assert average.network.num_batches_tracked.dtype == torch.int64


def test_the_average_is_a_network_apart_that_does_not_train(tiny):
    network = build(spec_of(tiny())).train()
    average = Average(network, 0.9)
    assert network.training
    assert not any(m.training for m in average.network.modules())
    assert not any(p.requires_grad for p in average.network.parameters())
    mine = {p.data_ptr() for p in network.parameters()}
    assert mine.isdisjoint(p.data_ptr() for p in average.network.parameters())


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_weight_decay_shrinks_convolution_weights_and_leaves_norms_and_biases(tiny, kind):
    network = build(spec_of(tiny()))
    before = {n: p.detach().clone() for n, p in network.named_parameters()}
    optimiser = make_optimiser(network, Optimiser(kind=kind, rate=0.5, decay=0.1))
    for p in network.parameters():
        p.grad = torch.zeros_like(p)
    optimiser.step()
    convolutions = {n + ".weight" for n, m in network.named_modules() if isinstance(m, nn.Conv2d)}
    assert 0 < len(convolutions) < len(before)
    for name, p in network.named_parameters():
        if name in convolutions:
            # Nesterov's momentum applies the first step's gradient 1 + 0.9 times
            factor = 1 - 0.5 * 0.1 * (1.9 if kind == "sgd" else 1)
            torch.testing.assert_close(p.detach(), before[name] * factor)
        else:
            assert torch.equal(p.detach(), before[name]), name


def test_frozen_parameters_are_not_given_to_the_optimiser(tiny):
    network = build(spec_of(tiny()))
    network.backbone.freeze(3)
    given = {id(p) for g in make_optimiser(network, HOW).param_groups for p in g["params"]}
    assert given == {id(p) for p in network.parameters() if p.requires_grad}
    assert len(given) < len(list(network.parameters()))


def test_an_unknown_optimiser_is_a_setting_error(tiny):
    with pytest.raises(SettingError, match=r"optimiser\.kind: 'sdg' is unknown"):
        make_optimiser(build(spec_of(tiny())), Optimiser(kind="sdg"))


def test_an_unknown_box_loss_is_a_setting_error(tiny):
    with pytest.raises(SettingError, match=r"optimiser\.box_loss: 'gio' is unknown"):
        make_optimiser(build(spec_of(tiny())), Optimiser(box_loss="gio"))
