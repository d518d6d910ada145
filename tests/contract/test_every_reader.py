"""Every row of READERS keeps the promise of the table; a new row needs a line in made_sets.MADE."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
from made_sets import KEPT, MADE, WRONG, picture

from passerby.data import READERS, find_source, load_data
from passerby.data.kinds import KINDS
from passerby.errors import DataError
from passerby.records import Note, Sample, SampleSet

ROWS = sorted(READERS)
LABELLED = [row for row in ROWS if row not in ("classes", "folder")]  # formats that hold boxes


@pytest.fixture
def made(tmp_path):
    """Builder of the data set of a format, in a folder of its own: name -> Made."""
    return lambda row: MADE[row](tmp_path / f"a_{row}_set")


def read(row, made, *splits, labels=()):
    return load_data(f"{row}:{made.path}" + (f"#{','.join(splits)}" if splits else ""), labels)


def names(found):
    return [s.path.stem for s in found]


@pytest.mark.parametrize("row", ROWS)
def test_it_gives_a_sample_set_whose_boxes_lie_inside_the_picture(made, row):
    at = made(row)
    found = read(row, at, at.splits[0])
    assert isinstance(found, SampleSet)
    assert names(found) == ["a", "b"]
    assert found.source == f"{row}:{at.path.name}#{at.splits[0]}"
    for sample in found:
        assert isinstance(sample, Sample)
        assert sample.path.is_file()
        assert (sample.width, sample.height, sample.split) == (60, 40, at.splits[0])
        t = sample.truth
        assert t.boxes.dtype == np.float32
        assert t.boxes.shape == (len(t), 4)
        assert len(t.labels) == len(t.difficult) == len(t.ignore) == len(t)
        assert (t.boxes[:, :2] >= 0).all()
        assert (t.boxes[:, 2:] <= [60, 40]).all()
        assert (t.boxes[:, 2:] > t.boxes[:, :2]).all()
        assert {found.labels[k] for k in t.labels} <= {at.label}


@pytest.mark.parametrize("row", LABELLED)
def test_it_keeps_the_sound_boxes_and_notes_every_other_with_its_number_and_line(made, row):
    at = made(row)
    found = read(row, at, at.splits[0], labels=(at.label,))
    np.testing.assert_allclose(found[0].truth.boxes, KEPT, atol=1e-4)
    told = [(n.kind, n.file, n.item, n.line) for n in found.notes]
    assert sorted(told) == sorted((kind, at.file.name, k, at.lines[k]) for kind, items in WRONG.items() for k in items)
    for note in found.notes:
        assert isinstance(note, Note)
        assert note.kind in KINDS
        assert note.text
        assert note.picture == found[0].path
        assert len(note.box) == 4


@pytest.mark.parametrize("row", ["classes", "folder"])
def test_a_format_without_boxes_gives_none_and_no_note(made, row):
    found = read(row, made(row))
    assert found.notes == ()
    assert found.objects() == 0
    assert [s.label for s in found] == {"classes": [0, 1, 0], "folder": [None] * 3}[row]


@pytest.mark.parametrize("row", ROWS)
def test_splits_are_joined_told_and_all_read_where_none_is_named(made, row):
    at = made(row)
    one, two = at.splits
    assert names(read(row, at, two)) == ["c"]
    assert names(read(row, at, two, one)) == ["c", "a", "b"]
    whole = read(row, at)
    assert sorted(names(whole)) == ["a", "b", "c"]
    assert whole.source == f"{row}:{at.path.name}"
    if row != "folder":  # it holds no splits unless they are named
        assert {s.path.stem: s.split for s in whole} == {"a": one, "b": one, "c": two}


@pytest.mark.parametrize("row", ROWS)
def test_it_is_found_by_looking_and_says_why(made, row):
    at = made(row)
    told = find_source(str(at.path))
    assert (told.format, told.reason) == (row, READERS[row].signs(at.path))
    assert told.reason
    assert names(load_data(f"{at.path.name}#{at.splits[1]}", root=at.path.parent)) == ["c"]
    assert load_data(str(at.path)).reason == told.reason


@pytest.mark.parametrize("row", ["coco", "crowdhuman", "wider_face", "brainwash", "csv", "yolo"])
def test_a_file_of_its_own_may_be_named_instead_of_the_folder(made, row):
    at = made(row)
    file = at.path / "data.yaml" if row == "yolo" else at.file
    told = find_source(str(file))
    assert told.format == row
    assert told.reason
    assert names(load_data(str(file)))[:2] == ["a", "b"]


@pytest.mark.parametrize("row", ROWS)
def test_it_does_not_know_an_empty_folder_nor_a_file_of_another_kind(tmp_path, row):
    (tmp_path / "notes.txt").write_text("0.5 of it is\n")
    assert not READERS[row].signs(tmp_path / "notes.txt")
    (tmp_path / "notes.txt").unlink()
    (tmp_path / "empty").mkdir()
    assert bool(READERS[row].signs(tmp_path / "empty")) == (row == "folder")


@pytest.mark.parametrize("row", ROWS)
def test_it_leaves_out_a_picture_that_cannot_be_read(made, row):
    at = made(row)
    next(p for p in at.path.rglob("b.*") if p.suffix in (".jpg", ".png")).write_bytes(b"")
    found = read(row, at, at.splits[0])
    assert names(found) == ["a"]
    assert [n.kind for n in found.notes].count("unreadable") == 1
    assert any("0 bytes" in n.text for n in found.notes)


@pytest.mark.parametrize("row", LABELLED)
def test_labels_without_their_picture_are_told(made, row):
    at = made(row)
    next(p for p in at.path.rglob("a.*") if p.suffix in (".jpg", ".png")).unlink()
    found = read(row, at, at.splits[0])
    assert names(found) == ["b"]
    assert [n.kind for n in found.notes] == ["no-picture"]


@pytest.mark.parametrize("row", LABELLED)
@pytest.mark.parametrize("way", ["relative", "absolute", "from inside"])
def test_a_picture_outside_the_folder_is_refused(made, row, way):
    at = made(row)
    for suffix in (".png", ".jpg"):
        picture(at.path.parent / f"outside{suffix}")
    file, text = at.names
    ends = "" if row in ("crowdhuman", "voc") else ".png"
    start = {"relative": "..", "absolute": str(at.path.parent), "from inside": "images/../.."}[way]
    quote = '"' if text.startswith('"') else ""
    name = f"{quote}{start}/outside{ends}{quote}"
    file.write_text(file.read_text().replace(text, name, 1) if text else name)
    found = read(row, at, at.splits[0])
    assert "outside" not in names(found)
    refused = [n for n in found.notes if "leads out" in n.text]
    assert [n.kind for n in refused] == ["bad-labels" if row == "voc" else "no-picture"]


@pytest.mark.parametrize("row", ROWS)
def test_an_empty_folder_is_a_data_error(tmp_path, row):
    with pytest.raises(DataError) as caught:
        load_data(f"{row}:{tmp_path}")
    assert tmp_path.name in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("row", ROWS)
def test_an_unknown_split_is_a_data_error_that_names_the_nearest(made, row):
    at = made(row)
    near = at.splits[0]
    with pytest.raises(DataError, match=rf"did you mean '{near}'|: {near}, "):
        read(row, at, near[:-1])
    with pytest.raises(DataError):
        read(row, at, near, "no_such_split")


@pytest.mark.parametrize("row", ROWS)
def test_a_missing_folder_is_a_data_error(tmp_path, row):
    with pytest.raises(DataError, match="no such file or folder"):
        load_data(f"{row}:{tmp_path}/gone")


@pytest.mark.parametrize("row", LABELLED)
def test_classes_are_chosen_merged_and_ignored_alike(made, row):
    at = made(row)
    assert read(row, at, labels=("dog", at.label)).labels == ("dog", at.label)
    merged = read(row, at, labels=(f"thing={at.label}+dog",))
    assert (merged.labels, merged.objects()) == (("thing",), len(KEPT))
    aside = read(row, at, labels=("dog", f"ignore={at.label}"))
    assert aside.objects() == 0
    assert sum(int(s.truth.ignore.sum()) for s in aside) == len(KEPT)
    none = read(row, at, labels=("zebra",))
    assert none.objects() == 0
    assert none.note_counts() == {"not-chosen": sum(map(len, WRONG.values())) + 1}


@pytest.mark.parametrize("row", ROWS)
def test_it_says_what_it_reads(row):
    reader = READERS[row]
    assert reader.about
    for part in (reader.read, reader.signs):
        assert inspect.getdoc(part)
    assert "DataError" in inspect.getdoc(reader.read)
    assert inspect.getdoc(inspect.getmodule(reader.read))
    assert list(inspect.signature(reader.read).parameters)[1:] == ["splits"]
