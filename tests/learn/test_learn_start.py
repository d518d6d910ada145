"""Beginning with another run's weights, being taught by one, and narrower blocks from wide weights."""

from __future__ import annotations

import numpy as np
import pytest
import safetensors.torch
import torch

from passerby.errors import ModelError, SettingError
from passerby.learn.backbones.mobilenet_v1 import MobileNetV1
from passerby.learn.backbones.mobilenet_v2 import InvertedResidual, MobileNetV2
from passerby.learn.checkpoint import load_network
from passerby.learn.loop import prepare, train
from passerby.learn.network import build, spec_of
from passerby.learn.start import read_start
from passerby.learn.teaching import load_teacher
from passerby.learn.weights import load_backbone
from passerby.recipe import Model


def test_a_run_begins_with_every_weight_of_another(make_checkpoint, make_recipe, heads_voc, teller):
    path, network, _ = make_checkpoint()
    trainee = prepare(make_recipe(heads_voc(2), f"model.start={path}"), told := teller())
    for name, tensor in network.state_dict().items():
        assert torch.equal(trainee.network.state_dict()[name], tensor), name
    assert told.lines[-1].startswith(f"start, from {path}: ")
    assert "it has no" not in told.lines[-1]


def test_what_does_not_fit_is_named_and_starts_fresh(make_checkpoint, make_recipe, heads_voc, teller):
    path, network, _ = make_checkpoint()
    changes = ("model.sizes=[[8,12,20],[32],[48],[60]]", "model.height=96", "model.width=96")
    trainee = prepare(make_recipe(heads_voc(2), f"model.start={path}", *changes), told := teller())
    assert (
        "head.logits.0, head.logits.1, head.logits.2, head.logits.3, head.offsets.0, head.offsets.1 and 2 more"
        in (told.lines[-1])
    )
    same = trainee.network.state_dict()
    assert torch.equal(same["backbone.features.0.0.weight"], network.state_dict()["backbone.features.0.0.weight"])


def test_a_trunk_of_fewer_blocks_takes_those_that_it_has(make_checkpoint, make_recipe, heads_voc, teller):
    path, network, _ = make_checkpoint(backbone="mobilenet_v1", depth_multiplier=1.0)
    settings = ("model.backbone=mobilenet_v1", "model.depth_multiplier=1", "model.blocks=[1,2,2,2,1]")
    trainee = prepare(make_recipe(heads_voc(2), f"model.start={path}", *settings), told := teller())
    theirs, mine = network.state_dict(), trainee.network.state_dict()
    for k, full in ((6, 6), (7, 7), (8, 12)):
        name = "backbone.features.{}.1.0.weight"
        assert torch.equal(mine[name.format(k)], theirs[name.format(full)])
    assert "it has no" not in told.lines[-1]


def test_between_trunks_of_other_blocks_each_takes_what_both_have(make_checkpoint, make_recipe, heads_voc, teller):
    path, network, _ = make_checkpoint(backbone="mobilenet_v1", depth_multiplier=1.0, blocks=(1, 2, 2, 3, 1))
    settings = ("model.backbone=mobilenet_v1", "model.depth_multiplier=1", "model.blocks=[1,2,2,2,2]")
    trainee = prepare(make_recipe(heads_voc(2), f"model.start={path}", *settings), told := teller())
    theirs, mine = network.state_dict(), trainee.network.state_dict()
    for k, other in ((5, 5), (6, 6), (7, 7), (8, 9)):  # 6 and 7 at stride 16, then those at stride 32
        name = "backbone.features.{}.1.0.weight"
        assert torch.equal(mine[name.format(k)], theirs[name.format(other)])
    assert told.lines[-1].endswith("; it has no backbone.features.9")


def test_what_a_start_lacks_is_filled_from_the_backbone_weights(
    make_checkpoint, make_recipe, heads_voc, teller, tmp_path
):
    path, _, _ = make_checkpoint(backbone="mobilenet_v1", depth_multiplier=1.0, blocks=(1, 2, 2, 3, 1))
    settings = ("model.backbone=mobilenet_v1", "model.depth_multiplier=1", "model.blocks=[1,2,2,2,2]")
    recipe = make_recipe(root := heads_voc(2), f"model.start={path}", *settings)
    weights = MobileNetV1(recipe.model.width_multiplier).state_dict()
    safetensors.torch.save_file(weights, tmp_path / "trunk.safetensors")
    both = make_recipe(root, f"model.start={path}", f"model.weights={tmp_path / 'trunk.safetensors'}", *settings)
    mine = prepare(both, teller()).network.state_dict()
    assert torch.equal(mine["backbone.features.9.1.0.weight"], weights["features.13.1.0.weight"])
    assert not torch.equal(mine["backbone.features.8.1.0.weight"], weights["features.12.1.0.weight"])


def test_weights_are_not_asked_for_where_the_start_has_the_whole_backbone(
    make_checkpoint, make_recipe, heads_voc, teller
):
    path, _, _ = make_checkpoint()
    prepare(make_recipe(heads_voc(2), f"model.start={path}", "model.weights=absent.safetensors"), told := teller())
    assert not any("absent" in line for line in told.lines)


def test_it_takes_the_average_where_there_is_one(make_recipe, heads_voc, teller, tmp_path, no_curves):
    root = heads_voc(4)
    train(make_recipe(root, "optimiser.average=0.9"), tmp_path / "first", teller())
    start = read_start(str(tmp_path / "first" / "last.safetensors"))
    shown, _, _ = load_network(tmp_path / "first" / "last.safetensors")
    for name, tensor in shown.state_dict().items():
        assert torch.equal(start.tensors[name], tensor), name


def test_the_chain_of_runs_travels_in_every_checkpoint(make_recipe, heads_voc, teller, tmp_path, no_curves):
    root = heads_voc(4)
    first = train(make_recipe(root), tmp_path / "a", teller())
    second = train(make_recipe(root, f"model.start={first}", "run.epochs=3"), tmp_path / "b", teller())
    train(make_recipe(root, f"model.start={second}"), tmp_path / "c", teller())
    for name in ("best", "last"):
        _, spec, _ = load_network(tmp_path / "c" / f"{name}.safetensors")
        chain = spec.provenance["started_from"]
        assert [run["epochs"] for run in chain] == [3, 2]
        assert all({"recipe", "epoch", "val_ap50", "trained_on"} <= set(run) for run in chain)


def test_a_start_from_a_run_that_resumes_is_exact(make_recipe, heads_voc, teller, tmp_path, no_curves):
    root = heads_voc(4)
    first = train(make_recipe(root), tmp_path / "a", teller())
    recipe = make_recipe(root, f"model.start={first}", "run.epochs=3")
    with pytest.raises(KeyboardInterrupt):
        train(recipe, tmp_path / "b", teller(stop=5))
    train(recipe, tmp_path / "b", teller(), resume=True)
    train(recipe, tmp_path / "whole", teller())
    ends = [load_network(tmp_path / x / "last.safetensors")[0].state_dict() for x in ("b", "whole")]
    assert all(torch.equal(a, b) for a, b in zip(ends[0].values(), ends[1].values(), strict=True))


def test_no_such_start_and_one_that_fits_nowhere_are_refused(make_checkpoint, make_recipe, heads_voc, teller, tmp_path):
    root = heads_voc(2)
    for gone in ("gone.safetensors", "gone.onnx"):
        with pytest.raises(ModelError, match=rf"model\.start: .*{gone}: no such file; begin with a model that ships"):
            prepare(make_recipe(root, f"model.start={tmp_path / gone}"), teller())
    path, _, _ = make_checkpoint()
    tensors = {f"network.other.{k}": v for k, v in {"weight": torch.zeros(3, 3)}.items()}
    with safetensors.safe_open(str(path), "pt") as f:
        facts = f.metadata()
    safetensors.torch.save_file(tensors, str(tmp_path / "other.safetensors"), facts)
    with pytest.raises(ModelError, match="none of its weights fits"):
        prepare(make_recipe(root, f"model.start={tmp_path / 'other.safetensors'}"), teller())


def test_a_taught_run_comes_nearer_to_its_teacher(make_checkpoint, make_recipe, heads_voc, teller, tmp_path, no_curves):
    path, teacher, _ = make_checkpoint()
    apart = {}
    for weight in (0.0, 5.0):
        sets = (f"optimiser.teacher={path}", f"optimiser.teacher_weight={weight}", "run.epochs=6")
        train(make_recipe(heads_voc(4, f"heads{weight:.0f}"), *sets), tmp_path / f"{weight}", teller())
        network, _, _ = load_network(tmp_path / f"{weight}" / "last.safetensors")
        pixels = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8))
        with torch.no_grad():
            apart[weight] = (network(pixels)[0].sigmoid() - teacher(pixels)[0].sigmoid()).abs().mean().item()
    assert apart[5.0] < apart[0.0]
    _, spec, _ = load_network(tmp_path / "5.0" / "best.safetensors")
    assert spec.provenance["taught_by"] == str(path)


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"sizes": ((10, 20), (20,), (30,), (40,))}, "its default boxes a cell of each map: 2, 2, 2, 2"),
        ({"labels": ("cat",)}, "its labels: head"),
        ({"loss": "mining"}, "its scoring: sigmoid"),
    ],
)
def test_a_teacher_that_differs_where_both_must_be_the_same_is_refused(make_checkpoint, tiny, changes, what):
    path, _, _ = make_checkpoint()
    with pytest.raises(SettingError, match=what):
        load_teacher(str(path), spec_of(tiny(**changes)))


def test_a_teacher_may_be_of_another_width_and_does_not_learn(make_checkpoint, tiny):
    path, _, _ = make_checkpoint(width_multiplier=0.5)
    teacher = load_teacher(str(path), spec_of(tiny()))
    assert not any(p.requires_grad for p in teacher.network.parameters())
    assert not teacher.network.training


def test_narrower_blocks_keep_the_channels_that_weigh_most_in_order():
    wide, narrow = MobileNetV2(0.25), MobileNetV2(0.25, expand=3)
    place = next(i for i, m in enumerate(wide.features) if isinstance(m, InvertedResidual) and m.expands)
    source = wide.state_dict()
    block = wide.features[place]
    hidden = block.hidden
    kept = torch.arange(1, hidden, 2)  # every second channel
    gamma, project = source[f"features.{place}.conv.1.1.weight"], source[f"features.{place}.conv.2.weight"]
    gamma.fill_(0.01)
    gamma[kept] = -1.0  # the sign says nothing
    project.fill_(1.0)
    taken = narrow.own_names(source)
    for part in ("0.0", "0.1", "1.0", "1.1"):
        name = f"features.{place}.conv.{part}.weight"
        assert torch.equal(taken[name], source[name][kept]), name
    assert torch.equal(taken[f"features.{place}.conv.2.weight"], project[:, kept])
    assert narrow.features[place].hidden == hidden // 2
    narrow.load_state_dict(taken)


def test_a_channel_that_nothing_reads_is_dropped_however_large_its_scale():
    wide, narrow = MobileNetV2(0.25), MobileNetV2(0.25, expand=5)
    source = wide.state_dict()
    source["features.2.conv.2.weight"][:, 0] = 0
    source["features.2.conv.1.1.weight"][0] = 100
    name = "features.2.conv.0.0.weight"
    assert not torch.equal(narrow.own_names(source)[name][0], source[name][0])


@pytest.mark.shared
def test_published_weights_fit_narrower_blocks(shared):
    network = build(spec_of(Model(width_multiplier=0.35, expand=3)))
    assert load_backbone(network.backbone, shared / "weights" / "mobilenet_v2_w035.safetensors").random == ()


@pytest.mark.parametrize("expand", [1, 7])
def test_blocks_of_other_widths_are_refused(expand, tiny):
    with pytest.raises(SettingError, match=f"model.expand is {expand}, want 2 to 6"):
        build(spec_of(tiny(expand=expand)))


@pytest.mark.parametrize("backbone", ["mobilenet_v1", "vgg16"])
def test_backbones_without_such_blocks_refuse_the_setting(backbone):
    model = Model(backbone=backbone, expand=3, layout="f38" if backbone == "mobilenet_v1" else "ssd300")
    with pytest.raises(SettingError, match=f"model.expand: {backbone} has none"):
        build(spec_of(model))
