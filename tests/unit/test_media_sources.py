"""Sources: which files a name stands for, and what happens to those that cannot be read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from passerby.errors import SourceError
from passerby.media.sources import find_items, open_source
from passerby.pictures import read_picture


@pytest.fixture
def folder(tmp_path, make_picture, make_video):
    """Pictures, a video and other files, in two levels."""
    root = tmp_path / "in"
    for name in ("b.png", "a.jpg", "sub/c.bmp", "sub/D.JPG"):
        make_picture(root / name)
    make_video(root / "clip.mp4", frames=2)
    (root / "notes.txt").write_text("no picture")
    (root / "a.xml").write_text("<annotation/>")
    (root / "empty").mkdir()
    return root


def names(source, root):
    return [(i.kind, i.path.relative_to(root).as_posix()) for i in find_items(source)]


def test_a_picture_is_one_item(folder):
    assert names(folder / "b.png", folder) == [("picture", "b.png")]
    assert names(str(folder / "b.png"), folder) == [("picture", "b.png")]


def test_a_video_is_one_item(folder):
    assert names(folder / "clip.mp4", folder) == [("video", "clip.mp4")]


def test_an_item_is_named_as_it_was_given(folder, monkeypatch):
    monkeypatch.chdir(folder)
    assert [i.name for i in find_items("b.png")] == ["b.png"]
    assert [i.name for i in find_items("sub")] == ["sub/D.JPG", "sub/c.bmp"]


def test_a_folder_is_searched_through_sorted_and_other_files_are_left(folder):
    assert names(folder, folder) == [
        ("picture", "a.jpg"),
        ("picture", "b.png"),
        ("video", "clip.mp4"),
        ("picture", "sub/D.JPG"),
        ("picture", "sub/c.bmp"),
    ]


def test_a_pattern_gives_the_files_that_fit_sorted(folder):
    assert names(folder / "*.[jp][pn]g", folder) == [("picture", "a.jpg"), ("picture", "b.png")]


def test_two_stars_go_through_all_folders(folder):
    assert names(folder / "**/*.bmp", folder) == [("picture", "sub/c.bmp")]


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(tmp_path, make_picture):
    make_picture(tmp_path / "a1.png")
    make_picture(tmp_path / "a[1].png")
    assert names(tmp_path / "a[1].png", tmp_path) == [("picture", "a[1].png")]


def test_results_of_an_earlier_run_are_no_sources_unless_they_are_named(folder, make_picture, monkeypatch):
    make_picture(folder / "found" / "b.png")
    monkeypatch.chdir(folder)
    everything = [i.path for i in find_items(".")]
    assert [i.path for i in find_items(".", Path("found"))] == [p for p in everything if p.parts[0] != "found"]
    assert len(find_items(".", folder / "found")) == len(everything) - 1
    assert [i.name for i in find_items("found", Path("found"))] == ["found/b.png"]
    assert "found/b.png" not in [f.source for f in open_source(".", results=Path("found"))]


def test_an_address_is_no_file_and_its_password_is_not_shown():
    with pytest.raises(SourceError, match=r"^rtsp://door/1: is an address, .* passerby live watches streams$"):
        find_items("rtsp://me:secret@door/1")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(SourceError, match=r"gone\.jpg: no such file or folder"):
        find_items(tmp_path / "gone.jpg")


def test_a_name_that_is_too_long_for_a_file_is_no_crash(tmp_path):
    with pytest.raises(SourceError):
        find_items("a" * 300)


def test_a_folder_without_pictures_is_named(folder):
    with pytest.raises(SourceError, match=r"empty: no picture or video in this folder"):
        find_items(folder / "empty")


def test_a_pattern_that_nothing_fits_is_named(folder):
    with pytest.raises(SourceError, match=r"\*\.gif: no file fits this pattern"):
        find_items(folder / "*.gif")


def test_a_pattern_that_fits_only_folders_fits_nothing(folder):
    with pytest.raises(SourceError, match="no file fits this pattern"):
        find_items(folder / "s?b")


def test_open_source_complains_before_the_first_frame(tmp_path):
    with pytest.raises(SourceError, match="no such file"):
        open_source(tmp_path / "gone.jpg")


def test_frames_of_pictures_carry_their_file_and_no_time(tmp_path, make_picture):
    path = make_picture(tmp_path / "p.png", 60, 40)
    (frame,) = open_source(path)
    assert (frame.source, frame.index, frame.time) == (str(path), 0, None)
    assert (frame.width, frame.height) == (60, 40)
    np.testing.assert_array_equal(frame.pixels, read_picture(path))


def test_a_folder_gives_pictures_and_every_frame_of_its_videos(folder):
    frames = list(open_source(folder))
    assert [(f.source.removeprefix(f"{folder}/"), f.index) for f in frames] == [
        ("a.jpg", 0),
        ("b.png", 0),
        ("clip.mp4", 0),
        ("clip.mp4", 1),
        ("sub/D.JPG", 0),
        ("sub/c.bmp", 0),
    ]


def test_without_on_error_the_first_bad_file_ends_it(folder):
    (folder / "aa.jpg").write_text("no picture")
    frames = open_source(folder)
    assert next(frames).source.endswith("a.jpg")
    with pytest.raises(SourceError, match=r"aa\.jpg"):
        next(frames)


def test_with_on_error_the_rest_goes_on(folder):
    (folder / "aa.jpg").write_text("no picture")
    (folder / "bad.mp4").write_bytes(b"no video" * 100)
    (folder / "sub/zero.png").write_bytes(b"")
    errors = []
    frames = list(open_source(folder, errors.append))
    assert len(frames) == 6
    assert [str(e).removeprefix(f"{folder}/").split(":")[0] for e in errors] == ["aa.jpg", "bad.mp4", "sub/zero.png"]
    assert all(isinstance(e, SourceError) for e in errors)


def test_an_error_of_the_callers_own_is_not_swallowed(folder):
    class OwnError(Exception):
        pass

    def stop(error):
        raise OwnError from error

    (folder / "aa.jpg").write_text("no picture")
    with pytest.raises(OwnError):
        list(open_source(folder, stop))
