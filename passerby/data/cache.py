"""Decoded, shrunk training pictures in one file that all worker processes share through the system's page cache.

A file holds, little-endian: a preamble (HEAD: magic, version, shorter side, number of pictures, where the index starts
and how long it is, CRC-32 of the index, CRC-32 of the preamble); the pixels of one picture after another, (H, W, 3)
uint8, each at a multiple of 64 bytes; the index: a ROW a picture, then the pictures' paths, each ended by a zero byte.
"""

from __future__ import annotations

import hashlib
import math
import mmap
import os
import re
import shutil
import struct
import zlib
from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

import numpy as np

from passerby.cores import cores
from passerby.errors import DataError, OutputError, SourceError
from passerby.files import written_whole
from passerby.geometry.resize import scale_to
from passerby.pictures import read_picture
from passerby.recipe import Recipe
from passerby.records import Pixels, Sample

try:
    import fcntl
except ImportError:  # Windows, which has other locks: what a killed build leaves stays there until it is deleted
    fcntl = None  # type: ignore[assignment]

MAGIC, VERSION, ALIGN = b"passerby", 1, 64
HEAD = struct.Struct("<8sIIQQQII")
ROW = np.dtype(
    {
        "names": ["at", "height", "width", "full_height", "full_width", "bytes", "mtime_ns", "crc"],
        "formats": ["<i8", "<i4", "<i4", "<i4", "<i4", "<i8", "<i8", "<u8"],
    }
)
LEFT_BEHIND = re.compile(r"\..+-[0-9a-f]{8}\.pixels")  # what `written_whole` calls a cache that is not finished


class Teller(Protocol):
    """Where progress goes: `line` stays, `step` may be overwritten by the next."""

    def line(self, text: str) -> None: ...

    def step(self, text: str) -> None: ...


@dataclass(frozen=True)
class Source:
    """A picture file as it was when it was decoded: what tells that it has changed."""

    path: bytes
    size: int
    mtime_ns: int

    @classmethod
    def of(cls, path: Path) -> Source:
        """Raises SourceError when the file is not there."""
        try:
            stat = path.stat()
        except OSError as e:
            raise SourceError(f"{path}: {'no such file' if isinstance(e, FileNotFoundError) else e.strerror}") from e
        return cls(os.fsencode(path.absolute()), stat.st_size, stat.st_mtime_ns)


class Cache:
    """The pixels of a list of pictures, by number; read from one mapped file, and pickled as its path.

    stamp  what `stamp` was of the cache that is meant; None: whichever is there

    Raises DataError when the file is no whole cache, or not the one with that stamp; FileNotFoundError.
    """

    def __init__(self, path: Path, stamp: int | None = None) -> None:
        self.path = path
        with path.open("rb") as f:
            length = os.fstat(f.fileno()).st_size
            if length < HEAD.size:
                raise DataError(f"{path}: no cache, or cut short")
            self._bytes = mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ)
        head = self._bytes[: HEAD.size]
        magic, version, self.side, count, at, size, self.stamp, checksum = HEAD.unpack(head)
        if magic != MAGIC or version != VERSION or checksum != zlib.crc32(head[:-4]):
            raise DataError(f"{path}: no cache of this version, or damaged")
        if at + size != length or zlib.crc32(memoryview(self._bytes)[at:]) != self.stamp:
            raise DataError(f"{path}: the cache is cut short or damaged")
        if stamp not in (None, self.stamp):
            raise DataError(f"{path}: another run has just built it anew, of other pictures; start this one again")
        self._rows = np.frombuffer(self._bytes, ROW, count, at)
        self._paths_at = at + count * ROW.itemsize

    def __reduce__(self) -> tuple[type[Cache], tuple[Path, int]]:
        return Cache, (self.path, self.stamp)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Pixels:
        """(H, W, 3) uint8, RGB, read-only: a view of the file, read from disk where it is looked at."""
        row = self._rows[index]
        height, width = int(row["height"]), int(row["width"])
        flat = np.frombuffer(self._bytes, np.uint8, height * width * 3, int(row["at"]))
        return flat.reshape(height, width, 3)

    def full_size(self, index: int) -> tuple[int, int]:
        """Width and height of the picture before it was shrunk, pixels."""
        return int(self._rows[index]["full_width"]), int(self._rows[index]["full_height"])

    def shrunk(self) -> int:
        """How many pictures are smaller here than in their files."""
        return int((self._rows["width"] < self._rows["full_width"]).sum())

    def difference(self, samples: Sequence[Sample], side: int) -> str:
        """In which way the cache is not that of these pictures as their files are now, in words; "" where it is."""
        paths = self._bytes[self._paths_at :].split(b"\0")[:-1]
        wanted = [os.fsencode(s.path.absolute()) for s in samples]
        if side != self.side:
            return f"its pictures have a shorter side of {self.side}, wanted is {side}"
        if paths != wanted:
            new, gone = len(set(wanted) - set(paths)), len(set(paths) - set(wanted))
            return f"{new} pictures are new and {gone} are gone" if new or gone else "the pictures' order is another"
        changed = []
        for sample, row in zip(samples, self._rows, strict=True):
            try:
                now = Source.of(sample.path)
            except SourceError:
                changed.append(sample.path)
                continue
            if (now.size, now.mtime_ns) != (row["bytes"], row["mtime_ns"]):
                changed.append(sample.path)
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        return f"{changed[0]}{more} changed" if changed else ""

    def damage(self, tell: Teller) -> str:
        """Which picture's pixels are not those that were written, in words; "" where all are. Reads the whole file."""
        for i, row in enumerate(self._rows):
            if zlib.crc32(self[i].data) != row["crc"]:
                return f"the pixels of picture {i} are damaged"
            if i % 64 == 0:
                tell.step(f"cache: {i}/{len(self)} pictures checked")
        return ""


def side_needed(recipe: Recipe) -> int:
    """The least shorter side of a cached picture, pixels, at which no random part is enlarged because of the cache.

    The smallest part that `augment` cuts out has crop_scale[0] / sqrt(crop_ratio) of the picture's width or height,
    and must still have as many pixels as the input. 0: parts may be of any size, so no picture may shrink.
    """
    how = recipe.augment
    share = min(1.0, how.crop_scale[0] / math.sqrt(how.crop_ratio)) if how.crop > 0 else 1.0
    return math.ceil(max(recipe.model.input_size()) / share + 1e-6) if share > 1e-6 else 0


def shrunk_size(width: int, height: int, side: int) -> tuple[int, int]:
    """Width and height, pixels, of a picture shrunk to a shorter side of `side`; a smaller one stays, and 0 is none."""
    short = min(width, height)
    if side == 0 or short <= side:
        return width, height
    return -(-width * side // short), -(-height * side // short)


def open_cache(folder: Path, name: str, samples: Sequence[Sample], side: int, tell: Teller) -> Cache:
    """The cache of a list of pictures; built where there is none, and anew where it is not theirs any more.

    folder  where caches lie; made where it is not there
    name    of the list, e.g. the data set's: with the side and the first picture's folder it decides the file
    side    shorter side to shrink to, pixels; smaller pictures stay as they are; 0: all do

    It is not theirs when the list, or the size or time of a file, is another, or when the file is damaged (it is read
    whole to see that). Interrupted builds leave nothing that is taken for a cache, and what they left is deleted.
    Raises SourceError for a picture that cannot be decoded, OutputError where the file cannot be written or there is
    no room for it.
    """
    path = folder / _file_name(name, samples, side)
    try:
        cache = Cache(path)
        why = cache.difference(samples, side) or cache.damage(tell)
        if not why:
            tell.line(f"cache: {_summary(cache)}")
            return cache
        del cache
    except FileNotFoundError:
        why = ""
    except (OSError, DataError) as e:
        why = str(e).removeprefix(f"{path}: ")
    if why:
        tell.line(f"cache: {path} is built anew: {why}")
    cache = _build(path, samples, side, tell)
    tell.line(f"cache: built {_summary(cache)}")
    return cache


def _file_name(name: str, samples: Sequence[Sample], side: int) -> str:
    key = b"\0".join((os.fsencode(name), str(side).encode(), os.fsencode(samples[0].path.absolute().parent)))
    slug = re.sub(r"[^A-Za-z0-9_]+", "-", name).strip("-")[:60]
    return f"{slug}-{hashlib.blake2b(key, digest_size=4).hexdigest()}.pixels"


def _summary(cache: Cache) -> str:
    size = cache.path.stat().st_size / 1e9
    return f"{cache.path}: {len(cache)} pictures, {cache.shrunk()} of them shrunk, {size:.2f} GB"


def _build(path: Path, samples: Sequence[Sample], side: int, tell: Teller) -> Cache:
    _make_room(path, samples, side)
    rows = np.zeros(len(samples), ROW)
    paths: list[bytes] = []
    with ExitStack() as after, written_whole(path) as temporary:
        if fcntl:  # held until the file has its name: whoever can take it finds a build that has died
            lock = after.enter_context(temporary.open("rb"))
            with suppress(OSError):  # a file system without locks
                fcntl.flock(lock, fcntl.LOCK_EX)
        with temporary.open("wb") as f, closing(_decoded(samples, side)) as pictures:
            f.write(bytes(HEAD.size))
            for i, (pixels, full, source) in enumerate(pictures):
                height, width = pixels.shape[:2]
                at = _align(f)
                rows[i] = (at, height, width, *full, source.size, source.mtime_ns, zlib.crc32(pixels.data))
                paths.append(source.path + b"\0")
                f.write(pixels.data)
                tell.step(f"cache: {i + 1}/{len(samples)} pictures, {f.tell() / 1e9:.2f} GB")
            index = rows.tobytes() + b"".join(paths)
            head = HEAD.pack(MAGIC, VERSION, side, len(rows), _align(f), len(index), zlib.crc32(index), 0)[:-4]
            f.write(index)
            f.seek(0)
            f.write(head + struct.pack("<I", zlib.crc32(head)))
    return Cache(path, zlib.crc32(index))


def _align(f: BinaryIO) -> int:
    """Fill up to the next multiple of ALIGN; where that is."""
    f.write(bytes(-f.tell() % ALIGN))
    return f.tell()


Decoded = tuple[Pixels, tuple[int, int], Source]


def _decoded(samples: Sequence[Sample], side: int) -> Generator[Decoded, None, None]:
    """Pixels, height and width before shrinking, and the file, in order; threads work a few pictures ahead."""
    threads = min(8, cores())
    waiting: deque[Future[Decoded]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for sample in samples:
                waiting.append(pool.submit(_decode, sample.path, side))
                if len(waiting) > 2 * threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _decode(path: Path, side: int) -> Decoded:
    source = Source.of(path)  # before the pixels: what changes in between is seen at the next start
    pixels = read_picture(path)
    height, width = pixels.shape[:2]
    return np.ascontiguousarray(scale_to(pixels, *shrunk_size(width, height, side))), (height, width), source


def _make_room(path: Path, samples: Sequence[Sample], side: int) -> None:
    """Make the folder, delete what killed builds left there, and see that the cache will fit."""
    sizes = (shrunk_size(s.width, s.height, side) for s in samples)
    needed = sum(w * h * 3 + ALIGN + ROW.itemsize for w, h in sizes) + sum(
        len(os.fsencode(s.path.absolute())) + 1 for s in samples
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for left in path.parent.iterdir():
            if LEFT_BEHIND.fullmatch(left.name):
                _delete_if_dead(left)
        free = shutil.disk_usage(path.parent).free
    except OSError as e:
        raise OutputError(f"{path}: the cache cannot be written ({e.strerror or e}); see data.cache") from e
    if needed > free:
        raise OutputError(
            f"{path}: the cache needs {needed / 1e9:.2f} GB and {free / 1e9:.2f} GB are free there; make room, name "
            f"another folder with data.cache, or shrink more with data.cache_side"
        )


def _delete_if_dead(left: Path) -> None:
    """Delete an unfinished cache whose builder lives no more; one that is being built is locked, or still empty."""
    if fcntl is None:
        return
    with suppress(OSError), left.open("rb") as f:
        if os.fstat(f.fileno()).st_size:
            fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
            left.unlink(missing_ok=True)
