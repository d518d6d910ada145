"""Distance IoU, complete IoU, varifocal loss and the losses towards a teacher, by hand; every box loss as one."""

from __future__ import annotations

import math

import pytest
import torch

from passerby.errors import SettingError
from passerby.learn.box_losses import BOX_LOSSES, Pairs
from passerby.learn.detecting import check
from passerby.learn.losses import detection_loss, distil, varifocal
from passerby.learn.network import spec_of
from passerby.recipe import Model, Optimiser, Recipe

VARIANCE = (0.1, 0.2)
BOX = torch.tensor([[10.0, 10.0, 20.0, 20.0]])  # cx cy w h


def pairs(dx=0.0, dw=0.0, dh=0.0):
    """A box of 20 x 20 moved by dx of its width and scaled by e^dw, e^dh, beside itself."""
    offsets = torch.tensor([[dx / VARIANCE[0], 0.0, dw / VARIANCE[1], dh / VARIANCE[1]]])
    return Pairs.of(offsets, torch.zeros(1, 4), BOX, VARIANCE)


@pytest.mark.parametrize("name", BOX_LOSSES)
def test_every_box_loss_is_none_for_the_same_box_and_grows_with_distance(name):
    values = [BOX_LOSSES[name](pairs(dx), 1.0).item() for dx in (0, 0.1, 0.5, 1, 2, 4)]
    assert values[0] == pytest.approx(0, abs=1e-6)
    assert values == sorted(values)
    assert values[1] > 0.01


@pytest.mark.parametrize("name", BOX_LOSSES)
def test_every_box_loss_has_a_finite_gradient_far_off(name):
    offsets = torch.tensor([[-100.0, 1e4, 0.0, 30.0], [0.0, 0.0, -60.0, -60.0]]).requires_grad_()
    BOX_LOSSES[name](Pairs.of(offsets, torch.zeros(2, 4), BOX.repeat(2, 1), VARIANCE), 1.0).sum().backward()
    assert torch.isfinite(offsets.grad).all()


def test_distance_iou_by_hand():
    # moved by half: IoU 1/3, centres 10 px apart, hull 30 x 20: 100 / 1300
    assert BOX_LOSSES["diou"](pairs(0.5), 1.0).item() == pytest.approx(2 / 3 + 100 / 1300, rel=1e-5)
    # moved by two: nothing shared, 40 px apart, hull 60 x 20: 1600 / 4000
    assert BOX_LOSSES["diou"](pairs(2.0), 1.0).item() == pytest.approx(1 + 1600 / 4000, rel=1e-5)


def test_complete_iou_by_hand():
    # twice as wide: IoU 1/2, same centre; v = 4 / pi^2 (atan 2 - atan 1)^2, a = v / (1/2 + v)
    v = 4 / math.pi**2 * (math.atan(2) - math.atan(1)) ** 2
    assert BOX_LOSSES["ciou"](pairs(dw=math.log(2)), 1.0).item() == pytest.approx(0.5 + v * v / (0.5 + v), rel=1e-5)
    same_shape = pairs(dw=math.log(2), dh=math.log(2))
    assert BOX_LOSSES["ciou"](same_shape, 1.0).item() == pytest.approx(0.75, rel=1e-5)  # as distance IoU


def test_varifocal_by_hand():
    # a positive that fits by 0.6 and says 0.5: 0.6 ln 2; a negative that says 0.5: 0.75 x 0.25 ln 2; one not judged
    loss = varifocal(torch.zeros(1, 3, 1), torch.tensor([[1, 0, -1]]), torch.tensor([0.6]), 0.25, 2.0)
    assert loss.item() == pytest.approx((0.6 + 0.75 * 0.25) * math.log(2), rel=1e-5)


def test_worth_is_what_a_positive_should_score_what_its_box_weighs_and_what_all_is_divided_by():
    spec = spec_of(Model(height=64, width=64))
    labels, worth = torch.tensor([[1, 1, 0]]), torch.tensor([[1.0, 0.5, 0.0]])
    anchors = BOX.repeat(3, 1)
    moved = torch.zeros(1, 3, 4)
    moved[0, :2, 0] = 5.0  # by half: 1 - GIoU is 2/3
    how = Optimiser(quality=True, box_loss="giou")
    losses = detection_loss(torch.zeros(1, 3, 1), moved, labels, torch.zeros(1, 3, 4), anchors, spec, how, worth)
    assert losses.box.item() == pytest.approx(2 / 3 * 1.5 / 1.5, rel=1e-4)
    # |0.5 - 1|^2 ln 2, |0.5 - 0.5|^2 and |0.5 - 0|^2 ln 2, over 1.5
    assert losses.score.item() == pytest.approx(0.5 * math.log(2) / 1.5, rel=1e-4)


def test_a_student_that_says_what_its_teacher_says_has_little_to_learn():
    logits = torch.tensor([[[2.0], [-4.0]]])
    offsets = torch.tensor([[[1.0, 0, 0, 0], [50.0, 0, 0, 0]]])
    same = distil((logits, offsets), (logits, offsets), BOX.repeat(2, 1), VARIANCE)
    assert same.score.item() == pytest.approx(0, abs=1e-6)
    assert same.box.item() == pytest.approx(0, abs=1e-6)


def test_losses_towards_a_teacher_by_hand():
    taught = torch.tensor([[[math.log(4)], [-9.0]]]), torch.zeros(1, 2, 4)  # scores 0.8 and 0.0001
    offsets = torch.tensor([[[5.0, 0, 0, 0], [5.0, 0, 0, 0]]])
    found = distil((torch.zeros(1, 2, 1), offsets), taught, BOX.repeat(2, 1), VARIANCE)
    # scores: ln 2 times 0.3^2 and 0.5^2; the box of the first only, 2/3 times 0.8; over 1, at least
    assert found.score.item() == pytest.approx((0.09 + 0.25) * math.log(2), rel=1e-3)
    assert found.box.item() == pytest.approx(2 / 3 * 0.8, rel=1e-4)
    three = [t.repeat(1, 3, 1) for t in (torch.zeros(1, 2, 1), offsets, *taught)]
    again = distil((three[0], three[1]), (three[2], three[3]), BOX.repeat(6, 1), VARIANCE)  # over 3 x 0.8
    assert again.box.item() == pytest.approx(2 / 3, rel=1e-4)


def test_the_teachers_numbers_get_no_gradient():
    taught = torch.zeros(1, 2, 1, requires_grad=True), torch.zeros(1, 2, 4, requires_grad=True)
    logits = torch.ones(1, 2, 1, requires_grad=True)
    losses = distil((logits, torch.zeros(1, 2, 4)), tuple(t.detach() for t in taught), BOX.repeat(2, 1), VARIANCE)
    (losses.score + losses.box).backward()
    assert logits.grad.abs().sum() > 0


def test_varifocal_without_quality_is_refused():
    with pytest.raises(SettingError, match=r"quality_loss=varifocal needs optimiser\.quality=yes"):
        check(Recipe().set("optimiser.quality_loss=varifocal"))
