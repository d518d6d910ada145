"""COCO JSON on made files: crowds, bad boxes, missing lists, categories."""

from __future__ import annotations

import json

import pytest

from passerby.data import load_data
from passerby.errors import DataError

TWO = [{"id": 7, "name": "person"}, {"id": 3, "name": "head"}]


def row(bbox=(1, 2, 10, 20), category=1, image=1, **more):
    return {"image_id": image, "category_id": category, "bbox": bbox, **more}


def read(path, split="", labels=()):
    return load_data(f"coco:{path}#{split}", labels)


def notes(found):
    return [(n.kind, n.item) for n in found.notes]


def test_a_sound_file_reads_without_a_note(make_coco):
    found = read(make_coco([row(category=3), row((0, 0, 60, 40), category=7)], TWO))
    assert found.notes == ()
    assert found.labels == ("person", "head")
    assert found.source == "coco:train.json"
    assert (found[0].width, found[0].height) == (60, 40)
    assert found[0].truth.boxes.tolist() == [[1, 2, 11, 22], [0, 0, 60, 40]]
    assert found[0].truth.labels.tolist() == [1, 0]


def test_a_picture_without_annotation_is_a_sample_without_box(make_coco):
    found = read(make_coco([]))
    assert len(found) == 1
    assert found[0].truth.boxes.shape == (0, 4)


def test_a_crowd_is_a_region_to_ignore_and_no_object(make_coco):
    found = read(make_coco([row(iscrowd=1), row(iscrowd=0), row()]))
    assert found[0].truth.ignore.tolist() == [True, False, False]
    assert found.objects() == 2


@pytest.mark.parametrize("bbox", [None, [1, 2, 3], [1, 2, 3, 4, 5], ["a", 1, 2, 3], 7])
def test_a_bad_bbox_is_dropped_and_shown(make_coco, bbox):
    found = read(make_coco([row(), row(bbox)]))
    assert notes(found) == [("bad-object", 1)]
    assert found.notes[0].text == f"bbox is {bbox!r}, want [x, y, width, height]"
    assert found.objects() == 1


def test_a_missing_bbox_is_dropped(make_coco):
    found = read(make_coco([{"image_id": 1, "category_id": 1}]))
    assert notes(found) == [("bad-object", 0)]


@pytest.mark.parametrize(
    ("bbox", "kinds", "left"),
    [
        ((50, 30, 20, 20), ["clipped"], [[50, 30, 60, 40]]),
        ((11, 22, -10, -20), ["swapped"], [[1, 2, 11, 22]]),
        ((5, 5, 0, 9), ["no-area"], []),
        ((61, 5, 9, 9), ["outside"], []),
        ((float("nan"), 5, 9, 9), ["not-a-number"], []),
    ],
)
def test_boxes_follow_the_same_rules_as_voc(make_coco, bbox, kinds, left):
    found = read(make_coco([row(bbox)]))
    assert [n.kind for n in found.notes] == kinds
    assert found[0].truth.boxes.tolist() == left


def test_labels_asked_for_choose_and_order(make_coco):
    file = make_coco([row(category=3), row(category=7), row(category=99)], TWO)
    found = read(file, labels=("head",))
    assert found.labels == ("head",)
    assert found[0].truth.labels.tolist() == [0]
    assert [(n.kind, n.text) for n in found.notes] == [
        ("bad-class", "category_id 99 is not defined"),
        ("not-chosen", "class 'person' is not among ['head']"),
    ]


def test_a_size_that_disagrees_is_noted_and_the_picture_wins(make_coco):
    found = read(make_coco([], images=[{"id": 1, "file_name": "a.png", "width": 600, "height": 400}]))
    assert (found[0].width, found[0].height) == (60, 40)
    assert found.notes[0].text == "stated 600 x 400, picture 60 x 40"


def test_a_size_that_is_not_listed_is_no_mistake(make_coco):
    assert read(make_coco([], images=[{"id": 1, "file_name": "a.png"}])).notes == ()


@pytest.mark.parametrize("place", ["b.png", "images/b.png", "train/b.png"])
def test_pictures_are_looked_for_in_three_places(make_coco, place):
    found = read(make_coco([], images=[{"id": 1, "file_name": "b.png"}], pictures=(place,)))
    assert found[0].path.as_posix().endswith(f"coco/{place}")


def test_a_missing_picture_is_left_out_and_none_left_is_an_error(make_coco):
    both = [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "gone.png"}]
    found = read(make_coco([], images=both))
    assert [(n.kind, n.file) for n in found.notes] == [("no-picture", "gone.png")]
    with pytest.raises(DataError, match=r"no usable picture; the first: gone\.png: picture gone\.png is neither"):
        read(make_coco([], images=both[1:]))


@pytest.mark.parametrize("key", ["images", "annotations", "categories"])
def test_a_missing_list_is_named(make_coco, key):
    with pytest.raises(DataError, match=f"no list '{key}'"):
        read(make_coco(**{key: "missing"}, **({} if key == "images" else {"images": []})))


@pytest.mark.parametrize(
    ("lists", "words"),
    [
        ({"annotations": [row(), {"image_id": 1}]}, r"annotations\[1\] lacks one of image_id, category_id"),
        ({"images": [{"id": 1}]}, r"images\[0\] lacks one of id, file_name"),
        ({"categories": ["head"]}, r"categories\[0\] lacks one of id, name"),
    ],
)
def test_a_missing_field_is_named_with_its_number(make_coco, lists, words):
    with pytest.raises(DataError, match=words):
        read(make_coco(**lists))


@pytest.mark.parametrize(
    ("text", "words"), [(b"{", "not readable JSON"), (b"[]", "is an object"), (b"\xff", "is an object")]
)
def test_a_file_that_is_not_coco_is_refused(tmp_path, text, words):
    file = tmp_path / "x.json"
    file.write_bytes(text)
    with pytest.raises(DataError, match=words):
        read(file)


def test_a_folder_reads_the_files_that_are_named_and_all_where_none_is(make_coco):
    folder = make_coco([row()]).parent
    (folder / "valid.json").write_text((folder / "train.json").read_text())
    (folder / "other.json").write_text("{}")
    assert [(s.split, len(s.truth)) for s in read(folder, "train")] == [("train", 1)]
    assert [s.split for s in read(folder, "valid,train")] == ["valid", "train"]
    assert [s.split for s in read(folder)] == ["train", "valid"]
    with pytest.raises(DataError, match=r"no file test\.json.*: other, train, valid"):
        read(folder, "test")


def test_cocos_own_folders_are_read_with_boxes_only(make_coco, make_picture, tmp_path):
    file = make_coco([row()])
    root = tmp_path / "own"
    (root / "annotations").mkdir(parents=True)
    (root / "annotations" / "instances_val2017.json").write_text(file.read_text())
    (root / "annotations" / "captions_val2017.json").write_text('{"images": [], "annotations": []}')
    make_picture(root / "val2017" / "a.png")
    for found in (read(root), read(root, "val2017"), read(root, "instances_val2017")):
        assert [(s.split, len(s.truth)) for s in found] == [("val2017", 1)]


def test_roboflows_folders_are_splits(make_coco, make_picture, tmp_path):
    text = make_coco([row()]).read_text()
    for split in ("train", "valid"):
        make_picture(tmp_path / "export" / split / "a.png")
        (tmp_path / "export" / split / "_annotations.coco.json").write_text(text)
    assert [(s.split, s.path.parent.name) for s in read(tmp_path / "export")] == [
        ("train", "train"),
        ("valid", "valid"),
    ]


@pytest.mark.parametrize("order", ["annotations images categories", "categories annotations images"])
def test_the_lists_may_come_in_any_order(make_coco, order):
    file = make_coco([row(), row(image=99), row(category=99)])
    raw = json.loads(file.read_text())
    file.write_text(json.dumps({key: raw[key] for key in order.split()}))
    found = read(file)
    assert found[0].truth.boxes.tolist() == [[1, 2, 11, 22]]
    assert notes(found) == [("no-picture", 1), ("bad-class", 2)]


def test_a_note_names_the_line_of_its_object(make_coco):
    file = make_coco([row(), row((5, 5, 0, 9)), row("bad")])
    file.write_text(json.dumps(json.loads(file.read_text()), indent=1))
    lines = file.read_text().splitlines()
    starts = [k for k, line in enumerate(lines, 1) if line == "  {"]  # a picture, three annotations, a category
    assert starts == [3, 11, 21, 31, 38]
    assert [(n.kind, n.item, n.line) for n in read(file).notes] == [("bad-object", 2, 31), ("no-area", 1, 21)]


@pytest.mark.parametrize("name", ["../a.png", "/etc/passwd", "x/../../a.png", "a\0.png", "", "x" * 300, "\ud800.png"])
def test_a_file_name_that_leads_out_or_is_none_is_refused(make_coco, make_picture, tmp_path, name):
    make_picture(tmp_path / "a.png")
    file = make_coco([], images=[{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": name}])
    found = read(file)
    assert len(found) == 1
    assert [n.kind for n in found.notes] == ["no-picture"]
    assert found.notes[0].text.isprintable()


def test_names_in_other_scripts_are_read_written_plainly_and_as_escapes(make_coco, make_picture):
    images = [{"id": 1, "file_name": "à.png"}, {"id": 2, "file_name": "人.png"}]
    for escaped in (True, False):
        file = make_coco([row()], [{"id": 1, "name": "tête"}], images, pictures=("à.png", "人.png"))
        raw = json.loads(file.read_text())
        file.write_text(json.dumps(raw, ensure_ascii=escaped), encoding="utf-8")
        found = read(file)
        assert [s.path.name for s in found] == ["à.png", "人.png"]
        assert found.labels == ("tête",)


def test_a_turned_jpeg_has_its_upright_size(make_coco, turn_jpeg):
    file = make_coco([row((10, 20, 30, 40))], images=[{"id": 1, "file_name": "a.jpg"}], pictures=("a.jpg",))
    turn_jpeg(file.parent / "a.jpg", 6)
    found = read(file)
    assert (found[0].width, found[0].height) == (40, 60)
    assert found[0].truth.boxes.tolist() == [[10, 20, 40, 60]]
    assert found.notes == ()


def test_an_annotation_of_an_unknown_picture_is_noted(make_coco):
    found = read(make_coco([row(), row(image=99)]))
    assert notes(found) == [("no-picture", 1)]


def test_a_category_put_right_is_noted(make_coco):
    found = read(make_coco([row()], [{"id": 1, "name": "headdd"}]), labels=("head",))
    assert found.objects() == 1
    assert notes(found) == [("renamed", 0)]


def test_no_category_at_all_makes_no_class(make_coco):
    found = read(make_coco([row()], []))
    assert found.labels == ()
    assert notes(found) == [("bad-class", 0)]


@pytest.mark.parametrize(
    "lists",
    [
        {"annotations": [row(image=[1])]},
        {"annotations": [row(category=[1])]},
        {"images": [{"id": {}, "file_name": "a.png"}]},
        {"categories": [{"id": [1], "name": "head"}]},
    ],
)
def test_an_id_that_is_no_number_or_text_is_a_data_error(make_coco, lists):
    with pytest.raises(DataError, match="id"):
        read(make_coco(**lists))


def test_a_number_too_large_for_a_float_is_a_bad_bbox(make_coco):
    assert notes(read(make_coco([row((1, 2, 10**400, 4))]))) == [("bad-object", 0)]


def test_brackets_without_end_are_not_readable_json(tmp_path):
    file = tmp_path / "x.json"
    file.write_text('{"images": ' + "[" * 200_000)
    with pytest.raises(DataError, match="not readable JSON"):
        read(file)
