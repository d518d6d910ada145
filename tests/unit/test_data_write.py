"""Writers: what goes out comes back, what a format cannot hold is named, and nothing half-written stays."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from passerby.data import load_data
from passerby.data.write import WRITERS, Item, write_set
from passerby.errors import DataError, OutputError, SettingError
from passerby.files import made_whole
from passerby.pictures import orientation, read_picture
from passerby.records import Sample, Truth

KINDS = sorted(WRITERS)
NAMES = ("head", '<hat> & "coat"', "größe")


@pytest.fixture
def sample(tmp_path, make_picture):
    """Makes a sample of a real picture file."""

    def make(name="a.jpg", boxes=((1, 2, 11, 22),), split="train", size=(60, 40), **columns):
        path = make_picture(tmp_path / "from" / name, *size)
        return Sample(path, *size, Truth.of(boxes, **columns), split=split)

    return make


def items(*samples):
    return [Item(s, s.path.name) for s in samples]


def back(folder, kind, labels=()):
    return load_data(f"{kind}:{folder}", labels)


@pytest.mark.parametrize("kind", KINDS)
def test_pictures_boxes_classes_and_splits_come_back(sample, tmp_path, kind):
    boxes = [(1.25, 2.5, 11.125, 22.75), (0, 0, 60, 40), (30, 10, 33.3, 39.9)]
    one = sample("a.jpg", boxes, labels=[0, 2, 1])
    two = sample("b.png", [(5, 5, 9, 9)], split="val", labels=[1])
    empty = sample("c.jpg", [])
    written = write_set(items(one, two, empty), NAMES, tmp_path / "to", kind)
    assert (written.pictures, written.objects, written.lost) == (3, 4, {})
    found = back(tmp_path / "to", kind, NAMES)
    assert found.notes == ()
    assert found.labels == NAMES
    samples = {s.name: s for s in found}
    assert {n: s.split for n, s in samples.items()} == {"a": "train", "b": "val", "c": "train"}
    for s in (one, two, empty):
        assert samples[s.name].truth.boxes == pytest.approx(s.truth.boxes, abs=1e-5)
        assert samples[s.name].truth.labels.tolist() == s.truth.labels.tolist()
        assert samples[s.name].path.read_bytes() == s.path.read_bytes()
    assert load_data(str(tmp_path / "to")).source.startswith(kind)  # and is known by looking


@pytest.mark.parametrize("kind", ["voc", "coco"])
def test_difficult_objects_and_ignore_regions_come_back(sample, tmp_path, kind):
    boxes = [(1, 2, 11, 22), (20, 2, 31, 22), (40, 2, 51, 22)]
    one = sample(boxes=boxes, difficult=[1, 0, 0], ignore=[0, 1, 0])
    written = write_set(items(one), ("head",), tmp_path / "to", kind)
    truth = back(tmp_path / "to", kind)[0].truth
    assert truth.difficult.tolist() == [True, False, False]
    assert truth.ignore.tolist() == [False, True, False]
    assert sum(written.lost.values()) == 1
    assert ("ignore regions" if kind == "voc" else "difficult objects") in next(iter(written.lost))


def test_yolo_names_what_it_cannot_hold(sample, tmp_path):
    boxes = [(1, 2, 11, 22), (20, 2, 31, 22), (40, 2, 51, 22)]
    one = sample(boxes=boxes, difficult=[1, 0, 0], ignore=[0, 1, 0], split="")
    lost = write_set(items(one), ("head",), tmp_path / "to", "yolo").lost
    want = {"difficult objects: left out", "ignore regions: left out", "pictures of no split: written as train"}
    assert lost == dict.fromkeys(want, 1)
    assert back(tmp_path / "to", "yolo")[0].truth.boxes.tolist() == [[40, 2, 51, 22]]


coordinate = st.floats(0, 4000, width=32)


@given(st.lists(st.tuples(coordinate, coordinate, coordinate, coordinate), max_size=8), st.sampled_from(KINDS))
def test_any_boxes_come_back_within_a_thousandth(tmp_path_factory, rows, kind):
    tmp = tmp_path_factory.mktemp("any")
    cv2.imwrite(str(tmp / "a.png"), np.zeros((3000, 4000), np.uint8), [cv2.IMWRITE_PNG_COMPRESSION, 1])
    b = np.array(rows, np.float32).reshape(-1, 4)
    low, high = np.minimum(b[:, :2], b[:, 2:]), np.minimum(np.maximum(b[:, :2], b[:, 2:]), [4000, 3000])
    b = np.concatenate([np.minimum(low, high), high], axis=1).astype(np.float32)
    b = b[((b[:, 2:] - b[:, :2]) > 0.01).all(axis=1)]
    one = Sample(tmp / "a.png", 4000, 3000, Truth.of(b), split="train")
    write_set([Item(one, "a.png")], ("head",), tmp / "to", kind, link=True)
    found = back(tmp / "to", kind, ("head",))
    assert found[0].truth.boxes == pytest.approx(b, abs=1e-3)


def test_voc_and_coco_give_the_very_same_numbers(sample, tmp_path):
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 30, (200, 2))
    boxes = np.concatenate([low, low + rng.uniform(0.5, 9, (200, 2))], axis=1).astype(np.float32)
    one = sample(boxes=boxes)
    write_set(items(one), ("head",), tmp_path / "voc", "voc")
    assert (back(tmp_path / "voc", "voc")[0].truth.boxes == boxes).all()
    write_set(items(one), ("head",), tmp_path / "coco", "coco")
    assert np.abs(back(tmp_path / "coco", "coco")[0].truth.boxes - boxes).max() < 4e-6


@pytest.mark.parametrize("kind", KINDS)
def test_names_that_clash_or_hold_spaces_are_made_free(sample, tmp_path, make_picture, kind):
    one, two = sample("my picture.jpg"), sample("A.JPG", [(5, 5, 9, 9)])
    three = Sample(make_picture(tmp_path / "other" / "a.png"), 60, 40, Truth.of([(7, 7, 9, 9)]), split="train")
    write_set(items(one, two, three), ("head",), tmp_path / "to", kind)
    found = back(tmp_path / "to", kind)
    assert sorted(s.name for s in found) == ["A", "a-2", "my_picture"]
    assert {s.name: s.truth.boxes[0, 0] for s in found} == {"my_picture": 1, "A": 5, "a-2": 7}


def test_a_turned_picture_is_written_upright(sample, tmp_path, turn_jpeg):
    one = sample(size=(60, 40))
    turn_jpeg(one.path, 6)
    one = Sample(one.path, 40, 60, Truth.of([(1, 2, 11, 22)]))
    lost = write_set(items(one), ("head",), tmp_path / "to", "voc").lost
    assert lost == {"pictures that EXIF turned: written upright, encoded again": 1}
    copy = back(tmp_path / "to", "voc")[0]
    assert orientation(copy.path.read_bytes()) == 1
    assert (copy.width, copy.height) == (40, 60)
    assert read_picture(copy.path).shape == (60, 40, 3)


def test_pixels_of_its_own_are_encoded(sample, tmp_path):
    one = sample("a.png")
    pixels = np.random.default_rng(1).integers(0, 256, (40, 60, 3), np.uint8)
    write_set([Item(one, "a.png", lambda: pixels)], ("head",), tmp_path / "to", "voc")
    assert (read_picture(tmp_path / "to" / "JPEGImages" / "a.png") == pixels).all()


def test_links_share_the_file(sample, tmp_path):
    one = sample()
    write_set(items(one), ("head",), tmp_path / "to", "voc", link=True)
    assert (tmp_path / "to" / "JPEGImages" / "a.jpg").stat().st_ino == one.path.stat().st_ino


def test_an_error_leaves_no_folder_behind(sample, tmp_path):
    one, gone = sample("a.jpg"), sample("b.jpg")
    gone.path.unlink()
    before = sorted(tmp_path.iterdir())
    with pytest.raises(Exception, match=r"b\.jpg"):
        write_set(items(one, gone), ("head",), tmp_path / "to", "voc")
    assert sorted(tmp_path.iterdir()) == before


def test_a_folder_that_holds_something_is_not_touched(sample, tmp_path):
    (tmp_path / "to").mkdir()
    (tmp_path / "to" / "mine.txt").write_text("mine")
    with pytest.raises(OutputError, match="is there already"):
        write_set(items(sample()), ("head",), tmp_path / "to", "voc")
    assert [p.name for p in (tmp_path / "to").iterdir()] == ["mine.txt"]
    with pytest.raises(OutputError, match="cannot be made"), made_whole(tmp_path / "to" / "mine.txt" / "x"):
        pass


def test_an_empty_folder_may_be_filled(sample, tmp_path):
    (tmp_path / "to").mkdir()
    assert write_set(items(sample()), ("head",), tmp_path / "to", "voc").pictures == 1
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


def test_labels_of_whole_pictures_and_unknown_formats_are_refused(sample, tmp_path):
    one = sample()
    whole = Sample(one.path, 60, 40, Truth.of([]), label=0)
    with pytest.raises(DataError, match="label of the whole picture"):
        write_set(items(whole), ("head",), tmp_path / "to", "coco")
    with pytest.raises(SettingError, match="no format 'cocoo' to write"):
        write_set(items(one), ("head",), tmp_path / "to", "cocoo")
    assert not (tmp_path / "to").exists()
    assert isinstance(one.path, Path)
