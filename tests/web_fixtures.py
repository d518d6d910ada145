"""Fixtures for tests of the server: a model that says what it is told, streams of made frames, clients."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import ExitStack

import cv2
import httpx
import numpy as np
import pytest

from passerby.live.hub import Hub
from passerby.live.metrics import Metrics
from passerby.live.pool import Models, Pool
from passerby.live.stream import Stream
from passerby.media.live import LiveSource
from passerby.runtime.detector import Detector
from passerby.runtime.model_file import find_model, read_spec
from passerby.web.app import create_app
from passerby.web.limits import Limits
from passerby.web.server import PageServer


class GatedEngine:
    """Finds two boxes in every picture, corners as shares of it: .2 .2 .3 .4 and .5 .5 .6 .7; may be held up."""

    name = "gated 1.0"

    def __init__(self, spec) -> None:
        count, sides = sum(map(len, spec.anchors)), np.array([spec.width, spec.height] * 2)
        self.gate = threading.Event()
        self.gate.set()
        self.calls = 0
        self.boxes, self.scores = np.zeros((count, 4), np.float32), np.zeros((count, 1), np.float32)
        self.boxes[0], self.scores[0] = (0.2, 0.2, 0.3, 0.4) * sides, 0.9
        self.boxes[1], self.scores[1] = (0.5, 0.5, 0.6, 0.7) * sides, 0.25

    def run(self, pixels):
        self.calls += 1
        assert self.gate.wait(60)
        return self.boxes.copy(), self.scores.copy()


class Camera:
    """A capture of grey frames, 96 x 64; gives up after `frames`."""

    def __init__(self, frames=10**9, pause=0.01):
        self.left, self.pause = frames, pause

    def read(self):
        time.sleep(self.pause)
        self.left -= 1
        return (True, np.full((64, 96, 3), 90, np.uint8)) if self.left >= 0 else (False, None)

    def get(self, what):
        return 0.0

    def release(self):
        pass


class Site:
    """An app, what it stands on, and where it is served."""

    def __init__(self, models, engine, hub, metrics, app, stack):
        self.models, self.engine, self.hub, self.metrics = models, engine, hub, metrics
        self.app, self.stack = app, stack
        self.server = None

    def serve(self, **settings):
        """The server on a free port, started when first asked for."""
        if self.server is None:
            self.server = self.stack.enter_context(PageServer(self.app, "127.0.0.1", 0, **settings))
        return self.server

    def client(self, **headers):
        """A client of that server."""
        return self.stack.enter_context(httpx.Client(base_url=self.serve().url, headers=headers, timeout=60))

    def raw(self, *parts, pause=0.0):
        """What the server answers to these bytes, until it closes the connection."""
        with socket.create_connection(("127.0.0.1", self.serve().port), timeout=60) as link:
            for part in parts:
                link.sendall(part)
                time.sleep(pause)
            return b"".join(iter(lambda: link.recv(65536), b""))


@pytest.fixture
def make_site(monkeypatch, tmp_path):
    """Makes a Site: streams as {name: Camera}, limits by keyword; the models are "head" and "other"."""
    with ExitStack() as stack:

        def make(streams=None, token=None, hosts=("127.0.0.1",), workers=1, waiting=16, static=None, **limits):
            shipped = find_model("head")
            other = tmp_path / "other.onnx"
            other.write_bytes(shipped.read_bytes())
            spec = read_spec(shipped)
            engine = GatedEngine(spec)
            monkeypatch.setattr(
                "passerby.live.pool.open_pool",
                lambda path, *rest: Pool(Detector.of(read_spec(path), engine), workers, waiting),
            )
            models = Models(["head", str(other)])
            hub = Hub()
            metrics = Metrics(hub, models)
            for name, camera in (streams or {}).items():
                source = LiveSource("rtsp://user:secret@camera/1", opener=lambda uri, c=camera: c)
                hub.add(Stream(name, source, models.pool()))
            more = {"static": static} if static else {}
            app = create_app(hub, models, metrics, Limits(**{"rate": 0, **limits}), token, hosts, **more)
            stack.enter_context(hub)
            return Site(models, engine, hub, metrics, app, stack)

        yield make


@pytest.fixture
def site(make_site):
    """A Site as it is by default, without streams."""
    return make_site()


@pytest.fixture
def client(site):
    """A client of that site."""
    return site.client()


@pytest.fixture
def picture_bytes(make_pixels):
    """Makes an encoded picture: extension, width, height -> bytes."""

    def make(kind=".jpg", width=600, height=400):
        done, data = cv2.imencode(kind, make_pixels(width, height))
        assert done
        return data.tobytes()

    return make


def post(client, data, kind="image/jpeg", **more):
    """POST /detect."""
    headers = {"Content-Type": kind, **more.pop("headers", {})}
    return client.post(f"{more.pop('url', '')}/detect", content=data, headers=headers, **more)


def wrong(response, status, *words):
    """Asserts that it is refused as everything is: that status, one line of JSON with each of the words."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert list(response.json()) == ["error"]
    text = response.json()["error"]
    assert text
    assert "\n" not in text
    for word in words:
        assert str(word) in text, text


def until(true, seconds=30):
    """Waits for something that must come true."""
    end = time.monotonic() + seconds
    while not (value := true()):
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.01)
    return value
