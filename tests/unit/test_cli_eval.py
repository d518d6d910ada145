"""passerby eval: settings and scores for people, one JSON document for programs, one line when it cannot."""

from __future__ import annotations

import json

import pytest

OBJECTS = {"a": [("head", 5, 5, 25, 25), ("head", 30, 10, 50, 30)], "b": [("head", 1, 1, 11, 11)]}


@pytest.fixture
def measure(cli, tiny_model):
    """Runs eval with the tiny model."""

    def call(*words):
        return cli("eval", tiny_model, *words, "--engine", "onnxruntime", "--threads", 1)

    return call


@pytest.fixture
def two(make_voc):
    """A data set of two pictures and three heads, with a split `val` of one."""
    return make_voc(OBJECTS, splits={"val": ["b"]})


def test_the_table_tells_its_settings_and_scores(measure, two):
    ran = measure(f"voc:{two}")
    assert ran.code == 0, ran.err
    for words in (
        "2 pictures, 3 objects",
        "IoU 0.5 for a hit; scores from 0.01",
        "suppression at IoU 0.45; at most 200 detections",
        "engine: onnxruntime ",
        "AP50, VOC area",
        "AP50, VOC 11-point",
        "MR^-2",
        "miss rate at 1 FPPI",
        "at the model's threshold, 0.5",
        "precision",
        "recall",
        "by size",
    ):
        assert words in ran.out, words


def test_json_is_one_document_and_nothing_else(measure, two):
    ran = measure(f"voc:{two}", "--json")
    assert ran.code == 0, ran.err
    report = json.loads(ran.out)
    assert set(report) == {"scores", "settings"}
    assert {"ap50", "ap50_11pt", "mr2", "miss_at_1fppi", "precision", "recall", "miss_rate"} <= set(report["scores"])
    settings = report["settings"]
    assert (settings["pictures"], settings["objects"]) == (2, 3)
    assert (settings["score_floor"], settings["nms_iou"], settings["threshold"]) == (0.01, 0.45, 0.5)
    assert settings["engine"].startswith("onnxruntime ")
    assert all(v is None or isinstance(v, float) for v in report["scores"].values())


def test_coco_ap_is_told_where_its_library_is(measure, two):
    pytest.importorskip("hotcoco")
    scores = json.loads(measure(f"voc:{two}", "--json").out)["scores"]
    assert {"coco_ap", "coco_ap50", "coco_ap75"} <= set(scores)


def test_coco_ap_is_left_out_in_words_where_its_library_is_missing(measure, two, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "hotcoco", None)
    ran = measure(f"voc:{two}", "--json")
    assert ran.code == 0, ran.err
    assert "coco_ap" not in json.loads(ran.out)["scores"]
    assert "pip install 'passerby[measure]'" in ran.err


def test_settings_of_the_command_are_the_settings_used(measure, two):
    words = ("--threshold", 0.25, "--floor", 0.05, "--nms-iou", 0.6, "--max-detections", 7, "--coco-cap", 5)
    settings = json.loads(measure(f"voc:{two}", "--json", *words).out)["settings"]
    assert (settings["threshold"], settings["score_floor"]) == (0.25, 0.05)
    assert (settings["nms_iou"], settings["max_detections"], settings["coco_cap"]) == (0.6, 7, 5)


def test_the_threshold_moves_recall_and_not_ap(measure, two):
    low, high = (json.loads(measure(f"voc:{two}", "--json", "--threshold", t).out)["scores"] for t in (0.01, 0.99))
    assert low["ap50"] == high["ap50"]
    assert low["fppi"] > high["fppi"]


def test_a_split_and_a_root_can_be_named(measure, two):
    report = json.loads(measure(f"voc:{two.name}#val", "--root", two.parent, "--json").out)
    assert (report["settings"]["pictures"], report["settings"]["objects"]) == (1, 1)


def test_coco_data_can_be_measured_too(measure, make_coco):
    file = make_coco([{"id": 1, "image_id": 1, "category_id": 1, "bbox": [5, 5, 20, 20], "area": 400, "iscrowd": 0}])
    report = json.loads(measure(f"coco:{file}", "--json").out)
    assert (report["settings"]["pictures"], report["settings"]["objects"]) == (1, 1)


def test_what_the_reader_changed_is_told_on_stderr(measure, make_voc):
    root = make_voc({"a": [("head", 5, 5, 25, 25), ("head", 50, 30, 90, 90)]})
    ran = measure(f"voc:{root}")
    assert ran.code == 0
    assert "1 clipped" in ran.err


def test_labels_that_share_nothing_are_a_data_error(measure, make_voc):
    root = make_voc({"a": [("cat", 5, 5, 25, 25)], "b": [("dog", 5, 5, 25, 25)]})
    ran = measure(f"voc:{root}")
    assert "Traceback" not in ran.err
    assert ran.code == 4, ran.out
    assert ran.out == ""
    line = ran.err.splitlines()[-1]
    assert line.startswith("passerby: ")
    assert "head" in line
    assert "cat" in line


def test_missing_data_is_one_line(measure, refused):
    refused(measure("voc:nowhere"), 4, "voc:nowhere", "no such file or folder")


def test_an_unknown_split_gets_the_nearest(measure, refused, two):
    refused(measure(f"voc:{two}#vla"), 4, "no split 'vla'", "did you mean 'val'?")


def test_an_unknown_format_gets_the_nearest(measure, refused, two):
    refused(measure(f"vco:{two}"), 4, "vco", "did you mean 'voc'?")


def test_a_picture_cut_short_is_one_line_that_names_it(measure, refused, two):
    path = two / "JPEGImages/b.jpg"
    path.write_bytes(path.read_bytes()[:-40])
    refused(measure(f"voc:{two}"), 3, "b.jpg", "cut short")


@pytest.mark.parametrize(
    ("option", "value"),
    [("--threshold", 1.5), ("--threshold", "nan"), ("--floor", -1), ("--nms-iou", 2), ("--max-detections", 0)],
)
def test_a_setting_out_of_range_is_a_wrong_setting(measure, refused, two, option, value):
    ran = measure(f"voc:{two}", option, value)
    refused(ran, 2, str(value))
    assert "metadata" not in ran.err


def test_a_coco_cap_of_nothing_is_refused(measure, refused, two):
    refused(measure(f"voc:{two}", "--coco-cap", 0), 2, "--coco-cap is 0")


def test_a_missing_checkpoint_is_one_line(cli, refused, two):
    pytest.importorskip("torch")
    refused(cli("eval", "gone.safetensors", f"voc:{two}"), 5, "gone.safetensors: no such checkpoint")


def test_a_checkpoint_without_torch_names_the_pip_line(shell, two):
    ran = shell("eval", "best.safetensors", f"voc:{two}", before="sys.modules['torch'] = None")
    assert (ran.code, ran.out) == (7, "")
    assert ran.err.startswith("passerby: ")
    assert "pip install 'passerby[train]'" in ran.err
    assert "Traceback" not in ran.err


def test_rules_add_a_table_and_leave_the_scores_as_they_are(measure, two):
    pytest.importorskip("hotcoco")
    plain, ran = measure(f"voc:{two}"), measure(f"voc:{two}", "--rules")
    assert ran.code == 0, ran.err
    untimed = [[line for line in r.out.splitlines() if " ms a picture" not in line] for r in (plain, ran)]
    assert untimed[1][: len(untimed[0])] == untimed[0]
    assert "the same detections under every rule\nsuppression at IoU 0.45" in ran.out
    assert ran.out.count("VOC area (2010+), IoU 0.5") >= 3
    assert " moved by " in ran.out


def test_rules_are_in_json_with_what_they_mean(measure, two):
    pytest.importorskip("hotcoco")
    report = json.loads(measure(f"voc:{two}", "--rules", "--json", "--max-detections", 3).out)
    assert set(report) == {"scores", "settings", "rules"}
    assert report["settings"]["max_detections"] == 3
    assert report["rules"]["most"] > 3  # the model ran without that cap, once
    assert len(report["rules"]["rows"]) == 36
    assert all(r["value"] is not None for r in report["rules"]["rows"])


def test_rules_with_a_higher_floor_say_what_they_cannot_know(measure, two):
    ran = measure(f"voc:{two}", "--rules", "--floor", 0.1)
    assert "not known: the model gave no scores under 0.1" in ran.out


def test_jaccard_and_count_errors_are_told(measure, two):
    ran = measure(f"voc:{two}")
    for words in ("Jaccard index", "count error a picture, MAE", "RMSE", "counted too many"):
        assert words in ran.out, words
    scores = json.loads(measure(f"voc:{two}", "--json").out)["scores"]
    assert {"jaccard", "jaccard_threshold", "count_mae", "count_rmse", "count_bias"} <= set(scores)


@pytest.mark.parametrize("method", ["soft", "diou", "voting"])
def test_another_suppression_is_told_with_the_scores(measure, two, method):
    ran = measure(f"voc:{two}", "--nms", method)
    assert ran.code == 0, ran.err
    assert f"suppression ({method}) at IoU 0.45" in ran.out
    settings = json.loads(measure(f"voc:{two}", "--nms", method, "--json").out)["settings"]
    assert settings["nms"] == method
    assert json.loads(measure(f"voc:{two}", "--json").out)["settings"]["nms"] == "hard"


def test_an_unknown_suppression_is_refused_with_the_nearest(measure, two):
    ran = measure(f"voc:{two}", "--nms", "sofd")
    assert ran.code == 2
    assert "--nms: 'sofd' is unknown (did you mean 'soft'?)" in ran.err


def test_tiles_are_measured_and_said(measure, two):
    ran = measure(f"voc:{two}", "--tiles", "2x1", "--json")
    assert ran.code == 0, ran.err
    assert "2x1 tiles and the whole picture" in json.loads(ran.out)["settings"]["engine"]


def test_other_suppression_over_tiles_is_refused(measure, refused, two):
    refused(measure(f"voc:{two}", "--tiles", "2x1", "--nms", "soft"), 2, "--tiles")
