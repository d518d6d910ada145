"""INRIA Person on made folders: annotations as they are written there, lists, and pictures without a person."""

from __future__ import annotations

import pytest
from made_sets import picture, write

from passerby.data import load_data

# As in the set itself, crop_000010.txt, with another size and other boxes.
TEXT = """# PASCAL Annotation Version 1.00

Image filename : "Train/pos/{name}.png"
Image size (X x Y x C) : 60 x 40 x 3
Database : "The INRIA Rh\xf4ne-Alpes Annotated Person Database"
Objects with ground truth : 2 {{ "PASperson" "PASperson" }}

# Note that there might be other objects in the image
# for which ground truth data has not been provided.

# Top left pixel co-ordinates : (0, 0)

# Details for object 1 ("PASperson")
# Center point -- not available in other PASCAL databases -- refers
# to person head center
Original label for object 1 "PASperson" : "UprightPerson"
Center point on object 1 "PASperson" (X, Y) : (12, 7)
Bounding box for object 1 "PASperson" (Xmin, Ymin) - (Xmax, Ymax) : (10, 5) - (25, 35)

# Details for object 2 ("PASperson")
Original label for object 2 "PASperson" : "UprightPerson"
Center point on object 2 "PASperson" (X, Y) : (42, 7)
Bounding box for object 2 "PASperson" (Xmin, Ymin) - (Xmax, Ymax) : (40, 5) - (55, 35)
"""


@pytest.fixture
def root(tmp_path):
    """Train with the annotated picture a and the empty picture n."""
    root = tmp_path / "INRIAPerson"
    picture(root / "Train" / "pos" / "a.png")
    picture(root / "Train" / "neg" / "n.jpg")
    (root / "Train" / "annotations").mkdir()
    (root / "Train" / "annotations" / "a.txt").write_bytes(TEXT.format(name="a").encode("latin-1"))
    return root


def read(path, split=""):
    return load_data(f"inria:{path}#{split}")


def annotate(root, name, old, new):
    (root / "Train" / "annotations" / f"{name}.txt").write_bytes(
        TEXT.format(name=name).replace(old, new).encode("latin-1")
    )


def notes(found):
    return [(n.kind, n.file, n.item, n.line) for n in found.notes if n.kind != "not-held"]


def test_persons_are_read_and_pictures_in_neg_hold_none(root):
    found = read(root)
    assert found.labels == ("person",)
    assert [(s.name, s.split, s.truth.boxes.tolist()) for s in found] == [
        ("a", "train", [[10, 5, 25, 35], [40, 5, 55, 35]]),
        ("n", "train", []),
    ]
    assert [(n.kind, n.text, n.count) for n in found.notes] == [
        ("not-held", "centre point", 2),
        ("not-held", "original label", 2),
    ]


@pytest.mark.parametrize("split", ["train", "Train", "TRAIN"])
def test_a_split_may_be_named_in_any_case(root, split):
    assert len(read(root, split)) == 2


@pytest.mark.parametrize("name", ["TRAIN/POS", "Train/Pos"])
def test_a_name_in_another_case_is_found_in_pos(root, name):
    annotate(root, "a", "Train/pos", name)
    assert [s.name for s in read(root)] == ["a", "n"]


def test_a_size_that_disagrees_is_told(root):
    annotate(root, "a", "60 x 40", "594 x 720")
    assert notes(read(root)) == [("size", "a.txt", -1, 0)]


@pytest.mark.parametrize("box", ["(10, 5)", "(10, 5) - (25)", "(a, 5) - (25, 35)", "10 5 25 35"])
def test_a_box_that_cannot_be_read_is_told_with_its_line(root, box):
    annotate(root, "a", "(40, 5) - (55, 35)", box)
    found = read(root)
    assert found.objects() == 1
    assert notes(found) == [("bad-object", "a.txt", 1, 23)]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("PASCAL Annotation", "Annotation", "no 'PASCAL Annotation Version 1.00' at its start"),
        ("Image filename", "Filename", "it names no picture"),
        ("# PASCAL", "x" * 4_000_000, "over 4 MB"),
    ],
)
def test_an_annotation_that_is_none_is_told(root, old, new, words):
    picture(root / "Train" / "pos" / "b.png")
    annotate(root, "b", old, new)
    found = read(root)
    assert [s.name for s in found] == ["a", "n"]
    assert notes(found) == [("bad-labels", "b.txt", -1, 0), ("no-labels", "b.png", -1, 0)]
    assert words in found.notes[0].text


def test_lists_say_what_belongs_to_a_split(root):
    picture(root / "Train" / "pos" / "b.png")
    picture(root / "Train" / "neg" / "m.jpg")
    annotate(root, "b", "", "")
    write(root / "Train" / "annotations.lst", "Train/annotations/b.txt", "../x.txt")
    write(root / "Train" / "neg.lst", "Train/neg/m.jpg")
    found = read(root)
    assert [s.name for s in found] == ["b", "m"]
    assert notes(found) == [("no-picture", "annotations.lst", -1, 2), ("no-labels", "a.png", -1, 0)]


def test_it_is_found_by_looking(root):
    assert load_data(str(root)).reason == "Train has annotations and pos"
