"""Streams and hubs on made captures: what is told, of live sources, of dead ones, and when they end."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from passerby.errors import BusyError, ModelError, OutputError, SettingError
from passerby.live.hub import Hub
from passerby.live.pool import Models, Pool
from passerby.live.scene import LineSpec, Scene
from passerby.live.stream import Stream
from passerby.media.live import LiveSource
from passerby.records import Detections
from passerby.runtime.detector import as_pixels


class Look:
    """Stands where a Detector stands: finds one box at the grey of the picture's first pixel; may be held up."""

    threshold = 0.5

    def __init__(self):
        self.gate = threading.Event()
        self.gate.set()
        self.calls = 0

    def __call__(self, picture, threshold=None):
        self.gate.wait(30)
        self.calls += 1
        x = float(as_pixels(picture)[0, 0, 0])
        box = np.array([[x, 5, x + 50, 55]], np.float32)
        return Detections(box, np.array([0.9], np.float32), np.zeros(1, np.int64), ("head",))

    def look(self, picture, threshold=None):
        return self(picture, threshold), np.full((2, 3), 0.5, np.float32)


class Camera:
    """A capture of pictures that get lighter; gives up after `frames`, if that is said."""

    def __init__(self, frames=10**9, pause=0.01):
        self.left, self.pause, self.k, self.hold = frames, pause, 0, False

    def read(self):
        while self.hold:
            time.sleep(0.01)
        time.sleep(self.pause)
        if self.left == 0:
            return False, None
        self.left -= 1
        self.k += 1
        return True, np.full((60, 300, 3), min(250, self.k), np.uint8)

    def get(self, what):
        return 0.0

    def release(self):
        self.hold = False


def source(camera, **more):
    return LiveSource("rtsp://u:p@camera/1", opener=lambda uri: camera, **more)


def until(true):
    end = time.monotonic() + 20
    while not true():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.005)


def test_moments_rise_and_hold_what_was_seen():
    door = Scene((LineSpec("door", (0.3, 1.0), (0.3, 0.0)),))
    heard = []
    stream = Stream("gate", source(Camera()), Pool(Look()), door)
    stream.listen(heard.append)
    with stream:
        until(lambda: (m := stream.latest()) and m.seen.lines["door"]["in"] == 1)
        moment = stream.next(0, 1)
        later = stream.next(moment.number, 10)
    assert later.number > moment.number
    assert [m.number for m in heard] == list(range(1, len(heard) + 1))
    row = later.to_dict()
    assert row["stream"] == "gate"
    assert row["source"] == "rtsp://camera/1"
    assert row["state"] == "live"
    assert (row["width"], row["height"]) == (300, 60)
    assert row["people"] == row["total"] == 1
    assert 0 <= row["delay"] < 30
    assert row["rate"] > 0
    assert not later.stale
    assert stream.totals.results == heard[-1].number
    assert stream.ended


def test_a_slow_model_drops_frames_and_does_not_fall_behind():
    look, camera = Look(), Camera(pause=0.002)
    stream = Stream("gate", source(camera), Pool(look))
    look.gate.clear()
    with stream:
        until(lambda: stream.status().frames > 30)
        look.gate.set()
        until(lambda: stream.totals.results >= 2)
        moment = stream.latest()
    assert moment.frame.index >= 30
    assert stream.status().dropped > 20


def test_several_frames_in_flight_are_told_in_the_order_in_which_they_came():
    class Uneven(Look):
        def __call__(self, picture, threshold=None):
            with lock:
                inside.append(1)
                most.append(len(inside))
            time.sleep(0.03 if picture.pixels[0, 0, 0] % 4 else 0.001)
            with lock:
                inside.pop()
            return super().__call__(picture, threshold)

    lock, inside, most, heard = threading.Lock(), [], [], []
    stream = Stream("gate", source(Camera(pause=0.004)), Pool(Uneven(), workers=3))
    stream.listen(heard.append)
    with stream:
        until(lambda: len(heard) >= 40)
    assert max(most) == 3
    assert [m.number for m in heard] == list(range(1, len(heard) + 1))
    frames = [m.frame.index for m in heard]
    assert frames == sorted(set(frames))
    assert stream.error is None


def test_a_source_that_stalls_is_told_as_stale_with_nobody_in_view_and_comes_back():
    camera = Camera()
    stream = Stream("gate", source(camera, stale_after=0.1), Pool(Look()))
    with stream:
        until(lambda: stream.totals.results > 3)
        camera.hold = True
        until(lambda: stream.latest().stale)
        moment = stream.latest()
        until(lambda: stream.latest().number > moment.number)  # it is told again and again
        assert stream.latest().to_dict()["age"] > moment.to_dict()["age"]
        camera.hold = False
        until(lambda: not stream.latest().stale)
    assert moment.status.state == "stale"
    assert (moment.seen.people, len(moment.seen.found), moment.seen.total) == (0, 0, 1)
    assert stream.totals.outages == 1
    assert stream.totals.seconds_out() >= 0.1


def test_a_source_that_never_came_is_told_too():
    class Nobody:
        def __call__(self, uri):
            from passerby.errors import SourceError

            raise SourceError("no camera answers there")

    hub = Hub()
    hub.add(Stream("gate", LiveSource("0", opener=Nobody(), backoff=(0.05, 0.1)), Pool(Look())))
    with hub:
        stream = hub.streams["gate"]
        until(stream.latest)
        assert stream.latest().status.state == "connecting"
        assert "no camera answers" in stream.latest().status.error
        assert hub.stale() == ["gate"]


def test_a_video_that_ends_ends_its_stream(tmp_path):
    film = tmp_path / "film.mp4"
    film.write_bytes(b"not read: the camera below stands for it")
    hub = Hub()
    hub.add(Stream("film", LiveSource(str(film), opener=lambda uri: Camera(5)), Pool(Look())))
    with hub:
        assert hub.wait(20)
        stream = hub.streams["film"]
        assert stream.status().state == "ended"
        assert hub.stale() == []
        assert stream.next(10**6, 20) is None
    assert hub.error() is None


def test_a_listener_that_fails_ends_the_stream_and_is_kept():
    def full(moment):
        raise OutputError("out.mp4: no space left")

    stream = Stream("gate", source(Camera()), Pool(Look()))
    stream.listen(full)
    hub = Hub()
    hub.add(stream)
    with hub:
        assert hub.wait(20)
    assert "no space left" in str(hub.error())


def test_model_threshold_and_heat_may_change_while_it_runs():
    other = Look()
    other.threshold = 0.95
    stream = Stream("gate", source(Camera()), Pool(Look()))
    with stream:
        until(lambda: stream.totals.results > 3)
        stream.heat = True
        until(lambda: stream.latest().heat is not None)
        stream.pool = Pool(other)
        until(lambda: other.calls > 2)
        until(lambda: stream.latest().seen.people == 0)
    assert stream.threshold == 0.95


def test_a_stream_may_be_slowed():
    stream = Stream("gate", source(Camera(pause=0.001)), Pool(Look()), every=0.2)
    with stream:
        until(lambda: stream.totals.results >= 4)
        assert stream.rate() < 6


def test_hub_refuses_two_of_one_name_and_ends_all_when_one_cannot_begin(tmp_path):
    hub = Hub()
    hub.add(Stream("a", source(Camera()), Pool(Look())))
    with pytest.raises(SettingError, match="called 'a'"):
        hub.add(Stream("a", source(Camera()), Pool(Look())))
    hub.add(Stream("b", LiveSource(str(tmp_path / "none.mp4")), Pool(Look())))
    with pytest.raises(Exception, match="no such file"), hub:
        pass
    assert hub.streams["a"].ended


def test_pool_refuses_when_the_line_is_full_but_not_its_streams():
    look = Look()
    pool = Pool(look, workers=1, waiting=1)
    look.gate.clear()
    pixels = np.zeros((60, 300, 3), np.uint8)
    inside = [threading.Thread(target=pool.detect, args=(pixels, None, 30)) for _ in range(2)]
    for thread in inside:
        thread.start()
    until(lambda: pool._inside == 2)
    with pytest.raises(BusyError) as told:
        pool.detect(pixels, wait=30)
    assert told.value.retry >= 1
    patient = threading.Thread(target=pool.detect, args=(pixels,))
    patient.start()
    until(lambda: pool._inside == 3)
    look.gate.set()
    for thread in [*inside, patient]:
        thread.join(20)
    assert (look.calls, pool._inside) == (3, 0)


def test_pool_gives_up_when_the_line_does_not_move():
    look = Look()
    pool = Pool(look, workers=1, waiting=5)
    look.gate.clear()
    first = threading.Thread(target=pool.detect, args=(np.zeros((60, 300, 3), np.uint8),))
    first.start()
    until(lambda: pool._inside == 1)
    with pytest.raises(BusyError):
        pool.detect(np.zeros((60, 300, 3), np.uint8), wait=0.01)
    look.gate.set()
    first.join(20)
    assert pool._inside == 0


def test_models_are_those_that_were_listed(tmp_path):
    models = Models(["head"])
    assert models.names == ("head",)
    assert models.spec().labels == ("head",)
    assert models.path("head").name == "head.onnx"
    assert models.pool() is models.pool("head")
    with pytest.raises(SettingError, match="did you mean 'head'"):
        models.pool("heat")
    with pytest.raises(SettingError, match="no model"):
        Models([])
    with pytest.raises(SettingError, match="two models are called 'head'"):
        Models(["head", str(models.path())])
    with pytest.raises(ModelError):
        Models([str(tmp_path / "none.onnx")])
