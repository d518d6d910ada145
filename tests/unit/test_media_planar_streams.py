"""A stream's pictures, decoded when somebody asks for them: the same ones, whichever are asked for."""

from __future__ import annotations

import time

import numpy as np
import pytest
from film_fixtures import all_of, opened, read

from passerby.media.live import LiveSource
from passerby.media.planar import PlanarCapture

pytest.importorskip("av")


def stream_of(talk, path):
    return f"http://127.0.0.1:{talk(b'HTTP/1.0 200 OK' + 2 * bytes([13, 10]) + path.read_bytes())}/{path.name}"


def same(picture, wanted):
    return all(np.array_equal(getattr(picture, c), getattr(wanted, c)) for c in "yuv")


LONG = range(60)
KINDS = [
    ("a.mkv", "libx264", "yuv420p", {"bf": "0"}),
    ("b.mkv", "libx264", "yuv420p", {}),  # packets in another order than pictures
    ("c.webm", "libvpx-vp9", "yuv420p", {"auto-alt-ref": "1", "lag-in-frames": "16"}),  # packets without a picture
    ("d.mkv", "mjpeg", "yuvj420p", {}),
]


@pytest.mark.parametrize(("name", "codec", "kind", "options"), KINDS)
@pytest.mark.parametrize("every", [1, 3, 7])
def test_a_streams_pictures_are_those_of_the_file_whichever_are_asked_for(
    film, talk, name, codec, kind, options, every
):
    path = film(name, codec, kind, times=LONG, **options)
    whole = [picture for picture, _ in read(path)]
    came = []
    with opened(stream_of(talk, path), patience=1.0) as capture:
        while (one := capture.read())[0]:
            came.append(one[1]() if len(came) % every == 0 else None)
            assert len(capture._waiting) <= 3
    assert len(whole) - 6 <= len(came) <= len(whole)  # what waits for later ones is old when the stream ends
    for k in range(0, len(came), every):
        assert same(came[k], whole[k])


@pytest.mark.parametrize(("codec", "kind", "decoded"), [("libx264", "yuv420p", 60), ("mjpeg", "yuvj420p", 15)])
def test_a_dropped_picture_is_decoded_only_where_others_are_made_of_it(film, talk, monkeypatch, codec, kind, decoded):
    path = film("a.mkv", codec, kind, times=LONG, **({"bf": "0"} if codec == "libx264" else {}))
    packets, frames_of = [], PlanarCapture._frames_of
    monkeypatch.setattr(PlanarCapture, "_frames_of", lambda self, p: packets.append(p) or frames_of(self, p))
    with opened(stream_of(talk, path), patience=1.0) as capture:
        pictures = []
        while (one := capture.read())[0]:
            pictures.append(one[1])
        for k in (19, 29, 39, 49, 59):
            pictures[k]()
    assert len(pictures) == 60
    assert len(packets) == decoded  # the first ten, to see that each packet gives one; then what was asked for


def test_pictures_of_a_slow_decoder_are_decoded_as_they_come(film, talk, monkeypatch):
    path = film("a.mkv", "libx264", times=LONG, bf="0")
    monkeypatch.setattr("passerby.media.planar.HASTE", 0.0)
    with opened(stream_of(talk, path), patience=1.0) as capture:
        while (one := capture.read())[0]:
            assert not capture._waiting
            assert one[1].args[0].frame is not None


def test_a_streams_newest_picture_outlives_it_and_older_ones_give_nothing_then(film, talk):
    for name, codec, kind in (("a.mkv", "libx264", "yuv420p"), ("d.mkv", "mjpeg", "yuvj420p")):
        path = film(name, codec, kind, times=LONG, **({"bf": "0"} if codec == "libx264" else {}))
        whole = [picture for picture, _ in read(path)]
        capture = PlanarCapture(stream_of(talk, path), patience=1.0)
        *_, older, newest = (capture.read()[1] for _ in range(30))
        capture.release()
        assert same(newest(), whole[29])
        assert codec == "libx264" or older() is None


def test_broken_packets_of_a_stream_are_left_out(film, talk):
    path = film("broken.mkv", "mjpeg", "yuvj420p", times=LONG)
    data = path.read_bytes()
    starts = [at for at in range(len(data)) if data.startswith(b"\xff\xd8\xff", at)]
    assert len(starts) == 60
    for k in (5, 30, 31, 32):  # one before, three after it is counted on that each packet gives a picture
        begun, ended = starts[k], starts[k + 1] - 16
        data = data[:begun] + bytes(ended - begun) + data[ended:]
    path.write_bytes(data)
    with opened(stream_of(talk, path), patience=1.0) as capture:
        came = all_of(capture)
    assert [picture is None for picture, _ in came].count(True) == 1  # the first of three; the others are left out
    assert len(came) == 57


def test_of_a_picture_that_cannot_be_decoded_a_live_source_gives_nothing_and_goes_on():
    class Capture:
        count = 0

        def read(self):
            self.count += 1
            time.sleep(0.02)
            return True, (lambda k=self.count: None if k < 5 else np.full((4, 4, 3), k, np.uint8))

        def get(self, what):
            return 0.0

        def release(self): ...

    with LiveSource("http://a/b", opener=lambda uri: Capture()) as source:
        assert source.newest(5) is None
        ended = time.monotonic() + 10
        while (taken := source.newest(1)) is None and time.monotonic() < ended:
            pass
        assert taken.frame.pixels[0, 0, 0] >= 5


def test_a_stream_that_falls_silent_ends_and_what_its_decoder_holds_is_no_news(film, talk):
    path = film("a.mkv", "libx264", times=range(200))  # such pictures wait for later ones
    words = b"HTTP/1.0 200 OK\r\nContent-Type: video/x-matroska\r\n\r\n" + path.read_bytes()[:-200]
    with opened(f"http://127.0.0.1:{talk(words)}/a.mkv", patience=1.0) as capture:
        begun = time.monotonic()
        came = all_of(capture)
    assert time.monotonic() - begun < 15
    assert 50 < len(came) < 200
