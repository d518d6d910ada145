"""Pascal VOC on made folders: what is kept, what is changed, and the note of each change."""

from __future__ import annotations

import numpy as np
import pytest

from passerby.data import load_data
from passerby.errors import DataError

HEAD = ("head", 1, 2, 11, 22)


def read(path, split="", labels=()):
    return load_data(f"voc:{path}#{split}", labels)


def notes(found):
    return [(n.kind, n.file, n.item) for n in found.notes]


def test_a_sound_folder_reads_without_a_note(make_voc):
    found = read(make_voc({"b": [HEAD, ("head", 0, 0, 60, 40, 1)], "a": []}))
    assert found.notes == ()
    assert found.labels == ("head",)
    assert found.source == "voc:voc"
    assert [s.name for s in found] == ["a", "b"]
    assert [(s.width, s.height) for s in found] == [(60, 40), (60, 40)]
    assert found[0].truth.boxes.shape == (0, 4)
    assert found[1].truth.boxes.tolist() == [[1, 2, 11, 22], [0, 0, 60, 40]]
    assert found[1].truth.difficult.tolist() == [False, True]
    assert found.objects() == 2


@pytest.mark.parametrize(("size", "told"), [((0, 0), "0 x 0"), (None, "0 x 0"), ((40, 60), "40 x 60")])
def test_a_wrong_or_missing_size_gives_way_to_the_pictures_own(make_voc, size, told):
    found = read(make_voc({"a": [HEAD]}, size=size))
    assert (found[0].width, found[0].height) == (60, 40)
    assert notes(found) == [("size", "a.xml", -1)]
    assert found.notes[0].text == f"stated {told}, picture 60 x 40"


@pytest.mark.parametrize(
    ("corners", "kind", "left"),
    [
        ((-3, 5, 20, 30), "clipped", [[0, 5, 20, 30]]),
        ((5, 5, 60.5, 41), "clipped", [[5, 5, 60, 40]]),
        ((11, 22, 1, 2), "swapped", [[1, 2, 11, 22]]),
        ((11, 2, 1, 22), "swapped", [[1, 2, 11, 22]]),
        ((5, 5, 5, 20), "no-area", []),
        ((70, 5, 80, 20), "outside", []),
        (("nan", 5, 8, 20), "not-a-number", []),
        (("inf", 5, 8, 20), "not-a-number", []),
    ],
)
def test_a_bad_box_is_put_right_or_dropped_with_a_note(make_voc, corners, kind, left):
    found = read(make_voc({"a": [HEAD, ("head", *corners)]}))
    assert notes(found) == [(kind, "a.xml", 1)]
    assert found[0].truth.boxes.tolist() == [[1, 2, 11, 22], *left]
    assert len(found[0].truth.difficult) == len(found[0].truth.labels) == 1 + len(left)


def test_a_dropped_box_says_why(make_voc):
    found = read(make_voc({"a": [HEAD, ("head", 5, 5, 5, 20), ("head", 70, 5, 80, 20)]}))
    assert [n.text.split(":")[0] for n in found.notes] == ["no area", "outside the 60 x 40 picture"]


def test_swapped_corners_past_the_border_get_both_notes(make_voc):
    found = read(make_voc({"a": [("head", 70, 22, 1, 2)]}))
    assert [n.kind for n in found.notes] == ["swapped", "clipped"]
    assert found[0].truth.boxes.tolist() == [[1, 2, 60, 22]]


def test_a_mistyped_class_is_taken_for_the_frequent_one(make_voc):
    found = read(make_voc({"a": [HEAD] * 20, "b": [("headdddddaaddwddd", 1, 2, 11, 22)]}))
    assert found.labels == ("head",)
    assert notes(found) == [("renamed", "b.xml", 0)]
    assert found[1].truth.labels.tolist() == [0]


def test_a_mistyped_class_is_known_by_the_labels_asked_for(make_voc):
    found = read(make_voc({"a": [("headdddddaaddwddd", 1, 2, 11, 22), (" Head ", 1, 2, 11, 22)]}), labels=("head",))
    assert [n.kind for n in found.notes] == ["renamed", "renamed"]
    assert found.objects() == 2


def test_a_name_that_is_not_rare_is_a_class_of_its_own(make_voc):
    found = read(make_voc({"a": [("head", 1, 2, 11, 22)] * 19 + [("headband", 1, 2, 11, 22)]}))
    assert found.labels == ("head", "headband")
    assert found[0].truth.labels.tolist() == [0] * 19 + [1]
    assert found.notes == ()


def test_a_class_that_was_not_asked_for_is_left_out_and_told_once(make_voc):
    found = read(make_voc({"a": [("dog", 1, 2, 11, 22), HEAD, ("dog", 1, 2, 11, 22)]}), labels=("cat", "head"))
    assert found.labels == ("cat", "head")
    assert notes(found) == [("not-chosen", "voc:voc", -1)]
    assert found.notes[0].count == 2
    assert found.notes[0].text == "class 'dog' is not among ['cat', 'head']"
    assert found[0].truth.labels.tolist() == [1]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("<annotation><object>", "cannot be read"),
        ("", "cannot be read"),
        ('<!DOCTYPE a [<!ENTITY h "head">]><annotation/>', "refused"),
        ("<a>" * 10 + "</a>" * 9, "cannot be read"),
    ],
)
def test_a_broken_annotation_is_left_out_and_the_rest_is_read(make_voc, content, words):
    found = read(make_voc({"a": content, "b": [HEAD]}))
    assert [s.name for s in found] == ["b"]
    assert notes(found) == [("bad-labels", "a.xml", -1)]
    assert words in found.notes[0].text


@pytest.mark.parametrize(("box", "shown"), [("<bndbox><xmin>x</xmin></bndbox>", "'x'"), ("", "None")])
def test_a_broken_object_is_left_out_and_the_others_of_its_picture_are_read(make_voc, voc_xml, box, shown):
    broken = f"<object>\n<name>head</name>\n{box}</object>\n"
    text = voc_xml([HEAD]).replace("</annotation>", f"\n{broken}</annotation>")
    found = read(make_voc({"a": text}))
    assert found.objects() == 1
    assert notes(found) == [("bad-object", "a.xml", 1)]
    assert found.notes[0].text == f"<xmin> is {shown}, not a number"
    assert found.notes[0].line == 2


def test_an_annotation_of_a_million_tags_is_refused_without_being_read(make_voc):
    found = read(make_voc({"a": "<annotation>" + "<a/>" * 2_000_001 + "</annotation>", "b": [HEAD]}))
    assert notes(found) == [("bad-labels", "a.xml", -1)]
    assert found.notes[0].text == "over 2,000,000 tags: refused"


def test_a_missing_picture_is_left_out(make_voc):
    found = read(make_voc({"a": [HEAD], "b": [HEAD]}, without_picture=("a",)))
    assert [s.name for s in found] == ["b"]
    assert found.notes[0].text == "no picture a.* in JPEGImages"


def test_a_picture_that_is_none_is_left_out(make_voc):
    root = make_voc({"a": [HEAD], "b": [HEAD]})
    (root / "JPEGImages" / "a.jpg").write_bytes(b"")
    found = read(root)
    assert [s.name for s in found] == ["b"]
    assert "0 bytes" in found.notes[0].text


def test_splits_choose_and_order_and_join_without_doubles(make_voc):
    root = make_voc({n: [HEAD] for n in "abcd"}, splits={"train": ["c", "a"], "val": ["a", "b"], "head_val": ["d  -1"]})
    assert [s.name for s in read(root, "train")] == ["c", "a"]
    assert [s.name for s in read(root, "train, val")] == ["c", "a", "b"]
    assert [s.name for s in load_data(f"voc:{root}#head_val")] == ["d"]
    assert read(root, "train,val").source == "voc:voc#train,val"


def test_a_name_in_a_split_without_an_annotation_is_left_out(make_voc):
    found = read(make_voc({"a": [HEAD]}, splits={"train": ["a", "gone"]}), "train")
    assert notes(found) == [("bad-labels", "gone.xml", -1)]
    assert found.notes[0].text == "no such file"


def test_an_unknown_split_names_the_nearest(make_voc):
    root = make_voc({"a": [HEAD]}, splits={"train_A": ["a"], "val_A": ["a"]})
    with pytest.raises(DataError, match=r"no split 'trian_A' in ImageSets/Main \(did you mean 'train_A'\?\)"):
        read(root, "train_A,trian_A")


def test_errors_name_the_missing_folder_and_the_first_reason(make_voc, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no folder Annotations"):
        read(tmp_path / "empty")
    (tmp_path / "empty" / "Annotations").mkdir()
    with pytest.raises(DataError, match="no folder JPEGImages"):
        read(tmp_path / "empty")
    with pytest.raises(DataError, match=r"voc:voc: no usable picture; the first: a\.xml: cannot be read"):
        read(make_voc({"a": "<broken"}))


def test_a_turned_jpeg_has_its_upright_size_and_keeps_upright_boxes(make_voc, turn_jpeg):
    root = make_voc({"a": [("head", 10, 20, 40, 60)]}, size=(40, 60))
    turn_jpeg(root / "JPEGImages" / "a.jpg", 6)
    found = read(root)
    assert (found[0].width, found[0].height) == (40, 60)
    assert found.notes == ()
    np.testing.assert_array_equal(found[0].truth.boxes, [[10, 20, 40, 60]])


@pytest.mark.parametrize("encoding", ["gbk", "shift_jis", "no-such-encoding"])
def test_an_encoding_that_cannot_be_read_leaves_the_annotation_out(make_voc, voc_xml, encoding):
    found = read(make_voc({"a": f'<?xml version="1.0" encoding="{encoding}"?>' + voc_xml([HEAD]), "b": [HEAD]}))
    assert notes(found) == [("bad-labels", "a.xml", -1)]


def test_a_doctype_in_utf_16_is_refused_too(make_voc, voc_xml):
    text = '<?xml version="1.0" encoding="utf-16"?><!DOCTYPE a [<!ENTITY h "head">]>' + voc_xml([("&h;", 1, 2, 11, 22)])
    found = read(make_voc({"a": text.encode("utf-16"), "b": [HEAD]}))
    assert notes(found) == [("bad-labels", "a.xml", -1)]
    assert "refused" in found.notes[0].text


def test_an_infinite_size_gives_way_to_the_pictures_own(make_voc):
    found = read(make_voc({"a": [HEAD]}, size=("inf", "1e999")))
    assert notes(found) == [("size", "a.xml", -1)]


def test_a_split_list_may_start_with_a_byte_order_mark(make_voc):
    root = make_voc({"a": [HEAD]})
    (root / "ImageSets" / "Main" / "train.txt").write_bytes(b"\xef\xbb\xbfa\n")
    assert [s.name for s in read(root, "train")] == ["a"]


def test_a_split_list_that_is_not_utf_8_is_a_data_error(make_voc):
    root = make_voc({"a": [HEAD]})
    (root / "ImageSets" / "Main" / "train.txt").write_bytes(b"a\xe9\n")
    with pytest.raises(DataError, match="train"):
        read(root, "train")


def test_an_object_without_a_name_makes_no_class(make_voc):
    found = read(make_voc({"a": [HEAD, ("", 1, 2, 11, 22)]}))
    assert found.labels == ("head",)
    assert notes(found) == [("bad-object", "a.xml", 1)]


def test_a_name_in_a_list_may_have_spaces_and_a_second_column(make_voc):
    root = make_voc({n: [HEAD] for n in ("my photo", "my photo 1", "b")}, splits={"val": ["my photo  -1", "b 1"]})
    assert [s.name for s in read(root, "val")] == ["my photo", "b"]
    (root / "ImageSets" / "Main" / "val.txt").write_text("my photo 1\n")
    assert [s.name for s in read(root, "val")] == ["my photo 1"]


def test_without_a_split_each_sample_tells_the_list_that_names_it(make_voc):
    root = make_voc({n: [HEAD] for n in "abc"}, splits={"train": ["a"], "val": ["b"], "trainval": ["a", "b"]})
    assert [(s.name, s.split) for s in read(root)] == [("a", "train"), ("b", "val"), ("c", "")]
    assert [s.split for s in read(root, "val")] == ["val"]


def test_a_picture_without_an_annotation_is_told(make_voc, make_picture):
    root = make_voc({"a": [HEAD]})
    make_picture(root / "JPEGImages" / "new.jpg")
    assert notes(read(root)) == [("no-labels", "new.jpg", -1)]


def test_labels_on_the_unturned_raster_are_turned_with_the_picture(make_voc, turn_jpeg):
    root = make_voc({"a": [("head", 10, 20, 40, 30)]}, size=(60, 40))  # of a raster of 60 x 40, upright 40 x 60
    turn_jpeg(root / "JPEGImages" / "a.jpg", 6)
    found = read(root)
    assert notes(found) == [("turned", "a.xml", -1)]
    assert found[0].truth.boxes.tolist() == [[10, 10, 20, 40]]


def test_marks_that_have_no_place_are_counted(make_voc, voc_xml):
    text = voc_xml([HEAD, HEAD]).replace("<bndbox>", "<truncated>1</truncated><bndbox>")
    found = read(make_voc({"a": text}))
    assert [(n.kind, n.text, n.count) for n in found.notes] == [("not-held", "truncated", 2)]


def test_our_own_mark_makes_an_ignore_region(make_voc, voc_xml):
    found = read(make_voc({"a": voc_xml([HEAD]).replace("<bndbox>", "<ignore>1</ignore><bndbox>")}))
    assert found[0].truth.ignore.tolist() == [True]
    assert found.objects() == 0
