"""Classes as folders: the class of a whole picture."""

from __future__ import annotations

import pytest
from made_sets import picture

from passerby.data import find_source, load_data
from passerby.errors import DataError


@pytest.fixture
def pictures(tmp_path):
    """Builder of pictures under a folder `set` -> that folder."""

    def make(*names):
        for name in names:
            picture(tmp_path / "set" / name)
        return tmp_path / "set"

    return make


def read(path, *labels):
    return load_data(f"classes:{path}", labels)


def test_the_class_is_the_name_of_the_folder(pictures):
    found = read(pictures("person/a.png", "person/b.jpg", "dog/a.png"))
    assert found.labels == ("dog", "person")
    assert [(s.path.parent.name, s.name, found.labels[s.label]) for s in found] == [
        ("dog", "a", "dog"),
        ("person", "a", "person"),
        ("person", "b", "person"),
    ]
    assert found.objects() == 0
    assert found.notes == ()


def test_folders_of_splits_come_first(pictures):
    root = pictures("train/person/a.png", "train/dog/b.png", "valid/person/c.png", "extra/d.png")
    assert [(s.name, s.split) for s in read(root)] == [("b", "train"), ("a", "train"), ("c", "valid")]
    assert [s.name for s in load_data(f"classes:{root}#valid")] == ["c"]


@pytest.mark.parametrize(
    ("names", "format"),
    [
        (("person/a.png", "dog/a.png"), "classes"),
        (("train/person/a.png", "train/dog/a.png", "val/dog/b.png"), "classes"),
        (("person/a.png",), "folder"),  # one folder is no choice of classes
        (("train/a.png", "val/b.png"), "folder"),  # splits, not classes
        (("a.png", "person/a.png", "dog/b.png"), "folder"),  # pictures beside them have no class
        (("x/person/a.png", "x/dog/a.png"), "folder"),
    ],
)
def test_it_is_found_by_looking_only_where_two_classes_hold_pictures(pictures, names, format):
    assert find_source(str(pictures(*names))).format == format


def test_classes_that_are_not_wanted_leave_their_pictures_out_and_are_told(pictures):
    found = read(pictures("person/a.png", "dog/b.png", "dog/c.png"), "person")
    assert [s.name for s in found] == ["a"]
    assert [(n.kind, n.count) for n in found.notes] == [("not-chosen", 2)]


@pytest.mark.parametrize(
    ("wanted", "kind", "left"), [("person", "renamed", ["a", "b"]), ("persno", "unknown-class", None)]
)
def test_a_folder_that_looks_like_a_slip_is_told(pictures, wanted, kind, left):
    root = pictures("Person/a.png", "Person/b.png")
    if left is None:
        with pytest.raises(DataError, match=r"no picture of a class among \['persno'\]"):
            read(root, wanted)
        root = pictures("persno/c.png")
        assert [(n.kind, n.count) for n in read(root, wanted).notes] == [(kind, 2)]
    else:
        found = read(root, wanted)
        assert [s.name for s in found] == left
        assert [(n.kind, n.count) for n in found.notes] == [(kind, 2)]


def test_classes_may_be_merged_and_left_out(pictures):
    root = pictures("man/a.png", "woman/b.png", "dog/c.png")
    found = read(root, "person=man+woman", "ignore=dog")
    assert [(s.name, s.label) for s in found] == [("a", 0), ("b", 0)]
    assert found.note_counts() == {"not-chosen": 1}


def test_person_or_not_is_read(shared):
    found = load_data("person_or_not", root=shared / "data")
    assert found.reason == "pictures lie in the folders no_person, person"
    counts = {(s.split, found.labels[s.label]): 0 for s in found}
    for s in found:
        counts[s.split, found.labels[s.label]] += 1
    # README of the data: train 1,100 + 861, valid 150 + 60
    assert sorted(counts.values()) == [60, 150, 861, 1100]
    assert found.note_counts() == {}
