"""passerby threshold: chooses on labelled pictures, writes into the model, and refuses in one line."""

from __future__ import annotations

import json

import pytest

from passerby.runtime.model_file import find_model, read_spec, write_spec

OBJECTS = {"a": [("head", 5, 5, 25, 25), ("head", 30, 10, 50, 30)], "b": [("head", 1, 1, 40, 40)]}
RUN = ("--engine", "onnxruntime", "--threads", 1)


@pytest.fixture
def two(make_voc):
    """A data set of two pictures and three heads."""
    return f"voc:{make_voc(OBJECTS)}"


@pytest.fixture
def mine(tmp_path, tiny_bytes):
    """A model file that may be changed."""
    path = tmp_path / "mine.onnx"
    path.write_bytes(tiny_bytes)
    return path


@pytest.fixture
def choose(cli, mine, two):
    """Runs the verb on the model that may be changed."""

    def call(*words):
        return cli("threshold", mine, two, *words, *RUN)

    return call


def test_the_threshold_is_written_into_the_model_with_its_reason(choose, mine, tiny_bytes, tiny_spec, two, cli):
    ran = choose("--by", "count")
    assert ran.code == 0, ran.err
    spec = read_spec(mine)
    assert spec.threshold != tiny_spec.threshold
    assert f"mine.onnx: threshold 0.5 -> {spec.threshold:g}" in ran.err
    facts = spec.provenance
    assert facts["threshold_rule"].startswith("least mean error of the number of objects a picture")
    assert facts["threshold_chosen_on"] == "voc:voc: 2 pictures, 3 objects"
    assert facts["threshold_engine"].startswith("onnxruntime ")
    others = {k: v for k, v in json.loads(spec.to_json()).items() if k not in ("threshold", "provenance")}
    assert others == {k: v for k, v in json.loads(tiny_spec.to_json()).items() if k not in ("threshold", "provenance")}
    # loaded again, the model reaches the numbers that it says it does
    scores = json.loads(cli("eval", mine, two, "--json", *RUN).out)["scores"]
    for name in ("recall", "f1", "fppi", "count_mae", "count_bias"):
        assert facts[f"threshold_{name}"] == pytest.approx(scores[name], abs=1e-4)


def test_the_table_shows_the_chosen_the_old_and_neighbours(choose, mine):
    ran = choose("--by", "fppi=20", "--dry-run")
    assert ran.code == 0, ran.err
    assert "rule: lowest threshold with at most 20 false positives a picture" in ran.out
    assert "2 pictures, 3 objects; onnxruntime" in ran.out
    assert "scores from 0.01; suppression at IoU 0.45; at most 200" in ran.out
    rows = [line for line in ran.out.splitlines() if line.startswith("  0.")]
    assert len(rows) >= 3
    assert sum("chosen" in r for r in rows) == 1
    assert sum("the model's" in r for r in rows) == 1
    thresholds = [float(r.split()[0]) for r in rows]
    assert thresholds == sorted(thresholds)


def test_a_dry_run_writes_nothing(choose, mine, tiny_bytes, tmp_path):
    before = sorted(p.name for p in tmp_path.iterdir())
    assert choose("--by", "count", "--dry-run").code == 0
    assert choose("--by", "count", "--dry-run", "--out", "copy.onnx").code == 0
    assert mine.read_bytes() == tiny_bytes
    assert sorted(p.name for p in tmp_path.iterdir()) == before


def test_a_copy_leaves_the_model_as_it_is(choose, mine, tiny_bytes, tmp_path):
    assert choose("--by", "count", "--out", "made/copy.onnx").code == 0
    assert mine.read_bytes() == tiny_bytes
    assert read_spec(tmp_path / "made/copy.onnx").threshold != read_spec(mine).threshold


def test_a_second_choice_leaves_nothing_of_the_first(choose, mine, tiny_spec):
    write_spec(mine, tiny_spec.with_(provenance={"threshold_mood": "good", "epoch": 3}), mine)
    choose("--by", "count")
    assert "threshold_mood" not in read_spec(mine).provenance
    assert read_spec(mine).provenance["epoch"] == 3
    choose("--by", "fppi=1000", "--nms-iou", 0.6)
    spec = read_spec(mine)
    assert spec.provenance["threshold_rule"].startswith("lowest threshold with at most 1000 false positives")
    assert spec.nms_iou == 0.6  # what the numbers hold for
    assert len([k for k in spec.provenance if k.startswith("threshold_")]) <= 9


def test_the_way_of_suppression_is_written_with_what_was_chosen_with_it(choose, mine):
    ran = choose("--by", "count", "--nms", "soft")
    assert "suppression (soft) at IoU 0.45" in ran.out
    assert read_spec(mine).nms == "soft"
    assert "suppression (soft) at IoU 0.45" in choose("--by", "count", "--dry-run").out
    assert choose("--by", "count", "--nms", "diou").err == "passerby: --nms: 'diou' is unknown (known: hard, soft)\n"


def test_json_is_one_document_with_the_rows_and_settings(choose):
    ran = choose("--by", "count", "--dry-run", "--json")
    document = json.loads(ran.out)
    assert set(document) == {"threshold", "old", "rule", "words", "rows", "settings"}
    assert (document["old"], document["rule"]) == (0.5, "count")
    assert document["threshold"] in [r["threshold"] for r in document["rows"]]
    assert set(document["rows"][0]) == {"threshold", "precision", "recall", "f1", "fppi", "count_mae", "count_bias"}


def test_the_threshold_is_not_under_the_floor(choose, mine):
    assert choose("--by", "fppi=1000", "--floor", 0.3).code == 0
    assert read_spec(mine).threshold >= 0.3


@pytest.mark.parametrize(
    ("by", "words"),
    [
        ("precision=0.99", ("precision=0.99: not reachable", "the best is")),
        ("recall=1", ("recall=1: not reachable", "ask for that or less")),
        ("fppi=0.001", ("fppi=0.001: not reachable", "the highest score alone")),
        ("fpi=0.1", ("no rule 'fpi'", "did you mean 'fppi'?")),
        ("fppi", ("want fppi= and a number",)),
        ("f1=3", ("takes no number",)),
    ],
)
def test_a_rule_that_cannot_be_kept_is_one_line_and_writes_nothing(choose, refused, mine, tiny_bytes, by, words):
    refused(choose("--by", by), 2, *words)
    assert mine.read_bytes() == tiny_bytes


def test_a_shipped_model_is_not_changed_in_place(cli, refused, two, tmp_path):
    refused(cli("threshold", "head", two, "--by", "f1"), 2, "head: ships with passerby", "--out FILE.onnx")
    shipped = find_model("head")
    before = shipped.read_bytes()
    refused(cli("threshold", shipped, two, "--by", "f1"), 2, "ships with passerby")
    refused(cli("threshold", "head", two, "--by", "f1", "--out", shipped), 2, "ships with passerby")
    assert shipped.read_bytes() == before


def test_a_copy_of_another_kind_is_refused_before_anything_runs(choose, refused):
    refused(choose("--by", "f1", "--out", "copy.safetensors"), 2, "--out copy.safetensors", ".onnx file")
    refused(choose("--by", "f1", "--out", "copy"), 2, "--out copy", ".onnx file")


def test_a_rule_is_needed(cli, refused, mine, two):
    refused(cli("threshold", mine, two), 2, "--by")


def test_missing_model_and_data_are_one_line(cli, refused, mine):
    refused(cli("threshold", "gone.onnx", "voc:x", "--by", "f1"), 5, "gone.onnx: no such model file")
    refused(cli("threshold", mine, "voc:gone", "--by", "f1"), 4, "no such file or folder")


def test_pictures_without_objects_are_refused(cli, refused, mine, make_picture, tmp_path):
    make_picture(tmp_path / "empty" / "a.png")
    ran = cli("threshold", mine, f"folder:{tmp_path / 'empty'}", "--by", "f1", *RUN)
    refused(ran, 2, "f1: no object in these pictures")
