"""Losses that look at the overlap of boxes, generalised IoU and quality focal loss, against slow loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from passerby.geometry.anchors import default_boxes
from passerby.geometry.boxes import decode
from passerby.learn.losses import detection_loss
from passerby.learn.network import spec_of
from passerby.recipe import Model, Optimiser

SPEC = spec_of(Model(height=64, width=64, labels=("a", "b")))
ANCHORS = default_boxes(SPEC.anchors, 64, 64)  # 170
GIOU = Optimiser(box_loss="giou")


def overlaps(a, b):
    """IoU and generalised IoU of two boxes as corners: Rezatofighi et al. 2019, algorithm 1."""
    shared = max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))
    hull = (max(a[2], b[2]) - min(a[0], b[0])) * (max(a[3], b[3]) - min(a[1], b[1]))
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
    return shared / union, shared / union - (hull - union) / hull


def make_case(seed, pictures=2, boxes=170):
    rng = np.random.default_rng(seed)
    labels = rng.choice([-1, 0, 1, 2], (pictures, boxes), p=[0.2, 0.5, 0.15, 0.15])
    offsets, targets = rng.normal(0, 2, (2, pictures, boxes, 4)).astype(np.float32)
    pairs = [
        [overlaps(a, b) for a, b in zip(decode(o, ANCHORS).tolist(), decode(t, ANCHORS).tolist(), strict=True)]
        for o, t in zip(offsets, targets, strict=True)
    ]
    logits = rng.normal(0, 2, (pictures, boxes, 2)).astype(np.float32)
    return *(torch.from_numpy(x) for x in (logits, offsets, labels, targets)), np.array(pairs)


def loss_of(logits, offsets, labels, targets, how):
    anchors = torch.from_numpy(ANCHORS[: labels.shape[1]])
    return detection_loss(logits, offsets, labels, targets, anchors, SPEC, how)


@pytest.mark.parametrize("seed", range(3))
def test_giou_loss_is_that_of_a_slow_loop_over_the_decoded_boxes_of_positives(seed):
    logits, offsets, labels, targets, pairs = make_case(seed)
    positive = labels.numpy() > 0
    want = (1 - pairs[..., 1])[positive].sum() / positive.sum()
    assert loss_of(logits, offsets, labels, targets, GIOU).box.item() == pytest.approx(want, rel=1e-3)


def test_giou_loss_by_hand():
    def loss(dx):
        offsets = torch.tensor([[[dx, 0.0, 0.0, 0.0]]])
        return loss_of(torch.zeros(1, 1, 2), offsets, torch.tensor([[1]]), torch.zeros(1, 1, 4), GIOU).box.item()

    assert loss(0.0) == pytest.approx(0.0, abs=1e-6)
    assert loss(5.0) == pytest.approx(1 - 1 / 3, rel=1e-4)  # moved by half its width: 0.5 shared, union and hull 1.5
    assert loss(10.0) == pytest.approx(1.0, rel=1e-4)  # by its width: nothing shared, hull and union 2
    assert loss(20.0) == pytest.approx(1 + 1 / 3, rel=1e-4)  # by two: hull 3, union 2


def test_giou_draws_boxes_that_do_not_overlap_together():
    offsets = torch.tensor([[[30.0, 0.0, 0.0, 0.0]]], requires_grad=True)
    loss = loss_of(torch.zeros(1, 1, 2), offsets, torch.tensor([[1]]), torch.zeros(1, 1, 4), GIOU)
    loss.box.backward()
    assert offsets.grad[0, 0, 0] > 0


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("gamma", [2.0, 1.0])
def test_quality_focal_loss_is_that_of_a_slow_loop(seed, gamma):
    logits, offsets, labels, targets, pairs = make_case(seed)
    total = 0.0
    for picture in range(2):
        for box in range(170):
            label = int(labels[picture, box])
            for k in range(2) if label >= 0 else ():
                p = 1 / (1 + math.exp(-logits[picture, box, k].item()))
                y = pairs[picture, box, 0] if label == k + 1 else 0.0
                total -= abs(p - y) ** gamma * (y * math.log(p) + (1 - y) * math.log(1 - p))
    want = total / int((labels > 0).sum())
    how = Optimiser(quality=True, focal_gamma=gamma)
    assert loss_of(logits, offsets, labels, targets, how).score.item() == pytest.approx(want, rel=1e-3)


def test_the_score_does_not_move_the_box():
    logits, offsets, labels, targets, _ = make_case(0)
    offsets.requires_grad_()
    logits.requires_grad_()
    loss_of(logits, offsets, labels, targets, Optimiser(quality=True)).score.backward()
    assert offsets.grad is None or not offsets.grad.any()
    assert logits.grad.any()


@pytest.mark.parametrize("how", [GIOU, Optimiser(quality=True), Optimiser(quality=True, box_loss="giou")])
def test_a_batch_without_objects_and_far_off_boxes_have_finite_gradients(how):
    for positives in (0, 3):
        logits = torch.full((1, 10, 2), 50.0).requires_grad_()
        offsets = torch.tensor([-100.0, 1e4, 0.0, 30.0]).repeat(1, 10, 1).requires_grad_()
        labels = torch.tensor([[1] * positives + [0] * (10 - positives)])
        loss = loss_of(logits, offsets, labels, torch.zeros(1, 10, 4), how)
        (loss.score + loss.box).backward()
        assert torch.isfinite(logits.grad).all()
        assert offsets.grad is None or torch.isfinite(offsets.grad).all()
