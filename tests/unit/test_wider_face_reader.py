"""WIDER FACE on made files: blocks, marks, and what happens after a damaged one."""

from __future__ import annotations

import pytest
from made_sets import picture, write

from passerby.data import load_data

FACE = "1 2 10 20 0 0 0 0 0 0"
NONE = ("0", "0 0 0 0 0 0 0 0 0 0")


@pytest.fixture
def read(tmp_path):
    """Reads a file of these lines, beside pictures a, b and c of 60 x 40."""
    file = tmp_path / "wider" / "wider_face_split" / "wider_face_train_bbx_gt.txt"
    for name in "abc":
        picture(tmp_path / "wider" / "WIDER_train" / "images" / "0--Parade" / f"{name}.jpg")

    def of(*lines):
        write(file, *lines)
        return load_data(f"wider_face:{tmp_path}/wider#train")

    return of


def names(found):
    return [(s.name, len(s.truth)) for s in found]


def notes(found):
    return [(n.kind, n.item, n.line) for n in found.notes]


def test_blocks_are_read_and_a_row_of_zeros_is_no_face(read):
    found = read("0--Parade/a.jpg", "2", FACE, "3 4 5 6 0 0 0 0 0 0", "0--Parade/b.jpg", *NONE, "0--Parade/c.jpg", "0")
    assert names(found) == [("a", 2), ("b", 0), ("c", 0)]
    assert found.labels == ("face",)
    assert found[0].truth.boxes.tolist() == [[1, 2, 11, 22], [3, 4, 8, 10]]
    assert found.notes == ()


def test_an_invalid_face_is_ignored_and_the_other_marks_are_counted(read):
    found = read("0--Parade/a.jpg", "2", "1 2 10 20 2 1 1 1 2 1", FACE)
    assert found[0].truth.ignore.tolist() == [True, False]
    assert [(n.text, n.count) for n in found.notes] == [
        (word, 1) for word in ("blur", "expression", "illumination", "occlusion", "pose")
    ]


def test_a_face_without_area_is_dropped_with_its_line(read):
    assert notes(read("0--Parade/a.jpg", "2", FACE, "5 5 0 0 0 0 0 0 0 0")) == [("no-area", 1, 4)]


@pytest.mark.parametrize("row", ["1 2 3", "1 2 x 4 0 0 0 0 0 0", "?"])
def test_a_row_that_is_no_box_is_told(read, row):
    found = read("0--Parade/a.jpg", "2", row, FACE)
    assert names(found) == [("a", 1)]
    assert notes(found) == [("bad-object", 0, 3)]


@pytest.mark.parametrize(
    ("block", "line", "left"),
    [
        (["0--Parade/a.jpg", "3", FACE, FACE], 5, False),  # a face too few: its labels are not all there
        (["0--Parade/a.jpg", "many", FACE], 2, False),
        (["0--Parade/a.jpg", "-1", FACE], 2, False),
        (["0--Parade/a.jpg"], 2, False),
        (["0--Parade/a.jpg", "2", FACE, "", FACE], 4, False),
        (["0--Parade/a.jpg", "1", FACE, FACE, FACE], 4, True),  # rows too many are nobody's
        ([FACE, "0--Parade/a.jpg", "1", FACE], 1, True),
        (["", "", "0--Parade/a.jpg", "1", FACE, ""], 0, True),
    ],
)
def test_after_a_damaged_block_reading_goes_on_at_the_next_picture(read, block, line, left):
    found = read(*block, "0--Parade/b.jpg", "1", FACE)
    assert names(found) == [*([("a", 1)] if left else []), ("b", 1)]
    assert notes(found) == ([("bad-labels", -1, line)] if line else [])


def test_a_file_that_ends_in_a_block_leaves_its_picture_out(read):
    found = read("0--Parade/b.jpg", "1", FACE, "0--Parade/a.jpg", "3", FACE)
    assert names(found) == [("b", 1)]
    assert found.notes[0].text == "3 faces announced, 1 found"


def test_pictures_may_lie_in_images_beside_the_file(tmp_path):
    picture(tmp_path / "w" / "images" / "x" / "a.jpg")
    file = write(tmp_path / "w" / "labels.txt", "x/a.jpg", "1", FACE)
    found = load_data(f"wider_face:{file}")
    assert names(found) == [("a", 1)]
    assert found[0].split == ""
