"""Pictures with labels of the whole: class folders, boxes beside them, and sets with boxes."""

from __future__ import annotations

import json

import numpy as np
import pytest

from passerby.errors import DataError
from passerby.measure.picture_labels import HOLDS, HOLDS_NOT, UNKNOWN, load_pictures, read_boxes


@pytest.fixture
def folders(tmp_path, make_picture):
    """Class folders person (a, b) and no_person (c), 60 x 40."""
    for name in ("person/a", "person/b", "no_person/c"):
        make_picture(tmp_path / "set" / f"{name}.png")
    return tmp_path


def boxes_file(folder, rows):
    path = folder / "boxes.json"
    path.write_text(rows if isinstance(rows, str) else json.dumps(rows))
    return path


def test_a_class_folder_says_what_its_pictures_hold(folders):
    got = load_pictures("classes:set", ("person",), root=folders)
    held = {s.path.parent.name: int(h) for s, h in zip(got.samples, got.holds[:, 0], strict=True)}
    assert held == {"person": HOLDS, "no_person": HOLDS_NOT}
    assert got.samples.labels == ("person",)
    # nobody said where the people are; that there is none is known
    assert {s.name: bool(known) for s, known in zip(got.samples, got.located, strict=True)} == {
        "a": False, "b": False, "c": True,
    }  # fmt: skip


def test_boxes_beside_class_folders_are_cut_at_the_picture(folders):
    file = boxes_file(folders, [{"file": "person/a.png", "boxes": [[-5, 10, 30, 50], [70, 0, 90, 10]]}])
    got = load_pictures("classes:set", ("person",), root=folders, boxes=file)
    by_name = {s.name: s for s in got.samples}
    assert by_name["a"].truth.boxes.tolist() == [[0, 10, 30, 40]]  # the second lies outside
    assert sorted(s.name for s in got.with_boxes()) == ["a", "c"]
    assert all(s.label is None for s in got.with_boxes())


def test_a_class_of_another_name_may_stand_for_the_label(folders):
    got = load_pictures("classes:set", ("human",), ("human=person",), folders)
    assert got.holds.sum() == 2


def test_a_set_without_the_label_is_refused(folders):
    with pytest.raises(
        DataError, match=r"has \['no_person', 'person'\], no picture holds any of the model's \['cat'\]"
    ):
        load_pictures("classes:set", ("cat",), root=folders)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("{", "cannot be read as JSON"),
        ({"a": 1}, "want a list"),
        ([1], 'entry 0 lacks "file" or "boxes"'),
        ([{"file": "x"}], 'entry 0 lacks "file" or "boxes"'),
        ([{"file": 3, "boxes": []}], 'entry 0 lacks "file" or "boxes"'),
        ([{"file": "x", "boxes": []}, {"file": "y", "boxes": [[1, 2, 3]]}], r"entry 1 \(y\): boxes are not lists"),
        ([{"file": "x", "boxes": [["a", 1, 2, 3]]}], "entry 0"),
        ([{"file": "x", "boxes": [[5, 5, 5, 9]]}], "without area"),
        ('[{"file": "x", "boxes": [[0, 0, NaN, 9]]}]', "no number"),
    ],
)
def test_a_file_of_boxes_that_is_none_is_refused_by_its_entry(tmp_path, rows, words):
    with pytest.raises(DataError, match=words):
        read_boxes(boxes_file(tmp_path, rows))
    with pytest.raises(DataError, match="cannot be read"):
        read_boxes(tmp_path / "none.json")


def test_boxes_of_other_pictures_are_refused(folders):
    file = boxes_file(folders, [{"file": "person/z.png", "boxes": [[0, 0, 5, 5]]}])
    with pytest.raises(DataError, match=r"none of its files, e\.g\. person/z\.png, is in classes:set"):
        load_pictures("classes:set", ("person",), root=folders, boxes=file)


def test_a_set_with_boxes_says_which_pictures_hold_what(tmp_path, make_voc):
    make_voc({
        "a": [("head", 1, 2, 11, 12)],
        "b": [("lamp", 1, 2, 11, 12)],
        "c": [("head", 1, 2, 11, 12, 1)],  # difficult
        "d": [],
    })  # fmt: skip
    got = load_pictures("voc:voc", ("head",), root=tmp_path)
    assert dict(zip([s.name for s in got.samples], got.holds[:, 0].tolist(), strict=True)) == {
        "a": HOLDS, "b": HOLDS_NOT, "c": UNKNOWN, "d": HOLDS_NOT,
    }  # fmt: skip
    assert got.located.all()
    with pytest.raises(DataError, match="has boxes of its own"):
        load_pictures("voc:voc", ("head",), root=tmp_path, boxes=tmp_path / "boxes.json")


@pytest.mark.shared
def test_the_shared_crops_and_their_boxes_fit_together(shared):
    data = shared / "data"
    file = data / "person_or_not" / "valid_boxes.json"
    got = load_pictures("classes:person_or_not#valid", ("person",), root=data, boxes=file)
    assert np.bincount(got.holds[:, 0]).tolist() == [60, 150]
    assert got.located.all()
    assert got.with_boxes().objects() == sum(len(row["boxes"]) for row in json.loads(file.read_text()))
