"""Video read by PyAV (the extra [video]): pictures stay planes until somebody wants RGB; OpenCV converts them all."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator
from contextlib import suppress
from functools import partial
from typing import Any

import cv2
import numpy as np

from passerby.errors import SourceError
from passerby.geometry.planes import Planes
from passerby.media.recording import pyav
from passerby.records import Pixels

FULL_RANGE = {"yuv420p": False, "yuvj420p": True}  # pixel formats that can stay planes
AHEAD = 4  # pictures that are decoded together at most: one at a time they find all caches cold
HASTE = 0.005  # seconds for which that may keep somebody waiting
STEADY = 10  # packets of a stream in a row that gave a picture each: then the next one's is counted on
RATE = 25  # pictures a second of a video that says neither times nor a rate
JPEG = 2  # FFmpeg's name of the full range
Giving = Callable[[], Planes | Pixels | None]  # a picture when called; None: nothing can be made of it
TURNS = {90: cv2.ROTATE_90_COUNTERCLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_CLOCKWISE}


class PlanarCapture:
    """A video file or a stream, read as `cv2.VideoCapture` reads it: a `media.live.Capture`.

    uri       a file's path, or an address
    patience  seconds in which a stream has to open, and to give its next picture; None: a file

    Raises SourceError, with what FFmpeg says, where it cannot be opened or holds no video; MissingExtraError without
    PyAV.
    """

    def __init__(self, uri: str, patience: float | None = None) -> None:
        self._av, self._patience = pyav(), patience
        self._number, self._seconds = 0, 0.0  # of the next picture, of the last one
        options = {"rtsp_transport": "tcp"} if uri.lower().startswith("rtsp") else {}  # as OpenCV asks for it
        try:
            self._file = self._av.open(uri, timeout=patience, options=options, metadata_errors="replace")
        except self._av.error.ExitError as e:
            raise SourceError(f"nothing came in {patience:g} s") from e
        except (self._av.FFmpegError, OSError, ValueError) as e:
            raise SourceError(getattr(e, "strerror", None) or type(e).__name__) from e
        self._video: Any = next(iter(self._file.streams.video), None)
        if self._video is None or self._video.codec_context is None:
            self._file.close()
            raise SourceError("nothing here decodes its video" if self._video else "no video in it")
        self._start, self._tick = self._video.start_time or 0, float(self._video.time_base)
        self._video.thread_type = "AUTO"
        if patience is not None:  # several threads hold back a picture each: it would come late, or when it is no news
            self._video.codec_context.thread_count = 1
        self._alone = bool(self._video.codec_context.codec.intra_only)  # no picture is made of others, as in MJPEG
        self._lock, self._closed = threading.Lock(), False
        self._waiting: list[_Later] = []  # the newest last
        self._steady, self._pace = 0, HASTE  # of STEADY; seconds that decoding a picture took
        self._pictures = self._of_file() if patience is None else self._of_stream()

    def read(self) -> tuple[bool, Giving | None]:
        """Whether there was one more picture, and what gives it when called, as most are dropped on a slow machine.

        It gives planes, or (H, W, 3) uint8 BGR of what cannot stay in them; any thread may call it, at any time. A
        stream's picture is decoded then, with those before it that it may be made of: None where it cannot be.
        """
        picture = next(self._pictures, None)
        return picture is not None, picture

    def get(self, what: int, /) -> float:
        """The time of a file's picture that was read last, ms, as `cv2.CAP_PROP_POS_MSEC`; 0 of anything else."""
        return 1000 * self._seconds if what == cv2.CAP_PROP_POS_MSEC else 0.0

    def release(self) -> None:
        """Give the source back."""
        with self._lock:
            if self._waiting:
                self._decode(self._waiting[-1])
            self._closed = True
        self._pictures.close()
        self._file.close()

    def _of_file(self) -> Generator[Giving, None, None]:
        """A file's pictures, decoded in groups. Broken packets are left out, as a player does."""
        frames: list[Any] = []
        begun = time.monotonic()
        with suppress(self._av.FFmpegError, OSError):
            for packet in self._file.demux(self._video):
                if packet.size:
                    frames += self._frames_of(packet)
                if len(frames) >= AHEAD or time.monotonic() - begun > HASTE:
                    yield from map(self._timed, frames)
                    frames, begun = [], time.monotonic()
        yield from map(self._timed, [*frames, *self._frames_of(None)])

    def _timed(self, frame: Any) -> Giving:
        """What gives a file's picture, whose time is now that of the last one."""
        if frame.pts is not None:
            self._seconds = (frame.pts - self._start) * self._tick
        else:  # as of raw H.264, which has no times; OpenCV says 0 of every picture
            self._seconds = self._number / float(self._video.average_rate or RATE)
        self._number += 1
        return partial(_picture_of, frame)

    def _of_stream(self) -> Generator[Giving, None, None]:
        """A stream's pictures as their packets come; those that nobody wants are decoded in groups, or not at all.

        Where packets do not give a picture each (broken ones, halves of pictures), all are decoded as they come, and
        left out where nothing comes of them; what the decoder of a lost stream holds is old.
        """
        with suppress(self._av.FFmpegError, OSError):
            for packet in self._file.demux(self._video):
                if not packet.size:
                    continue
                later = _Later(packet)
                with self._lock:
                    self._waiting = [later] if self._alone else [*self._waiting, later]
                    count = len(self._waiting)
                    put_off = self._steady >= STEADY and (self._alone or (count < AHEAD and count * self._pace < HASTE))
                    if not put_off:
                        self._decode(later)
                if put_off or later.frame is not None:
                    yield partial(self._picture, later)

    def _picture(self, later: _Later) -> Planes | Pixels | None:
        with self._lock:
            self._decode(later)
        return None if later.frame is None else _picture_of(later.frame)

    def _decode(self, last: _Later) -> None:
        """One that waits, and those before it; whoever calls holds the lock."""
        if last.packet is None or self._closed:
            return
        batch = [last] if self._alone else self._waiting[: self._waiting.index(last) + 1]
        begun = time.perf_counter()
        for one in batch:
            frames = self._frames_of(one.packet)
            self._steady = self._steady + 1 if len(frames) == 1 else 0
            one.packet, one.frame = None, frames[-1] if frames else None
        self._pace = (time.perf_counter() - begun) / len(batch)
        self._waiting = [one for one in self._waiting if one.packet is not None]

    def _frames_of(self, packet: Any) -> list[Any]:
        """Of a packet; of None: those that the decoder still holds."""
        try:
            return list(self._video.decode(packet))
        except (self._av.FFmpegError, OSError):
            return []


class _Later:
    """A picture of a stream: its packet, and when that is decoded FFmpeg's frame; None where none came of it."""

    def __init__(self, packet: Any) -> None:
        self.packet, self.frame = packet, None


def _picture_of(frame: Any) -> Planes | Pixels:
    full, turn = FULL_RANGE.get(frame.format.name), TURNS.get(frame.rotation % 360)
    planes = frame.planes if full is not None and turn is None and not (frame.width % 2 or frame.height % 2) else ()
    if planes and all(plane.line_size > 0 for plane in planes):
        y, u, v = (_array(plane) for plane in planes)
        return Planes(y, u, v, bool(full) or frame.color_range == JPEG)
    pixels = np.asarray(frame.to_ndarray(format="bgr24"), np.uint8)
    return pixels if turn is None else np.asarray(cv2.rotate(pixels, turn), np.uint8)


def _array(plane: Any) -> Pixels:
    """(H, W) uint8 in the decoder's memory, which may still use it for the next pictures: read only."""
    rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[: plane.height, : plane.width]
    rows.flags.writeable = False
    return rows
