"""The shipped model: its facts, its size, what it finds in two public-domain portraits, and its score on val_B."""

import json
from pathlib import Path

import numpy as np
import pytest

from passerby import Detector, evaluate, load_data
from passerby.geometry.boxes import iou
from passerby.recipe import load_recipe
from passerby.runtime.model_file import find_model, read_spec

ROOT = Path(__file__).resolve().parent.parent.parent
PICTURES = ROOT / "examples" / "pictures"
HEADS = {  # x0 y0 x1 y1, drawn by eye
    "astronaut.jpg": (155, 18, 302, 186),
    "grace_hopper.jpg": (146, 20, 374, 326),
}


@pytest.mark.parametrize("model", ["head", "head-f38"])  # -small-objects is for others
@pytest.mark.parametrize("name", HEADS)
def test_the_best_detection_of_a_portrait_is_its_head(model, name):
    found = Detector(model, engine="onnxruntime")(PICTURES / name)
    assert found.names == ("head",)
    overlaps = iou(found.boxes, np.array([HEADS[name]], np.float32))[:, 0]
    assert overlaps[0] > 0.6, found.to_list()
    assert (overlaps > 0.45).sum() == 1  # what suppression leaves of one head
    assert len(found) <= 2  # one false alarm beside it


def test_facts_in_the_file_are_those_of_the_recipe():
    path = find_model("head")
    spec, recipe = read_spec(path), load_recipe("head")
    assert path.stat().st_size <= 12_000_000
    assert path.with_suffix(".md").is_file()
    assert spec.name == "head"
    assert spec.labels == recipe.model.labels
    assert (spec.height, spec.width, spec.resize) == (recipe.model.height, recipe.model.width, recipe.model.resize)
    assert (spec.nms, spec.nms_iou) == (recipe.model.nms, recipe.model.nms_iou)
    assert spec.network["fusion"] == recipe.model.fusion
    assert sum(len(m) for m in spec.anchors) == 36_828
    assert [(m.columns, m.rows) for m in spec.anchors] == [(144, 96), (72, 48), (36, 24), (18, 12), (9, 6)]
    assert sum(x.parameters for x in spec.layers) <= 2_750_864
    assert sum(x.macs for x in spec.layers) <= 618_000_000
    assert {"recipe", "trained_on", "data_licence", "chosen_on", "hours", "machine", "threshold_rule"} <= set(
        spec.provenance
    )


@pytest.mark.parametrize(
    ("name", "macs"), [("head-tiny", 150_000_000), ("head-f38", 618_000_000), ("person", 620_000_000)]
)
def test_the_other_detectors_are_what_their_recipes_and_cards_say(name, macs):
    path = find_model(name)
    spec, recipe = read_spec(path), load_recipe(name)
    assert (spec.name, spec.labels) == (name, recipe.model.labels)
    assert (spec.height, spec.width) == recipe.model.input_size()
    assert (spec.resize, spec.nms, spec.nms_iou) == (recipe.model.resize, recipe.model.nms, recipe.model.nms_iou)
    assert sum(x.macs for x in spec.layers) <= macs
    card = path.with_suffix(".md").read_text(encoding="utf-8")
    assert f"{spec.threshold:.3f}" in card
    assert str(spec.provenance["data_licence"]).split(" (")[0].removeprefix("SCUT-HEAD: ") in card


def test_head_small_objects_is_head_over_more_cells():
    small, head = (read_spec(find_model(name)) for name in ("head-small-objects", "head"))
    assert (small.width, small.height) == (960, 640)
    assert small.provenance["input"] == "960 x 640, set after training at 576 x 384"
    assert small.network == head.network
    assert [m.sizes for m in small.anchors] == [m.sizes for m in head.anchors]
    card = find_model("head-small-objects").with_suffix(".md").read_text(encoding="utf-8")
    assert f"{small.threshold:.3f}" in card
    assert "research purpose only" in card


def test_card_says_the_licence_of_the_data_plainly():
    card = find_model("head").with_suffix(".md").read_text(encoding="utf-8")
    assert "research purpose only" in card
    assert "SCUT-HEAD" in card


@pytest.mark.shared
def test_score_on_val_b_is_the_published_one(shared):
    committed = json.loads((ROOT / "benchmarks" / "results" / "accuracy.json").read_text(encoding="utf-8"))
    expected = committed["runs"]["val_B, onnxruntime float32"]["scores"]
    samples = load_data("voc:data/scut_head#val_B", ("head",), shared)
    report = evaluate(Detector("head", threshold=0.01, engine="onnxruntime"), samples)
    assert report.scores["ap50"] == pytest.approx(expected["ap50"], abs=2e-3)
    assert report.scores["mr2"] == pytest.approx(expected["mr2"], abs=5e-3)
    assert report.scores["ap50"] >= 0.90
