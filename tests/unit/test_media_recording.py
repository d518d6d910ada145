"""Recordings: exact times, sizes, files that are there already, and files that are cut off."""

from __future__ import annotations

import itertools
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from model_fixtures import REPOSITORY

from passerby import Frame
from passerby.errors import MissingExtraError, OutputError
from passerby.media import recording
from passerby.media.recording import LONGEST, Recording
from passerby.media.sinks import VideoFile
from passerby.media.sources import video

av = pytest.importorskip("av")


def picture(grey=90, width=64, height=48):
    return np.full((height, width, 3), grey, np.uint8)


def read(path):
    """Times (fractions of a second) and pictures of a file."""
    with av.open(str(path)) as box:
        stream = box.streams.video[0]
        frames = list(box.decode(stream))
        return [f.pts * stream.time_base for f in frames], [f.to_ndarray(format="rgb24") for f in frames]


def write(path, times, live=True, **more):
    with Recording(path, live, **more) as file:
        for k, time in enumerate(times):
            file.write(picture(20 * (k % 12)), time)
    return file.path


@pytest.mark.parametrize("live", [True, False])
@pytest.mark.parametrize("rate", [Fraction(30000, 1001), Fraction(24000, 1001), Fraction(60000, 1001), Fraction(25, 2)])
def test_a_constant_rate_is_kept_exactly(tmp_path, live, rate):
    path = write(tmp_path / "v.mp4", [123.456 + float(k / rate) for k in range(90)], live, rate=float(rate))
    assert read(path)[0] == [k / rate for k in range(90)]
    with av.open(str(path)) as box:
        assert box.streams.video[0].average_rate == rate
    assert cv2.VideoCapture(str(path)).get(cv2.CAP_PROP_FPS) == pytest.approx(float(rate), abs=1e-6)


@pytest.mark.parametrize("live", [True, False])
def test_a_variable_rate_is_kept(tmp_path, live):
    times = [0.0, 0.04, 0.05, 0.3, 2.0, 2.033, 7.5]
    assert read(write(tmp_path / "v.mp4", times, live))[0] == pytest.approx(times, abs=1e-5)


def test_pictures_are_those_that_were_written_at_their_times(tmp_path):
    _, pictures = read(write(tmp_path / "v.mp4", [0, 0.5, 5, 5.1]))
    assert [p.mean() for p in pictures] == pytest.approx([0, 20, 40, 60], abs=3)


def test_a_gap_of_hours_is_no_error_and_stays_one(tmp_path):
    times, pictures = read(write(tmp_path / "v.mp4", [0.0, 1.0, 4 * 3600.0, 4 * 3600 + 1.0]))
    assert times[:2] + times[-2:] == [0, 1, 14400, 14401]
    assert max(b - a for a, b in itertools.pairwise(times)) <= LONGEST
    assert all(abs(p.mean() - 20) < 3 for p in pictures[2:-2])  # the picture before the gap


def test_times_that_do_not_rise_are_put_right_behind(tmp_path):
    times, _ = read(write(tmp_path / "v.mp4", [5.0, 5.0, 3.0, 6.0]))
    assert len(times) == 4
    assert times == sorted(set(times))
    assert times[2] < 0.001
    assert times[3] == 1


@pytest.mark.parametrize(("width", "height"), [(63, 47), (64, 47), (63, 48), (1, 1), (2, 640)])
def test_an_odd_size_gets_one_more_column_or_row(tmp_path, width, height):
    with Recording(tmp_path / "v.mp4") as file:
        file.write(picture(120, width, height), 0)
    (out,) = read(file.path)[1]
    assert out.shape == (height + height % 2, width + width % 2, 3)
    assert np.abs(out.astype(int) - 120).max() < 6


def test_a_picture_of_another_size_is_letterboxed_into_the_first(tmp_path):
    with Recording(tmp_path / "v.mp4") as file:
        file.write(picture(255), 0)
        file.write(picture(255, 48, 48), 1)
    _, (first, second) = read(file.path)
    assert first.shape == second.shape == (48, 64, 3)
    assert second[:, 20:44].min() > 240
    assert second[:, :6].max() < 130
    assert second[:, -6:].max() < 130


def test_colours_are_right_and_said_in_the_file(tmp_path):
    plain = np.empty((48, 64, 3), np.uint8)
    plain[:] = (200, 40, 90)
    with Recording(tmp_path / "v.mp4") as file:
        file.write(plain, 0)
    assert read(file.path)[1][0].mean(axis=(0, 1)) == pytest.approx([200, 40, 90], abs=5)
    (frame,) = video(file.path)
    assert frame.pixels.mean(axis=(0, 1)) == pytest.approx([200, 40, 90], abs=5)


def test_it_is_what_browsers_play_with_a_key_frame_every_two_seconds(tmp_path):
    path = write(tmp_path / "v.mp4", [k / 10 for k in range(70)])
    with av.open(str(path)) as box:
        context = box.streams.video[0].codec_context
        assert (context.name, context.pix_fmt) == ("h264", "yuv420p")
        keys = [float(p.pts * p.time_base) for p in box.demux(video=0) if p.is_keyframe and p.pts is not None]
    assert keys == [0, 2, 4, 6]


def test_a_file_is_playable_while_it_is_written_up_to_the_last_key_frame(tmp_path):
    with Recording(tmp_path / "v.mp4") as file:
        for k in range(50):
            file.write(picture(k), k / 10)
        assert len(read(file.path)[0]) == 40
    assert len(read(file.path)[0]) == 50


def test_a_recording_that_is_killed_is_playable(tmp_path):
    script = """
import os, sys
import numpy as np
from passerby.media.recording import Recording
with Recording(sys.argv[1]) as file:
    for k in range(50):
        file.write(np.full((48, 64, 3), k, np.uint8), k / 10)
    os.kill(os.getpid(), 9)
"""
    done = subprocess.run([sys.executable, "-c", script, tmp_path / "v.mp4"], cwd=REPOSITORY, check=False)
    assert done.returncode == -9
    assert len(read(tmp_path / "v.mp4")[0]) == 40


def test_a_file_that_is_there_is_kept(tmp_path):
    paths = [write(tmp_path / "v.mp4", [0, k + 1]) for k in range(3)]
    assert [p.name for p in paths] == ["v.mp4", "v-2.mp4", "v-3.mp4"]
    assert [read(p)[0][-1] for p in paths] == [1, 2, 3]


def test_one_without_a_picture_leaves_no_file(tmp_path):
    with Recording(tmp_path / "deep/v.mp4"):
        assert (tmp_path / "deep/v.mp4").exists()
    assert list((tmp_path / "deep").iterdir()) == []


def test_closing_twice_is_no_error_and_writing_then_is_one(tmp_path):
    file = Recording(tmp_path / "v.mp4").__enter__()
    file.write(picture(), 0)
    file.close()
    file.close()
    with pytest.raises(OutputError, match="is closed"):
        file.write(picture(), 1)
    assert len(read(file.path)[0]) == 1


def test_a_full_disk_is_one_line(tmp_path, make_pixels):
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full on this system")
    with pytest.raises(OutputError, match=r"full: cannot be written \(No space left"), Recording(full, False) as file:  # noqa: PT012
        for k in range(400):
            file.write(np.roll(make_pixels(320, 240), k), k / 10)


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(OutputError, match=r"v\.mp4: cannot be written"), Recording(tmp_path / "out/v.mp4"):
        pass


def test_without_pyav_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingExtraError, match=r"needs PyAV.*passerby\[video\]"):
        Recording(tmp_path / "v.mp4")


def frames_at(times):
    return [Frame(picture(20 * k), "in.mp4", k, t) for k, t in enumerate(times)]


def test_detect_keeps_a_variable_rate(tmp_path, found):
    times = [0.0, 0.04, 0.5, 0.6, 3.0]
    with VideoFile(tmp_path / "v.mp4", 25) as sink:
        for frame in frames_at(times):
            sink.write(frame, found())
    assert read(tmp_path / "v.mp4")[0] == pytest.approx(times, abs=1e-5)


def test_detect_goes_on_at_the_rate_where_a_file_does_not_say_its_times(tmp_path, found):
    with VideoFile(tmp_path / "v.mp4", 12.5) as sink:
        for frame in frames_at([0.0, 0.0, 0.0]):
            sink.write(frame, found())
    assert read(tmp_path / "v.mp4")[0] == [0, Fraction(2, 25), Fraction(4, 25)]


def test_detect_writes_videos_without_pyav_too(tmp_path, found, monkeypatch):
    monkeypatch.setattr("passerby.media.sinks.has_pyav", lambda: False)
    with VideoFile(tmp_path / "v.mp4", 12.5) as sink:
        for frame in frames_at([0.0, 0.08, 0.16]):
            sink.write(frame, found())
    assert read(tmp_path / "v.mp4")[0] == [0, Fraction(2, 25), Fraction(4, 25)]
    with av.open(str(tmp_path / "v.mp4")) as box:
        assert box.streams.video[0].codec_context.name == "mpeg4"
    assert recording.has_pyav()
