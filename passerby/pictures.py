"""Picture files -> upright RGB pixels: the one decoder behind data sets, sources and the command line."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from passerby.errors import SourceError
from passerby.records import Pixels

cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # what is wrong is said by us, in one line

EXTENSIONS = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
_PNG = b"\x89PNG\r\n\x1a\n"
_KINDS = "JPEG, PNG, BMP, WebP or TIFF"


def read_picture(path: str | os.PathLike[str]) -> Pixels:
    """Decode a picture file.

    returns  (H, W, 3) uint8, RGB; EXIF orientation applied, grey and CMYK converted, 16 bit cut to 8, alpha dropped

    Raises SourceError when the file is missing, empty, cut short, or no picture.
    """
    return decode_picture(read_bytes(path), os.fspath(path))


def decode_picture(data: bytes, where: str) -> Pixels:
    """Decode a picture in memory; `where` names it in errors. Same result and errors as `read_picture`."""
    if wrong := damage(data):
        raise SourceError(f"{where}: {wrong}")
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    except cv2.error as e:
        raise SourceError(f"{where}: cannot be decoded ({e.err})") from e
    if pixels is None:
        raise SourceError(f"{where}: not a picture that can be read (want {_KINDS})")
    return np.asarray(pixels, np.uint8)


def damage(data: bytes) -> str:
    """What is wrong with a picture's bytes that decoders pass over in silence; "" where nothing is."""
    if not data:
        return "the file is empty (0 bytes)"
    if _cut_short(data):
        return f"the picture is cut short ({len(data):,} bytes and no end mark); copy it again"
    if part := _damaged_part(data):
        return f"the picture is damaged (wrong checksum of its {part} part); copy it again"
    return ""


def picture_size(path: Path) -> tuple[int, int]:
    """Width and height of a picture once upright, from its header where possible, in pixels.

    Raises SourceError as `read_picture` does.
    """
    import imagesize  # 20 ms: it loads an HTTP client, which detecting does not need

    try:
        width, height = imagesize.get(str(path), exif_rotation=True)
        with path.open("rb") as f:
            head = f.read(12)
    except (OSError, ValueError):
        width, height = -1, -1
    else:
        # OpenCV turns a PNG or WebP by its EXIF chunk, imagesize does not: where there is one, the pixels decide.
        if (head.startswith(b"\x89PNG") or head[8:] == b"WEBP") and _has_exif(path):
            width, height = -1, -1
    if width > 0 and height > 0:
        return int(width), int(height)
    pixels = read_picture(path)
    return int(pixels.shape[1]), int(pixels.shape[0])


def orientation_of(path: Path) -> int:
    """EXIF orientation of a picture file, 1 (upright) to 8; 1 where none is stated or the file cannot be read."""
    try:
        return orientation(read_bytes(path))
    except SourceError:
        return 1


def orientation(data: bytes) -> int:
    """EXIF orientation of a JPEG, PNG or WebP in memory, 1 (upright) to 8; 1 where none is stated.

    EXIF 2.32, section 4.5 (structure) and table 6 (tag 0x0112).
    """
    if data.startswith(b"\xff\xd8"):
        block = next((d[6:] for m, d in _segments(data) if m == 0xE1 and d.startswith(b"Exif\0\0")), b"")
    elif data.startswith(_PNG):
        at = data.find(b"eXIf")
        block = data[at + 4 :] if at > 0 else b""
    elif data[8:12] == b"WEBP":
        at = data.find(b"EXIF")
        block = data[at + 8 :].removeprefix(b"Exif\0\0") if at > 0 else b""
    else:
        return 1
    order: Literal["little", "big"] = "little" if block.startswith(b"II") else "big"
    start = int.from_bytes(block[4:8], order)
    for k in range(min(int.from_bytes(block[start : start + 2], order), 512)):
        entry = block[start + 2 + 12 * k : start + 14 + 12 * k]
        if int.from_bytes(entry[:2], order) == 0x0112:
            value = int.from_bytes(entry[8:10], order)
            return value if 1 <= value <= 8 else 1
    return 1


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """A file's bytes. Raises SourceError when it is missing or not readable."""
    try:
        return Path(path).read_bytes()
    except FileNotFoundError as e:
        raise SourceError(f"{os.fspath(path)}: no such file") from e
    except OSError as e:
        raise SourceError(f"{os.fspath(path)}: cannot be read ({e.strerror or e})") from e


def is_picture_name(path: Path) -> bool:
    """Whether a file's extension is one of a picture's."""
    return path.suffix.lower() in EXTENSIONS


def _has_exif(path: Path) -> bool:
    data = read_bytes(path)
    return b"eXIf" in data or b"EXIF" in data


def _cut_short(data: bytes) -> bool:
    """Whether a JPEG or PNG lacks its end mark. Decoders fill what is missing with grey and say nothing."""
    if data.startswith(_PNG):
        return b"IEND\xaeB`\x82" not in data
    if not data.startswith(b"\xff\xd8"):
        return False
    # Walk the segments up to the scan, so that the end mark of an embedded thumbnail is not taken for the picture's.
    at = 0
    for marker, segment in _segments(data):
        if marker == 0xDA:
            at = len(data) - len(segment)
    return at == 0 or data.find(b"\xff\xd9", at) < 0


def _segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Marker and content of each segment of a JPEG; the last, 0xDA, comes with all that follows it."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
            continue
        if marker == 0xDA:
            yield marker, data[at:]
            return
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        yield marker, data[at + 4 : end]
        at = end


def _damaged_part(data: bytes) -> str:
    """The first critical chunk of a PNG whose checksum is wrong, or "". libpng says so on stderr, past Python."""
    at = len(_PNG) if data.startswith(_PNG) else len(data)
    while at + 12 <= len(data):
        end = at + 8 + int.from_bytes(data[at : at + 4], "big")
        kind = data[at + 4 : at + 8]
        critical = not kind[0] & 0x20
        if critical and zlib.crc32(memoryview(data)[at + 4 : end]) != int.from_bytes(data[end : end + 4], "big"):
            return kind.decode("ascii", "replace")
        if kind == b"IEND":
            break
        at = end + 4
    return ""
