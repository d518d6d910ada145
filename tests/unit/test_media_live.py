"""Live sources: the newest frame, what is dropped, coming back after an outage, stale and ended sources."""

from __future__ import annotations

import itertools
import threading
import time
from typing import ClassVar

import cv2
import numpy as np
import pytest

from passerby.errors import SourceError
from passerby.media.live import LiveSource, kind_of, open_capture, shown


class Tap:
    """A capture that gives a frame each time the test lets one through; frame k is grey k."""

    made: ClassVar[list[Tap]] = []

    def __init__(self, frames: int = 10**9) -> None:
        self.gate = threading.Semaphore(0)
        self.left, self.given, self.released, self.broken = frames, 0, 0, False
        self.made.append(self)

    def read(self):
        while not self.gate.acquire(timeout=0.01):
            if self.broken:
                return False, None
        if self.left == 0 or self.broken:
            return False, None
        self.left -= 1
        self.given += 1
        return True, np.full((4, 6, 3), self.given, np.uint8)

    def get(self, what):
        return 0.0

    def release(self):
        self.released += 1


@pytest.fixture(autouse=True)
def no_taps():
    Tap.made.clear()


def wait_for(true):
    """Until something holds; a test that waits for ten seconds fails."""
    end = time.monotonic() + 10
    while not true():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.002)


class Live(LiveSource):
    """A source whose taps end when it is closed, as a stream ends by its timeout; here nobody waits for that."""

    def close(self):
        self._stop.set()
        for tap in Tap.made:
            tap.broken = True
        super().close()


def live(opener, **more):
    return Live("rtsp://camera/1", backoff=(0.001, 0.002), opener=opener, **more)


def test_the_newest_frame_is_given_and_those_before_it_are_dropped():
    tap = Tap()
    with live(lambda uri: tap) as source:
        assert source.newest(timeout=0.01) is None
        for _ in range(5):
            tap.gate.release()
        wait_for(lambda: source.status().frames == 5)
        taken = source.newest()
        assert (taken.frame.pixels == 5).all()
        assert taken.frame.index == 4
        assert taken.frame.source == "rtsp://camera/1"
        assert taken.captured <= time.monotonic()
        assert source.newest(timeout=0.01) is None  # not the same one again
        assert source.status().dropped == 4
        tap.gate.release()
        assert source.newest(timeout=10).frame.index == 5
    assert tap.released == 1


def test_whoever_waits_gets_the_next_frame_at_once():
    tap = Tap()
    with live(lambda uri: tap) as source:
        threading.Timer(0.05, tap.gate.release).start()
        assert source.newest(timeout=10).frame.index == 0


def test_a_lost_stream_comes_back_and_frame_times_go_on_rising():
    taps = [Tap(2), Tap(2), Tap()]
    for tap in taps:
        for _ in range(3):
            tap.gate.release()
    waiting = iter(taps)
    with live(lambda uri: next(waiting)) as source:
        wait_for(lambda: source.status().frames == 7)
        status = source.status()
        assert (status.state, status.reconnects) == ("live", 2)
        assert "gave no more frames" in status.error
        before = source.newest().frame
        taps[2].gate.release()
        after = source.newest(timeout=10).frame
        assert after.index == before.index + 1
        assert after.time > before.time
    assert [t.released for t in taps] == [1, 1, 1]


def test_a_source_that_is_not_there_is_tried_again_and_says_why():
    tap, tries = Tap(), []

    def opener(uri):
        tries.append(uri)
        if len(tries) < 4:
            raise SourceError("no stream answers there")
        return tap

    with live(opener) as source:
        wait_for(lambda: len(tries) == 4)
        assert source.status().state == "connecting"
        assert source.status().error == "no stream answers there"
        assert source.status().age is None
        tap.gate.release()
        wait_for(lambda: source.status().state == "live")
        assert source.status().reconnects == 0  # it was never lost


def test_each_attempt_waits_about_twice_as_long_up_to_a_limit(monkeypatch):
    waits = []
    source = live(lambda uri: Tap())
    source.backoff = (1.0, 8.0)
    monkeypatch.setattr(source._stop, "wait", waits.append)
    for failures in range(1, 8):
        source._lose("gone", failures)
    for wait, middle in zip(waits, (1, 2, 4, 8, 8, 8, 8), strict=True):
        assert middle * 2 / 3 <= wait <= middle * 4 / 3
    assert len(set(waits)) == len(waits)  # by chance, so that many do not come back together


def test_a_source_without_new_frames_turns_stale():
    tap = Tap()
    with live(lambda uri: tap, stale_after=0.05) as source:
        tap.gate.release()
        wait_for(lambda: source.status().state == "live" or source.status().state == "stale")
        wait_for(lambda: source.status().state == "stale")
        assert source.status().age > 0.05
        tap.gate.release()
        wait_for(lambda: source.status().frames == 2)


def test_what_a_stalled_stream_gives_when_it_is_given_up_is_no_new_frame(monkeypatch):
    monkeypatch.setattr("passerby.media.live.PATIENCE", 200)
    taps = [Tap(), Tap()]
    rest = iter(taps)
    with live(lambda uri: next(rest)) as source:
        taps[0].gate.release()
        wait_for(lambda: source.status().frames == 1)
        time.sleep(0.3)  # longer than a stream is waited for: FFmpeg gives up, and hands out what its decoder holds
        taps[0].gate.release()
        wait_for(lambda: source.status().error != "")
        assert source.status().frames == 1
        assert source.status().state == "lost"
        taps[1].gate.release()
        wait_for(lambda: source.status().reconnects == 1)
        assert source.status().frames == 2


def test_an_error_of_opencv_is_a_source_that_is_lost():
    class Broken(Tap):
        def read(self):
            raise cv2.error("broken picture")

    taps = iter([Broken(), Tap()])
    with live(lambda uri: next(taps)) as source:
        wait_for(lambda: source.status().error != "")
        Tap.made[1].gate.release()
        assert source.newest(10) is not None


def test_a_bug_in_the_thread_is_told_to_whoever_waits_for_frames():
    class Bug(Tap):
        def read(self):
            raise ZeroDivisionError("a bug")

    with live(lambda uri: Bug()) as source, pytest.raises(ZeroDivisionError, match="a bug"):
        source.newest(10)


def test_leaving_ends_the_thread_even_in_the_middle_of_a_pause():
    def never(uri):
        raise SourceError("nobody")

    source = LiveSource("rtsp://nowhere", backoff=(1000, 1000), opener=never)
    before = threading.active_count()
    with source:
        wait_for(lambda: source.status().error == "nobody")
    assert threading.active_count() == before
    assert source.newest(timeout=0) is None


def test_a_video_is_played_to_its_end_with_times_that_rise(make_video, tmp_path):
    path = make_video(tmp_path / "a.mp4", rate=50.0, frames=10)
    with LiveSource(str(path)) as source:
        taken = []
        while (one := source.newest(timeout=10)) is not None:
            taken.append(one.frame)
        assert source.status().state == "ended"
        assert source.status().frames == 10
    assert taken[-1].index == 9
    assert all(a.time < b.time for a, b in itertools.pairwise(taken))
    assert taken[-1].time - taken[0].time == pytest.approx((taken[-1].index - taken[0].index) / 50, abs=1e-3)


def test_a_repeated_video_goes_on_and_its_times_too(make_video, tmp_path):
    path = make_video(tmp_path / "a.mp4", rate=100.0, frames=5)
    with LiveSource(str(path), repeat=True) as source:
        times = [source.newest(timeout=10).frame.time for _ in range(12)]
    assert times == sorted(set(times))


def test_files_that_are_not_there_or_no_video_are_told(tmp_path):
    with pytest.raises(SourceError, match=r"gone\.mp4: no such file"), LiveSource(str(tmp_path / "gone.mp4")):
        pass
    with pytest.raises(SourceError, match="a folder; name a video in it"), LiveSource(str(tmp_path)):
        pass
    (tmp_path / "no.mp4").write_bytes(b"no video")
    with pytest.raises(SourceError, match="cannot be read as video"):
        open_capture(str(tmp_path / "no.mp4"))


@pytest.mark.parametrize(
    ("uri", "kind"),
    [
        ("0", "camera"),
        ("/dev/video2", "camera"),
        ("rtsp://x/1", "stream"),
        ("HTTP://x/a.mjpg", "stream"),
        ("clip.mp4", "file"),
        ("/dev/video2.mp4", "file"),
    ],
)
def test_a_uri_tells_what_it_is(uri, kind):
    assert kind_of(uri) == kind


def test_user_and_password_are_never_shown():
    assert shown("rtsp://me:secret@10.0.0.1:554/1") == "rtsp://10.0.0.1:554/1"
    assert LiveSource("rtsp://me:secret@10.0.0.1/1").name == "rtsp://10.0.0.1/1"
    assert shown("rtsp://10.0.0.1/a@b") == "rtsp://10.0.0.1/a@b"
