"""A real browser, a real server and a fake camera, for the tests of the page."""

from __future__ import annotations

import json
import re
import shutil
import threading
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from passerby.live.hub import Hub
from passerby.live.metrics import Metrics
from passerby.live.pool import Models
from passerby.live.stream import Stream
from passerby.media.live import LiveSource
from passerby.runtime.model_file import find_model, read_spec
from passerby.spec import METADATA_KEY

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared" / "data"
EXAMPLES = sorted((ROOT / "examples" / "pictures").glob("*.jpg"))
NASTY = "<img src=x onerror=document.title=1>"  # the name of a stream
PATIENCE = 30_000  # milliseconds: a slow machine is no failure
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
]


@pytest.fixture(scope="session")
def frames():
    """10 a second: somebody comes into view, and leaves it over the line x = 0.75 to the right. BGR, 768 x 432."""
    video = SHARED / "video" / "one-by-one-person-detection.mp4"
    if video.is_file():
        capture = cv2.VideoCapture(str(video))
        read = [capture.read()[1] for _ in range(200)]
        capture.release()
        return read[58:84] + read[176:]  # between them nobody moves
    picture = cv2.imread(str(EXAMPLES[0]))
    wide = np.full((432, 1700, 3), 120, np.uint8)
    wide[:, 900:1332] = cv2.resize(picture, (432, 432), interpolation=cv2.INTER_AREA)
    return [wide[:, at : at + 768] for at in range(920, -1, -18)]


@pytest.fixture(scope="session")
def clip(frames, tmp_path_factory):
    """The frames as a video file that every browser plays: VP8 in WebM."""
    path = tmp_path_factory.mktemp("clip") / "clip.webm"
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"VP80"), 10, (768, 432))
    assert writer.isOpened()
    for frame in frames:
        writer.write(frame)
    writer.release()
    return path


@pytest.fixture(scope="session")
def chromium(frames, tmp_path_factory):
    """Debian's Chromium, headless; its camera shows the frames, again and again."""
    playwright = pytest.importorskip("playwright.sync_api", reason="no playwright: pip install playwright")
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("no chromium on this machine: apt install chromium")
    camera = tmp_path_factory.mktemp("camera") / "cam.mjpeg"
    # Chromium plays them at 30 a second.
    camera.write_bytes(b"".join(3 * cv2.imencode(".jpg", frame)[1].tobytes() for frame in frames))
    playwright.expect.set_options(timeout=PATIENCE)
    with playwright.sync_playwright() as started:
        flags = [*FLAGS, f"--use-file-for-fake-video-capture={camera}"]
        browser = started.chromium.launch(executable_path=path, headless=True, args=flags)
        yield browser
        browser.close()


class Still:
    """A source that gives some frames and then nothing more, without an end, until the tests are over."""

    def __init__(self, frames, over):
        self.frames, self.over = list(frames), over

    def read(self):
        self.over.wait(0.05 if self.frames else 3600)
        return (True, self.frames.pop(0)) if self.frames else (False, None)

    def get(self, what):
        return 10.0

    def release(self):
        pass


@pytest.fixture(scope="session")
def letterboxed(tmp_path_factory):
    """The shipped model as one that letterboxes: the same graph, other metadata (the last entry of a name counts)."""
    path = find_model("head")
    spec = replace(read_spec(path), resize="letterbox", threshold=0.3)
    key, value = METADATA_KEY.encode(), spec.to_json().encode()
    pair = b"\x0a" + _varint(len(key)) + key + b"\x12" + _varint(len(value)) + value
    out = tmp_path_factory.mktemp("model") / "boxed.onnx"
    out.write_bytes(path.read_bytes() + b"\x72" + _varint(len(pair)) + pair)
    assert read_spec(out).resize == "letterbox"
    return out


def _varint(number):
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


@contextmanager
def serving(models, streams=(), token=None, port=0):
    """A server of the page, on this machine: its address."""
    from passerby.web.app import create_app
    from passerby.web.server import PageServer

    hub = Hub()
    for stream in streams:
        hub.add(stream)
    app = create_app(hub, models, Metrics(hub, models), token=token, hosts=("127.0.0.1",))
    with hub, PageServer(app, "127.0.0.1", port) as server:
        yield server.url.replace("127.0.0.1", "localhost")


@pytest.fixture(scope="session")
def models(letterboxed):
    """Both models, by the engine that the browser has too."""
    return Models(["head", str(letterboxed)], engine="onnxruntime")


@pytest.fixture(scope="session")
def site(models, clip, frames):
    """The address of a server with three streams: one that runs, one with a nasty name, one that has gone silent."""
    pytest.importorskip("fastapi", reason="no fastapi: pip install 'passerby[serve]'")
    pool, over = models.pool(), threading.Event()
    silent = LiveSource("rtsp://127.0.0.1/silent", stale_after=1.0, opener=lambda uri: Still(frames[10:20], over))
    streams = [
        Stream("door", LiveSource(str(clip), repeat=True), pool),
        Stream(NASTY, LiveSource(str(clip), repeat=True), pool, every=1.0),
        Stream("silent", silent, pool),
    ]
    with serving(models, streams) as url:
        yield url
        over.set()


class Watch:
    """A page, and what it did that it must not: messages on the console, requests to elsewhere."""

    def __init__(self, context, url):
        self.url, self.wrong = url, []
        self.page = context.new_page()
        self.page.set_default_timeout(PATIENCE)
        self.page.on("console", lambda m: self.wrong.append(m.text) if m.type in ("error", "warning") else None)
        self.page.on("pageerror", lambda e: self.wrong.append(str(e)))
        self.page.on("request", self._see)

    def _see(self, request):
        if not re.match(rf"({re.escape(self.url)}/|blob:|data:)", request.url):
            self.wrong.append(f"asked for {request.url}")


@pytest.fixture
def open_page(chromium, site):
    """Opens the page: keywords of a browser's context -> its Page. Errors on its console are the test's errors."""
    contexts, watches = [], []

    def open_(url=site, path="/", strict=True, **how):
        context = chromium.new_context(**{"viewport": {"width": 1280, "height": 900}, **how})
        contexts.append(context)
        watch = Watch(context, url)
        if strict:
            watches.append(watch)
        watch.page.goto(url + path)
        watch.page.wait_for_selector("main[aria-busy=false]")
        return watch.page

    yield open_
    for context in contexts:
        context.close()
    assert [wrong for watch in watches for wrong in watch.wrong] == []


@pytest.fixture
def serve():
    """Serves a page of its own: models, streams=(), token=None, port=0 -> a context manager that gives its address."""
    return serving


@pytest.fixture(scope="session")
def examples():
    """The example pictures."""
    return EXAMPLES


@pytest.fixture
def saved():
    """What "Save JSON" of a page gives."""

    def save(page):
        with page.expect_download() as download:
            page.click("#save-json")
        return json.loads(Path(download.value.path()).read_text(encoding="utf-8"))

    return save
