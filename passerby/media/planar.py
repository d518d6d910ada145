"""Video read by PyAV (the extra [video]): pictures stay planes until somebody wants RGB; OpenCV converts them all."""

from __future__ import annotations

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
AHEAD = 4  # pictures of a file that are decoded together: one at a time they find all caches cold
HASTE = 0.005  # seconds for which that may keep the next picture waiting
RATE = 25  # pictures a second of a video that says neither times nor a rate
JPEG = 2  # FFmpeg's name of the full range
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
        self._frames = self._decoded()

    def read(self) -> tuple[bool, Callable[[], Planes | Pixels] | None]:
        """Whether there was one more picture, and what gives it when called, as most are dropped on a slow machine.

        It gives planes, or (H, W, 3) uint8 BGR of what cannot stay in them.
        """
        frame = next(self._frames, None)
        if frame is None:
            return False, None
        if frame.pts is not None:
            self._seconds = (frame.pts - self._start) * self._tick
        else:  # as of raw H.264, which has no times; OpenCV says 0 of every picture
            self._seconds = self._number / float(self._video.average_rate or RATE)
        self._number += 1
        return True, partial(_picture_of, frame)

    def get(self, what: int, /) -> float:
        """The time of the picture that was read last, ms, as `cv2.CAP_PROP_POS_MSEC`; 0 of anything else."""
        return 1000 * self._seconds if what == cv2.CAP_PROP_POS_MSEC else 0.0

    def release(self) -> None:
        """Give the source back."""
        self._frames.close()
        self._file.close()

    def _decoded(self) -> Generator[Any, None, None]:
        """FFmpeg's frames. Broken packets are left out, as a player does; what a lost stream's decoder holds is old."""
        frames, begun = list[Any](), time.monotonic()
        with suppress(self._av.FFmpegError, OSError):
            for packet in self._file.demux(self._video):
                if packet.size:
                    frames += self._frames_of(packet)
                if self._patience is not None or len(frames) >= AHEAD or time.monotonic() - begun > HASTE:
                    yield from frames
                    frames, begun = [], time.monotonic()
        if self._patience is None:
            yield from [*frames, *self._frames_of(None)]

    def _frames_of(self, packet: Any) -> list[Any]:
        """Of a packet; of None: those that the decoder still holds."""
        try:
            return list(self._video.decode(packet))
        except (self._av.FFmpegError, OSError):
            return []


def _picture_of(frame: Any) -> Planes | Pixels:
    full, turn = FULL_RANGE.get(frame.format.name), TURNS.get(frame.rotation % 360)
    planar = full is not None and turn is None and all(plane.line_size > 0 for plane in frame.planes)
    if planar and not (frame.width % 2 or frame.height % 2):
        y, u, v = (_array(plane) for plane in frame.planes)
        return Planes(y, u, v, bool(full) or frame.color_range == JPEG)
    pixels = np.asarray(frame.to_ndarray(format="bgr24"), np.uint8)
    return pixels if turn is None else np.asarray(cv2.rotate(pixels, turn), np.uint8)


def _array(plane: Any) -> Pixels:
    """(H, W) uint8 in the decoder's memory, which may still use it for the next pictures: read only."""
    rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[: plane.height, : plane.width]
    rows.flags.writeable = False
    return rows
