"""Every row of BACKBONES with every row of HEADS: a new row cannot skip what a network has to give."""

from __future__ import annotations

import itertools
from functools import cache

import numpy as np
import pytest

torch = pytest.importorskip("torch")
safetensors_torch = pytest.importorskip("safetensors.torch")

from passerby.errors import SettingError  # noqa: E402
from passerby.geometry.layouts import LAYOUTS  # noqa: E402
from passerby.learn.backbones import BACKBONES  # noqa: E402
from passerby.learn.engine import Decoded  # noqa: E402
from passerby.learn.heads import HEADS  # noqa: E402
from passerby.learn.heads.base import Targets  # noqa: E402
from passerby.learn.layers import layers_of  # noqa: E402
from passerby.learn.network import build, spec_of  # noqa: E402
from passerby.learn.to_onnx import BOX_LIMIT, SCORE_LIMIT, compare, to_bytes  # noqa: E402
from passerby.learn.weights import load_backbone  # noqa: E402
from passerby.recipe import Model, Optimiser  # noqa: E402
from passerby.runtime.session import OnnxRuntime, open_engine  # noqa: E402
from passerby.runtime.undecoded import Undecoded, leave_offsets  # noqa: E402
from passerby.spec import ModelSpec  # noqa: E402

DETECTORS = [name for name, head in HEADS.items() if head.task == "detect"]
PAIRS = list(itertools.product(BACKBONES, DETECTORS))
CLASSIFIERS = list(itertools.product(BACKBONES, sorted(set(HEADS) - set(DETECTORS))))
# every row once: an export takes seconds
EXPORTED = [
    *itertools.islice(zip(itertools.cycle(BACKBONES), itertools.cycle(DETECTORS)), max(len(BACKBONES), len(DETECTORS))),
    ("vgg16", "plain_ssd"),
]
SIDES = (65, 131)  # odd, and no square
FIRST = ("features.0.", "features.1.", "features.2.")
LOSSES = ("focal", "mining", "sampled")


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(before)


@cache
def models_of(backbone, head):
    """The smallest Model of each layout, fusion and loss that the pair can be built with."""
    out = []
    for layout, fusion, loss in itertools.product(LAYOUTS, (0, 16), LOSSES):
        model = Model(
            name="tiny", height=SIDES[0], width=SIDES[1], backbone=backbone, head=head, width_multiplier=0.1,
            layout=layout, fusion=fusion, loss=loss, labels=("cat", "dog"),
        )  # fmt: skip
        try:
            build(spec_of(model))
        except SettingError:
            continue
        out.append(model)
    return out


def pictures(count=2):
    return torch.randint(0, 256, (count, *SIDES, 3), dtype=torch.uint8)


def shaken(network):
    """The network with batch norm that saw noise, so that what it says differs from place to place."""
    with torch.no_grad():
        for _ in range(5):
            network.train()(pictures())
    return network.eval()


@pytest.mark.parametrize("backbone", BACKBONES)
def test_a_backbone_gives_the_maps_that_it_declares(backbone):
    made = BACKBONES[backbone](0.25, 1.0, (), False).eval()
    for height, width in (SIDES, (64, 96), (97, 300)):
        with torch.no_grad():
            maps = made(torch.rand(1, 3, height, width))
        assert [m.shape[1] for m in maps] == list(made.channels)
        assert [tuple(m.shape[2:]) for m in maps] == [(-(-height // s), -(-width // s)) for s in made.strides]
    assert list(made.strides) == sorted(made.strides)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_a_backbone_takes_back_its_own_weights_and_freezes_its_first_entries(backbone, tmp_path):
    first, second = (BACKBONES[backbone](0.25, 1.0, (), False) for _ in range(2))
    path = tmp_path / "w.safetensors"
    safetensors_torch.save_file(first.state_dict(), str(path))
    assert load_backbone(second, path).random == ()
    assert all(torch.equal(v, second.state_dict()[k]) for k, v in first.state_dict().items())
    second.freeze(3)
    second.train()
    still = {n for n, p in second.named_parameters() if not p.requires_grad}
    assert still == {n for n, _ in second.named_parameters() if n.startswith(FIRST)}
    assert not any(entry.training for entry in second.features[:3])
    assert all(entry.training for entry in second.features[3:])


@pytest.mark.parametrize(("backbone", "head"), PAIRS)
def test_some_layout_can_be_built_and_travels_in_the_spec(backbone, head):
    models = models_of(backbone, head)
    assert models
    for model in models:
        spec = spec_of(model)
        assert spec.network["layout"] == model.layout
        again = build(ModelSpec.from_json(spec.to_json()))
        assert again.state_dict().keys() == build(spec).state_dict().keys()


@pytest.mark.parametrize(("backbone", "head"), PAIRS)
def test_boxes_and_scores_come_out_of_every_layout_at_an_odd_size(backbone, head):
    for model in models_of(backbone, head):
        spec = spec_of(model)
        with torch.no_grad():
            boxes, scores = Decoded(shaken(build(spec)))(pictures(1))
        assert boxes.shape[:2] == scores.shape[:2]
        assert (boxes.shape[0], boxes.shape[2], scores.shape[2]) == (1, 4, 2)
        if not HEADS[head].ranked:
            assert boxes.shape[1] == sum(map(len, spec.anchors))
        assert torch.isfinite(boxes).all()
        assert ((scores >= 0) & (scores <= 1)).all()
        assert (boxes[..., 2:] >= boxes[..., :2]).all()


@pytest.mark.parametrize(("backbone", "head"), PAIRS)
def test_the_loss_is_finite_and_reaches_every_parameter(backbone, head):
    for model in models_of(backbone, head):
        spec = spec_of(model)
        network = build(spec).train()
        rows = sum(map(len, spec.anchors))
        labels = torch.arange(2 * rows).view(2, rows) % 3  # every map has some of each class, and background
        objects = torch.tensor([[[5.0, 5, 40, 60], [60, 10, 120, 50]]]).expand(2, -1, -1)
        targets = Targets(labels, torch.randn(2, rows, 4), objects, torch.tensor([[1, 2], [2, 1]]))
        for _ in range(4):  # which boxes a second stage looks into is drawn; another may reach what one did not
            losses = network.losses(pictures(), targets, Optimiser())
            (losses.score + losses.box).backward()
        assert torch.isfinite(losses.score + losses.box)
        idle = {n for n, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0}
        unread = {"backbone.norm.scale"} if 8 not in LAYOUTS[model.layout].strides else set()  # VGG16's, of stride 8
        assert idle <= unread, model


@pytest.mark.parametrize(("backbone", "head"), EXPORTED)
def test_the_exported_file_answers_as_the_network_does(backbone, head):
    model = models_of(backbone, head)[-1]
    spec = spec_of(model)
    network = shaken(build(spec))
    noise = [p.numpy() for p in pictures(2)]
    data = to_bytes(network, spec)
    parity = compare(network, spec, data, noise)
    assert parity.boxes <= BOX_LIMIT
    assert parity.scores <= SCORE_LIMIT
    for pixels in noise:  # and so does what is left of it where boxes are decoded by rows
        boxes, scores = OnnxRuntime(data, "whole", 1).run(pixels[None])
        by_rows, same = open_engine(data, "left", "onnxruntime", 1, spec=spec).run(pixels[None])
        assert isinstance(by_rows, Undecoded) == (leave_offsets(data) is not None) == (head != "two_stage")
        np.testing.assert_allclose(by_rows[:], boxes, atol=BOX_LIMIT)
        np.testing.assert_array_equal(same, scores)


@pytest.mark.parametrize(("backbone", "head"), PAIRS)
def test_the_layer_table_holds_every_parameter(backbone, head):
    for model in models_of(backbone, head):
        spec = spec_of(model)
        network = build(spec)
        layers = layers_of(network, spec)
        assert sum(x.parameters for x in layers) == sum(p.numel() for p in network.parameters())
        assert all(np.prod(x.shape) * 4 == x.memory for x in layers)


def classifier(backbone, head, **changes):
    """The smallest Model of a head that looks at whole pictures."""
    return Model(
        name="tiny", height=SIDES[0], width=SIDES[1], backbone=backbone, head=head, width_multiplier=0.1,
        loss="cross_entropy", labels=("cat", "dog"), **changes,
    )  # fmt: skip


@pytest.mark.parametrize(("backbone", "head"), CLASSIFIERS)
def test_scores_and_maps_come_out_at_an_odd_size_and_the_file_gives_the_same(backbone, head):
    spec = spec_of(classifier(backbone, head))
    again = ModelSpec.from_json(spec.to_json())
    assert (again.task, again.anchors, again.scoring) == ("localise", (), "softmax")
    network = shaken(build(again))
    with torch.no_grad():
        scores, maps = Decoded(network)(pictures(1))
    stride = BACKBONES[backbone].strides[-1]
    assert scores.shape == (1, 2)
    assert maps.shape == (1, 3, -(-SIDES[0] // stride), -(-SIDES[1] // stride))
    assert ((scores >= 0) & (scores <= 1)).all()
    noise = [p.numpy() for p in pictures(2)]
    assert compare(network, spec, to_bytes(network, spec), noise).good()
    layers = layers_of(network, spec)
    assert sum(x.parameters for x in layers) == sum(p.numel() for p in network.parameters())
    assert layers[-1].shape == tuple(maps.shape[1:])


@pytest.mark.parametrize(("backbone", "head"), CLASSIFIERS)
def test_the_loss_of_a_classifier_is_finite_and_reaches_every_parameter(backbone, head):
    network = build(spec_of(classifier(backbone, head))).train()
    targets = Targets(torch.tensor([[0], [2]]), torch.zeros(2, 0, 4), torch.zeros(2, 0, 4), torch.zeros(2, 0))
    losses = network.losses(pictures(), targets, Optimiser(l2=0.1))
    (losses.score + losses.box).backward()
    assert torch.isfinite(losses.score + losses.box)
    idle = {n for n, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0}
    assert idle <= {"backbone.norm.scale"}  # VGG16's, of the map at stride 8, which is not read
