"""detect, eval, explain and prelabel with a model that localises."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from passerby.data import load_data
from passerby.media.sources import video
from passerby.pictures import read_picture

ENGINE = ("--engine", "onnxruntime", "--threads", 1)
LEFT, RIGHT = (0, 0, 24, 64), (40, 0, 64, 64)


@pytest.fixture
def put(tmp_path, red_picture):
    """Writes a PNG with red boxes: its path in the test's folder, boxes."""

    def make(name, *boxes):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), cv2.cvtColor(red_picture(*boxes), cv2.COLOR_RGB2BGR))
        return path

    return make


@pytest.fixture
def folders(put):
    """Class folders: two with a red thing, one with two, two without; and the boxes of three of them."""
    for name, boxes in {"a": [LEFT], "b": [RIGHT], "c": [LEFT, RIGHT]}.items():
        put(f"set/person/{name}.png", *boxes)
    put("set/no_person/d.png")
    put("set/no_person/e.png")
    path = put("boxes.png").with_name("boxes.json")
    rows = {"a": [LEFT], "b": [RIGHT], "c": [LEFT, RIGHT]}
    path.write_text(json.dumps([{"file": f"person/{k}.png", "boxes": v} for k, v in rows.items()]))
    return path


def lines(ran):
    assert ran.code == 0, ran.err
    return [json.loads(line) for line in ran.out.splitlines()]


def test_json_has_label_score_and_boxes_and_the_map_on_request(cli, red_model, put):
    words = ("detect", put("p.png", LEFT), "--model", red_model, "--json", *ENGINE)
    (row,) = lines(cli(*words))
    assert list(row) == ["source", "frame", "width", "height", "detections", "label", "score"]
    assert row["label"] == "person"
    assert row["score"] == row["detections"][0]["score"] > 0.5
    assert row["detections"][0]["box"][2] < 40
    (with_map,) = lines(cli(*words, "--map"))
    heat = np.array(with_map["map"])
    assert heat.shape == (56, 56)
    assert (heat.min(), heat.max()) == (0, 1)
    assert heat[:, :18].mean() > 0.8 > 0.2 > heat[:, 36:].mean()


def test_the_picture_is_hot_where_the_model_looked_and_clear_elsewhere(cli, red_model, put, tmp_path):
    path = put("p.png", (0, 0, 24, 64))
    grey = put("q.png")
    cli("detect", path, grey, "--model", red_model, *ENGINE)
    before, after = read_picture(grey), read_picture(tmp_path / "found/q.png")
    assert np.abs(after[:40].astype(int) - before[:40]).mean() < 30  # nobody: as hot as its score, which is low
    hot = read_picture(tmp_path / "found/p.png").astype(int)
    assert np.abs(hot[10:40, 50:] - before[10:40, 50:]).max() < 12


def test_a_video_comes_out_with_its_heat(cli, red_model, make_video, tmp_path):
    make_video(tmp_path / "clip.mp4", frames=3)
    assert cli("detect", "clip.mp4", "--model", red_model, "--to", "out", *ENGINE).code == 0
    assert len(list(video(tmp_path / "out/clip.mp4"))) == 3


def test_a_map_is_only_for_json_of_a_localiser(cli, refused, red_model, tiny_model, put):
    path = put("p.png")
    refused(cli("detect", path, "--model", red_model, "--map"), 2, "--map is for --json")
    refused(cli("detect", path, "--model", tiny_model, "--map", "--json"), 2, "--map is for --json")


def test_eval_measures_pictures_and_maps_on_class_folders(cli, red_model, folders):
    words = ("eval", red_model, "classes:set", "--boxes", folders, "--json", *ENGINE)
    got = json.loads(cli(*words).out)
    assert got["pictures"]["accuracy"] == 1
    assert (got["pictures"]["positives"], got["pictures"]["negatives"]) == (3, 2)
    assert got["maps"]["maps"] == 3
    assert got["maps"]["max_box_acc@0.5"] == 1
    assert (got["maps"]["groups"], got["maps"]["separated/split"]) == (1, 1)
    assert len(got["curve"]["thresholds"]) == len(got["curve"]["0.5"]) == 101
    assert got["boxes"]["ap50"] > 0.9
    assert got["settings"]["map_size"] == "4 x 4"
    other = json.loads(cli(*words, "--map-threshold", 0.9).out)
    assert other["settings"]["map_threshold"] == 0.9
    assert other["maps"]["max_box_acc@0.5"] == 1


def test_eval_prints_tables_and_says_what_is_not_known(cli, red_model, folders):
    ran = cli("eval", red_model, "classes:set", "--boxes", folders, *ENGINE)
    for words in ("AUC of ROC", "MaxBoxAcc, IoU 0.5", "PxAP", "groups in which each has a region", "AP50, VOC"):
        assert words in ran.out
    without = cli("eval", red_model, "classes:set", *ENGINE)
    assert "MaxBoxAcc" not in without.out
    assert "the boxes of 3 pictures are not known; name them by --boxes" in without.err


def test_eval_measures_a_localiser_on_boxes(cli, red_model, put, tmp_path):
    for name in ("a", "b"):
        put(f"{name}.png", LEFT)
    put("c.png")
    images = [{"id": k, "file_name": f"{n}.png", "width": 64, "height": 64} for k, n in enumerate("abc")]
    boxes = [{"id": k, "image_id": k, "category_id": 1, "bbox": [0, 0, 24, 64]} for k in (0, 1)]
    data = {"images": images, "annotations": boxes, "categories": [{"id": 1, "name": "person"}]}
    (tmp_path / "train.json").write_text(json.dumps(data))
    got = json.loads(cli("eval", red_model, "coco:train.json", "--json", *ENGINE).out)
    assert got["pictures"]["accuracy"] == 1
    assert got["maps"]["box_acc@0.5"] == 1
    assert got["boxes"]["ap50"] == 1


def test_eval_refuses_what_is_not_for_the_model(cli, refused, red_model, tiny_model, folders):
    refused(cli("eval", red_model, "classes:set", "--rules"), 2, "--nms-iou and --tiles are for detectors")
    refused(cli("eval", tiny_model, "classes:set", "--boxes", folders), 2, "--boxes", "this one detects")
    refused(cli("eval", red_model, "classes:set", "--boxes", "none.json"), 4, "none.json")
    refused(cli("eval", red_model, "classes:set", "--map-threshold", 3), 2, "map_threshold is 3")


@pytest.mark.parametrize("kind", ["coco", "voc", "yolo"])
def test_prelabelled_pictures_are_read_back_with_their_boxes(cli, red_model, put, tmp_path, kind):
    put("in/a.png", LEFT, RIGHT)
    put("in/b.png")
    ran = cli("prelabel", red_model, "in", "--to", "new", "--format", kind, *ENGINE)
    assert ran.code == 0, ran.err
    assert ran.out == ""
    assert f"2 pictures, 2 boxes as {kind}, 1 in which nothing was found" in ran.err
    got = load_data(f"{kind}:new", (), tmp_path)
    assert got.labels == ("person",)
    assert {s.name: len(s.truth) for s in got} == {"a": 2, "b": 0}
    (row,) = lines(cli("detect", "in/a.png", "--model", red_model, "--json", *ENGINE))
    found = np.array([d["box"] for d in row["detections"]])
    np.testing.assert_allclose(next(s for s in got if s.name == "a").truth.boxes, found, atol=0.01)
    facts = json.loads((tmp_path / "new/prelabel.json").read_text())
    assert (facts["model"], facts["min_score"]) == ("red", 0.5)
    assert not any(p.is_symlink() for p in (tmp_path / "new").rglob("*"))


def test_scores_stand_where_each_format_lets_them(cli, red_model, put, tmp_path):
    put("in/a.png", LEFT, RIGHT)
    for kind in ("coco", "voc", "yolo"):
        cli("prelabel", red_model, "in", "--to", kind, "--format", kind, *ENGINE)
    rows = json.loads((tmp_path / "coco/train.json").read_text())["annotations"]
    scores = [row["score"] for row in rows]
    assert all(0.5 <= s <= 1 for s in scores)
    xml = (tmp_path / "voc/Annotations/a.xml").read_text()
    assert all(f"<score>{s:.4f}</score>" in xml for s in scores)
    assert (tmp_path / "yolo/scores/train/a.txt").read_text().splitlines() == [f"{s:.4f}" for s in scores]
    labels = (tmp_path / "yolo/labels/train/a.txt").read_text().splitlines()
    assert [len(line.split()) for line in labels] == [5, 5]


def test_prelabel_settings(cli, refused, red_model, put, tmp_path):
    put("in/a.png", LEFT)
    put("in/b.png")
    (tmp_path / "in/c.png").write_bytes(b"no picture")
    ran = cli(
        "prelabel", red_model, "in", "--to", "new", "--format", "coco", "--skip-empty", "--split", "some", *ENGINE
    )
    assert ran.code == 3
    assert "1 pictures could not be read" in ran.err
    assert "c.png" in ran.err
    assert [s.name for s in load_data("coco:new#some", (), tmp_path)] == ["a"]
    ran = cli("prelabel", red_model, "in", "--to", "none", "--format", "voc", "--min-score", 1, *ENGINE)
    assert "2 pictures, 0 boxes" in ran.err
    refused(cli("prelabel", red_model, "in", "--to", "new", "--format", "coco"), 6, "is there already")
    refused(cli("prelabel", red_model, "in", "--to", "x", "--format", "csv"), 2, "no format 'csv'")
    refused(
        cli("prelabel", red_model, "in", "--to", "x", "--format", "coco", "--split", "../x"), 2, "want a plain name"
    )
    refused(cli("prelabel", red_model, "nowhere", "--to", "x", "--format", "coco"), 3, "nowhere")
    refused(cli("prelabel", red_model, "in/c.png", "--to", "x", "--format", "coco"), 3, "none of the 1 pictures")
    assert not (tmp_path / "x").exists()


def test_a_detector_prelabels_too(cli, tiny_model, put, tmp_path):
    put("in/a.png", LEFT)
    ran = cli("prelabel", tiny_model, "in", "--to", "new", "--format", "voc", "--min-score", 0, *ENGINE)
    assert ran.code == 0, ran.err
    assert load_data("voc:new", (), tmp_path).objects() > 0


JUDGE = """
import numpy as np
from passerby import Detections

def judge(picture):
    boxes = np.array([[0, 0, 24, 64], [30, 0, 34, 8], [1, 1, 3, 3]], np.float32)
    return Detections(boxes, np.array([0.9, 0.2, 0.05], np.float32), np.zeros(3, np.int64), ("person",))
"""


def test_a_second_detector_confirms_and_what_is_open_is_not_judged(cli, red_model, put, tmp_path):
    put("in/a.png", LEFT, RIGHT)
    put("in/b.png")
    (tmp_path / "judge.py").write_text(JUDGE)
    shared = ("--confirm", "judge.py:judge", "--format", "coco", *ENGINE)
    ran = cli("prelabel", red_model, "in", "--to", "new", *shared)
    assert ran.code == 0, ran.err
    # a: left is sure in both, right only in the model; b: both of the judge's are nobody's of the model
    assert "2 pictures, 1 boxes as coco, 3 regions that are not judged, 1 in which nothing was found" in ran.err
    got = {s.name: s.truth for s in load_data("coco:new", (), tmp_path)}
    assert got["a"].ignore.tolist() == [False, True]
    assert got["b"].ignore.tolist() == [True, True]
    np.testing.assert_allclose(got["a"].boxes[1], [30, 0, 34, 8])
    facts = json.loads((tmp_path / "new/prelabel.json").read_text())
    assert (facts["confirmed_by"], facts["sure"], facts["min_score"]) == ("judge.py:judge", 0.5, 0.05)
    ran = cli("prelabel", red_model, "in", "--to", "strict", *shared, "--sure", 0.95)
    assert "2 pictures, 0 boxes as coco, 4 regions" in ran.err


def test_owners_without_a_thing_are_not_judged(cli, refused, red_model, put, tmp_path):
    put("in/a.png", LEFT)
    images = [{"id": 1, "file_name": "a.png", "width": 64, "height": 64}]
    rows = [(0, 0, 30, 64), (40, 0, 20, 64)]
    objects = [{"id": k, "image_id": 1, "category_id": 1, "bbox": list(b)} for k, b in enumerate(rows)]
    document = {"images": images, "annotations": objects, "categories": [{"id": 1, "name": "anybody"}]}
    (tmp_path / "people.json").write_text(json.dumps(document))
    put("images/a.png", LEFT)
    words = ("--format", "coco", "--owners", "coco:people.json", *ENGINE)
    ran = cli("prelabel", red_model, "images", "--to", "new", *words)
    assert "1 pictures, 1 boxes as coco, 1 regions that are not judged" in ran.err
    (sample,) = load_data("coco:new", (), tmp_path)
    np.testing.assert_allclose(sample.truth.boxes[sample.truth.ignore], [[40, 0, 60, 64]])
    refused(cli("prelabel", red_model, "in", "--to", "x", *words), 4, "has no box in any of these pictures")
    refused(cli("prelabel", red_model, "in", "--to", "x", "--format", "coco", "--sure", 0.5), 2, "is of --confirm")
    lone = ("prelabel", red_model, "in", "--to", "x", "--format", "coco", "--confirm", red_model)
    refused(cli(*lone, "--sure", 0.01), 2, "want a score from 0.1")
    assert not (tmp_path / "x").exists()


def test_a_second_detector_of_other_things_is_refused(cli, refused, red_model, tiny_model, put, tmp_path):
    put("in/a.png", LEFT)
    ran = cli("prelabel", red_model, "in", "--to", "x", "--format", "coco", "--confirm", tiny_model)
    refused(ran, 2, "the model ['person']: no label in common")
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("model", ["red_model", "tiny_model"])
def test_explain_writes_a_picture_wider_than_two(cli, request, put, tmp_path, model):
    put("in/a.png", LEFT)
    before = put("in/b.png").read_bytes()
    ran = cli("explain", request.getfixturevalue(model), "in", "--to", "seen", *ENGINE)
    assert ran.code == 0, ran.err
    assert ran.out == ""
    assert sorted(p.name for p in (tmp_path / "seen").iterdir()) == ["a.png", "b.png"]
    out = read_picture(tmp_path / "seen/a.png")
    assert out.shape[1] > 2 * out.shape[0]
    assert (tmp_path / "in/b.png").read_bytes() == before


def test_explain_goes_on_after_a_broken_picture_and_writes_over_no_source(cli, refused, red_model, put, tmp_path):
    put("in/a.png", LEFT)
    (tmp_path / "in/b.png").write_bytes(b"no picture")
    ran = cli("explain", red_model, "in", "--to", "seen", *ENGINE)
    assert ran.code == 3
    assert "b.png" in ran.err
    assert (tmp_path / "seen/a.png").exists()
    refused(cli("explain", red_model, "in/a.png", "--to", "in", *ENGINE), 6, "not written over")
