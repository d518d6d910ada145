"""write_spec of checkpoints, and `passerby threshold` on one: the spec changes, every tensor stays."""

from __future__ import annotations

import pytest
import safetensors
import torch

from passerby.errors import ModelError
from passerby.learn import checkpoint
from passerby.learn.checkpoint import load_network, write_spec
from passerby.learn.network import build, spec_of
from passerby.recipe import Recipe


@pytest.fixture
def saved(tmp_path, tiny):
    recipe = Recipe(name="tiny", model=tiny())
    spec = spec_of(recipe.model)
    path = tmp_path / "best.safetensors"
    checkpoint.save(path, build(spec), None, None, spec, recipe, checkpoint.State(epoch=3))
    return path


@pytest.mark.parametrize("name", ["é" * 3, "x", "xy" * 40])
def test_the_spec_changes_and_every_tensor_and_other_fact_stays(saved, tmp_path, name):
    out = tmp_path / "out.safetensors"
    _, spec, facts = load_network(saved)
    write_spec(saved, spec.with_(threshold=0.125, provenance={"threshold_rule": name}), out)
    _, again, others = load_network(out)
    assert (again.threshold, again.provenance) == (0.125, {"threshold_rule": name})
    assert {k: v for k, v in others.items() if k != "spec"} == {k: v for k, v in facts.items() if k != "spec"}
    with safetensors.safe_open(str(saved), "pt") as one, safetensors.safe_open(str(out), "pt") as other:
        assert list(one.keys()) == list(other.keys())
        assert all(torch.equal(one.get_tensor(k), other.get_tensor(k)) for k in one.keys())  # noqa: SIM118
    assert int.from_bytes(out.read_bytes()[:8], "little") % 8 == 0


def test_what_is_no_checkpoint_is_refused(tmp_path, saved):
    spec = load_network(saved)[1]
    with pytest.raises(ModelError, match="no such checkpoint"):
        write_spec(tmp_path / "gone.safetensors", spec, tmp_path / "out.safetensors")
    (tmp_path / "bad.safetensors").write_bytes(b"x" * 100)
    with pytest.raises(ModelError, match="not a checkpoint"):
        write_spec(tmp_path / "bad.safetensors", spec, tmp_path / "out.safetensors")


def test_the_verb_changes_a_checkpoint_too(saved, make_voc, tmp_path):
    from click.testing import CliRunner

    from passerby.cli.main import main

    data = make_voc({"a": [("head", 5, 5, 25, 25)], "b": [("head", 1, 1, 40, 40)]})
    ran = CliRunner().invoke(main, ["threshold", str(saved), f"voc:{data}", "--by", "fppi=1000"])
    assert ran.exit_code == 0, ran.output
    _, spec, _ = load_network(saved)
    assert spec.provenance["threshold_rule"].startswith("lowest threshold with at most 1000")
