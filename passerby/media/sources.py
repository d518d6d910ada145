"""Sources: a picture, a folder, a glob or a video file -> Frames. One function here, one line in SOURCES."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # FFmpeg's own lines; what is wrong is said by us
import cv2
import numpy as np

from passerby.errors import SourceError
from passerby.media.live import shown
from passerby.pictures import is_picture_name, read_picture
from passerby.records import Frame

VIDEOS = (".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".ts", ".wmv", ".flv")
CUT_SHORT = 0.9  # a video that gives under this share of the frames it promises is reported as cut short


@dataclass(frozen=True)
class Item:
    """One file of a source: kind is a key of SOURCES; name: the path as results should show it."""

    kind: str
    path: Path

    @property
    def name(self) -> str:
        return str(self.path)


def find_items(source: str | os.PathLike[str], results: Path | None = None) -> list[Item]:
    """The files that a source names, sorted; not yet opened.

    source   a picture, a video, a folder (searched through, pictures and videos), or a glob such as "in/*.jpg"
    results  where they go: inside a folder that is searched it is left out, or a second run would read what the first
             one wrote; None: nowhere

    Raises SourceError when there is no such file, or nothing in the folder or behind the glob.
    """
    text = os.fspath(source)
    path = Path(text)
    if os.path.isdir(path):  # noqa: PTH112 (Path.is_dir raises for a name that is too long)
        files = sorted(p for p in path.rglob("*") if p.is_file() and (is_picture_name(p) or _is_video(p)))
        away = results.resolve() if results else None
        if away and path.resolve() in away.parents:
            files = [p for p in files if away not in p.resolve().parents]
        if not files:
            raise SourceError(f"{text}: no picture or video in this folder")
    elif os.path.exists(path):  # noqa: PTH110
        files = [path]
    elif glob.has_magic(text):
        files = sorted(p for p in map(Path, glob.glob(text, recursive=True)) if p.is_file())  # noqa: PTH207
        if not files:
            raise SourceError(f"{text}: no file fits this pattern")
    elif "://" in text:
        raise SourceError(f"{shown(text)}: is an address, and files are read here; passerby live watches streams")
    else:
        raise SourceError(f"{text}: no such file or folder")
    return [Item("video" if _is_video(p) else "picture", p) for p in files]


def open_source(
    source: str | os.PathLike[str],
    on_error: Callable[[SourceError], None] | None = None,
    results: Path | None = None,
) -> Iterator[Frame]:
    """All frames of a source, one after another.

    source, results  as for `find_items`
    on_error         called with each file's error, and the rest goes on; None: the first error is raised

    Raises SourceError as `find_items` does, before the first frame.
    """
    items = find_items(source, results)

    def frames() -> Iterator[Frame]:
        for item in items:
            try:
                yield from SOURCES[item.kind](item.path)
            except SourceError as e:
                if on_error is None:
                    raise
                on_error(e)

    return frames()


def picture(path: Path) -> Iterator[Frame]:
    """One Frame of a picture file. Raises SourceError as `read_picture` does."""
    yield Frame(read_picture(path), str(path))


def video(path: Path) -> Iterator[Frame]:
    """Every frame of a video file, with its number and its time in seconds.

    Raises SourceError when the file cannot be read as video, and at its end when it was cut short.
    """
    with _opened(path) as capture:
        promised = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        index = 0
        while True:
            good, pixels = capture.read()
            if not good:
                break
            time = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000  # of the frame just read
            yield Frame(np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), np.uint8), str(path), index, time)
            index += 1
    if index == 0:
        raise SourceError(f"{path}: no frame in this video can be read")
    if index < CUT_SHORT * promised:
        raise SourceError(f"{path}: the video is cut short: {index:,} of {promised:,} frames")


def frame_rate(path: Path) -> float:
    """Frames a second of a video file, as it says: 29.97 stays 29.97. Raises SourceError as `video` does."""
    with _opened(path) as capture:
        rate = float(capture.get(cv2.CAP_PROP_FPS))
    return rate if rate > 0 else 25.0  # some containers do not say


SOURCES: dict[str, Callable[[Path], Iterator[Frame]]] = {
    "picture": picture,
    "video": video,
}


class _opened:  # noqa: N801 (used as a word: with _opened(path))
    """A cv2.VideoCapture that is given back."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> cv2.VideoCapture:
        try:
            size = self.path.stat().st_size
        except FileNotFoundError as e:
            raise SourceError(f"{self.path}: no such file") from e
        except OSError as e:
            raise SourceError(f"{self.path}: cannot be read ({e.strerror or e})") from e
        if size == 0:
            raise SourceError(f"{self.path}: the file is empty (0 bytes)")
        self.capture = cv2.VideoCapture(str(self.path), cv2.CAP_FFMPEG)
        if not self.capture.isOpened():
            raise SourceError(f"{self.path}: cannot be read as video; is it cut short, or no video?")
        return self.capture

    def __exit__(self, *error: object) -> None:
        self.capture.release()


def _is_video(path: Path) -> bool:
    return path.suffix.lower() in VIDEOS
