"""The rules for every format: turned pictures, shares, classes of pictures, and measures against floods."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from passerby.data.classes import parse_classes
from passerby.data.clean import MOST_OBJECTS, settle, turn
from passerby.data.listing import (
    ANY_CLASS,
    DIFFICULT,
    IGNORE,
    LARGEST_NAME,
    MOST_NAMES,
    MOST_NOTES,
    RELATIVE,
    Listed,
    Listing,
    first_there,
    inside,
    lines_of,
    printable,
    read_text,
)
from passerby.errors import DataError
from passerby.pictures import read_picture

BOX = (1, 2, 11, 22)


@pytest.fixture
def listed(make_picture, tmp_path):
    """Builder of an entry of a picture a.png of 60 x 40 -> Listed."""

    def make(name="a.png", width=0, height=0, **more):
        return Listed(make_picture(tmp_path / name), "labels.txt", 3, width, height, **more)

    return make


def settled(listing, *labels):
    return settle(listing, parse_classes(labels), "made")


def kinds(found):
    return [(n.kind, n.item, n.count) for n in found.notes]


PATCH = (8, 5, 24, 13)  # on the raster of 60 x 40


def patched(path, make_pixels=None):
    """A dark JPEG of 60 x 40 with a bright patch."""
    raster = np.full((40, 60, 3), 20, np.uint8)
    x0, y0, x1, y1 = PATCH
    raster[y0:y1, x0:x1] = 240
    path.write_bytes(cv2.imencode(".jpg", raster, [cv2.IMWRITE_JPEG_QUALITY, 100])[1].tobytes())
    return path


def bright(pixels):
    """The box around what is bright."""
    ys, xs = np.nonzero(pixels.mean(axis=2) > 128)
    return [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]


@pytest.mark.parametrize("way", range(1, 9))
def test_a_turned_box_lies_on_what_it_lay_on(tmp_path, turn_jpeg, way):
    pixels = read_picture(turn_jpeg(patched(tmp_path / "a.jpg"), way))
    height, width = pixels.shape[:2]
    assert (width, height) == ((40, 60) if way > 4 else (60, 40))
    box = turn(np.array([PATCH], np.float64), width, height, way)
    np.testing.assert_allclose(box[0], bright(pixels), atol=1)


@pytest.mark.parametrize("way", range(5, 9))
def test_labels_made_on_the_raster_are_turned_when_their_size_says_so(tmp_path, turn_jpeg, way):
    path = turn_jpeg(patched(tmp_path / "a.jpg"), way)
    listing = Listing()
    listing.add_object(listing.add_picture(Listed(path, "x", 0, 60, 40)), "head", PATCH)
    found = settled(listing)
    assert kinds(found) == [("turned", -1, 1)]
    np.testing.assert_allclose(found[0].truth.boxes[0], bright(read_picture(path)), atol=1)


@pytest.mark.parametrize("size", [(0, 0), (40, 60), (600, 400)])
def test_labels_of_another_size_are_taken_as_upright(tmp_path, turn_jpeg, size):
    path = turn_jpeg(patched(tmp_path / "a.jpg"), 6)
    listing = Listing()
    listing.add_object(listing.add_picture(Listed(path, "x", 0, *size)), "head", PATCH)
    found = settled(listing)
    assert found[0].truth.boxes.tolist() == [list(PATCH)]
    assert [n.kind for n in found.notes] == (["size"] if size == (600, 400) else [])


def test_boxes_of_several_turned_pictures_keep_apart(tmp_path, turn_jpeg):
    listing = Listing()
    for name, way in (("a.jpg", 6), ("b.jpg", 8), ("c.jpg", 6)):
        path = turn_jpeg(patched(tmp_path / name), way)
        listing.add_object(listing.add_picture(Listed(path, "x", 0, 60, 40)), "head", PATCH)
    for sample in settled(listing):
        np.testing.assert_allclose(sample.truth.boxes[0], bright(read_picture(sample.path)), atol=1)


def test_shares_are_of_the_pictures_own_size(listed):
    listing = Listing()
    listing.add_object(listing.add_picture(listed()), "head", (0.5, 0.25, 1.0, 0.75), flags=RELATIVE)
    assert settled(listing)[0].truth.boxes.tolist() == [[30, 10, 60, 30]]


@pytest.mark.parametrize("huge", [1e308, float("inf"), -1e308])
def test_shares_beyond_all_measure_are_dropped_without_a_warning(listed, huge):
    listing = Listing()
    listing.add_object(listing.add_picture(listed()), "head", (0.5, 0.25, huge, 0.75), flags=RELATIVE)
    assert [n.kind for n in settled(listing).notes] == ["not-a-number"]


def test_a_region_of_any_class_is_ignored_whatever_is_asked_for(listed):
    listing = Listing()
    picture = listing.add_picture(listed())
    listing.add_object(picture, "person", BOX, 0)
    listing.add_object(picture, "mask", (20, 10, 30, 20), 1, flags=IGNORE | ANY_CLASS)
    listing.add_object(picture, "head", (3, 3, 9, 9), 2, flags=DIFFICULT)
    found = settled(listing, "head")
    assert found.labels == ("head",)
    assert found[0].truth.boxes.tolist() == [[20, 10, 30, 20], [3, 3, 9, 9]]
    assert found[0].truth.ignore.tolist() == [True, False]
    assert found[0].truth.difficult.tolist() == [False, True]
    assert settled(listing).labels == ("head", "person")  # mask is no class


def test_a_class_to_ignore_makes_regions(listed):
    listing = Listing()
    picture = listing.add_picture(listed())
    listing.add_object(picture, "person", BOX)
    listing.add_object(picture, "crowd", (20, 10, 30, 20))
    found = settled(listing, "person", "ignore=crowd")
    assert found[0].truth.ignore.tolist() == [False, True]
    assert found.notes == ()


def test_a_name_that_looks_like_a_slip_is_told_object_by_object(listed):
    listing = Listing()
    picture = listing.add_picture(listed())
    listing.add_object(picture, "haed", BOX, 0)
    listing.add_object(picture, "zebra", BOX, 1)
    listing.add_object(picture, "zebra", BOX, 2)
    found = settled(listing, "head")
    assert kinds(found) == [("unknown-class", 0, 1), ("not-chosen", -1, 2)]
    assert found.notes[0].text == "class 'haed' is not among ['head']; a slip of 'head'?"
    assert (found.notes[1].file, found.notes[1].text) == ("made", "class 'zebra' is not among ['head']")


def test_a_picture_listed_twice_counts_once_in_a_split(listed):
    listing = Listing()
    for split in ("train", "train", "val"):
        listing.add_object(listing.add_picture(listed(split=split)), "head", BOX)
    found = settled(listing)
    assert [(s.split, len(s.truth)) for s in found] == [("train", 1), ("val", 1)]
    assert [(n.kind, n.line) for n in found.notes] == [("listed-twice", 3)]


def test_a_picture_that_the_reader_leaves_out_is_no_sample(listed):
    listing = Listing()
    for name in ("a.png", "b.png"):
        listing.add_object(listing.add_picture(listed(name)), "head", BOX)
    listing.left_out.add(0)
    listing.tell("bad-labels", "labels.txt", "why")
    assert [s.name for s in settled(listing)] == ["b"]
    listing.left_out.add(1)
    with pytest.raises(DataError, match=r"made: no usable picture; the first: labels\.txt: why"):
        settled(listing)


def test_more_objects_than_any_photograph_holds_leave_the_picture_out(listed):
    listing = Listing()
    for name, count in (("a.png", MOST_OBJECTS), ("b.png", MOST_OBJECTS + 1)):
        picture = listing.add_picture(listed(name))
        for k in range(count):
            listing.add_object(picture, "head", BOX, k)
    found = settled(listing)
    assert [(s.name, len(s.truth)) for s in found] == [("a", MOST_OBJECTS)]
    assert [(n.kind, n.text) for n in found.notes] == [("too-many", "20,001 objects; at most 20,000 are read")]


def test_a_flood_of_notes_is_counted_and_not_kept(listed):
    listing = Listing()
    for name in ("a.png", "b.png"):
        picture = listing.add_picture(listed(name))
        for k in range(MOST_OBJECTS):
            listing.add_object(picture, "head", (5, 5, 5, 9), k)
    for k in range(MOST_NOTES + 5):
        listing.tell("bad-object", "labels.txt", "why", k)
    found = settled(listing)
    assert found.note_counts() == {"no-area": 2 * MOST_OBJECTS, "bad-object": MOST_NOTES + 5}
    assert len(found.notes) == 2 * MOST_NOTES + 2
    assert [n.text for n in found.notes[-2:]] == ["and 5 more like these", "and 20,000 more like these"]


def test_a_class_left_out_is_told_after_one_with_many_objects(listed):
    listing = Listing()
    for name in ("a.png", "b.png"):
        picture = listing.add_picture(listed(name))
        for k in range(MOST_OBJECTS - 1):
            listing.add_object(picture, "dog", BOX, k)
        listing.add_object(picture, "cat", BOX, MOST_OBJECTS)
    assert [(n.text[:11], n.count) for n in settled(listing, "head").notes] == [
        ("class 'dog'", 39_998),
        ("class 'cat'", 2),
    ]


def test_too_many_class_names_are_an_error_that_says_so():
    listing = Listing()
    for k in range(MOST_NAMES):
        listing.number_of(str(k))
    listing.number_of("0")
    with pytest.raises(DataError, match="over 25,000 class names"):
        listing.number_of("one more")


def test_class_names_are_cut_and_made_printable(listed):
    listing = Listing()
    picture = listing.add_picture(listed())
    for name in ("a\nb", "x" * 300 + "1", "x" * 300 + "2", "\ud800"):
        listing.add_object(picture, name, BOX)
    assert listing.names == ["a b", "x" * LARGEST_NAME + "...", " "]
    assert settled(listing).labels == ("a b", "x" * LARGEST_NAME + "...")


@pytest.mark.parametrize(
    "name", ["a.png", "deep/a.png", "./a.png", "deep/../a.png", "deep\\a.png", "..a.png", "a..png"]
)
def test_a_name_inside_the_folder_is_found(tmp_path, name):
    assert inside(tmp_path, name).is_relative_to(tmp_path)
    assert inside(tmp_path, str(tmp_path / "x.png")) == tmp_path / "x.png"


@pytest.mark.parametrize(
    "name", ["../a.png", "deep/../../a.png", "/etc/passwd", "..", ".", "..\\a.png", "deep/..", "/", "../../../../x"]
)
def test_a_name_that_leads_out_is_refused(tmp_path, name):
    with pytest.raises(DataError, match="leads out of the data set's folder: refused"):
        inside(tmp_path / "set", name)


def test_a_folder_whose_name_begins_alike_is_outside(tmp_path):
    with pytest.raises(DataError, match="leads out"):
        inside(tmp_path / "set", "../set2/a.png")


@pytest.mark.parametrize("name", ["", " ", "a\0.png", "x" * 256, "é" * 128, "a/" * 1001, "\ud800.png"])
def test_what_no_file_can_be_called_is_refused(tmp_path, name):
    with pytest.raises(DataError, match="is no file name") as caught:
        inside(tmp_path, name)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400


def test_relative_folders_stay_relative(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    base = (tmp_path / "set").relative_to(tmp_path)
    assert inside(base, "x/a.png") == base / "x" / "a.png"
    assert inside(base, str(tmp_path / "set" / "a.png")) == base / "a.png"


def test_the_first_folder_that_has_a_file_counts(tmp_path, make_picture):
    make_picture(tmp_path / "images" / "a.png")
    folders = [tmp_path, tmp_path / "images", tmp_path / "more"]
    assert first_there(folders, "a.png") == tmp_path / "images" / "a.png"
    assert first_there(folders, "b.png") == tmp_path / "b.png"
    with pytest.raises(DataError, match="leads out"):
        first_there(folders, "../a.png")


def test_lines_are_numbered_and_strange_bytes_replaced(tmp_path):
    (tmp_path / "x").write_bytes(b"\xef\xbb\xbfone\r\n\ntw\xffo")
    assert list(lines_of(tmp_path / "x")) == [(1, "one"), (2, ""), (3, "tw\ufffdo")]


def test_a_line_or_a_file_beyond_all_measure_is_refused(tmp_path):
    (tmp_path / "x").write_bytes(b"a\n" + b"b" * 3_000_001)
    with pytest.raises(DataError, match="line 2 is over 3 MB long: refused"):
        list(lines_of(tmp_path / "x", 3_000_000))
    with pytest.raises(DataError, match="over 3 MB"):
        read_text(tmp_path / "x", 3_000_000)


def test_what_a_terminal_cannot_print_becomes_a_space():
    assert printable("a\nb\x1b[31m\u202e\ud800é") == "a b [31m  é"
