"""`data check` on made sets: each kind of flaw alone, with its file, line and object; and the corrected copy."""

from __future__ import annotations

import csv
import shutil

import cv2
import numpy as np
import pytest

from passerby.data import load_data
from passerby.data.check import Limits, alike_boxes, check
from passerby.data.fix import fix
from passerby.data.kinds import KINDS, SEVERITIES
from passerby.data.write import write_set
from passerby.errors import DataError, SettingError

HEAD = ("head", 10, 5, 30, 35)


def scene(seed, width=60, height=40):
    small = np.random.default_rng(seed).integers(0, 256, (12, 16, 3), np.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


def paint(path, seed, width=60, height=40):
    cv2.imwrite(str(path), scene(seed, width, height), [cv2.IMWRITE_JPEG_QUALITY, 95])


@pytest.fixture
def made(make_voc):
    """A VOC folder whose pictures are all unlike each other."""

    def make(annotations, splits=None, **more):
        root = make_voc(annotations, splits, **more)
        for k, path in enumerate(sorted((root / "JPEGImages").iterdir())):
            paint(path, k)
        return root

    return make


def found(root, *splits, **limits):
    sources = [f"voc:{root}#{s}" for s in splits] or [f"voc:{root}"]
    return check(sources, limits=Limits(height=40, width=60, **limits))


def kinds(checked):
    return [(n.kind, n.file, n.line, n.item) for n in checked.notes]


def test_a_sound_set_has_nothing_wrong(made):
    checked = found(made({"a": [HEAD] * 1, "b": [HEAD]}), rare=0)
    assert checked.notes == ()
    assert checked.counts() == {}
    assert checked.errors() == 0


def test_every_kind_has_a_severity_and_a_meaning():
    for kind, row in KINDS.items():
        assert kind == kind.lower().strip()
        assert row.severity in SEVERITIES
        assert row.meaning


def test_line_and_object_are_those_of_the_file(made):
    root = made({"a": [HEAD]})
    box = "<bndbox><xmin>{}</xmin><ymin>1</ymin><xmax>20</xmax><ymax>9</ymax></bndbox>"
    rows = "".join(f"\n<object>\n<name>head</name>\n{box.format(x)}</object>" for x in (10, 20, -5))
    text = f"<annotation><size><width>60</width><height>40</height></size>{rows}</annotation>"
    (root / "Annotations" / "a.xml").write_text(text)
    assert kinds(found(root, rare=0)) == [("no-area", "a.xml", 5, 1), ("clipped", "a.xml", 8, 2)]


def test_tiny_is_judged_in_the_input(made):
    root = made({"a": [("head", 10, 10, 13, 30), HEAD]})
    assert kinds(found(root, rare=0)) == [("tiny", "a.xml", 1, 0)]
    assert found(root, rare=0).notes[0].text == "3.0 x 20.0 px in the 60 x 40 input: [10.0, 10.0, 13.0, 30.0]"
    assert kinds(check([f"voc:{root}"], limits=Limits(80, 120, rare=0))) == []
    assert kinds(check([f"voc:{root}"], limits=Limits(120, 120, "letterbox", tiny=6.1, rare=0)))[0][0] == "tiny"


def test_huge_duplicate_and_alike_boxes(made):
    rows = [HEAD, ("head", 0, 0, 60, 39), HEAD, ("head", 10, 5, 30, 34), ("hat", 10, 5, 30, 35)]
    checked = found(made({"a": rows}), rare=0)
    assert kinds(checked) == [("duplicate", "a.xml", 1, 2), ("alike", "a.xml", 1, 3), ("huge", "a.xml", 1, 1)]
    assert "the same box as object 0" in checked.notes[0].text
    assert "IoU 0.97 with object 0" in checked.notes[1].text


def test_alike_boxes_agree_with_a_slow_count():
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 50, (700, 2))
    boxes = np.concatenate([low, low + rng.uniform(5, 30, (700, 2))], axis=1).astype(np.float32)
    labels = rng.integers(0, 3, 700)
    from passerby.geometry.boxes import iou

    overlap = iou(boxes, boxes)
    want = {j for j in range(700) for i in range(j) if labels[i] == labels[j] and overlap[i, j] >= 0.6}
    got = alike_boxes(boxes, labels, 0.6)
    assert {j for _, j, _ in got} == want
    assert want
    assert all(labels[i] == labels[j] and overlap[i, j] == pytest.approx(v) for i, j, v in got)


def test_empty_pictures_and_rare_classes(made):
    checked = found(made({"a": [HEAD] * 300 + [("hat", 1, 1, 9, 9)], "b": []}), alike=1.0, tiny=0)
    assert ("rare-class", "voc:voc", 0, -1) in kinds(checked)
    assert next(n.text for n in checked.notes if n.kind == "rare-class") == "class 'hat' has 1 of 301 objects"
    assert ("empty", "b.jpg", 0, -1) in kinds(checked)


def test_pictures_without_labels_and_labels_without_pictures(made):
    root = made({"a": [HEAD], "b": [HEAD]}, without_picture=("b",))
    paint(root / "JPEGImages" / "c.jpg", 77)
    assert sorted(kinds(found(root, rare=0))) == [("no-labels", "c.jpg", 0, -1), ("no-picture", "b.xml", 0, -1)]


def test_pictures_beside_a_coco_file(make_coco, make_picture):
    file = make_coco([{"image_id": 1, "category_id": 1, "bbox": [10, 5, 20, 30]}])
    make_picture(file.parent / "b.png", 61)
    checked = check([f"coco:{file.parent}"], limits=Limits(40, 60, rare=0))
    assert kinds(checked) == [("no-labels", "b.png", 0, -1)]
    checked = check([f"coco:{file.parent}#train"], limits=Limits(40, 60, rare=0))
    assert kinds(checked) == [("other-split", "coco:coco#train", 0, -1)]
    assert checked.errors() == 0


def test_unreadable_damaged_and_turned_pictures(made, turn_jpeg):
    pytest.importorskip("simplejpeg")
    root = made({"a": [HEAD], "b": [HEAD], "c": [HEAD], "d": [HEAD]})
    pictures = root / "JPEGImages"
    (pictures / "a.jpg").write_bytes((pictures / "a.jpg").read_bytes()[:200])
    turn_jpeg(pictures / "b.jpg", 3)
    paint(pictures / "c.jpg", 2, 40, 60)
    turn_jpeg(pictures / "c.jpg", 6)
    data = bytearray((pictures / "d.jpg").read_bytes())
    data[-120:-40] = bytes(80)
    (pictures / "d.jpg").write_bytes(data)
    assert [k[:2] for k in kinds(found(root, rare=0))] == [
        ("unreadable", "a.xml"),
        ("damaged", "d.jpg"),
        ("exif", "b.jpg"),
        ("exif", "c.jpg"),
    ]


def test_labels_made_on_the_unturned_picture_are_turned(made, turn_jpeg):
    root = made({"a": [("head", 0, 0, 20, 10)]}, size=(60, 40))
    turn_jpeg(root / "JPEGImages" / "a.jpg", 6)  # 40 x 60 when upright; the stated 60 x 40 is the raster
    checked = found(root, rare=0)
    assert [k[0] for k in kinds(checked)] == ["turned"]
    sample = checked.parts[0].samples[0]
    assert (sample.width, sample.height) == (40, 60)
    assert sample.truth.boxes.tolist() == [[30, 0, 40, 20]]


def test_the_same_picture_in_one_split_and_across(made):
    names = list("abcd")
    root = made({n: [HEAD] for n in names}, splits={"train": ["a", "b", "c"], "val": ["d"]})
    for copy in "bd":
        shutil.copy(root / "JPEGImages" / "a.jpg", root / "JPEGImages" / f"{copy}.jpg")
    checked = found(root, "train", "val", rare=0)
    assert [k[:2] for k in kinds(checked)] == [("across-splits", "d.jpg"), ("same-picture", "b.jpg")]
    assert checked.notes[0].text == "the same file as a.jpg of voc:voc#train (voc:voc#val)"
    assert checked.errors() == 1
    assert kinds(found(root, rare=0)) == kinds(checked)  # the lists tell the splits where none was named


def test_nearly_the_same_picture_in_one_split_and_across(made):
    root = made({n: [HEAD] for n in "abcd"}, splits={"train": ["a", "b", "c"], "val": ["d"]})
    for copy, quality in (("b", 80), ("d", 70)):
        cv2.imwrite(str(root / "JPEGImages" / f"{copy}.jpg"), scene(0), [cv2.IMWRITE_JPEG_QUALITY, quality])
    checked = found(root, "train", "val", rare=0)
    assert [k[:2] for k in kinds(checked)] == [("near-across", "d.jpg"), ("near-picture", "b.jpg")]
    assert "and 1 more like it" in checked.notes[0].text
    assert checked.errors() == 0


def test_a_set_named_twice_and_limits_out_of_range_are_refused(made):
    root = made({"a": [HEAD]})
    with pytest.raises(DataError, match="named twice"):
        check([f"voc:{root}", f"voc:{root}"])
    for wrong in (Limits(0, 10), Limits(alike=0), Limits(huge=2), Limits(rule="strech")):
        with pytest.raises(SettingError):
            check([f"voc:{root}"], limits=wrong)


def test_the_copy_has_none_of_what_can_be_put_right(made, tmp_path, turn_jpeg):
    rows = [HEAD, HEAD, ("head", 50, 5, 70, 20), ("head", 5, 5, 5, 9), ("head", 30, 30, 40, 20)]
    names = "abcdef"
    root = made({n: rows if n == "a" else [HEAD] for n in names}, splits={"train": list("abcde"), "val": ["f"]})
    for copy in "bf":
        shutil.copy(root / "JPEGImages" / "a.jpg", root / "JPEGImages" / f"{copy}.jpg")
    turn_jpeg(root / "JPEGImages" / "c.jpg", 6)
    before = {p: p.read_bytes() for p in root.rglob("*") if p.is_file()}
    checked = found(root, "train", "val", rare=0)
    fixed = fix(checked)
    target = tmp_path / "copy"
    write_set(fixed.items(), fixed.samples.labels, target, "voc", extra=fixed.write_list)
    assert {p: p.read_bytes() for p in root.rglob("*") if p.is_file()} == before
    again = check([f"voc:{target}"], limits=Limits(40, 60, rare=0))
    assert again.errors() == 0
    assert {n.kind for n in again.notes} <= {"tiny"}
    copy = {s.name: s for s in load_data(f"voc:{target}")}
    assert sorted(copy) == ["c", "d", "e", "f"]  # a and b were the same as f, and val is the smaller split
    assert {s.name: s.split for s in copy.values()} == {"c": "train", "d": "train", "e": "train", "f": "val"}
    with (target / "changes.csv").open() as f:
        changes = list(csv.DictReader(f))
    assert {c["kind"] for c in changes} == set(fixed.counts())
    assert set(fixed.counts()) == {"duplicate", "clipped", "no-area", "swapped", "across-splits", "turned"}
    assert next(c for c in changes if c["kind"] == "no-area")["object"] == "3"


def test_a_box_given_twice_stays_once(made, tmp_path):
    checked = found(made({"a": [HEAD, HEAD, ("head", 40, 5, 50, 15), HEAD]}), rare=0)
    assert fix(checked).samples[0].truth.boxes.tolist() == [[10, 5, 30, 35], [40, 5, 50, 15]]
