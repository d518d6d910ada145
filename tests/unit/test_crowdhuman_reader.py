"""CrowdHuman on made files: three boxes a person, and what its own evaluation ignores."""

from __future__ import annotations

import json

import pytest
from made_sets import picture, write

from passerby.data import load_data
from passerby.errors import DataError

PERSON = {"tag": "person", "fbox": [10, 5, 20, 30], "vbox": [12, 6, 10, 20], "hbox": [15, 5, 8, 8]}


@pytest.fixture
def made(tmp_path):
    """Builder of a file with one picture a list of boxes; the pictures lie in Images -> the folder."""

    def make(*pictures, places="Images"):
        lines = []
        for k, rows in enumerate(pictures):
            picture(tmp_path / "crowd" / places / f"273271,{k}.jpg")
            lines.append(json.dumps({"ID": f"273271,{k}", "gtboxes": rows}))
        write(tmp_path / "crowd" / "annotation_train.odgt", *lines)
        return tmp_path / "crowd"

    return make


def read(path, *labels):
    return load_data(f"crowdhuman:{path}", labels)


def rows(found):
    """(label, box, ignored) of the first picture."""
    t = found[0].truth
    columns = zip(t.labels.tolist(), t.boxes.tolist(), t.ignore.tolist(), strict=True)
    return [(found.labels[k], box, ignore) for k, box, ignore in columns]


def test_a_person_has_a_body_a_visible_part_and_a_head(made):
    found = read(made([PERSON]))
    assert found.labels == ("person", "visible", "head")
    assert found[0].split == "train"
    assert rows(found) == [
        ("person", [10, 5, 30, 35], False),
        ("visible", [12, 6, 22, 26], False),
        ("head", [15, 5, 23, 13], False),
    ]
    assert found.notes == ()


def test_heads_alone_may_be_asked_for_and_masks_stay_as_ignore_regions(made):
    mask = {**PERSON, "tag": "mask", "fbox": [30, 10, 20, 20]}
    found = read(made([PERSON, mask]), "head")
    assert rows(found) == [("head", [15, 5, 23, 13], False), ("head", [30, 10, 50, 30], True)]
    assert found.objects() == 1
    assert found.note_counts() == {"not-chosen": 2}


@pytest.mark.parametrize(
    ("more", "ignored"),
    [
        ({"extra": {"ignore": 1}}, ["person", "visible"]),
        ({"head_attr": {"ignore": 1}}, ["head"]),
        ({"extra": {"ignore": 1}, "head_attr": {"ignore": 1}}, ["person", "visible", "head"]),
        ({"extra": {"ignore": 0, "box_id": 3}, "head_attr": {"ignore": 0}}, []),
        ({"extra": None, "head_attr": [1]}, []),
    ],
)
def test_what_the_sets_own_evaluation_ignores_is_ignored(made, more, ignored):
    found = read(made([{**PERSON, **more}]))
    assert [label for label, _, ignore in rows(found) if ignore] == ignored


def test_occlusion_and_doubt_are_counted_as_not_held(made):
    found = read(made([{**PERSON, "extra": {"occ": 1}, "head_attr": {"occ": 1, "unsure": 1}}]))
    assert [(n.kind, n.text) for n in found.notes] == [
        ("not-held", "head occ"),
        ("not-held", "head unsure"),
        ("not-held", "person occ"),
    ]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (7, "it is 7, no object"),
        ({"tag": "person"}, "it has none of fbox, vbox, hbox"),
        ({"tag": "person", "fbox": [1, 2, 3]}, "fbox is [1, 2, 3], want [x, y, width, height]"),
        ({"tag": "person", "fbox": None}, "fbox is None, want"),
        ({"tag": "mask", "fbox": "1234"}, "fbox is '1234', want"),
        ({"tag": "person", "hbox": [1, 2, 10**400, 4]}, "hbox is ["),
    ],
)
def test_an_object_that_cannot_be_read_is_told_with_number_and_line(made, row, words):
    found = read(made([], [PERSON, row]))
    assert [(n.kind, n.file, n.item, n.line) for n in found.notes] == [("bad-object", "annotation_train.odgt", 1, 2)]
    assert found.notes[0].text.startswith(words)


@pytest.mark.parametrize("line", ["{", "[]", '{"ID": 5, "gtboxes": []}', '{"ID": "x", "gtboxes": 5}', "[" * 100_000])
def test_a_line_that_cannot_be_read_is_told_and_the_next_is_read(made, line):
    root = made([PERSON])
    file = root / "annotation_train.odgt"
    file.write_text(f"{line}\n\n{file.read_text()}")
    found = read(root)
    assert found.objects() == 3
    assert [(n.kind, n.line) for n in found.notes] == [("bad-labels", 1)]


def test_a_line_beyond_all_measure_is_refused(made):
    root = made([PERSON])
    (root / "annotation_train.odgt").write_bytes(b" " * 8_000_001)
    with pytest.raises(DataError, match="line 1 is over 8 MB long: refused"):
        read(root)


@pytest.mark.parametrize(
    "places", ["", "Images", "images", "Images_train", "train", "CrowdHuman_train01/Images", "CrowdHuman_train/images"]
)
def test_pictures_are_looked_for_where_the_zips_lay_them(made, places):
    assert read(made([PERSON], places=places)).objects() == 3


def test_annotations_may_lie_in_a_folder_of_their_own(made):
    root = made([PERSON])
    (root / "annotations").mkdir()
    (root / "annotation_train.odgt").rename(root / "annotations" / "annotation_train.odgt")
    assert load_data(str(root)).source == "crowdhuman:crowd"
    assert read(root).objects() == 3
