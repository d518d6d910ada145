"""Video read by PyAV: the same pictures at the same times as OpenCV reads, and every way in which a source can fail."""

from __future__ import annotations

import os
import socket
import struct
import time

import cv2
import numpy as np
import pytest
from film_fixtures import FRAMES, all_of, read

from passerby import Detector
from passerby.errors import SourceError
from passerby.geometry.planes import PlanarFrame, Planes
from passerby.media.live import LiveSource, open_capture
from passerby.media.planar import PlanarCapture
from passerby.pictures import read_picture

av = pytest.importorskip("av")
pytest.importorskip("av.bitstream")
ONE = 1 << 16  # 1 in the matrix of an MP4's track
TURNED = {90: (0, ONE, 0, -ONE, 0), 180: (-ONE, 0, 0, 0, -ONE), 270: (0, -ONE, 0, ONE, 0)}


def bgr(picture):
    return picture.rgb()[:, :, ::-1] if isinstance(picture, Planes) else picture


@pytest.mark.parametrize(
    ("name", "codec", "kind", "planes", "more"),
    [
        ("plain.mp4", "mpeg4", "yuv420p", True, {}),
        ("plain.mp4", "libx264", "yuv420p", True, {}),  # with pictures that come later than they are shown
        ("camera.avi", "mjpeg", "yuvj420p", True, {}),
        ("full.mp4", "libx264", "yuvj420p", True, {}),
        ("web.webm", "libvpx-vp9", "yuv420p", True, {}),
        ("uneven.mp4", "libx264", "yuv420p", True, {"times": [k * k for k in range(FRAMES)]}),
        ("late.mkv", "libx264", "yuv420p", True, {"times": range(100, 100 + FRAMES)}),
        ("wide.mp4", "libx264", "yuv444p", False, {}),
        ("camera.avi", "mjpeg", "yuvj422p", False, {}),
        ("odd.mkv", "libx264", "yuv444p", False, {"size": (95, 63)}),
        ("odd.webm", "libvpx-vp9", "yuv420p", False, {"size": (95, 63)}),
    ],
)
def test_pictures_and_times_are_those_that_opencv_reads(film, name, codec, kind, planes, more):
    path = film(name, codec, kind, **more)
    other = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    ours, theirs = read(path), all_of(other)
    assert len(ours) == len(theirs) == FRAMES
    assert [at for _, at in ours] == pytest.approx([at for _, at in theirs], abs=1e-6)
    for (picture, _), (wanted, _) in zip(ours, theirs, strict=True):
        assert isinstance(picture, Planes) == planes
        apart = np.abs(bgr(picture).astype(int) - wanted)
        assert apart.mean() < 2  # FFmpeg's tables for colours are coarse: up to 20 in a pixel
        assert apart.max() <= 24


@pytest.mark.parametrize("turn", sorted(TURNED))
def test_a_video_that_is_turned_is_turned_back_as_opencv_does(film, turn):
    path = film("turned.mp4")
    data = path.read_bytes()
    plain, turned = ((*m, 0, 0, 0, 1 << 30) for m in ((ONE, 0, 0, 0, ONE), TURNED[turn]))
    at = data.index(struct.pack(">9i", *plain), data.index(b"tkhd"))
    path.write_bytes(data[:at] + struct.pack(">9i", *turned) + data[at + 36 :])
    for (picture, _), (wanted, _) in zip(read(path), all_of(cv2.VideoCapture(str(path))), strict=True):
        assert picture.shape == wanted.shape
        assert np.abs(picture.astype(int) - wanted).max() <= 1


def test_pictures_outlive_their_source_and_nobody_can_write_into_them(film):
    path = film("a.mp4", "libx264")
    capture, kept, copies = PlanarCapture(str(path)), [], []
    while (one := capture.read())[0]:
        kept.append(one[1]())
        copies.append(kept[-1].y.copy())
    capture.release()
    for planes, copy in zip(kept, copies, strict=True):
        np.testing.assert_array_equal(planes.y, copy)
        with pytest.raises(ValueError, match="read-only"):
            planes.y[0, 0] = 1


def test_a_video_without_times_has_them_by_its_rate(film):
    path = film("plain.mp4", "libx264")
    with av.open(str(path)) as file, av.open(str(path.with_suffix(".h264")), "w", format="h264") as raw:
        track = raw.add_stream_from_template(file.streams.video[0])
        change = av.bitstream.BitStreamFilterContext("h264_mp4toannexb", file.streams.video[0], track)
        for packet in [*(p for p in file.demux(video=0) if p.size), None]:
            for changed in change.filter(packet):
                changed.stream = track
                raw.mux(changed)
    found = read(path.with_suffix(".h264"))
    assert len(found) == FRAMES
    steps = np.diff([at for _, at in found])
    assert steps == pytest.approx([steps[0]] * (FRAMES - 1))
    assert 1000 / 60 <= steps[0] <= 1000 / 25


def test_broken_packets_are_left_out_and_the_rest_is_read(film):
    path = film("broken.mp4", "libx264", g="5")
    whole = read(path)
    data = bytearray(path.read_bytes())
    middle = data.index(b"mdat") + len(data) // 3
    data[middle : middle + 40] = bytes(40)
    path.write_bytes(bytes(data))
    left = read(path)
    assert FRAMES - 12 <= len(left) <= FRAMES
    assert left[-1][1] == whole[-1][1]


def test_a_video_cut_short_is_read_as_far_as_it_goes(film):
    path = film("cut.avi", "mjpeg", "yuvj420p")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    assert 5 <= len(read(path)) <= 15


@pytest.mark.parametrize("content", [b"no video", b"", b"\0" * 5000])
def test_what_is_no_video_is_told(tmp_path, content):
    path = tmp_path / "no.mp4"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=r"no\.mp4: cannot be read as video \(.+\)$"):
        open_capture(str(path))


def test_a_file_with_sound_only_is_told(tmp_path):
    path = tmp_path / "sound.mkv"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("mp2", rate=48000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1152 * 2), np.int16), format="s16", layout="stereo")
        frame.sample_rate = 48000
        file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    with pytest.raises(SourceError, match=r"sound\.mkv: cannot be read as video \(no video in it\)"):
        open_capture(str(path))


def test_a_video_that_nothing_decodes_is_told(film):
    path = film("odd.avi", "mjpeg", "yuvj420p")
    path.write_bytes(path.read_bytes().replace(b"MJPG", b"ZZZ9"))
    with pytest.raises(SourceError, match=r"odd\.avi: cannot be read as video \(nothing here decodes its video\)$"):
        open_capture(str(path))


def test_a_stream_that_says_nothing_is_given_up(talk, monkeypatch):
    monkeypatch.setattr("passerby.media.live.PATIENCE", 300)
    begun = time.monotonic()
    with pytest.raises(SourceError, match=r"no stream answers there \(nothing came in 0\.3 s\)"):
        open_capture(f"http://127.0.0.1:{talk()}/a.mjpg")
    assert time.monotonic() - begun < 10


def test_nobody_there_is_told_with_the_reason_and_without_the_password():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(SourceError) as told:
        open_capture(f"rtsp://me:secret@127.0.0.1:{port}/1")
    assert str(told.value) == f"rtsp://127.0.0.1:{port}/1: no stream answers there (Connection refused)"


@pytest.mark.parametrize("why", ["no PyAV", "options"])
def test_opencv_reads_where_pyav_is_not_there_or_options_are_set_for_it(film, monkeypatch, why):
    path = film("a.mp4")
    assert isinstance(open_capture(str(path)), PlanarCapture)
    if why == "no PyAV":
        monkeypatch.setattr("passerby.media.live.has_pyav", lambda: False)
    else:
        monkeypatch.setitem(os.environ, "OPENCV_FFMPEG_CAPTURE_OPTIONS", "rtsp_transport;udp")
    assert isinstance(open_capture(str(path)), cv2.VideoCapture)
    with LiveSource(str(path)) as source:
        assert type(source.newest(10).frame) is not PlanarFrame
    (path.parent / "no.mp4").write_bytes(b"no video")
    with pytest.raises(SourceError, match=r"no\.mp4: cannot be read as video$"):
        open_capture(str(path.parent / "no.mp4"))


def test_a_live_source_gives_frames_of_planes(film):
    with LiveSource(str(film("a.mp4", "libx264"))) as source:
        frame = source.newest(10).frame
    assert isinstance(frame, PlanarFrame)
    assert (frame.width, frame.height, frame.pixels.shape) == (96, 64, (64, 96, 3))


@pytest.mark.parametrize("size", [(640, 480), (1920, 1080)])
def test_a_detector_finds_in_planes_what_it_finds_in_pixels(size):
    pixels = cv2.resize(read_picture("examples/pictures/grace_hopper.jpg"), size)
    block = cv2.cvtColor(pixels, cv2.COLOR_RGB2YUV_I420)
    width, height = size
    u, v = block[height:].reshape(2, height // 2, width // 2)
    frame = PlanarFrame(Planes(block[:height], u, v), "a.mp4")
    detector = Detector("head", engine="onnxruntime")
    ours, theirs = detector(frame), detector(frame.pixels)
    assert len(ours) == len(theirs) >= 1
    assert np.abs(ours.boxes - theirs.boxes).max() < size[0] / 200
    assert np.abs(ours.scores - theirs.scores).max() < 0.03
    assert "pixels" in vars(frame)  # asked for here, not by the detector
    again = PlanarFrame(frame.planes, "a.mp4")
    detector(again)
    assert "pixels" not in vars(again)
