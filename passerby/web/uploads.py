"""Pictures that callers send: what they say of themselves is checked before anything is decoded."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from passerby.cores import cores
from passerby.errors import BusyError, SourceError
from passerby.pictures import decode_picture
from passerby.records import Pixels
from passerby.web.answers import Refused
from passerby.web.limits import Limits

TYPES = ("image/jpeg", "image/png", "image/webp", "image/bmp", "application/octet-stream")
KINDS = "JPEG, PNG, WebP or BMP"
SCANS = 100  # of a progressive JPEG, ten are usual: each costs time over the whole picture

Answer = TypeVar("Answer")


class Uploads:
    """The threads in which pictures are decoded and looked at, and the line before them.

    More than `limits.uploads` at once are refused, and so is one that stood in line for `limits.wait` seconds: a caller
    who is told at once to come again later is served better than one who waits and gives up.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._threads = ThreadPoolExecutor(cores() + 1, "upload")  # one decodes while the others look
        self._inside = 0
        self._pace = 0.05  # seconds between two that are done, lately

    async def run(self, call: Callable[[], Answer]) -> Answer:
        """Call in a thread. Raises BusyError at once where too many are in line, or after too long in line."""
        if self._inside >= self.limits.uploads:
            raise self._busy()
        self._inside += 1
        came = time.monotonic()

        def late() -> Answer:
            if time.monotonic() - came > self.limits.wait:
                raise self._busy()
            return call()

        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, late)
        finally:
            self._inside -= 1
            self._pace += 0.1 * ((time.monotonic() - came) / self.limits.uploads - self._pace)

    def close(self) -> None:
        """End the threads; what is in line is given up."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _busy(self) -> BusyError:
        retry = min(60.0, max(1.0, self._pace * self.limits.uploads))
        return BusyError("more pictures come than this machine can look at; try again later", retry)


def picture_of(data: bytes, most: int) -> Pixels:
    """A picture's upright pixels, (H, W, 3) uint8 RGB.

    most  pixels that it may have

    Raises Refused: 400 where nothing was sent, 415 for what is no picture, 413 for one of more pixels than `most`
    (known from its header, nothing is decoded for that), 422 for a damaged one.
    """
    if not data:
        raise Refused(400, f"nothing was sent; want a picture ({KINDS}) as the body")
    kind = kind_of(data)
    if kind is None:
        raise Refused(415, f"what was sent is no picture of a kind that is read here ({KINDS})")
    width, height = declared_size(data, kind)
    if width < 1 or height < 1:
        raise Refused(422, f"the picture's {kind} header is damaged: it states no size")
    if width * height > most:
        raise Refused(413, f"the picture is {width} x {height} pixels, at most {most:,} are taken; make it smaller")
    if kind == "JPEG" and data.count(b"\xff\xda") > SCANS:
        raise Refused(422, f"the picture has more than {SCANS} scans; save it as an ordinary JPEG")
    try:
        return decode_picture(data, "the picture")
    except SourceError as e:
        raise Refused(422, str(e)) from e


def kind_of(data: bytes) -> str | None:
    """Which kind of picture bytes are, by their first bytes; None for any that is not taken."""
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "WebP"
    return "BMP" if data.startswith(b"BM") else None


def declared_size(data: bytes, kind: str) -> tuple[int, int]:
    """Width and height that a picture's header states, in pixels, as its decoder will read them; (0, 0) for none.

    PNG 3rd edition, 11.2.1; JPEG, ITU-T T.81 B.2.2; WebP, RFC 9649 section 2; BMP, BITMAPCOREHEADER and INFOHEADER.
    """
    if kind == "PNG":
        known = data[12:16] == b"IHDR" and len(data) >= 24
        return (int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")) if known else (0, 0)
    if kind == "BMP":
        wide = int.from_bytes(data[14:18], "little") != 12
        step = 4 if wide else 2
        sides = (data[18 : 18 + step], data[18 + step : 18 + 2 * step])
        width, height = (int.from_bytes(s, "little", signed=wide) for s in sides)
        return abs(width), abs(height)  # a negative height: the rows come from the top
    return _jpeg_size(data) if kind == "JPEG" else _webp_size(data)


def _jpeg_size(data: bytes) -> tuple[int, int]:
    """Of the first frame header. A marker that has no length, or bytes between segments, are no ordinary JPEG: (0, 0).

    Decoders pass over such things in ways of their own, and might come to another header than we do.
    """
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
        elif marker in (0x00, 0x01) or 0xD0 <= marker <= 0xDA:
            break
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return int.from_bytes(data[at + 7 : at + 9], "big"), int.from_bytes(data[at + 5 : at + 7], "big")
        else:
            at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return 0, 0


def _webp_size(data: bytes) -> tuple[int, int]:
    part = data[12:16]
    if len(data) < 30:
        return 0, 0
    if part == b"VP8X":  # of the canvas
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if part == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if part == b"VP8 ":
        return int.from_bytes(data[26:28], "little") & 0x3FFF, int.from_bytes(data[28:30], "little") & 0x3FFF
    return 0, 0
