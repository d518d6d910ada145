"""Checkpoints: what is saved comes back, and what is none is refused in one line."""

from __future__ import annotations

import dataclasses
import json

import pytest
import safetensors
import safetensors.torch
import torch

from passerby.errors import ModelError
from passerby.learn import checkpoint
from passerby.learn.checkpoint import load_network, restore
from passerby.learn.network import build, spec_of
from passerby.learn.optimise import Average, make_optimiser
from passerby.recipe import Optimiser, Recipe


def one_line(error):
    text = str(error.value)
    assert "\n" not in text
    assert len(text) < 600
    return text


@pytest.fixture
def running(tmp_path, tiny):
    """A checkpoint of a run after one step: path, network, average, optimiser, recipe."""
    recipe = Recipe(name="tiny", model=tiny(), optimiser=Optimiser(average=0.9))
    spec = spec_of(recipe.model)
    network = build(spec)
    optimiser, average = make_optimiser(network, recipe.optimiser), Average(network, 0.9)
    logits, offsets = network(torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8))
    (logits.square().mean() + offsets.square().mean()).backward()
    optimiser.step()
    average.update(network)
    state = checkpoint.State(1, 7, 12.5, -0.25, 1, [{"epoch": 1.0, "loss_box": 0.1}])
    path = tmp_path / "last.safetensors"
    checkpoint.save(path, network, average, optimiser, spec, recipe, state)
    return path, network, average, optimiser, recipe


def test_everything_saved_comes_back(running):
    path, network, average, optimiser, recipe = running
    other = build(spec_of(recipe.model))
    mine, its = make_optimiser(other, recipe.optimiser), Average(other, 0.9)
    state = restore(path, other, its, mine, recipe)
    assert vars(state) == {
        "epoch": 1,
        "step": 7,
        "seconds": 12.5,
        "best": -0.25,
        "best_epoch": 1,
        "history": [{"epoch": 1.0, "loss_box": 0.1}],
    }
    for ours, theirs in ((network, other), (average.network, its.network)):
        assert all(torch.equal(v, theirs.state_dict()[k]) for k, v in ours.state_dict().items())
    assert its.steps == average.steps == 1
    saved, loaded = (o.state_dict()["state"] for o in (optimiser, mine))
    assert saved.keys() == loaded.keys()
    assert len(saved) > 50
    for number in saved:
        assert torch.equal(saved[number]["momentum_buffer"], loaded[number]["momentum_buffer"])


def test_a_state_before_any_score_comes_back(running, tmp_path):
    path, network, average, optimiser, recipe = running
    checkpoint.save(path, network, average, optimiser, spec_of(recipe.model), recipe, checkpoint.State())
    assert restore(path, network, average, optimiser, recipe).best == float("-inf")


def test_the_network_of_a_checkpoint_is_the_average_where_there_is_one(running):
    path, network, average, _, _ = running
    loaded, spec, _ = load_network(path)
    assert all(torch.equal(v, loaded.state_dict()[k]) for k, v in average.state().items())
    assert not torch.equal(loaded.head.logits[0][1].bias, network.head.logits[0][1].bias)
    assert spec.name == "tiny"


def test_spec_and_recipe_in_the_file_are_those_of_the_run(make_checkpoint):
    path, network, spec = make_checkpoint(labels=("head", "person"), loss="mining")
    loaded, its, facts = load_network(path)
    assert its.to_json() == spec.to_json()
    assert Recipe.from_dict(json.loads(facts["recipe"])).model.labels == ("head", "person")
    pixels = torch.randint(0, 256, (1, 64, 64, 3), dtype=torch.uint8)
    with torch.no_grad():
        for a, b in zip(network(pixels), loaded(pixels), strict=True):
            assert torch.equal(a, b)


@pytest.mark.parametrize("keep", [0, 4, 100, 0.5, -1])
def test_a_checkpoint_cut_short_is_a_model_error(make_checkpoint, keep):
    path, _, _ = make_checkpoint()
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep) if isinstance(keep, float) else keep])
    with pytest.raises(ModelError, match=r"tiny\.safetensors: not a checkpoint, or cut short") as e:
        load_network(path)
    one_line(e)


@pytest.mark.parametrize("content", [b"hello", b"PK\x03\x04" + b"\0" * 100], ids=["text", "zip"])
def test_another_kind_of_file_is_a_model_error(tmp_path, content):
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelError, match="not a checkpoint") as e:
        load_network(path)
    one_line(e)


def test_a_pickle_is_refused_without_being_run(tmp_path):
    path = tmp_path / "x.pth"
    torch.save({"a": torch.zeros(3)}, path)
    with pytest.raises(ModelError, match="not a checkpoint"):
        load_network(path)


def test_safetensors_of_someone_else_are_a_model_error_that_says_so(tmp_path):
    path = tmp_path / "theirs.safetensors"
    safetensors.torch.save_file({"weight": torch.zeros(3)}, str(path), {"format": "pt"})
    with pytest.raises(ModelError, match="no checkpoint of passerby") as e:
        load_network(path)
    one_line(e)


def test_backbone_weights_are_no_checkpoint(shared):
    with pytest.raises(ModelError, match="no checkpoint of passerby"):
        load_network(shared / "weights" / "mobilenet_v2_w035.safetensors")


def test_a_missing_checkpoint_and_a_folder_are_model_errors(tmp_path):
    with pytest.raises(ModelError, match=r"none\.safetensors: no such checkpoint"):
        load_network(tmp_path / "none.safetensors")
    with pytest.raises(ModelError, match="not a checkpoint"):
        load_network(tmp_path)


def change(path, tensors=None, **facts):
    """Write a checkpoint again with other facts or tensors."""
    with safetensors.safe_open(str(path), "pt") as f:
        old = f.metadata()
    weights = safetensors.torch.load_file(str(path))
    safetensors.torch.save_file(weights | (tensors or {}), str(path), old | facts)


def test_a_checkpoint_whose_weights_do_not_fit_its_spec_is_a_model_error_of_one_line(make_checkpoint, tiny):
    path, _, _ = make_checkpoint()
    change(path, spec=spec_of(tiny(width_multiplier=0.5)).to_json())
    with pytest.raises(ModelError, match=r"tiny\.safetensors: its network weights do not fit") as e:
        load_network(path)
    one_line(e)


def test_a_checkpoint_with_weights_missing_is_a_model_error_of_one_line(make_checkpoint, tiny):
    path, _, _ = make_checkpoint()
    change(path, spec=spec_of(tiny(depth_multiplier=1.0)).to_json())
    with pytest.raises(ModelError, match=r"tiny\.safetensors: its network weights do not fit") as e:
        load_network(path)
    one_line(e)


def test_a_checkpoint_with_a_spec_of_tomorrow_is_a_model_error(make_checkpoint):
    path, _, spec = make_checkpoint()
    change(path, spec=json.dumps(json.loads(spec.to_json()) | {"format": 2}))
    with pytest.raises(ModelError, match="metadata format 2, this passerby reads 1; update passerby"):
        load_network(path)


@pytest.mark.parametrize("network", [{}, {"backbone": "resnet"}], ids=["empty", "unknown backbone"])
def test_a_checkpoint_that_does_not_say_how_to_build_its_network_is_a_model_error(make_checkpoint, network):
    path, _, spec = make_checkpoint()
    change(path, spec=dataclasses.replace(spec, network={**spec.network, **network} if network else {}).to_json())
    with pytest.raises(ModelError, match=r"tiny\.safetensors") as e:
        load_network(path)
    one_line(e)


@pytest.mark.parametrize("averaged", [True, False])
def test_a_checkpoint_without_optimiser_cannot_be_resumed_and_says_which_can(running, averaged):
    path, network, average, optimiser, recipe = running
    best = path.with_name("best.safetensors")
    checkpoint.save(best, network, None, None, spec_of(recipe.model), recipe, checkpoint.State())
    with pytest.raises(ModelError, match=r"best\.safetensors: holds no optimiser state.*use last\.safetensors") as e:
        restore(best, network, average if averaged else None, optimiser, recipe)
    one_line(e)
