"""Data sets by name: `format:path#split`, plain folders, and sets joined."""

from __future__ import annotations

import pytest

from passerby.data import join, load_data
from passerby.errors import DataError

HEAD = ("head", 1, 2, 11, 22)
ROW = {"image_id": 1, "category_id": 1, "bbox": [1, 2, 10, 20]}


def test_the_format_may_be_said_or_guessed(make_voc, make_coco, make_picture):
    root, file = make_voc({"a": [HEAD]}), make_coco([ROW])
    for source in (f"voc:{root}", str(root)):
        assert load_data(source).source == "voc:voc"
    for source in (f"coco:{file}", str(file)):
        assert load_data(source).source == "coco:train.json"
    for source in (f"coco:{file.parent}", str(file.parent)):
        assert load_data(source).source == "coco:coco"
    assert load_data(f"folder:{file.parent}").source == "folder:coco"


def test_a_guess_says_why_and_a_name_does_not(make_voc, make_coco):
    assert load_data(str(make_voc({"a": [HEAD]}))).reason == "its folder Annotations holds .xml files"
    assert load_data(str(make_coco([ROW]).parent)).reason == "it holds train.json with annotations"
    assert load_data(f"voc:{make_voc({'a': [HEAD]})}").reason == ""


def test_a_file_that_is_no_labels_says_how_to_name_the_format(tmp_path):
    (tmp_path / "x.bin").write_bytes(b"?")
    with pytest.raises(DataError, match=r"looks like none of the formats voc, .*; say which: FORMAT:PATH"):
        load_data(str(tmp_path / "x.bin"))


def test_relative_paths_start_at_root(make_voc):
    root = make_voc({"a": [HEAD]}, splits={"train": ["a"]})
    assert len(load_data("voc:voc#train", root=root.parent)) == 1
    assert len(load_data("voc#train", root=root.parent)) == 1


def test_labels_are_handed_on(make_voc):
    assert load_data(f"voc:{make_voc({'a': [HEAD]})}", labels=["head", "hat"]).labels == ("head", "hat")


def test_an_unknown_format_names_the_nearest(tmp_path):
    with pytest.raises(DataError, match=r"no format 'vco' \(did you mean 'voc'\?\)"):
        load_data("vco:somewhere", root=tmp_path)


@pytest.mark.parametrize("source", ["voc:nowhere", "nowhere", "coco:nowhere.json#x"])
def test_a_missing_path_is_named(tmp_path, source):
    with pytest.raises(DataError, match=r"no such file or folder: .*nowhere"):
        load_data(source, root=tmp_path)


def test_a_path_may_hold_a_colon(make_voc):
    root = make_voc({"a": [HEAD]}, where="10:30")
    assert len(load_data(f"voc:{root}")) == 1


def test_a_folder_reads_every_picture_sorted_and_without_objects(make_picture, tmp_path):
    for name in ("b.png", "a.JPG", "deep/c.webp"):
        make_picture(tmp_path / "pictures" / name, 20, 10)
    (tmp_path / "pictures" / "notes.txt").write_text("no picture")
    found = load_data(f"folder:{tmp_path}/pictures", ("head",))
    assert [s.path.name for s in found] == ["a.JPG", "b.png", "c.webp"]
    assert [(s.width, s.height, len(s.truth)) for s in found] == [(20, 10, 0)] * 3
    assert found.labels == ("head",)
    assert found.notes == ()
    assert [(s.name, s.split) for s in load_data(f"folder:{tmp_path}/pictures#deep")] == [("c", "deep")]


def test_a_folder_leaves_out_what_cannot_be_read(make_picture, tmp_path):
    make_picture(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"no picture")
    found = load_data(f"folder:{tmp_path}")
    assert [s.name for s in found] == ["a"]
    assert [(n.kind, n.file) for n in found.notes] == [("unreadable", "b.png")]


def test_a_folder_without_pictures_or_no_folder_is_an_error(tmp_path):
    with pytest.raises(DataError, match="no picture in it"):
        load_data(f"folder:{tmp_path}")
    (tmp_path / "train").mkdir()
    with pytest.raises(DataError, match=r"no split 'trian' \(did you mean 'train'\?\)"):
        load_data(f"folder:{tmp_path}#trian")


def test_a_turned_jpeg_in_a_folder_has_its_upright_size(make_picture, turn_jpeg, tmp_path):
    turn_jpeg(make_picture(tmp_path / "a.jpg", 60, 40), 8)
    assert [(s.width, s.height) for s in load_data(f"folder:{tmp_path}")] == [(40, 60)]


def test_sets_of_the_same_labels_join(make_voc, make_coco):
    one, two = load_data(f"voc:{make_voc({'a': [HEAD]})}"), load_data(f"coco:{make_coco([ROW, {**ROW, 'bbox': 1}])}")
    both = join([one, two])
    assert len(both) == 2
    assert both.objects() == 2
    assert both.source == "voc:voc, coco:train.json"
    assert both.note_counts() == {"bad-object": 1}


def test_sets_of_other_labels_do_not_join(make_voc):
    one = load_data(f"voc:{make_voc({'a': [HEAD]})}")
    two = load_data(f"voc:{make_voc({'a': [('dog', 1, 2, 11, 22)]}, where='dogs')}")
    with pytest.raises(DataError, match=r"voc:dogs has labels \['dog'\], voc:voc has \['head'\]"):
        join([one, two])


def test_no_set_at_all_says_how_to_name_one():
    with pytest.raises(DataError, match=r"--set data\.train="):
        join([])
