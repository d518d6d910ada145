"""Trained networks made into others without training: at another input size, or the mean of several."""

from __future__ import annotations

import json
from pathlib import Path

import model_fixtures
import numpy as np
import pytest
import torch

from passerby import Detector
from passerby.geometry.anchors import default_boxes
from passerby.geometry.boxes import iou
from passerby.learn import checkpoint
from passerby.learn.derived import Derived, at_size, export_derived
from passerby.learn.engine import TorchEngine
from passerby.learn.exported import fold, load_exported
from passerby.learn.network import build
from passerby.recipe import Recipe
from passerby.runtime.model_file import find_model, read_spec

cli = model_fixtures.cli

ROOT = Path(__file__).resolve().parents[2]
ASTRONAUT = ROOT / "examples" / "pictures" / "astronaut.jpg"
HEAD = np.array([[155, 18, 302, 186]], np.float32)  # drawn by eye


@pytest.mark.parametrize("changes", [{}, {"fusion": 16}, {"layout": "f75", "fusion": 16}])
def test_default_boxes_keep_their_pixels_and_a_row_of_the_answer_is_one_of_them(make_checkpoint, changes):
    _, network, spec = make_checkpoint(**changes)
    wide, there = at_size(network.eval(), spec, 200, 120)
    assert (there.width, there.height) == (200, 120)
    assert [m.sizes for m in there.anchors] == [m.sizes for m in spec.anchors]
    with torch.no_grad():
        logits, offsets = wide(torch.zeros(1, 120, 200, 3, dtype=torch.uint8))
    assert logits.shape[1] == offsets.shape[1] == len(default_boxes(there.anchors, 120, 200))
    same, again = at_size(network, spec, spec.width, spec.height)
    assert again == spec
    pixels = torch.randint(0, 256, (1, spec.height, spec.width, 3), dtype=torch.uint8)
    with torch.no_grad():
        assert all(a.equal(b) for a, b in zip(network(pixels), same(pixels), strict=True))


def test_its_weights_are_a_copy(make_checkpoint):
    _, network, spec = make_checkpoint()
    other, _ = at_size(network, spec, 96, 96)
    with torch.no_grad():
        next(other.parameters()).zero_()
    assert next(network.parameters()).abs().sum() > 0


@pytest.mark.parametrize("size", [(384, 256), (768, 512), (500, 333)])
def test_head_finds_a_head_at_any_size(size):
    network, spec = load_exported(find_model("head"))
    fitting, there = at_size(network, spec, *size)
    found = Detector.of(there, TorchEngine(fitting, torch.device("cpu")), 0.3)(ASTRONAUT)
    assert iou(found.boxes[:1], HEAD)[0, 0] > 0.6


def test_the_file_says_what_it_is_and_runs(tmp_path):
    out = tmp_path / "small.onnx"
    spec, parity = export_derived("head-tiny", out, Derived((320, 224)))
    assert parity.good()
    assert read_spec(out) == spec
    was = read_spec(find_model("head-tiny"))
    assert (spec.name, spec.width, spec.height) == ("head-tiny-320x224", 320, 224)
    assert (spec.threshold, spec.nms, spec.resize) == (was.threshold, was.nms, was.resize)
    assert sum(x.macs for x in spec.layers) < 0.5 * sum(x.macs for x in was.layers)
    assert sum(x.parameters for x in spec.layers) == sum(x.parameters for x in was.layers)
    assert spec.provenance["input"] == "320 x 224, set after training at 512 x 336"
    assert spec.provenance["data_licence"] == was.provenance["data_licence"]
    assert not {"val_ap50", "threshold_f1", "certificate"} & set(spec.provenance)
    found = Detector(out, engine="onnxruntime")(ASTRONAUT)
    assert iou(found.boxes[:1], HEAD)[0, 0] > 0.6


def test_the_mean_of_two_is_between_them(make_checkpoint, tiny, tmp_path):
    path, network, spec = make_checkpoint(fusion=16)
    apart = tmp_path / "apart.safetensors"
    other = build(spec)
    other.load_state_dict(network.state_dict())
    with torch.no_grad():
        bias = network.head.logits[0][-1].bias
        other.head.logits[0][-1].bias += 0.5
    checkpoint.save(apart, other, None, None, spec, Recipe("apart", tiny(fusion=16)), checkpoint.State())
    out = tmp_path / "mean.onnx"
    there, parity = export_derived(path, out, Derived(others=(str(apart),)))
    assert parity.good()
    mean, _ = load_exported(out)
    torch.testing.assert_close(mean.head.logits[0][-1].bias, bias + 0.25)
    pixels = torch.randint(0, 256, (1, spec.height, spec.width, 3), dtype=torch.uint8)
    fold(network.eval())
    with torch.no_grad():
        for a, b in zip(
            network(pixels)[1:], mean(pixels)[1:], strict=True
        ):  # where the two are alike, so is their mean
            torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)
    assert len(there.provenance["mean_of"]) == 2


def test_the_mean_of_a_file_and_itself_is_the_file(tmp_path):
    out = tmp_path / "same.onnx"
    spec, _ = export_derived("head-tiny", out, Derived(others=("head-tiny",), name="same"))
    assert spec.name == "same"
    assert [m["recipe"] for m in spec.provenance["mean_of"]] == ["head-tiny", "head-tiny"]
    before, after = (Detector(m, 0.1, "onnxruntime")(ASTRONAUT) for m in ("head-tiny", out))
    np.testing.assert_allclose(before.boxes, after.boxes, atol=0.01)
    np.testing.assert_allclose(before.scores, after.scores, atol=1e-4)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path


def test_export_and_tune_weigh_sizes_against_each_other(cli, here, make_voc, make_picture):
    ran = cli("export", "head-tiny", "--input", "256x192")
    assert ran.code == 0, ran.err
    assert (here / "head-tiny-256x192.onnx").is_file()
    assert "choose it anew by passerby threshold" in ran.err
    root = make_voc({"a": [("head", 5, 5, 25, 25)], "b": [("head", 5, 5, 25, 25)]})
    for name in "ab":
        make_picture(root / "JPEGImages" / f"{name}.jpg", 60, 40)
    words = ("--rounds", 3, "--data", f"voc:{root}", "--json")
    raw = json.loads(cli("tune", "head-tiny", "--beside", "head-tiny-256x192.onnx", *words).out)
    assert [(f["file"], f["width"], f["height"]) for f in raw["files"]] == [
        ("head-tiny.onnx", 512, 336),
        ("head-tiny-256x192.onnx", 256, 192),
    ]
    assert all(0 <= f["ap50"] <= 1 and 0 <= f["mr2"] <= 1 for f in raw["files"])
    assert not [r for r in raw["rows"] if r["rival"] and r["file"] != "head-tiny.onnx"]
    told = cli("tune", "head-tiny", "--beside", "head-tiny-256x192.onnx", *words[:-1]).out
    assert "256 x 192" in told
    assert "AP50" in told


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("head", "--input", "wide"), 2, "'wide' is no size"),
        (("head", "--input", "../64"), 2, "'../64' is no size"),
        (("head", "--input", "32x400"), 2, "want at least 64 pixels a side"),
        (("person-map", "--input", "320"), 5, "a localiser keeps the input that it was trained on"),
        (("head", "--input", "320", "--map-stride", "8"), 2, "leave --input and --mean out"),
        (("head", "--mean", "head-tiny"), 5, "head-tiny: is another network than head"),
        (("head", "--mean", "gone.onnx"), 5, "gone.onnx"),
        (("head-320.onnx", "--input", "320", "--to", "head-320.onnx"), 2, "that is the model itself"),
        (("gone.onnx", "--input", "320"), 5, "gone.onnx"),
    ],
)
def test_what_cannot_be_is_refused(cli, here, words, code, told):
    ran = cli("export", *words)
    assert (ran.code, ran.out) == (code, "")
    assert told in ran.err
    assert not list(here.glob("*.onnx"))
