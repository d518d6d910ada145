"""Sinks: where Frames and their Detections go. A sink is one class here and one line in SINKS."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Collection
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any, Protocol, TextIO

os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
import cv2

from passerby.errors import OutputError, SettingError, did_you_mean
from passerby.files import written_whole
from passerby.media.draw import draw
from passerby.media.recording import Recording, has_pyav
from passerby.records import Detections, Frame, Pixels

_KEPT = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")


class Sink(Protocol):
    """A context manager with `write`; leaving it finishes what was begun."""

    def __enter__(self) -> Sink: ...

    def __exit__(self, *error: Any) -> None: ...

    def write(self, frame: Frame, found: Detections) -> None:
        """Take one frame with what was found in it. Raises OutputError when it cannot be written."""
        ...


class PictureFolder:
    """Each frame as a picture in a folder, boxes drawn, under its own name (a video's frames numbered).

    sources  files that are read in the same run; none of them is written over

    A second picture of the same name gets "-2". Raises OutputError for a folder that cannot be written, and rather
    than write over a picture that was read.
    """

    def __init__(self, folder: str | os.PathLike[str], rate: float = 0.0, sources: Collection[Path] = ()) -> None:
        self.folder = Path(folder)
        self._sources = {p.resolve() for p in sources}
        self.written: list[Path] = []
        self._taken: set[str] = set()

    def __enter__(self) -> PictureFolder:
        if self.folder.exists() and not self.folder.is_dir():
            raise OutputError(f"{self.folder}: is a file, want a folder")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as e:
            raise OutputError(f"{self.folder}: cannot be made ({e.strerror or e})") from e
        return self

    def __exit__(self, *error: Any) -> None:
        pass

    def write(self, frame: Frame, found: Detections) -> None:
        source = Path(frame.source)
        stem = source.stem if frame.time is None else f"{source.stem}-{frame.index:06d}"
        suffix = source.suffix.lower() if frame.time is None and source.suffix.lower() in _KEPT else ".jpg"
        path = self.free(stem, suffix, source)
        done, data = cv2.imencode(suffix, cv2.cvtColor(draw(frame.pixels, found), cv2.COLOR_RGB2BGR))
        if not done:
            raise OutputError(f"{path}: cannot be encoded as {suffix}")
        with written_whole(path) as temporary:
            temporary.write_bytes(data.tobytes())
        self.written.append(path)

    def free(self, stem: str, suffix: str, source: Path) -> Path:
        """The path for a result; no name is given twice. Raises OutputError rather than name a file that is read."""
        name, number = f"{stem}{suffix}", 1
        while name in self._taken:
            number += 1
            name = f"{stem}-{number}{suffix}"
        self._taken.add(name)
        path = self.folder / name
        if path.exists() and path.resolve() in {source.resolve(), *self._sources}:
            kind = "itself" if path.resolve() == source.resolve() else "to be read too"
            raise OutputError(f"{path}: is the file {kind}, which is not written over; name another folder")
        return path


class VideoFile:
    """All frames as one MP4, boxes drawn; written whole or not at all.

    With PyAV (the extra [video]) each frame keeps its own time, so a variable frame rate stays one, in H.264; without
    it, MPEG-4 part 2 at the given frame rate.
    """

    def __init__(self, path: str | os.PathLike[str], rate: float) -> None:
        if not (math.isfinite(rate) and rate > 0):
            raise SettingError(f"a video needs its frame rate, frames a second; got {rate}")
        self.path, self.rate = Path(path), rate
        self._writer: Recording | _OneRate | None = None
        self._stack = ExitStack()
        self._size = (0, 0)
        self._time = 0.0

    def __enter__(self) -> VideoFile:
        self._temporary = self._stack.enter_context(written_whole(self.path))
        return self

    def __exit__(self, *error: Any) -> None:
        if self._writer is not None:
            self._writer.close()
        elif error[0] is None:
            empty = OutputError(f"{self.path}: not written: there was no frame")
            self._stack.__exit__(OutputError, empty, None)
            raise empty
        self._stack.__exit__(*error)

    def write(self, frame: Frame, found: Detections) -> None:
        time = frame.time
        if self._writer is None:
            self._size = (frame.width, frame.height)
            self._writer = self._begin()
            self._time = time or 0.0
        elif time is None or time <= self._time:  # some containers do not say
            time = self._time + 1 / self.rate
        if (frame.width, frame.height) != self._size:
            raise OutputError(f"{self.path}: frame {frame.index} is {frame.width} x {frame.height}, not {self._size}")
        self._time = time or 0.0
        self._writer.write(draw(frame.pixels, found), self._time)

    def _begin(self) -> Recording | _OneRate:
        if has_pyav():
            return Recording(self._temporary, False, self.rate, str(self.path)).__enter__()
        code = cv2.VideoWriter.fourcc(*"mp4v")
        writer = cv2.VideoWriter(str(self._temporary), cv2.CAP_FFMPEG, code, self.rate, self._size)
        if not writer.isOpened():
            raise OutputError(f"{self.path}: a video of {self._size[0]} x {self._size[1]} pixels cannot be written")
        return _OneRate(writer)


class _OneRate:
    """What OpenCV can write: frames at one rate, whatever their times."""

    def __init__(self, writer: cv2.VideoWriter) -> None:
        self._writer = writer

    def write(self, pixels: Pixels, time: float) -> None:
        self._writer.write(cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))

    def close(self) -> None:
        self._writer.release()


class JsonLines:
    """One JSON object a frame and line, to an open text file or stdout."""

    def __init__(self, target: TextIO | None = None, rate: float = 0.0) -> None:
        self.target = sys.stdout if target is None else target

    def __enter__(self) -> JsonLines:
        return self

    def __exit__(self, *error: Any) -> None:
        self.target.flush()

    def write(self, frame: Frame, found: Detections, **more: Any) -> None:
        """One line; `more` stands after its usual fields."""
        row = {
            "source": frame.source,
            "frame": frame.index,
            "width": frame.width,
            "height": frame.height,
            "detections": found.to_list(),
        }
        self.target.write(json.dumps(row | more) + "\n")


SINKS: dict[str, Any] = {
    "pictures": PictureFolder,
    "video": VideoFile,
    "jsonl": JsonLines,
}


def open_sink(kind: str, target: Any, rate: float = 0.0) -> AbstractContextManager[Sink]:
    """A sink by name.

    kind    "pictures" (target: a folder), "video" (an .mp4 path), "jsonl" (an open text file; None: stdout)
    rate    frames a second, for a video

    Raises SettingError for an unknown kind, naming the nearest.
    """
    if kind not in SINKS:
        raise SettingError(f"no sink '{kind}'{did_you_mean(kind, SINKS)}")
    sink: AbstractContextManager[Sink] = SINKS[kind](target, rate=rate)
    return sink
