"""YOLO on made folders: data.yaml in its forms, layouts without it, and lines by hand."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from made_sets import picture, write

from passerby.data import find_source, load_data
from passerby.errors import DataError, MissingExtraError


def read(path, split=""):
    return load_data(f"yolo:{path}#{split}")


def notes(found):
    return [(n.kind, n.file, n.item, n.line) for n in found.notes]


@pytest.fixture
def one(tmp_path):
    """Builder of a set of one picture of 100 x 50 with these lines and this data.yaml -> its folder."""

    def make(*lines, yaml=("train: images", "names: [person, head]")):
        picture(tmp_path / "set" / "images" / "a.png", 100, 50)
        write(tmp_path / "set" / "labels" / "a.txt", *lines)
        if yaml:
            write(tmp_path / "set" / "data.yaml", *yaml)
        return tmp_path / "set"

    return make


def test_a_line_is_class_centre_and_size_in_shares(one):
    found = read(one("1 0.5 0.5 0.2 0.4", "", "0 0.1 0.2 0.2 0.4"))
    assert found.notes == ()
    assert found.labels == ("person", "head")
    # 0.5 -+ 0.1 of 100, 0.5 -+ 0.2 of 50
    np.testing.assert_allclose(found[0].truth.boxes, [[40, 15, 60, 35], [0, 0, 20, 20]], atol=1e-4)
    assert found[0].truth.labels.tolist() == [1, 0]


def test_a_polygon_becomes_the_box_around_it(one):
    found = read(one("1 0.1 0.2 0.5 0.1 0.3 0.8"))
    np.testing.assert_allclose(found[0].truth.boxes, [[10, 5, 50, 40]], atol=1e-4)
    assert [(n.kind, n.text, n.count) for n in found.notes] == [("not-held", "polygon", 1)]


@pytest.mark.parametrize("k", range(1, 7))
def test_a_polygon_with_a_corner_that_is_no_number_is_dropped(one, k):
    fields = ["1", "0.1", "0.2", "0.5", "0.1", "0.3", "0.8"]
    fields[k] = "nan"
    assert read(one(" ".join(fields))).note_counts() == {"not-a-number": 1, "not-held": 1}


def test_a_sixth_value_is_a_confidence(one):
    found = read(one("1 0.5 0.5 0.2 0.4 0.93"))
    np.testing.assert_allclose(found[0].truth.boxes, [[40, 15, 60, 35]], atol=1e-4)
    assert [(n.kind, n.text) for n in found.notes] == [("not-held", "confidence")]


def test_keypoints_that_data_yaml_tells_of_are_not_a_polygon(one):
    yaml = ("train: images", "names: [person, head]", "kpt_shape: [2, 3]")
    found = read(one("1 0.5 0.5 0.2 0.4 0.45 0.5 2 0.55 0.5 2", yaml=yaml))
    np.testing.assert_allclose(found[0].truth.boxes, [[40, 15, 60, 35]], atol=1e-4)
    assert [n.text for n in found.notes] == ["keypoints"]


@pytest.mark.parametrize(
    ("line", "kind", "words"),
    [
        ("2 0.5 0.5 0.2 0.4", "bad-class", "class 2 is beyond the 2 that are named"),
        ("-1 0.5 0.5 0.2 0.4", "bad-class", "class -1 is beyond"),
        ("0.5 0.5 0.5 0.2 0.4", "bad-class", "class 0.5 is not a whole number"),
        ("nan 0.5 0.5 0.2 0.4", "bad-class", "is not a whole number"),
        ("1 0.5 0.5 0.2", "bad-object", "4 values, want class, centre x and y, width, height"),
        ("1 0.5 0.5 0.2 x", "bad-object", "not numbers: 1 0.5 0.5 0.2 x"),
        ("1 0.5 0.5 0.2 0.4 0.5 0.5 0.5", "bad-object", "8 values, want class and 4 of a box"),
        ("1 0.5 0.5 0 0.4", "no-area", "no area"),
        ("1 1.5 0.5 0.2 0.4", "outside", "outside the 100 x 50 picture"),
        ("1 0.95 0.5 0.2 0.4", "clipped", "past the border"),
    ],
)
def test_a_bad_line_is_told_with_number_and_line(one, line, kind, words):
    found = read(one("1 0.5 0.5 0.2 0.4", "", line))
    assert notes(found) == [(kind, "a.txt", 1, 3)]
    assert words in found.notes[0].text
    assert found.objects() == 1 + (kind == "clipped")


def test_what_rounding_leaves_past_the_border_is_cut_without_a_note(one):
    found = read(one("1 0.9 0.9 0.200001 0.200001"))
    assert found.notes == ()
    assert found[0].truth.boxes[0, 2:].tolist() == [100, 50]


def test_a_picture_without_a_text_file_holds_no_object_and_a_text_without_picture_is_told(one):
    root = one("1 0.5 0.5 0.2 0.4")
    picture(root / "images" / "empty.png")
    write(root / "labels" / "lost.txt", "1 0.5 0.5 0.2 0.4")
    write(root / "labels" / "classes.txt", "person", "head")
    found = read(root)
    assert [(s.name, len(s.truth)) for s in found] == [("a", 1), ("empty", 0)]
    assert notes(found) == [("no-picture", "lost.txt", -1, 0)]


def test_a_label_file_that_is_no_text_leaves_its_picture_out(one):
    root = one("1 0.5 0.5 0.2 0.4")
    picture(root / "images" / "b.png")
    (root / "labels" / "b.txt").write_bytes(b"0 0.5 0.5 \xff 0.4")
    found = read(root)
    assert [s.name for s in found] == ["a"]
    assert notes(found) == [("bad-labels", "b.txt", -1, 0)]


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        (["names: [person, head]"], ("person", "head")),
        (["names:", "  0: person", "  1: head"], ("person", "head")),
        (["names: {1: head, 0: person}"], ("head", "person")),
        (["names:", "- person", "- head", "nc: 2"], ("person", "head")),
        (["nc: 3"], ("0", "1", "2")),
        (["names: [no, 7]"], ("False", "7")),
    ],
)
def test_names_are_a_list_or_numbered_or_only_counted(one, names, labels):
    assert read(one("1 0.5 0.5 0.2 0.4", yaml=["train: images", *names])).labels == labels


@pytest.mark.parametrize("entry", ["images", "./images", "images/", "../images", "[images]", "list.txt", "[list.txt]"])
@pytest.mark.parametrize("path", [None, ".", "../elsewhere", "/data/set", "nowhere", "../set"])
def test_places_of_a_split_are_found_under_the_yamls_own_folder(one, entry, path):
    yaml = [f"train: {entry}", "val: images", "names: [person, head]", *([f"path: {path}"] if path else [])]
    root = one("1 0.5 0.5 0.2 0.4", yaml=yaml)
    write(root / "list.txt", "", "./images/a.png")
    found = read(root, "train")
    assert [(s.name, s.split, len(s.truth)) for s in found] == [("a", "train", 1)]
    assert found.notes == ()
    assert len(read(root / "data.yaml")) == 2


def test_a_path_inside_the_folder_is_where_places_start(one, tmp_path):
    root = one("1 0.5 0.5 0.2 0.4", yaml=None)
    (tmp_path / "project").mkdir()
    root.rename(tmp_path / "project" / "coco")
    write(tmp_path / "project" / "mine.yaml", "path: coco", "train: images", "names: [person, head]")
    assert read(tmp_path / "project")[0].path == tmp_path / "project" / "coco" / "images" / "a.png"


def test_a_list_names_pictures_and_what_it_names_wrongly_is_told(one):
    root = one("1 0.5 0.5 0.2 0.4", yaml=("train: list.txt", "names: [person, head]"))
    write(root / "list.txt", "images/a.png", "images/gone.png", "/etc/passwd.png", "images/a.png")
    found = read(root)
    assert [s.name for s in found] == ["a"]
    assert notes(found) == [
        ("no-picture", "list.txt", -1, 2),
        ("no-picture", "list.txt", -1, 3),
        ("listed-twice", "a.txt", -1, 0),
    ]


def test_a_place_that_is_missing_is_told_and_an_error_only_where_it_was_asked_for(one):
    root = one("1 0.5 0.5 0.2 0.4", yaml=("train: images", "test: nowhere", "val:", "names: [person, head]"))
    found = read(root)
    assert notes(found) == [("no-picture", "set", -1, 0)]
    assert found.notes[0].text == "split 'test': no folder or .txt list nowhere"
    with pytest.raises(DataError, match=r"split 'test': no folder or \.txt list nowhere"):
        read(root, "test")
    with pytest.raises(DataError, match="no split 'val'"):
        read(root, "val")


@pytest.mark.parametrize(
    ("yaml", "words"),
    [
        ("train: {a: 1}\nnames: [x]", "'train' is not a folder, a list of pictures, or several of them"),
        ("train: [images, 3]\nnames: [x]", "'train' is not a folder"),
        ("train: images\nnames: x", "'names' is not a list of class names"),
        ("train: images\nnames: [[x]]", "'names' is not a list of class names"),
        ("train: images\nnames: {x: y}", "'names' has a class number that is none"),
        ("train: images\nnc: many", "'nc' is not a number of classes"),
        ("train: images\nnc: 99999999", "'nc' is not a number of classes"),
        ("names: [x]", "none of train, val, valid, test says where pictures are"),
        ("- train\n- names", "it does not say where pictures are"),
        ("train: [\nnames: x", "not readable YAML: "),
        ("train: images\nnames: !!python/object:os.system x", "not readable YAML: "),
        ("train: images\nnames: !!timestamp x", "not readable YAML"),
        ("train: images\nnames: " + "[" * 900, "not readable YAML"),
        ("train: images\nnames: " + "[" * 1001, "over 1,000 brackets"),
        ("train: images\nnames:\n" + "- " * 5000, "not readable YAML"),
        ("a: &a [x, x]\nb: &b [*a, *a]\ntrain: *b\nnames: *a", "it has aliases"),
        ("train: images\nnames: [x]\n# " + "x" * 1_000_000, "over 1 MB"),
        ("train: images\nnames: [\0]", "not readable YAML"),
    ],
)
def test_data_yaml_that_cannot_be_used_is_refused_in_one_line(one, yaml, words):
    root = one()
    (root / "data.yaml").write_text(yaml)
    with pytest.raises(DataError) as caught:
        read(root / "data.yaml")
    assert words in str(caught.value)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400


def test_without_pyyaml_the_extra_is_named_and_a_set_without_data_yaml_is_read_all_the_same(one, monkeypatch):
    root = one("1 0.5 0.5 0.2 0.4")
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(MissingExtraError, match=r"needs PyYAML.*passerby\[data\]"):
        load_data(str(root))
    (root / "data.yaml").unlink()
    assert load_data(str(root)).objects() == 1


@pytest.mark.parametrize("form", ["images/train", "train/images", "images", "train", ""])
def test_layouts_without_data_yaml_are_found_by_looking(tmp_path, form):
    labels = form.replace("images", "labels")
    for name in "ab":
        picture(tmp_path / "set" / form / f"{name}.png", 100, 50)
    write(tmp_path / "set" / labels / "a.txt", "1 0.5 0.5 0.2 0.4")
    write(tmp_path / "set" / "classes.txt", "person", "head")
    split = "train" if "train" in form else ""
    told = find_source(str(tmp_path / "set"))
    assert told.format == "yolo"
    assert told.reason == f"{labels}/a.txt holds lines of class, centre and size".removeprefix("/")
    found = load_data(str(tmp_path / "set"))
    assert [(s.name, s.split, len(s.truth)) for s in found] == [("a", split, 1), ("b", split, 0)]
    assert found.labels == ("person", "head")
    assert found[0].truth.labels.tolist() == [1]
    assert found.notes == ()
    with pytest.raises(DataError, match="no split 'val'"):
        read(tmp_path / "set", "val")


def test_without_names_the_class_is_its_number(one):
    root = one("1 0.5 0.5 0.2 0.4", "7 0.5 0.5 0.2 0.4", "-2 0.5 0.5 0.2 0.4", yaml=None)
    found = read(root)
    assert found.labels == ("1", "7")
    assert notes(found) == [("bad-class", "a.txt", 2, 3)]


def test_texts_that_are_no_labels_make_no_yolo_set(tmp_path):
    picture(tmp_path / "set" / "a.png")
    write(tmp_path / "set" / "a.txt", "a picture of 5 people in 2 rows")
    write(tmp_path / "set" / "readme.txt", "")
    assert find_source(str(tmp_path / "set")).format == "folder"


def test_the_last_images_in_a_path_is_the_one_that_is_labels(tmp_path):
    root = tmp_path / "set"
    picture(root / "images" / "images" / "a.png", 100, 50)
    write(root / "images" / "labels" / "a.txt", "0 0.5 0.5 0.2 0.4")
    write(root / "data.yaml", "train: images/images", "names: [head]")
    assert read(root).objects() == 1
