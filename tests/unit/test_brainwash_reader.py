"""Brainwash's two kinds of files, made by hand."""

from __future__ import annotations

import json

import pytest
from made_sets import picture, write

from passerby.data import load_data
from passerby.errors import DataError

RECT = {"x1": 1, "y1": 2, "x2": 11, "y2": 22}


@pytest.fixture
def folder(tmp_path):
    """A folder with the pictures in/a.png, in/b.png and in/c.png."""
    for name in "abc":
        picture(tmp_path / "set" / "in" / f"{name}.png")
    return tmp_path / "set"


def read(path):
    return load_data(f"brainwash:{path}")


def boxes(found):
    return {s.name: s.truth.boxes.tolist() for s in found}


def test_lines_hold_boxes_scores_or_nothing(folder):
    file = write(
        folder / "brainwash_val.idl",
        '"in/a.png": (1.0, 2.0, 11.0, 22.0), (3,4,8,10):0.5;',
        '"in/b.png";',
        '"in/c.png": (1, 2, 11, 22).',
    )
    found = read(file)
    assert boxes(found) == {"a": [[1, 2, 11, 22], [3, 4, 8, 10]], "b": [], "c": [[1, 2, 11, 22]]}
    assert found.labels == ("head",)
    assert [s.split for s in found] == ["val"] * 3
    assert [(n.kind, n.text, n.count) for n in found.notes] == [("not-held", "score", 1)]


@pytest.mark.parametrize(
    "line", ["in/a.png: (1, 2, 3, 4);", '"in/a.png": 1, 2, 3, 4;', '"in/a.png": (1, 2, 3, 4;', '"']
)
def test_a_line_that_cannot_be_read_is_told_and_the_rest_is_read(folder, line):
    found = read(write(folder / "x.idl", line, "", '"in/b.png": (1, 2, 11, 22);'))
    assert list(boxes(found)) == ["b"]
    assert [(n.kind, n.line) for n in found.notes] == [("bad-labels", 1)]


@pytest.mark.parametrize("box", ["(1, 2, 3)", "(1, 2, x, 4)", "()"])
def test_a_box_that_cannot_be_read_is_told_and_the_others_are_read(folder, box):
    found = read(write(folder / "x.idl", f'"in/a.png": (1, 2, 11, 22), {box}, (3, 4, 8, 10);'))
    assert boxes(found) == {"a": [[1, 2, 11, 22], [3, 4, 8, 10]]}
    assert [(n.kind, n.item, n.line) for n in found.notes] == [("bad-object", 1, 1)]


def test_a_tensorbox_file_is_read_with_lines(folder):
    rows = [
        {"image_path": "in/a.png", "rects": [RECT, {**RECT, "x2": 1}]},
        {"image_path": "in/b.png", "rects": []},
        {"image_path": "../in/c.png", "rects": [RECT]},
        {"rects": [RECT]},
        {"image_path": "in/c.png", "rects": [RECT, {"x1": 1}, 7, {**RECT, "y2": "x"}]},
    ]
    file = folder / "test_boxes.json"
    file.write_text("[" + ",\n".join(map(json.dumps, rows)) + "]")
    assert load_data(str(file)).reason == "it is a .json list of pictures with rects"
    found = read(file)
    assert boxes(found) == {"a": [[1, 2, 11, 22]], "b": [], "c": [[1, 2, 11, 22]]}
    assert [(n.kind, n.item, n.line) for n in found.notes] == [
        ("no-picture", -1, 3),
        ("bad-labels", -1, 4),
        ("bad-object", 4, 5),
        ("bad-object", 5, 5),
        ("bad-object", 6, 5),
        ("no-area", 1, 1),
    ]


def test_a_json_file_that_is_no_list_is_refused(folder):
    file = write(folder / "x.json", '{"image_path": 1, "rects": []}')
    with pytest.raises(DataError, match="a TensorBox file is a list"):
        read(file)


def test_an_idl_file_goes_before_a_json_file_of_the_same_name(folder):
    write(folder / "train.idl", '"in/a.png".')
    (folder / "train.json").write_text(json.dumps([{"image_path": "in/b.png", "rects": []}]))
    (folder / "val.json").write_text(json.dumps([{"image_path": "in/c.png", "rects": []}]))
    assert [(s.name, s.split) for s in read(folder)] == [("a", "train"), ("c", "val")]
