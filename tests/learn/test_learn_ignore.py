"""Ignore regions from the picture to the gradient: nothing inside them is taught, and objects inside them still are."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from passerby.geometry.anchors import default_boxes
from passerby.geometry.assign import assign
from passerby.geometry.boxes import area, intersection, iou, to_corners
from passerby.learn.augment import augment, crop, expand, flip
from passerby.learn.loader import TrainingPictures
from passerby.learn.losses import detection_loss
from passerby.learn.network import build, spec_of
from passerby.recipe import Augment, Model, Optimiser, Recipe
from passerby.records import Sample, SampleSet, Truth
from passerby.spec import AnchorMap

GRID = default_boxes([AnchorMap(8, 8, ((8.0, 8.0), (16.0, 16.0)))], 64, 64)
LOSSES = {
    "focal": (Model(loss="focal"), Optimiser()),
    "quality focal": (Model(loss="focal"), Optimiser(quality=True, box_loss="giou")),
    "quality focal, gamma 1": (Model(loss="focal"), Optimiser(quality=True, focal_gamma=1.0)),
    "mining": (Model(loss="mining"), Optimiser()),
    "mining, giou": (Model(loss="mining"), Optimiser(box_loss="giou")),
    "mining of more than there are": (Model(loss="mining"), Optimiser(mining_ratio=1000.0)),
}


@pytest.fixture(params=LOSSES.values(), ids=LOSSES)
def how(request):
    """A spec of 64 x 64 pixels and two classes, and the optimiser's settings."""
    model, optimiser = request.param
    return spec_of(replace(model, height=64, width=64, labels=("a", "b"))), optimiser


def make_targets(spec):
    """Targets of three pictures: objects and regions; a region that covers all but an object; a region alone."""
    anchors = default_boxes(spec.anchors, 64, 64)
    half, whole = [0, 0, 32, 64], [-400, -400, 464, 464]  # wider than default boxes that stick out
    truths = [
        Truth.of([[4, 4, 16, 24], [40, 30, 56, 58], half], [0, 1, 0], ignore=[False, False, True]),
        Truth.of([[20, 20, 34, 44], whole], [1, 0], ignore=[False, True]),
        Truth.of([whole], ignore=[True]),
    ]
    rows = [assign(t, anchors, 0.4, spec.variance) for t in truths]
    labels, offsets = (torch.from_numpy(np.stack(column)) for column in zip(*rows, strict=True))
    return torch.from_numpy(anchors), labels, offsets


def test_unjudged_default_boxes_get_no_gradient_at_all_and_all_others_may(how):
    spec, optimiser = how
    anchors, labels, targets = make_targets(spec)
    assert {-1, 0, 1, 2} <= set(labels.flatten().tolist())
    assert (labels[2] == -1).all()
    for seed in range(3):
        random = torch.Generator().manual_seed(seed)
        outputs = 2 if spec.scoring == "sigmoid" else 3
        logits = (4 * torch.randn((*labels.shape, outputs), generator=random)).requires_grad_()
        offsets = torch.randn((*labels.shape, 4), generator=random).requires_grad_()
        losses = detection_loss(logits, offsets, labels, targets, anchors, spec, optimiser)
        (losses.score + losses.box).backward()
        assert (logits.grad[labels == -1] == 0).all()
        assert (offsets.grad[labels <= 0] == 0).all()
        assert (logits.grad[labels > 0] != 0).any(dim=-1).all()
        assert (offsets.grad[labels > 0] != 0).any(dim=-1).all()
        assert (logits.grad[labels == 0] != 0).any()


def test_what_the_network_says_in_a_region_does_not_change_the_loss(how):
    spec, optimiser = how
    anchors, labels, targets = make_targets(spec)
    logits = torch.randn((*labels.shape, 2 if spec.scoring == "sigmoid" else 3))
    offsets = torch.randn((*labels.shape, 4))
    quiet = detection_loss(logits, offsets, labels, targets, anchors, spec, optimiser)
    logits[labels == -1] = torch.tensor([50.0, -50.0, 30.0])[: logits.shape[-1]]
    offsets[labels == -1] = 100.0
    loud = detection_loss(logits, offsets, labels, targets, anchors, spec, optimiser)
    assert torch.equal(quiet.score, loud.score)
    assert torch.equal(quiet.box, loud.box)
    logits[labels == 0] += torch.tensor([0.0, 5.0, 5.0])[: logits.shape[-1]]
    assert not torch.equal(detection_loss(logits, offsets, labels, targets, anchors, spec, optimiser).score, loud.score)


@pytest.mark.parametrize("loss", ["focal", "mining"])
def test_a_picture_that_is_all_region_teaches_the_network_nothing(tiny, loss):
    spec = spec_of(tiny(loss=loss))
    network = build(spec).train()
    pixels = torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8)
    anchors = default_boxes(spec.anchors, 64, 64)
    for ignore, taught in ((True, False), (False, True)):
        labels, targets = assign(Truth.of([[-400, -400, 464, 464]], ignore=[ignore]), anchors, 0.5, spec.variance)
        logits, offsets = network(pixels)
        both = (torch.from_numpy(np.stack([a, a])) for a in (labels, targets))
        losses = detection_loss(logits, offsets, *both, torch.from_numpy(anchors), spec, Optimiser())
        network.zero_grad()
        (losses.score + losses.box).backward()
        gradients = [p.grad for p in network.parameters() if p.grad is not None]
        assert gradients
        assert any((g != 0).any() for g in gradients) is taught


def test_regions_excuse_default_boxes_whatever_their_class():
    for k in (0, 1, 4):
        labels, _ = assign(Truth.of([[0, 0, 32, 64]], [k], ignore=[True]), GRID, 0.5, (0.1, 0.2))
        assert (labels == -1).sum() == 64  # the left four of eight columns, two boxes a cell


def test_two_regions_that_cover_half_a_default_box_only_together_do_not_excuse_it():
    # SPEC 4: "more than half (intersection / own area) in an ignore region": in one of them
    regions = [[0, 0, 3, 8], [3, 0, 6, 8]]  # each 3 / 8 of the first 8 x 8 default box
    labels, _ = assign(Truth.of(regions, ignore=[True, True]), GRID, 0.5, (0.1, 0.2))
    assert not labels.any()
    assert (assign(Truth.of([[0, 0, 6, 8]], ignore=[True]), GRID, 0.5, (0.1, 0.2))[0] == -1).sum() == 1


boxes = st.tuples(st.integers(0, 56), st.integers(0, 56), st.integers(4, 40), st.integers(4, 40))


@given(st.lists(st.tuples(boxes, st.booleans()), min_size=1, max_size=5))
def test_any_mix_of_objects_and_regions_keeps_the_rules(rows):
    truth = Truth.of([[x, y, x + w, y + h] for (x, y, w, h), _ in rows], ignore=[i for _, i in rows])
    labels, _ = assign(truth, GRID, 0.5, (0.1, 0.2))
    alone, _ = assign(truth[~truth.ignore], GRID, 0.5, (0.1, 0.2))
    corners = to_corners(GRID)
    inside = (intersection(corners, truth.boxes[truth.ignore]) / area(corners)[:, None] > 0.5).any(axis=1)
    np.testing.assert_array_equal(labels > 0, alone > 0)  # regions take no object away
    np.testing.assert_array_equal(labels == -1, inside & (alone == 0))


PICTURE = np.zeros((60, 80, 3), np.uint8)
MIXED = Truth.of([[10, 10, 30, 30], [40, 20, 80, 60]], [0, 1], ignore=[False, True])


def test_flip_and_canvas_move_regions_with_the_picture():
    _, flipped = flip(PICTURE, MIXED)
    assert flipped.boxes.tolist() == [[50, 10, 70, 30], [0, 20, 40, 60]]
    assert flipped.ignore.tolist() == [False, True]
    pixels, placed = expand(PICTURE, MIXED, 2.0, np.random.default_rng(0))
    assert placed.ignore.tolist() == [False, True]
    moved = placed.boxes - MIXED.boxes
    assert (moved == moved[0, 0] * np.array([1, 0, 1, 0]) + moved[0, 1] * np.array([0, 1, 0, 1])).all()
    assert pixels.shape > PICTURE.shape


def test_a_part_keeps_the_seen_piece_of_a_region_as_a_region():
    how = Augment(crop_scale=(0.4, 0.6))
    seen = 0
    for seed in range(200):
        part, truth = crop(PICTURE, MIXED, how, np.random.default_rng(seed))
        assert (truth.boxes >= 0).all()
        assert (truth.boxes[:, 2] <= part.shape[1]).all()
        assert (truth.boxes[:, 3] <= part.shape[0]).all()
        region = truth.labels == 1
        assert truth.ignore[region].all()
        assert not truth.ignore.all()  # an object is left to be asked for
        seen += int(region.any())
    assert 20 < seen < 200


def test_a_picture_of_regions_only_is_cut_as_one_without_objects_is():
    crowd = Truth.of([[0, 0, 40, 60]], ignore=[True])
    shapes = {crop(PICTURE, crowd, Augment(), np.random.default_rng(s))[0].shape for s in range(10)}
    assert len(shapes) > 5
    for seed in range(5):
        part, truth = crop(PICTURE, crowd, Augment(), np.random.default_rng(seed))
        plain, _ = crop(PICTURE, Truth.of([]), Augment(), np.random.default_rng(seed))
        assert part.shape == plain.shape
        assert truth.ignore.all()


@pytest.mark.parametrize("rule", ["stretch", "letterbox"])
def test_regions_stay_on_their_pixels_through_all_changes_to_the_targets(tmp_path, rule):
    """A white region on black: whatever is done to the picture, only default boxes on white are unjudged."""
    pixels = np.zeros((120, 160, 3), np.uint8)
    pixels[30:90, 20:100] = 255
    path = tmp_path / "a.png"
    assert cv2.imwrite(str(path), pixels)
    truth = Truth.of([[20, 30, 100, 90]], ignore=[True])
    recipe = Recipe(
        model=Model(height=64, width=64, resize=rule), augment=Augment(colour=0, grey=0, blur=0, expand=0.5)
    )
    data = TrainingPictures(SampleSet((Sample(path, 160, 120, truth),), ("head",)), spec_of(recipe.model), recipe)
    corners = np.clip(to_corners(data.anchors), 0, 64)
    whole = area(to_corners(data.anchors))
    checked = 0
    for epoch in range(40):
        batch = data[(epoch, 0)]
        bright = (batch.pixels.numpy()[..., 0] > 200).astype(np.float64)
        sums = np.pad(bright.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
        x0, y0, x1, y1 = np.round(corners).astype(int).T
        share = (sums[y1, x1] - sums[y0, x1] - sums[y1, x0] + sums[y0, x0]) / whole
        labels = batch.targets.labels.numpy()
        assert not (labels > 0).any()
        assert (labels[share > 0.75] == -1).all()
        assert (labels[share < 0.25] == 0).all()
        checked += int((share > 0.75).sum())
    assert checked > 200


def test_an_object_cut_to_under_half_is_unjudged_and_not_background():
    rng, how = np.random.default_rng(1), Augment(crop=1, crop_scale=(0.5, 0.7), flip=0)
    pixels, halves = np.zeros((64, 64, 3), np.uint8), 0
    truth = Truth.of([[8, 8, 24, 24], [40, 40, 56, 56]])
    for _ in range(100):
        _, left = augment(pixels, truth, how, rng)
        if not left.ignore.any():
            continue
        halves += 1
        labels, _ = assign(left, GRID, 0.5, (0.1, 0.2))
        inside = intersection(to_corners(GRID), left.boxes[left.ignore]).max(axis=1) > 0.5 * area(to_corners(GRID))
        near = iou(to_corners(GRID), left.boxes[~left.ignore]).max(axis=1, initial=0) > 0
        assert (labels[inside & ~near] == -1).all()
    assert halves > 10
