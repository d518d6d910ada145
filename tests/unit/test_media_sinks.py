"""Sinks: what is written, what it is called, and what is never written over."""

from __future__ import annotations

import io
import json

import cv2
import numpy as np
import pytest

from passerby import Frame
from passerby.errors import OutputError, SettingError
from passerby.media.sinks import JsonLines, PictureFolder, VideoFile, open_sink
from passerby.media.sources import frame_rate, video
from passerby.pictures import read_picture


@pytest.fixture
def still(make_pixels):
    """Makes a picture's frame; with index and time, a video's."""

    def make(source, width=64, height=48, index=0, time=None):
        return Frame(make_pixels(width, height), str(source), index, time)

    return make


def files(folder):
    return sorted(p.name for p in folder.iterdir())


def test_a_picture_keeps_its_name_size_and_format(tmp_path, still, found):
    with PictureFolder(tmp_path / "out") as sink:
        for name in ("a.jpg", "b.png", "c.JPEG", "d.webp"):
            sink.write(still(f"in/{name}"), found())
    assert files(tmp_path / "out") == ["a.jpg", "b.png", "c.jpeg", "d.webp"]
    assert [p.name for p in sink.written] == ["a.jpg", "b.png", "c.jpeg", "d.webp"]
    for path in sink.written:
        assert read_picture(path).shape == (48, 64, 3)


def test_a_lossless_picture_keeps_its_pixels_and_gets_its_boxes(tmp_path, still, found):
    frame = still("in/b.png")
    with PictureFolder(tmp_path) as sink:
        sink.write(frame, found([[10, 10, 30, 30]]))
    out = read_picture(tmp_path / "b.png")
    np.testing.assert_array_equal(out[35:], frame.pixels[35:])
    assert (out[10:30, 10:30] != frame.pixels[10:30, 10:30]).any()


def test_frames_of_a_video_are_numbered(tmp_path, still, found):
    with PictureFolder(tmp_path) as sink:
        for i in (0, 12):
            sink.write(still("in/clip.mp4", index=i, time=i / 25), found())
    assert files(tmp_path) == ["clip-000000.jpg", "clip-000012.jpg"]


def test_a_second_picture_of_one_name_gets_a_number(tmp_path, still, found):
    with PictureFolder(tmp_path) as sink:
        for folder in "xyz":
            sink.write(still(f"{folder}/a.png"), found())
        sink.write(still("x/a.jpg"), found())
    assert files(tmp_path) == ["a-2.png", "a-3.png", "a.jpg", "a.png"]


def test_a_number_that_is_a_name_of_its_own_is_not_written_over(tmp_path, still, found):
    with PictureFolder(tmp_path) as sink:
        for name in ("x/a.png", "x/a-2.png", "y/a.png"):
            sink.write(still(name), found())
    assert len(files(tmp_path)) == 3


def test_results_of_an_earlier_run_are_replaced(tmp_path, still, found):
    for width in (64, 32):
        with PictureFolder(tmp_path) as sink:
            sink.write(still("in/a.png", width), found())
    assert files(tmp_path) == ["a.png"]
    assert read_picture(tmp_path / "a.png").shape == (48, 32, 3)


def test_the_picture_itself_is_not_written_over(tmp_path, still, found, make_picture, monkeypatch):
    path = make_picture(tmp_path / "a.png")
    before = path.read_bytes()
    monkeypatch.chdir(tmp_path)
    for folder, source in ((tmp_path, path), (tmp_path, "a.png"), (".", path)):
        with PictureFolder(folder) as sink, pytest.raises(OutputError, match=r"a\.png: is the \w+ itself"):
            sink.write(still(source), found())
    assert path.read_bytes() == before
    assert files(tmp_path) == ["a.png"]


def test_a_file_in_the_folders_way_is_refused(tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(OutputError, match="out: is a file, want a folder"), PictureFolder(tmp_path / "out"):
        pass
    with pytest.raises(OutputError, match=r"out/deep: cannot be made"), PictureFolder(tmp_path / "out/deep"):
        pass


def test_a_folder_in_the_pictures_way_is_refused(tmp_path, still, found):
    (tmp_path / "a.png").mkdir()
    with PictureFolder(tmp_path) as sink, pytest.raises(OutputError, match=r"a\.png: cannot be written"):
        sink.write(still("in/a.png"), found())
    assert files(tmp_path) == ["a.png"]


@pytest.mark.parametrize("rate", [29.97, 12.5])
def test_a_video_has_its_rate_its_frames_and_its_colours(tmp_path, found, rate):
    path = tmp_path / "out" / "v.mp4"
    red = np.full((48, 64, 3), (255, 0, 0), np.uint8)
    with VideoFile(path, rate) as sink:
        for i in range(9):
            sink.write(Frame(red, "in.mp4", i, i / rate), found())
    assert files(tmp_path / "out") == ["v.mp4"]
    assert frame_rate(path) == pytest.approx(rate, abs=0.005)
    frames = list(video(path))
    assert len(frames) == 9
    assert (frames[0].width, frames[0].height) == (64, 48)
    assert frames[4].pixels.mean(axis=(0, 1)) == pytest.approx([255, 0, 0], abs=40)


def test_a_video_shows_its_boxes(tmp_path, found):
    with VideoFile(tmp_path / "v.mp4", 25) as sink:
        sink.write(Frame(np.zeros((96, 128, 3), np.uint8), "in.mp4", 0, 0.0), found([[32, 24, 96, 72]]))
    (frame,) = video(tmp_path / "v.mp4")
    assert frame.pixels[70:73, 40:90].max() > 100
    assert frame.pixels[40:60, 48:80].max() < 60
    assert frame.pixels[84:].max() < 60


def test_a_block_that_raises_leaves_the_old_video_as_it_was(tmp_path, still, found):
    path = tmp_path / "v.mp4"
    path.write_bytes(b"old")
    with pytest.raises(ZeroDivisionError), VideoFile(path, 25) as sink:  # noqa: PT012 (the block is the subject)
        sink.write(still("in.mp4", time=0.0), found())
        raise ZeroDivisionError
    assert path.read_bytes() == b"old"
    assert files(tmp_path) == ["v.mp4"]


def test_a_video_without_a_frame_is_not_written(tmp_path):
    with (
        pytest.raises(OutputError, match=r"v\.mp4: not written: there was no frame"),
        VideoFile(tmp_path / "v.mp4", 25),
    ):
        pass
    assert files(tmp_path) == []


def test_an_error_before_the_first_frame_is_that_error(tmp_path):
    with pytest.raises(ZeroDivisionError), VideoFile(tmp_path / "v.mp4", 25):
        raise ZeroDivisionError
    assert files(tmp_path) == []


def test_an_os_error_of_the_block_is_not_taken_for_one_of_the_target(tmp_path):
    with pytest.raises(FileNotFoundError, match="input"), VideoFile(tmp_path / "v.mp4", 25):
        raise FileNotFoundError(2, "no such file", "input.mp4")


def test_a_frame_of_another_size_is_refused_by_number(tmp_path, still, found):
    frames = [still("in.mp4", width, 48, i, i / 25) for i, width in enumerate((64, 32))]
    with VideoFile(tmp_path / "v.mp4", 25) as sink:
        sink.write(frames[0], found())
        with pytest.raises(OutputError, match="frame 1 is 32 x 48"):
            sink.write(frames[1], found())


@pytest.mark.parametrize("rate", [0, -1, float("nan")])
def test_a_video_without_a_rate_is_refused(tmp_path, rate):
    with pytest.raises(SettingError, match="frame rate"):
        VideoFile(tmp_path / "v.mp4", rate)


def test_a_video_under_a_file_is_refused(tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(OutputError, match=r"v\.mp4: cannot be written"), VideoFile(tmp_path / "out/v.mp4", 25):
        pass


def test_json_lines_have_the_documented_fields_and_no_other(still, found):
    target = io.StringIO()
    with JsonLines(target) as sink:
        sink.write(still("in/a.jpg"), found([[1, 2.5, 30, 40], [5, 5, 9, 9]], [0.9, 0.25]))
        sink.write(still("in/clip.mp4", 32, 16, index=7, time=0.28), found())
    first, second = map(json.loads, target.getvalue().splitlines())
    assert first == {
        "source": "in/a.jpg",
        "frame": 0,
        "width": 64,
        "height": 48,
        "detections": [
            {"box": [1, 2.5, 30, 40], "score": 0.9, "label": "head"},
            {"box": [5, 5, 9, 9], "score": 0.25, "label": "head"},
        ],
    }
    assert list(first) == ["source", "frame", "width", "height", "detections"]
    assert second == {"source": "in/clip.mp4", "frame": 7, "width": 32, "height": 16, "detections": []}


def test_json_lines_stay_one_line_each_whatever_the_name(still, found):
    target = io.StringIO()
    with JsonLines(target) as sink:
        sink.write(still("in/líne\nbreak \U0001f464.jpg"), found())
    assert target.getvalue().count("\n") == 1
    assert json.loads(target.getvalue())["source"] == "in/líne\nbreak \U0001f464.jpg"


def test_json_lines_go_to_stdout_without_a_target(still, found, capsys):
    with JsonLines() as sink:
        sink.write(still("in/a.jpg"), found())
    assert json.loads(capsys.readouterr().out)["source"] == "in/a.jpg"


def test_json_lines_leave_the_target_open(still, found):
    target = io.StringIO()
    with JsonLines(target):
        pass
    assert not target.closed


def test_an_unknown_sink_gets_the_nearest(tmp_path):
    with pytest.raises(SettingError, match=r"no sink 'picture' \(did you mean 'pictures'\?\)"):
        open_sink("picture", tmp_path)


def test_a_sink_is_opened_by_name(tmp_path, still, found):
    with open_sink("video", tmp_path / "v.mp4", 12.5) as sink:
        sink.write(still("in.mp4", time=0.0), found())
    assert cv2.VideoCapture(str(tmp_path / "v.mp4")).get(cv2.CAP_PROP_FPS) == 12.5
