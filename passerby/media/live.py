"""Live sources: a camera, a stream, a video played at its own speed; the newest frame counts, others are dropped."""

from __future__ import annotations

import os
import random
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # FFmpeg's own lines; what is wrong is said by us
import cv2
import numpy as np

from passerby.errors import SourceError
from passerby.geometry.planes import PlanarFrame, Planes
from passerby.media.planar import Giving, PlanarCapture
from passerby.media.recording import has_pyav
from passerby.records import Frame, Pixels

cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # it has a line for every attempt to connect

SHORT = 0.1  # seconds in which nobody waits for a thread to end
PATIENCE = 5000  # milliseconds for a stream to open, and for its next frame
OPTIONS = "OPENCV_FFMPEG_CAPTURE_OPTIONS"  # who sets them wants OpenCV to read, with them
STREAMS = ("rtsp://", "rtsps://", "http://", "https://", "rtmp://", "udp://", "tcp://", "srt://")
_SECRET = re.compile(r"(?<=//)[^/@\s]*@")

Read = Pixels | Giving  # a picture as BGR (H, W, 3), or what gives that, or planes, when called


class Capture(Protocol):
    """What is needed of a `cv2.VideoCapture`; a picture that it reads is a `Read`."""

    def read(self) -> tuple[bool, Any]: ...

    def get(self, what: int, /) -> float: ...

    def release(self) -> None: ...


@dataclass(frozen=True)
class Taken:
    """A frame, and when it came from the source: seconds of `time.monotonic`, for measuring the delay."""

    frame: Frame
    captured: float


@dataclass(frozen=True)
class Status:
    """How a source is.

    state       "connecting", "live", "stale" (connected, no frame for too long), "lost" (to be tried again), "ended"
    frames      that came; dropped: of these, those that nobody took because a newer one came
    reconnects  times that it came back after it was lost
    age         seconds since the newest frame, None before the first
    error       why it was lost last, "" where it never was
    """

    state: str
    frames: int
    dropped: int
    reconnects: int
    age: float | None
    error: str


class LiveSource:
    """Reads a source in a thread of its own and keeps the newest frame only, so that nobody who is slow falls behind.

    uri          a camera's number ("0") or device ("/dev/video0"), an address ("rtsp://..."), or a video file, which is
                 played at its own speed, again and again with `repeat`
    stale_after  seconds without a frame after which the source counts as stale
    backoff      seconds before the first new attempt, and at most: each attempt waits twice as long as the one before,
                 a third more or less by chance, so that many readers of one server do not come back together

    A context manager: leaving it ends the thread and gives the camera back. Raises SourceError, when entered, for a
    file that is not there; a camera or a stream that is not there is tried again and again.
    """

    def __init__(
        self,
        uri: str,
        repeat: bool = False,
        stale_after: float = 2.0,
        backoff: tuple[float, float] = (0.5, 30.0),
        opener: Callable[[str], Capture] | None = None,
    ) -> None:
        self.uri, self.name = uri, shown(uri)
        self.repeat, self.stale_after, self.backoff = repeat, stale_after, backoff
        self._open = opener or open_capture
        self._file, self._stream = kind_of(uri) == "file", kind_of(uri) == "stream"
        self._stop = threading.Event()
        self._news = threading.Condition()
        self._newest: tuple[Read, int, float, float] | None = None  # picture, number, time, captured
        self._taken = -1
        self._frames = self._dropped = self._reconnects = 0
        self._state, self._error = "connecting", ""
        self._failure: BaseException | None = None
        self._started = time.monotonic()  # of the clock that times frames: they rise, whatever is lost in between
        self._thread = threading.Thread(target=self._run, name=f"source {self.name}", daemon=True)

    def __enter__(self) -> LiveSource:
        if self._file:
            need_file(self.uri)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """End the thread; waits until it has given its source back (a stalled stream is given up after PATIENCE)."""
        self._stop.set()
        with self._news:
            self._news.notify_all()
        if self._thread.is_alive():
            self._thread.join(2 * PATIENCE / 1000)

    def fresh(self, timeout: float) -> bool:
        """Whether there is a frame that was not taken yet; waits for one, `timeout` seconds at most.

        Raises what ended the thread, where that was no source that ends.
        """
        with self._news:
            self._news.wait_for(lambda: self._fresh() or self._state == "ended" or self._stop.is_set(), timeout)
            if self._failure is not None:
                raise self._failure
            return self._fresh()

    def newest(self, timeout: float = 1.0) -> Taken | None:
        """The newest frame that was not taken yet; None when none came in `timeout` seconds or the source has ended.

        The frame's `index` counts those that came, so gaps are frames that were dropped; its `time`
        is seconds since the source was made, and rises; in a file's passes it goes as the file's own does.
        """
        if not self.fresh(timeout):
            return None
        with self._news:
            if not self._fresh() or self._newest is None:
                return None
            read, index, moment, captured = self._newest
            self._taken = index
        pixels = read() if callable(read) else read
        if pixels is None:
            return None
        if isinstance(pixels, Planes):
            return Taken(PlanarFrame(pixels, self.name, index, moment), captured)
        rgb = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), np.uint8)
        return Taken(Frame(rgb, self.name, index, moment), captured)

    def status(self) -> Status:
        """How the source is now."""
        with self._news:
            age = None if self._newest is None else time.monotonic() - self._newest[3]
            state = self._state
            if state == "live" and age is not None and age > self.stale_after:
                state = "stale"
            return Status(state, self._frames, self._dropped, self._reconnects, age, self._error)

    def _fresh(self) -> bool:
        return self._newest is not None and self._newest[1] > self._taken

    def _run(self) -> None:
        try:
            self._read_on()
        except BaseException as e:
            self._failure = e  # told to whoever waits for frames; else he would wait for good
            self._set("ended", f"{self.name}: {e}")

    def _read_on(self) -> None:
        failures = 0
        while not self._stop.is_set():
            try:
                capture = self._open(self.uri)
            except SourceError as e:
                failures += 1
                self._lose(str(e), failures)
                continue
            try:
                seen = self._read(capture)
            finally:
                capture.release()
            if self._stop.is_set():
                break
            if self._file and not (self.repeat and seen):
                self._set("ended", "" if seen else f"{self.name}: no frame in this video can be read")
                return
            failures = 0 if seen else failures + 1
            if not self._file:
                self._lose(f"{self.name}: it gave no more frames", max(1, failures))

    def _read(self, capture: Capture) -> int:
        """Read until it gives no more; how many frames it gave."""
        seen = 0
        begun = time.monotonic() - self._started
        while not self._stop.is_set():
            asked = time.monotonic()
            try:
                good, pixels = capture.read()
            except cv2.error:  # of a broken picture, where it does not just say that there is none
                break
            moment = time.monotonic() - self._started
            if not good or (self._stream and time.monotonic() - asked >= PATIENCE / 1000):
                break  # a stream given up gives what its decoder still held: an old frame, that is no news
            if self._file:
                moment, now = begun + capture.get(cv2.CAP_PROP_POS_MSEC) / 1000, moment
                if self._pause(moment - now):
                    break
            self._keep(pixels, moment, first=seen == 0)
            seen += 1
        return seen

    def _pause(self, seconds: float) -> bool:
        """Wait for a frame's time; whether it is over. A short wait needs no waking, and `sleep` costs less."""
        if seconds > SHORT:
            return self._stop.wait(seconds)
        time.sleep(max(0.0, seconds))
        return self._stop.is_set()

    def _keep(self, pixels: Read, moment: float, first: bool) -> None:
        with self._news:
            if first:
                self._reconnects += self._state == "lost"
                self._state = "live"
            self._dropped += self._fresh()
            self._newest = pixels, self._frames, moment, time.monotonic()
            self._frames += 1
            self._news.notify_all()

    def _lose(self, error: str, failures: int) -> None:
        self._set("lost" if self._frames else "connecting", error)
        wait = min(self.backoff[1], self.backoff[0] * 2 ** min(failures - 1, 16))
        self._stop.wait(wait * random.uniform(2 / 3, 4 / 3))

    def _set(self, state: str, error: str) -> None:
        with self._news:
            self._state, self._error = state, error or self._error
            self._news.notify_all()


def kind_of(uri: str) -> str:
    """What a uri names: "camera", "stream" or "file"."""
    if uri.isdigit() or re.fullmatch(r"/dev/video\d+", uri):
        return "camera"
    return "stream" if uri.lower().startswith(STREAMS) else "file"


def open_capture(uri: str) -> Capture:
    """Open a source: files and streams by PyAV where it is there, else by OpenCV, as cameras always.

    Raises SourceError where that fails; a stream is waited for PATIENCE at most.
    """
    kind, why = kind_of(uri), ""
    what = {"camera": "no camera answers there", "stream": "no stream answers there", "file": "cannot be read as video"}
    if kind != "camera" and has_pyav() and OPTIONS not in os.environ:
        try:
            return PlanarCapture(uri, PATIENCE / 1000 if kind == "stream" else None)
        except SourceError as e:
            why = f" ({e})"
    elif (capture := _opencv(uri, kind)).isOpened():
        return capture
    raise SourceError(f"{shown(uri)}: {what[kind]}{why}")


def _opencv(uri: str, kind: str) -> cv2.VideoCapture:
    if kind == "camera":
        return cv2.VideoCapture(int(uri.removeprefix("/dev/video")))
    if kind == "file":
        return cv2.VideoCapture(uri, cv2.CAP_FFMPEG)
    # One thread decodes: several hold back a frame each, which would come late, or as news when a stream stalls.
    options = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, PATIENCE, cv2.CAP_PROP_READ_TIMEOUT_MSEC, PATIENCE]
    return cv2.VideoCapture(uri, cv2.CAP_FFMPEG, [*options, cv2.CAP_PROP_N_THREADS, 1])


def need_file(uri: str) -> None:
    """Raises SourceError where a video file is not there."""
    if not Path(uri).is_file():
        raise SourceError(f"{shown(uri)}: {'a folder; name a video in it' if Path(uri).is_dir() else 'no such file'}")


def shown(uri: str) -> str:
    """A uri as logs and pictures may show it: without the user and password that it may hold."""
    return _SECRET.sub("", uri)
