"""Backbone weights from files: the ones beside the repository, and made ones that are wrong."""

from __future__ import annotations

import numpy as np
import pytest
import safetensors.torch
import torch
from torch.nn import functional

from passerby.errors import ModelError
from passerby.learn.backbones.mobilenet_v2 import MobileNetV2
from passerby.learn.network import Habits, build, spec_of
from passerby.learn.weights import habits_of, load_backbone
from passerby.recipe import Model

SYMMETRIC = Habits()
TENSORFLOW = Habits("same", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), 1e-5)
KERAS = Habits("same", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), 1e-3)
PUBLISHED = [
    ("mobilenet_v2_w100_sym", 1.0, SYMMETRIC),
    ("mobilenet_v2_w100", 1.0, TENSORFLOW),
    ("mobilenet_v2_w035", 0.35, KERAS),
]
STARTS = (1, 2, 4, 7, 11, 14, 17)  # torchvision's number of each stage's first block; the stem is 0


@pytest.fixture
def published(shared):
    def find(name):
        path = shared / "weights" / f"{name}.safetensors"
        if not path.is_file():
            pytest.skip(f"no {path.name} in ../shared/weights")
        return path

    return find


@pytest.fixture
def made(tmp_path):
    """Weights of full depth and width 0.25 as a file, and the tensors."""
    torch.manual_seed(1)
    tensors = {k: torch.rand_like(v.float()) for k, v in MobileNetV2(0.25, 1.0).state_dict().items()}
    path = tmp_path / "made.safetensors"
    safetensors.torch.save_file(tensors, str(path))
    return path, tensors


@pytest.mark.parametrize(("name", "width", "habits"), PUBLISHED)
def test_published_weights_load_with_their_own_padding_normalising_and_epsilon(published, name, width, habits):
    path = published(name)
    assert habits_of(path) == habits
    network = build(spec_of(Model(width_multiplier=width), habits_of(path)))
    taken = load_backbone(network.backbone, path)
    source = safetensors.torch.load_file(str(path))
    mine = {k: v for k, v in network.backbone.state_dict().items() if not k.endswith("num_batches_tracked")}
    assert taken == len(mine)
    for key, value in mine.items():
        assert torch.equal(value, source[key].float()), key
    norms = [m.eps for m in network.backbone.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert norms == [habits.epsilon] * len(norms)


@pytest.mark.parametrize(("name", "width", "habits"), PUBLISHED)
@pytest.mark.parametrize("side", [64, 65])
@torch.no_grad()
def test_the_stem_of_a_picture_is_what_a_calculation_apart_gives(published, make_pixels, name, width, habits, side):
    path = published(name)
    network = build(spec_of(Model(width_multiplier=width, height=side, width=side), habits_of(path))).eval()
    load_backbone(network.backbone, path)
    seen = []
    network.backbone.features[0].register_forward_hook(lambda _m, _a, out: seen.append(out))
    pixels = torch.from_numpy(make_pixels(side, side))[None]
    network(pixels)

    source = {k: v.float() for k, v in safetensors.torch.load_file(str(path)).items() if k.startswith("features.0.")}
    x = pixels.permute(0, 3, 1, 2).float()
    if habits == SYMMETRIC:
        mean, std = ([[v]] for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
        x = (x / 255 - torch.tensor(mean).view(1, 3, 1, 1)) / torch.tensor(std).view(1, 3, 1, 1)
        x = functional.pad(x, (1, 1, 1, 1))
    else:
        x = x / 127.5 - 1
        x = functional.pad(x, (0, 1, 0, 1) if side % 2 == 0 else (1, 1, 1, 1))  # left, right, top, bottom
    y = functional.conv2d(x, source["features.0.0.weight"], stride=2)
    scale = source["features.0.1.weight"] / (source["features.0.1.running_var"] + habits.epsilon).sqrt()
    y = (y - source["features.0.1.running_mean"].view(1, -1, 1, 1)) * scale.view(1, -1, 1, 1)
    y = (y + source["features.0.1.bias"].view(1, -1, 1, 1)).clamp(0, 6)
    assert seen[0].shape == y.shape
    assert y.std() > 0.1
    np.testing.assert_allclose(seen[0].numpy(), y.numpy(), atol=2e-4)


def test_same_padding_is_in_every_strided_convolution_of_the_backbone_and_keeps_the_maps_sizes(tiny):
    for side in (64, 65, 75, 300):
        sizes = []
        for habits in (SYMMETRIC, TENSORFLOW):
            network = build(spec_of(tiny(height=side, width=side), habits)).eval()
            strided = [m for m in network.backbone.modules() if isinstance(m, torch.nn.Conv2d) and m.stride == (2, 2)]
            assert {m.padding for m in strided} == {(0, 0) if habits == TENSORFLOW else (1, 1)}
            with torch.no_grad():
                sizes.append([tuple(m.shape[2:]) for m in network.backbone(torch.zeros(1, 3, side, side))])
        assert sizes[0] == sizes[1] == [(-(-side // s),) * 2 for s in (4, 8, 16, 32)]


def test_half_the_depth_takes_the_first_blocks_of_each_stage(made):
    path, tensors = made
    backbone = MobileNetV2(0.25, 0.5)
    load_backbone(backbone, path)
    entries = [0] + [start + k for start, n in zip(STARTS, (1, 1, 2, 2, 2, 2, 1), strict=True) for k in range(n)]
    assert entries == [0, 1, 2, 4, 5, 7, 8, 11, 12, 14, 15, 17]
    for mine, theirs in enumerate(entries):
        for key, value in backbone.features[mine].state_dict().items():
            if not key.endswith("num_batches_tracked"):
                assert torch.equal(value, tensors[f"features.{theirs}.{key}"]), (mine, theirs, key)


def test_classifier_and_last_convolution_are_passed_over(made, tmp_path):
    _, tensors = made
    more = {**tensors, "features.18.0.weight": torch.zeros(1280, 80, 1, 1), "classifier.1.bias": torch.zeros(1000)}
    path = tmp_path / "more.safetensors"
    safetensors.torch.save_file(more, str(path))
    assert load_backbone(MobileNetV2(0.25, 1.0), path) == sum("num_batches" not in k for k in tensors)


def test_another_width_is_an_error_that_names_the_shapes_and_the_cure(made):
    path, _ = made
    with pytest.raises(ModelError) as e:
        load_backbone(MobileNetV2(1.0, 1.0), path)
    text = str(e.value)
    assert "features.0.0.weight" in text
    assert "(8, 3, 3, 3)" in text
    assert "(32, 3, 3, 3)" in text
    assert "set model.width_multiplier" in text
    assert "\n" not in text


def test_weights_with_a_tensor_missing_are_an_error_that_names_it(made, tmp_path):
    _, tensors = made
    path = tmp_path / "less.safetensors"
    safetensors.torch.save_file({k: v for k, v in tensors.items() if not k.startswith("features.5.")}, str(path))
    with pytest.raises(ModelError, match=r"^less.safetensors: no tensor for features\.5\.conv"):
        load_backbone(MobileNetV2(0.25, 1.0), path)


def test_weights_of_another_network_are_a_model_error(published):
    path = published("mobilenet_v1_w050")
    with pytest.raises(ModelError, match="mobilenet_v1_w050"):
        load_backbone(MobileNetV2(0.5, 1.0), path)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no safetensors", b"\xff" * 64], ids=["empty", "zip", "ff"])
def test_a_file_that_is_not_safetensors_is_a_model_error_of_one_line(tmp_path, content):
    path = tmp_path / "w.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"w\.safetensors: not a safetensors file") as e:
        habits_of(path)
    assert "\n" not in str(e.value)


def test_weights_cut_short_are_a_model_error(made):
    path, _ = made
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(ModelError, match=r"made\.safetensors"):
        habits_of(path)


def test_missing_weights_are_an_error_that_names_the_setting(tmp_path):
    with pytest.raises(ModelError, match=r"nothing\.safetensors: no such weights file; set model\.weights"):
        habits_of(tmp_path / "nothing.safetensors")


def test_a_folder_given_as_weights_is_a_model_error(tmp_path):
    with pytest.raises(ModelError, match="not a safetensors file"):
        habits_of(tmp_path)


def test_a_file_that_says_nothing_has_the_habits_of_torchvision(made):
    assert habits_of(made[0]) == SYMMETRIC
