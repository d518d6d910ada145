"""A trained classifier gets finer maps and keeps its weights."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
import safetensors.torch
import torch
from click.testing import CliRunner

from passerby.cli.export import command, export_finer
from passerby.errors import ModelError, SettingError
from passerby.learn import checkpoint
from passerby.learn.checkpoint import load_network
from passerby.learn.finer import refine
from passerby.learn.network import build, spec_of
from passerby.recipe import Data, Recipe
from passerby.runtime.model_file import read_spec


@pytest.fixture
def trained(tmp_path, tiny):
    """A checkpoint of a classifier, its pictures beside it."""
    rng = np.random.default_rng(0)
    rows = []
    for name in ("person", "no_person"):
        (tmp_path / "pon" / "train" / name).mkdir(parents=True)
        for i in range(8):
            assert cv2.imwrite(
                str(tmp_path / "pon/train" / name / f"{i}.png"), rng.integers(0, 256, (64, 64, 3), np.uint8)
            )
            rows.append({"file": f"{name}/{i}.png", "boxes": [[8, 8, 40, 60]] if name == "person" else []})
    (tmp_path / "boxes.json").write_text(json.dumps([r for r in rows if r["boxes"]]))
    model = tiny(
        backbone="mobilenet_v1", width_multiplier=0.1, depth_multiplier=1.0, head="pooled", loss="cross_entropy",
        labels=("person",),
    )  # fmt: skip
    data = Data(root="elsewhere", train=("classes:pon#train",), val_share=0.5, boxes="boxes.json")
    spec = spec_of(model)
    path = tmp_path / "coarse.safetensors"
    checkpoint.save(path, build(spec), None, None, spec, Recipe("tiny", model, data), checkpoint.State())
    return path


def test_weights_stay_and_thresholds_are_chosen_on_what_was_held_out(trained, tmp_path, teller):
    out = tmp_path / "fine.safetensors"
    found = refine(trained, out, 16, teller(), str(tmp_path), "fine")
    before, after = (safetensors.torch.load_file(str(p)) for p in (trained, out))
    assert before.keys() == after.keys()
    assert all(before[k].equal(after[k]) for k in before)
    network, spec, _ = load_network(out)
    assert spec == found
    assert (spec.name, spec.network["map_stride"]) == ("fine", 16)
    assert spec.provenance["map_stride"] == "16, set after training"
    assert "on 2 held-out pictures with boxes" in spec.provenance["map_threshold_rule"]
    (maps,) = [m for n, m in network.named_modules() if n == "head.maps"]
    shapes = []
    maps.register_forward_hook(lambda _, __, output: shapes.append(output.shape[2:]))
    network(torch.zeros(1, 64, 64, 3, dtype=torch.uint8))
    assert shapes == [(4, 4)]


def test_export_makes_a_finer_file_in_one_command(trained, tmp_path):
    out = tmp_path / "fine.onnx"
    export_finer(trained, out, 16, str(tmp_path), (), "fine")
    spec = read_spec(out)
    assert (spec.name, spec.network["map_stride"]) == ("fine", 16)
    assert not list(tmp_path.glob("*fine*.safetensors"))


@pytest.mark.parametrize(("words", "why"), [((), "for checkpoints"), (("--target", "openvino"), "--target onnx")])
def test_a_finer_map_of_what_is_no_checkpoint_or_for_another_target_is_refused(trained, words, why):
    model = str(trained) if words else "head"
    ran = CliRunner().invoke(command, [model, "--map-stride", "16", *words])
    assert ran.exit_code == 2
    assert why in ran.output


def test_a_detector_and_a_stride_that_cannot_be_are_refused(trained, make_checkpoint, tmp_path, teller):
    with pytest.raises(SettingError, match=r"model\.map_stride is 5"):
        refine(trained, tmp_path / "x.safetensors", 5, teller(), str(tmp_path))
    detector, _, _ = make_checkpoint()
    with pytest.raises(ModelError, match=r"is a detector, which has no map"):
        refine(detector, tmp_path / "x.safetensors", 16, teller())
    assert not (tmp_path / "x.safetensors").exists()
