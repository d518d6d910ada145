"""One look at a picture file: can it be read, how large is it, is it turned, and what does it look like in small."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from passerby.cores import cores
from passerby.errors import SourceError
from passerby.pictures import damage, decode_picture, orientation, read_bytes

try:
    import simplejpeg
except ImportError:  # the extra [data]: JPEGs are then read by OpenCV, which does not tell of damage inside
    simplejpeg = None

Gray = NDArray[np.uint8]
INSIDE = ("Corrupt JPEG data", "Premature end", "Unsupported marker")  # what libjpeg says of damage inside a file
BATCH = 16  # pictures a task
SIDE = 32  # of the small picture that stands for a large one


@dataclass(frozen=True)
class Look:
    """What one look at a file told.

    width, height  upright, pixels; 0 where it cannot be read
    wrong          why it cannot be read, "" where it can
    damaged        what is wrong inside, where it can be read all the same
    turned         EXIF orientation, 1 to 8
    digest         of the file's bytes
    small          (SIDE, SIDE) uint8, the grey picture upright, in small
    hash           63 bits of how it looks, see `hash_of`
    """

    path: Path
    width: int = 0
    height: int = 0
    wrong: str = ""
    damaged: str = ""
    turned: int = 1
    digest: bytes = b""
    small: Gray | None = None
    hash: int = 0


def look(path: Path) -> Look:
    """Read one picture file whole. Nothing is raised: what is wrong stands in the answer."""
    try:
        data = read_bytes(path)
        turned = orientation(data)
        grey, width, height, damaged = _grey(data, str(path), turned)
    except SourceError as e:
        return Look(path, wrong=str(e).removeprefix(f"{path}: "))
    small = np.asarray(cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8)
    digest = hashlib.blake2b(data, digest_size=16).digest()
    return Look(path, width, height, "", damaged, turned, digest, small, hash_of(small))


def look_at_all(paths: Iterable[Path], step: Callable[[int, int], None] | None = None) -> dict[Path, Look]:
    """Look at each picture once, on all cores; `step` is called with (done, in all)."""
    unique = list(dict.fromkeys(paths))
    batches = [unique[i : i + BATCH] for i in range(0, len(unique), BATCH)]
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)  # one thread a picture; OpenCV's own would fight over the same cores
    pool = ThreadPoolExecutor(cores())
    out: dict[Path, Look] = {}
    try:
        for seen in pool.map(lambda batch: [look(path) for path in batch], batches):
            out.update((one.path, one) for one in seen)
            if step:
                step(len(out), len(unique))
    finally:
        pool.shutdown(cancel_futures=True)  # after an error or Ctrl-C nothing more is begun
        cv2.setNumThreads(threads)
    return out


def hash_of(small: Gray) -> int:
    """63 bits: which of a small grey picture's lowest 8 x 8 frequencies, the mean left out, are over their median.

    Zauner 2010, "Implementation and benchmarking of perceptual image hash functions", section 3.2.1 (DCT hash).
    """
    low = cv2.dct(small.astype(np.float32))[:8, :8].ravel()[1:]
    bits = low > np.partition(low, 31)[31]
    return int.from_bytes(np.packbits(np.append(bits, False)).tobytes(), "big")


def finds_damage() -> bool:
    """Whether damage inside a JPEG can be told: the extra [data] is installed."""
    return simplejpeg is not None


def _grey(data: bytes, where: str, turned: int) -> tuple[Gray, int, int, str]:
    """The grey picture upright, perhaps shrunk; its full width and height upright; what is damaged inside."""
    if simplejpeg is None or not data.startswith(b"\xff\xd8"):
        return _by_opencv(data, where)
    if wrong := damage(data):
        raise SourceError(f"{where}: {wrong}")
    try:
        height, width, *_ = simplejpeg.decode_jpeg_header(data)
        damaged = ""
        try:
            grey = _by_simplejpeg(data, strict=True)
        except ValueError as e:
            if not str(e).startswith(INSIDE):
                raise
            damaged = str(e)
            grey = _by_simplejpeg(data, strict=False)
    except ValueError:  # a kind of JPEG that it does not read: CMYK, or no JPEG at all
        return _by_opencv(data, where)
    if turned > 4:
        width, height = height, width
    return upright(grey, turned), width, height, damaged


def _by_simplejpeg(data: bytes, strict: bool) -> Gray:
    """The whole file is read, but only as many pixels made of it as are looked at."""
    sides = 2 * SIDE
    grey = simplejpeg.decode_jpeg(data, colorspace="GRAY", strict=strict, min_height=sides, min_width=sides)
    return np.asarray(grey[..., 0], np.uint8)


def _by_opencv(data: bytes, where: str) -> tuple[Gray, int, int, str]:
    pixels = decode_picture(data, where)
    grey = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), np.uint8)
    return grey, pixels.shape[1], pixels.shape[0], ""


def upright(raster: Gray, way: int) -> Gray:
    """A grey raster as EXIF's orientation 1 to 8 shows it."""
    if way > 4:
        raster = raster.swapaxes(0, 1)
    if way in (2, 3, 6, 7):
        raster = raster[:, ::-1]
    if way in (3, 4, 7, 8):
        raster = raster[::-1]
    return np.ascontiguousarray(raster)
