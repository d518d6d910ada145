"""Video files in which every picture keeps its own time: H.264 in MP4, by PyAV (the extra [video])."""

from __future__ import annotations

import os
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

import cv2
import numpy as np

from passerby.errors import MissingExtraError, OutputError
from passerby.geometry.resize import fit
from passerby.records import Pixels

TICKS = 360_000  # of a second: whole numbers for 24, 25, 30, 50, 60, 120 frames, their 1000/1001, ms and 1/90,000 s
KEY = (
    2.0  # seconds at most between key frames: what a recording that is killed loses, and how finely one can seek in it
)
LONGEST = 600.0  # seconds that one picture can last in the file; MP4 counts ticks of a picture in 31 bits
_LIVE = {"movflags": "frag_keyframe+empty_moov+default_base_moof", "flush_packets": "1"}


class Recording:
    """One MP4 (H.264, 4:2:0) with each picture at its own time, playable in browsers.

    path   of the file
    live   written so that it is playable at any moment, also when the program is killed: in pieces of KEY seconds.
           A file that is there already is kept: "a.mp4" becomes "a-2.mp4" then, and `path` says so.
           False: an ordinary MP4, which is playable when it is closed, and replaces what was at `path`
    rate   frames a second, where it is known: how long the last picture lasts
    name   as errors call it; "": the path

    The first picture decides the size (an odd width or height gets one more column or row); a picture of another
    size is letterboxed into it. A context manager: leaving it completes the file. Raises MissingExtraError without
    PyAV, OutputError for a file that cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str], live: bool = True, rate: float = 0.0, name: str = "") -> None:
        self.path, self.live, self._name = Path(path), live, name
        self.pictures = 0
        self._step = round(TICKS / rate) if rate > 0 else TICKS // 25
        self._av = pyav()
        self._first = 0.0  # seconds, of the first picture
        self._last, self._key = -1, 0  # ticks of the last picture and of the last key frame
        self._picture: Pixels | None = None
        self._file: BinaryIO | None = None
        self._box: Any = None
        self._video: Any = None

    def __enter__(self) -> Recording:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._begin_file()
        except OSError as e:
            raise self._cannot(e) from e
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()

    def write(self, pixels: Pixels, time: float) -> None:
        """Add a picture.

        pixels  (H, W, 3) uint8 RGB
        time    seconds, of any clock that rises; the first picture's is the file's 0. A gap stays a gap: the picture
                before it is shown until the next
        """
        if self._file is None:
            raise OutputError(f"{self.path}: the recording is closed")
        try:
            if self._video is None:
                self._open(pixels, time)
            at = max(round((time - self._first) * TICKS), self._last + 1)
            while self._picture is not None and at - self._last > LONGEST * TICKS:
                self._add(self._picture, self._last + round(LONGEST * TICKS))
            self._add(pixels, at)
            self._picture = pixels
            self.pictures += 1
        except (OSError, ValueError, self._av.FFmpegError) as e:
            self._give_up()
            raise self._cannot(e) from e

    def close(self) -> None:
        """Complete the file; a second time does nothing. One without a picture is taken away."""
        if self._file is None:
            return
        try:
            if self._box is not None:
                self._mux(self._video.encode(None))
                self._box.close()
            self._file.close()
        except (OSError, ValueError, self._av.FFmpegError) as e:
            self._give_up()
            raise self._cannot(e) from e
        if self._box is None:
            self.path.unlink(missing_ok=True)
        self._file = self._box = self._picture = None

    def _begin_file(self) -> BinaryIO:
        if not self.live:
            return self.path.open("wb")
        stem, number = self.path.stem, 1
        while True:
            try:
                return self.path.open("xb")
            except FileExistsError:
                number += 1
                self.path = self.path.with_name(f"{stem}-{number}{self.path.suffix}")

    def _open(self, pixels: Pixels, time: float) -> None:
        height, width = pixels.shape[:2]
        self._box = self._av.open(self._file, "w", format="mp4", options=_LIVE if self.live else {})
        video = self._box.add_stream("libx264", rate=30, options=_SPEED)
        video.width, video.height, video.pix_fmt = width + width % 2, height + height % 2, "yuv420p"
        video.time_base = video.codec_context.time_base = Fraction(1, TICKS)
        context = video.codec_context
        context.color_range, context.colorspace, context.color_primaries, context.color_trc = 1, 6, 1, 6  # as cv2 does
        self._video, self._first = video, time

    def _add(self, pixels: Pixels, at: int) -> None:
        frame = self._av.VideoFrame.from_ndarray(self._planes(pixels), format="yuv420p")
        frame.pts, frame.time_base = at, Fraction(1, TICKS)
        if self._last >= 0:
            self._step = at - self._last
        if self._last < 0 or at - self._key >= KEY * TICKS:
            frame.pict_type, self._key = self._av.video.frame.PictureType.I, at
        self._last = at
        self._mux(self._video.encode(frame))

    def _mux(self, packets: Any) -> None:
        """Into the file. A picture lasts until the next; how long the last one does is not known: as the one before."""
        for packet in packets:
            packet.duration = min(self._step, round(KEY * TICKS))
            self._box.mux(packet)
        if self.live and self._file is not None:
            self._file.flush()

    def _planes(self, pixels: Pixels) -> Pixels:
        """(3/2 H, W) uint8: a picture of the video's size as Y, U and V (BT.601, 16 to 235)."""
        width, height = self._video.width, self._video.height
        below, right = height - pixels.shape[0], width - pixels.shape[1]
        if 0 <= below <= 1 and 0 <= right <= 1:
            padded = cv2.copyMakeBorder(pixels, 0, below, 0, right, cv2.BORDER_REPLICATE) if below or right else pixels
        else:
            padded, _ = fit(pixels, width, height, "letterbox")
        return np.asarray(cv2.cvtColor(padded, cv2.COLOR_RGB2YUV_I420), np.uint8)

    def _give_up(self) -> None:
        """After an error: what was written stays, nothing more is tried."""
        with suppress(OSError, ValueError):
            if self._file is not None:
                self._file.close()
        self._file = self._box = self._video = self._picture = None

    def _cannot(self, error: Exception) -> OutputError:
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return OutputError(f"{self._name or self.path}: cannot be written ({why})")


# No frame waits for a later one: what was seen a moment ago is in the file, and times need no reordering.
_SPEED = {"preset": "veryfast", "tune": "zerolatency", "crf": "23", "forced-idr": "1", "g": "100000"}


def has_pyav() -> bool:
    """Whether PyAV is there, so that `Recording` and `planar.PlanarCapture` can be used."""
    import importlib.util

    return importlib.util.find_spec("av") is not None


def pyav() -> Any:
    """PyAV. Raises MissingExtraError where it is not installed.

    It tells nothing of FFmpeg's own lines, and no level of its logging must be set: FFmpeg's threads would wait for
    Python with each line, and whoever closes a file in Python waits for those threads.
    """
    try:
        import av
        import av.video.frame
    except ModuleNotFoundError as e:
        raise MissingExtraError("PyAV", "video") from e
    return av
