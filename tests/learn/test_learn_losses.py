"""Losses against slow loops written here, one default box at a time."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from passerby.geometry.anchors import default_boxes
from passerby.learn.losses import detection_loss, focal, mining
from passerby.learn.network import spec_of
from passerby.recipe import Model, Optimiser

FOCAL, MINING = (spec_of(Model(height=64, width=64, loss=loss, labels=("a", "b"))) for loss in ("focal", "mining"))
ANCHORS = torch.from_numpy(default_boxes(FOCAL.anchors, 64, 64))  # 170


def loss_of(logits, labels, offsets=None, targets=None, **how):
    """The loss of a batch over the first default boxes: focal where there are two columns, mining where three."""
    shape = (*labels.shape, 4)
    offsets = torch.zeros(shape) if offsets is None else offsets
    targets = torch.zeros(shape) if targets is None else targets
    spec = FOCAL if logits.shape[-1] == 2 else MINING
    anchors = ANCHORS[: labels.shape[1]]
    return detection_loss(logits, offsets, labels, targets, anchors, spec, Optimiser(**how))


def slow_focal(logits, labels, alpha, gamma):
    """Lin et al. 2017, equation 5, as it is written: -alpha_t (1 - p_t)^gamma log p_t."""
    total = 0.0
    for picture, wanted in zip(logits.tolist(), labels.tolist(), strict=True):
        for row, label in zip(picture, wanted, strict=True):
            if label < 0:
                continue
            for k, x in enumerate(row):
                p = 1 / (1 + math.exp(-x))
                p_t, alpha_t = (p, alpha) if label == k + 1 else (1 - p, 1 - alpha)
                total -= alpha_t * (1 - p_t) ** gamma * math.log(p_t)
    return total


def slow_mining(logits, labels, ratio):
    """Cross-entropy of the positives and of the ratio times as many hardest negatives of each picture; and how many."""
    total, kept = 0.0, []
    for picture, wanted in zip(logits.tolist(), labels.tolist(), strict=True):
        positives, negatives = [], []
        for row, label in zip(picture, wanted, strict=True):
            loss = math.log(sum(math.exp(x) for x in row)) - row[max(label, 0)]
            if label > 0:
                positives.append(loss)
            elif label == 0:
                negatives.append(loss)
        negatives = sorted(negatives, reverse=True)[: int(ratio * max(1, len(positives)))]
        total += sum(positives) + sum(negatives)
        kept.append((len(positives), len(negatives)))
    return total, kept


def make_case(seed, outputs, classes, pictures=3, boxes=40):
    """Logits and labels with positives, background and unjudged boxes; the last picture has no positive."""
    rng = np.random.default_rng(seed)
    logits = torch.from_numpy(rng.normal(0, 2, (pictures, boxes, outputs))).requires_grad_()
    labels = rng.choice([-1, 0, *range(1, classes + 1)], (pictures, boxes), p=[0.2, 0.65] + [0.15 / classes] * classes)
    labels[-1][labels[-1] > 0] = 0
    return logits, torch.from_numpy(labels)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("alpha", "gamma"), [(0.25, 2.0), (0.5, 0.0), (0.75, 1.5)])
def test_focal_loss_is_that_of_a_slow_loop(seed, alpha, gamma):
    logits, labels = make_case(seed, 2, 2)
    want = slow_focal(logits, labels, alpha, gamma)
    assert focal(logits, labels, alpha, gamma).item() == pytest.approx(want, rel=1e-9)


def test_focal_loss_by_hand():
    logits = torch.zeros(1, 3, 1)  # p = 0.5 everywhere
    labels = torch.tensor([[1, 0, -1]])
    want = 0.25 * 0.25 * math.log(2) + 0.75 * 0.25 * math.log(2)
    assert focal(logits, labels, 0.25, 2.0).item() == pytest.approx(want, rel=1e-6)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("ratio", [3.0, 1.0, 100.0])
def test_mining_loss_is_that_of_a_slow_loop(seed, ratio):
    logits, labels = make_case(seed, 3, 2)
    want, _ = slow_mining(logits, labels, ratio)
    assert mining(logits, labels, ratio).item() == pytest.approx(want, rel=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_mining_judges_three_negatives_a_positive_in_each_picture_and_no_unjudged_box(seed):
    logits, labels = make_case(seed, 3, 2)
    mining(logits, labels, 3.0).backward()
    used = logits.grad.abs().sum(dim=-1) > 0
    positive, negative = labels > 0, labels == 0
    assert (used & (labels < 0)).sum() == 0
    for p, n, u in zip(positive, negative, used, strict=True):
        assert (u & p).sum() == p.sum()
        assert (u & n).sum() == min(3 * max(1, int(p.sum())), int(n.sum()))
    assert int(positive[-1].sum()) == 0
    assert int(positive[0].sum()) > 0


def test_mining_takes_the_hardest_negatives():
    # one positive, then negatives of which the loss is higher the higher the second logit
    logits = torch.tensor([[[0.0, 0.0], [0.0, 1.0], [0.0, 5.0], [0.0, -2.0], [0.0, 3.0]]], requires_grad=True)
    mining(logits, torch.tensor([[1, 0, 0, 0, 0]]), 2.0).backward()
    assert (logits.grad.abs().sum(-1) > 0).tolist() == [[True, False, True, False, True]]


def test_mining_where_all_negatives_are_certain_still_leaves_unjudged_boxes_out():
    logits = torch.tensor([[[500.0, -500.0], [-500.0, 500.0], [500.0, -500.0]]], requires_grad=True)
    labels = torch.tensor([[0, -1, 0]])  # the losses of the negatives are exactly 0, that of the unjudged box is 1000
    assert mining(logits, labels, 3.0).item() == 0.0


@pytest.mark.parametrize("box_loss", ["smooth_l1", "giou"])
@pytest.mark.parametrize("outputs", [2, 3], ids=["focal", "mining"])
def test_gradients_are_finite_at_extreme_logits_and_offsets(outputs, box_loss):
    _, labels = make_case(0, outputs, 2)
    extreme = torch.tensor([-1e4, -100.0, 0.0, 100.0, 1e4])[torch.randint(0, 5, (3, 40, outputs))].requires_grad_()
    offsets = torch.tensor([-100.0, -1.0, 0.0, 1e4])[torch.randint(0, 4, (3, 40, 4))].requires_grad_()
    loss = loss_of(extreme, labels, offsets, box_loss=box_loss)
    (loss.score + loss.box).backward()
    assert math.isfinite(loss.score.item() + loss.box.item())
    assert torch.isfinite(extreme.grad).all()
    assert torch.isfinite(offsets.grad).all()


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
def test_focal_gradients_are_finite_for_certain_answers_whatever_gamma(gamma):
    logits = torch.tensor([[[200.0], [-200.0], [200.0], [-200.0]]], requires_grad=True)
    focal(logits, torch.tensor([[1, 0, 0, 1]]), 0.25, gamma).backward()
    assert torch.isfinite(logits.grad).all()


def test_smooth_l1_by_hand_and_over_positives_only():
    labels = torch.tensor([[1, 0, -1, 2]])
    offsets, targets = torch.zeros(1, 4, 4), torch.zeros(1, 4, 4)
    targets[0, 0] = torch.tensor([0.5, -2.0, 0.0, 1.0])  # 0.125 + 1.5 + 0 + 0.5
    targets[0, 3] = torch.tensor([3.0, 0.0, 0.0, 0.0])  # 2.5
    targets[0, 1] = targets[0, 2] = 99.0
    loss = loss_of(torch.zeros(1, 4, 2), labels, offsets, targets, box_weight=2.0)
    assert loss.box.item() == pytest.approx(2.0 * (2.125 + 2.5) / 2)
    half = loss_of(torch.zeros(1, 4, 2), labels, offsets, targets, box_beta=0.5)
    # |x| < 0.5: x^2, else |x| - 0.25: 0.25 + 1.75 + 0 + 0.75, 2.75
    assert half.box.item() == pytest.approx((2.75 + 2.75) / 2)


@pytest.mark.parametrize("outputs", [2, 3], ids=["focal", "mining"])
def test_the_loss_is_divided_by_the_positives_of_the_batch(outputs):
    logits, labels = make_case(7, outputs, 2)
    want = slow_focal(logits, labels, 0.25, 2.0) if outputs == 2 else slow_mining(logits, labels, 3.0)[0]
    loss = loss_of(logits, labels)
    assert loss.score.item() == pytest.approx(want / int((labels > 0).sum()), rel=1e-4)
    assert loss.box.item() == 0.0


@pytest.mark.parametrize("box_loss", ["smooth_l1", "giou"])
@pytest.mark.parametrize("outputs", [2, 3], ids=["focal", "mining"])
def test_a_batch_without_objects_has_a_finite_loss_and_no_box_loss(outputs, box_loss):
    logits = torch.randn(2, 10, outputs, requires_grad=True)
    offsets = torch.randn(2, 10, 4, requires_grad=True)
    labels = torch.zeros(2, 10, dtype=torch.int64)
    loss = loss_of(logits, labels, offsets, box_loss=box_loss)
    (loss.score + loss.box).backward()
    assert loss.score.item() > 0
    assert loss.box.item() == 0
    assert torch.isfinite(logits.grad).all()
