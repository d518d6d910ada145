"""Videos read: rate, count, times, colours, and files that are none."""

from __future__ import annotations

import numpy as np
import pytest

from passerby.errors import SourceError
from passerby.media.sources import frame_rate, open_source, video


@pytest.mark.parametrize("rate", [29.97, 12.5, 25.0])
def test_the_frame_rate_is_kept_with_its_fraction(tmp_path, make_video, rate):
    assert frame_rate(make_video(tmp_path / "v.mp4", rate)) == pytest.approx(rate, abs=0.005)


@pytest.mark.parametrize("rate", [29.97, 12.5])
def test_frames_are_numbered_and_timed_in_seconds(tmp_path, make_video, rate):
    frames = list(video(make_video(tmp_path / "v.mp4", rate, frames=6)))
    assert [f.index for f in frames] == [0, 1, 2, 3, 4, 5]
    assert [f.time for f in frames] == pytest.approx([i / rate for i in range(6)], abs=1e-3)


def test_frames_carry_the_file_and_its_size(tmp_path, make_video):
    path = make_video(tmp_path / "v.mp4", frames=1, width=64, height=48)
    (frame,) = open_source(path)
    assert frame.source == str(path)
    assert (frame.width, frame.height) == (64, 48)
    assert frame.pixels.dtype == np.uint8


@pytest.mark.parametrize("channel", [0, 1, 2], ids=["red", "green", "blue"])
def test_colours_are_rgb(tmp_path, make_video, channel):
    colour = [0, 0, 0]
    colour[channel] = 255
    (frame,) = video(make_video(tmp_path / "v.mp4", frames=1, colour=colour))
    mean = frame.pixels.mean(axis=(0, 1))
    assert mean[channel] > 200
    assert np.delete(mean, channel).max() < 50


def test_frames_are_their_own(tmp_path, make_video):
    # a decoder that hands out one buffer again and again would change frames that are kept
    import cv2

    path = tmp_path / "v.mp4"
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"mp4v"), 25, (64, 48))
    for value in (0, 120, 240):
        writer.write(np.full((48, 64, 3), value, np.uint8))
    writer.release()
    means = [f.pixels.mean() for f in list(video(path))]
    assert means == pytest.approx([0, 120, 240], abs=12)


@pytest.mark.parametrize("read", [lambda p: list(video(p)), frame_rate], ids=["video", "frame_rate"])
def test_an_empty_video_is_said_to_be_empty(tmp_path, read):
    path = tmp_path / "v.mp4"
    path.write_bytes(b"")
    with pytest.raises(SourceError, match=r"v\.mp4: the file is empty \(0 bytes\)"):
        read(path)


@pytest.mark.parametrize("read", [lambda p: list(video(p)), frame_rate], ids=["video", "frame_rate"])
def test_a_file_that_is_no_video_is_refused(tmp_path, read):
    path = tmp_path / "v.mp4"
    path.write_bytes(np.random.default_rng(0).bytes(4000))
    with pytest.raises(SourceError, match=r"v\.mp4: cannot be read as video"):
        read(path)


@pytest.mark.parametrize("read", [lambda p: list(video(p)), frame_rate], ids=["video", "frame_rate"])
def test_a_missing_video_is_refused(tmp_path, read):
    with pytest.raises(SourceError, match=r"v\.mp4: no such file"):
        read(tmp_path / "v.mp4")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_an_mp4_cut_short_is_refused(tmp_path, make_video, share):
    path = make_video(tmp_path / "v.mp4", frames=20)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(SourceError, match=r"v\.mp4: "):
        list(video(path))


def test_a_video_that_breaks_off_gives_its_frames_and_then_says_so(tmp_path, make_video):
    path = make_video(tmp_path / "v.avi", rate=10, frames=40, code="MJPG")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    frames = []
    with pytest.raises(SourceError, match=r"v\.avi: the video is cut short: \d+ of 40 frames"):
        frames.extend(video(path))
    assert 10 <= len(frames) <= 25


def test_the_file_is_given_back_when_reading_stops_early(tmp_path, make_video):
    import os
    from pathlib import Path

    path = make_video(tmp_path / "v.mp4", frames=10)
    frames = video(path)
    next(frames)
    frames.close()
    handles = Path("/proc/self/fd")
    if not handles.is_dir():
        pytest.skip("no /proc on this system")
    still = [h for h in handles.iterdir() if os.path.realpath(h) == str(path.resolve())]
    assert still == []
