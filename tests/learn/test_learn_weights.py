"""Backbone weights from files: the ones beside the repository, and made ones that are wrong."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import safetensors.torch
import torch
from torch.nn import functional

from passerby.errors import ModelError
from passerby.geometry.resize import fit
from passerby.learn.backbones.mobilenet_v1 import MobileNetV1
from passerby.learn.backbones.mobilenet_v2 import MobileNetV2
from passerby.learn.backbones.vgg16 import VGG16, decimate
from passerby.learn.network import Habits, build, spec_of
from passerby.learn.weights import habits_of, load_backbone
from passerby.pictures import read_picture
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
    assert taken.random == ()
    source = safetensors.torch.load_file(str(path))
    mine = {k: v for k, v in network.backbone.state_dict().items() if not k.endswith("num_batches_tracked")}
    assert taken.tensors == len(mine)
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
    assert load_backbone(MobileNetV2(0.25, 1.0), path).tensors == sum("num_batches" not in k for k in tensors)


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


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".bin"])
def test_a_pickle_is_refused_in_one_line_with_the_cure(tmp_path, suffix):
    path = tmp_path / f"vgg16{suffix}"
    torch.save({"features.0.weight": torch.zeros(1)}, path)
    with pytest.raises(ModelError, match=r"a pickle, .*safetensors\.torch\.save_file\(torch\.load\(") as e:
        habits_of(path)
    assert "\n" not in str(e.value)
    assert f"'vgg16{suffix}', weights_only=True), 'vgg16.safetensors')" in str(e.value)


@pytest.mark.parametrize(("name", "width"), [("mobilenet_v1_w050", 0.5), ("mobilenet_v1_w025", 0.25)])
def test_published_weights_of_mobilenet_v1_load_whole(published, name, width):
    path = published(name)
    assert habits_of(path) == TENSORFLOW
    spec = spec_of(Model(backbone="mobilenet_v1", width_multiplier=width), habits_of(path))
    backbone = build(spec).backbone
    taken = load_backbone(backbone, path)
    assert taken.random == ()
    assert taken.tensors == 27 * 5 == len(safetensors.torch.load_file(str(path))) - 2  # all but the classifier's
    strided = [m for m in backbone.modules() if isinstance(m, torch.nn.Conv2d) and m.stride == (2, 2)]
    assert len(strided) == 5
    assert {m.padding for m in strided} == {(0, 0)}


@torch.no_grad()
def features_of(path, habits, pictures):
    """What stands before the classifier (N, 512): the last map, averaged over its cells."""
    model = Model(backbone="mobilenet_v1", width_multiplier=0.5, height=160, width=160)
    network = build(spec_of(model, habits)).eval()
    load_backbone(network.backbone, path)
    seen = []
    network.backbone.register_forward_hook(lambda _m, _a, maps: seen.append(maps[-1].mean((2, 3))))
    for k in range(0, len(pictures), 20):
        network(torch.from_numpy(np.stack(pictures[k : k + 20])))
    return torch.cat(seen)


@pytest.mark.shared
@torch.no_grad()
def test_mobilenet_v1_sees_in_real_pictures_what_its_classifier_was_trained_for(published, shared):
    path = published("mobilenet_v1_w050")
    folders = [shared / "data" / "person_or_not" / "valid" / name for name in ("no_person", "person")]
    pictures = [fit(read_picture(p), 160, 160, "stretch")[0] for f in folders for p in sorted(f.iterdir())[:30]]
    source = safetensors.torch.load_file(str(path))
    classifier = source["classifier.weight"].float(), source["classifier.bias"].float()
    right = features_of(path, habits_of(path), pictures)
    wrong = features_of(path, dataclasses.replace(habits_of(path), padding="symmetric"), pictures)
    sure, unsure = (torch.softmax(functional.linear(f, *classifier), 1).amax(1).mean().item() for f in (right, wrong))
    assert sure > 0.18  # of 1,000 classes; measured 0.24 on 120 pictures, 0.09 with symmetric padding
    assert unsure < 0.7 * sure
    # a line through half of the features tells people from no people in the other half
    truth = torch.tensor([-1.0] * 30 + [1.0] * 30)
    known = torch.arange(60) % 2 == 0
    scaled = (right - right[known].mean(0)) / (right[known].std(0) + 1e-6)
    a = scaled[known]
    line = torch.linalg.solve(a.T @ a + 300 * torch.eye(a.shape[1]), a.T @ truth[known])
    assert ((scaled[~known] @ line).sign() == truth[~known]).float().mean() > 0.75


def made_vgg(width):
    """Tensors named as torchvision's vgg16, of that width, with a classifier of 4,096 x width outputs."""
    backbone = VGG16(width)
    tensors = {k: torch.rand_like(v) for k, v in backbone.state_dict().items() if k.startswith("features.")}
    inputs, full = backbone.channels[0], 4 * backbone.channels[1]
    for layer, shape in ((0, (full, inputs * 49)), (3, (full, full)), (6, (1000, full))):
        tensors |= {f"classifier.{layer}.weight": torch.rand(shape), f"classifier.{layer}.bias": torch.rand(shape[0])}
    return tensors


def test_decimating_takes_every_nth_by_hand():
    rows = torch.arange(7.0).view(1, 1, 7, 1) * 10 + torch.arange(7.0)
    assert decimate(rows, (1, 1, 3, 3)).tolist() == [[[[0, 3, 6], [30, 33, 36], [60, 63, 66]]]]
    assert decimate(torch.arange(8.0), (2,)).tolist() == [0, 4]
    assert decimate(torch.arange(3.0), (3,)).tolist() == [0, 1, 2]


def test_vgg16_takes_fc6_and_fc7_from_the_classifier(tmp_path):
    tensors, path = made_vgg(1 / 16), tmp_path / "vgg16.safetensors"
    safetensors.torch.save_file(tensors, str(path))
    backbone = VGG16(1 / 16)
    taken = load_backbone(backbone, path)
    assert (taken.tensors, taken.random) == (26 + 4, ("norm",))
    six = tensors["classifier.0.weight"].view(256, 32, 7, 7)
    assert torch.equal(backbone.fc6.weight, six[::4, :, ::3, ::3])
    assert torch.equal(backbone.fc6.bias, tensors["classifier.0.bias"][::4])
    assert torch.equal(backbone.fc7.weight[:, :, 0, 0], tensors["classifier.3.weight"][::4, ::4])
    assert torch.equal(backbone.features[28].bias, tensors["features.28.bias"])
    assert backbone.norm.scale.eq(20).all()


def test_without_a_classifier_fc6_and_fc7_start_at_random_and_it_is_told(tmp_path):
    tensors = {k: v for k, v in made_vgg(1 / 16).items() if not k.startswith("classifier")}
    path = tmp_path / "vgg16.safetensors"
    safetensors.torch.save_file(tensors, str(path))
    taken = load_backbone(VGG16(1 / 16), path)
    assert taken.told() == "26 tensors; fc6, fc7, norm start at random"
    del tensors["features.5.weight"]
    safetensors.torch.save_file(tensors, str(path))
    with pytest.raises(ModelError, match=r"^vgg16\.safetensors: no tensor for features\.5\.weight of the backbone"):
        load_backbone(VGG16(1 / 16), path)


def test_mobilenet_v1_of_another_width_is_refused_by_its_shapes(tmp_path):
    path = tmp_path / "v1.safetensors"
    safetensors.torch.save_file(MobileNetV1(0.25).state_dict(), str(path))
    with pytest.raises(
        ModelError, match=r"features\.0\.0\.weight has shape \(8, 3, 3, 3\).*set model\.width_multiplier"
    ):
        load_backbone(MobileNetV1(0.5), path)


def test_the_last_convolution_is_taken_where_it_is_asked_for(tmp_path):
    torch.manual_seed(2)
    whole = {k: torch.rand_like(v.float()) for k, v in MobileNetV2(0.25, 1.0, (), True).state_dict().items()}
    path = tmp_path / "whole.safetensors"
    safetensors.torch.save_file(whole, str(path))
    short = MobileNetV2(0.25, 0.5, (), True)
    load_backbone(short, path)
    assert torch.equal(short.features[-1][0].weight, whole["features.18.0.weight"])
    without = MobileNetV2(0.25, 1.0)
    load_backbone(without, path)
    assert torch.equal(without.features[-1].conv[-2].weight, whole["features.17.conv.2.weight"])
