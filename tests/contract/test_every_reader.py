"""Every row of READERS keeps the promise of the table; a new row needs a line in MADE."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

from passerby.data import READERS, load_data
from passerby.errors import DataError
from passerby.records import Note, Sample, SampleSet

ROWS = sorted(READERS)
LABELLED = {"voc", "coco"}  # formats that hold boxes
CORNERS = [(1, 2, 11, 22), (-4, -4, 20, 20), (50, 30, 90, 90), (30, 20, 10, 5), (5, 5, 5, 9), (100, 100, 120, 120)]
KEPT = [[1, 2, 11, 22], [0, 0, 20, 20], [50, 30, 60, 40], [10, 5, 30, 20]]  # of CORNERS in a picture of 60 x 40
WRONG = {"clipped": 2, "dropped": 2, "swapped": 1}


@pytest.fixture
def made(make_voc, make_coco, make_picture, tmp_path):
    """For each format a small data set of its own with every kind of bad box: name -> (path, split)."""

    def voc():
        return make_voc({"a": [("head", *c) for c in CORNERS], "b": []}, splits={"train": ["a", "b"]}), "train"

    def coco():
        rows = [{"image_id": 1, "category_id": 1, "bbox": [x, y, X - x, Y - y]} for x, y, X, Y in CORNERS]
        images = [{"id": k, "file_name": n} for k, n in enumerate(("a.png", "b.png"), 1)]
        return make_coco(rows, images=images, pictures=("a.png", "b.png")).parent, "train"

    def folder():
        make_picture(tmp_path / "plain" / "train" / "a.png")
        return make_picture(tmp_path / "plain" / "train" / "b.png").parents[1], "train"

    builders = {"voc": voc, "coco": coco, "folder": folder}
    return lambda row: builders[row]()


@pytest.mark.parametrize("row", ROWS)
def test_it_gives_a_sample_set_whose_boxes_lie_inside_the_picture(made, row):
    found = READERS[row](*made(row), ("head",))
    assert isinstance(found, SampleSet)
    assert found.labels == ("head",)
    assert [s.path.stem for s in found] == ["a", "b"]
    assert found.source.startswith(f"{row}:")
    for sample in found:
        assert isinstance(sample, Sample)
        assert sample.path.is_file()
        assert (sample.width, sample.height) == (60, 40)
        t = sample.truth
        assert t.boxes.dtype == np.float32
        assert t.boxes.shape == (len(t), 4)
        assert len(t.labels) == len(t.difficult) == len(t.ignore) == len(t)
        assert (t.boxes[:, :2] >= 0).all()
        assert (t.boxes[:, 2:] <= [60, 40]).all()
        assert (t.boxes[:, 2:] > t.boxes[:, :2]).all()
        assert ((t.labels >= 0) & (t.labels < 1)).all()


@pytest.mark.parametrize("row", ROWS)
def test_it_notes_every_box_that_it_changes(made, row):
    found = READERS[row](*made(row), ())
    assert found[0].truth.boxes.tolist() == (KEPT if row in LABELLED else [])
    assert found.note_counts() == (WRONG if row in LABELLED else {})
    assert all(isinstance(n, Note) and n.kind and n.file and n.text for n in found.notes)


@pytest.mark.parametrize("row", ROWS)
def test_it_is_found_by_its_name(made, row):
    path, split = made(row)
    assert len(load_data(f"{row}:{path}#{split}")) == 2
    assert len(load_data(f"{row}:{path.name}#{split}", ("head",), path.parent)) == 2


@pytest.mark.parametrize("row", ROWS)
def test_it_leaves_out_a_picture_that_cannot_be_read(made, row):
    path, split = made(row)
    broken = next(p for p in path.rglob("b.*") if p.suffix in (".jpg", ".png"))
    broken.write_bytes(b"")
    found = READERS[row](path, split, ())
    assert [s.path.stem for s in found] == ["a"]
    assert [n.kind for n in found.notes].count("left out") == 1
    assert any("0 bytes" in n.text for n in found.notes)


@pytest.mark.parametrize("row", ROWS)
def test_an_empty_folder_is_a_data_error(tmp_path, row):
    with pytest.raises(DataError) as caught:
        READERS[row](tmp_path, "", ())
    assert tmp_path.name in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("row", ROWS)
def test_an_unknown_split_is_a_data_error(made, row):
    path, _ = made(row)
    with pytest.raises(DataError):
        READERS[row](path, "no_such_split", ())


@pytest.mark.parametrize("row", ROWS)
def test_it_says_what_it_reads(row):
    text = inspect.getdoc(READERS[row])
    assert text
    assert "DataError" in text
    assert inspect.getdoc(inspect.getmodule(READERS[row]))
    assert list(inspect.signature(READERS[row]).parameters)[1:] == ["split", "labels"]
