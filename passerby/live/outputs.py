"""Where the results of streams go: video, frames, JSON lines, CSV. An output is a class here and a line in OUTPUTS."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol, TextIO

import cv2

from passerby.errors import OutputError, SettingError, did_you_mean
from passerby.files import written_whole
from passerby.live.scene import Scene
from passerby.live.stream import Moment
from passerby.media.draw import draw, overlay
from passerby.media.recording import Recording
from passerby.records import Pixels

COLUMNS = ("time", "stream", "kind", "where", "id", "label", "dwell")  # of a CSV file
QUALITY = 85  # of JPEG


class Output(Protocol):
    """A context manager with `write`; leaving it completes what was begun."""

    def __enter__(self) -> Output: ...

    def __exit__(self, *error: Any) -> None: ...

    def write(self, moment: Moment, picture: Callable[[], Pixels]) -> None:
        """Take one moment of a stream; `picture` draws it. Raises OutputError when it cannot be written."""
        ...


class Video:
    """An MP4 a stream; of several streams, each has its name in the file's: "a.mp4" -> "a-door.mp4".

    Every frame has its own time. While the source gives none the last one stays, with a banner that says so.
    """

    def __init__(self, target: str, streams: Mapping[str, float], keep: int = 0) -> None:
        path, several = Path(target), len(streams) > 1
        self._files = {
            name: Recording(path.with_name(f"{path.stem}-{name}{path.suffix}") if several else path, rate=rate)
            for name, rate in streams.items()
        }
        self._stack = ExitStack()

    def __enter__(self) -> Video:
        with ExitStack() as stack:
            for file in self._files.values():
                stack.enter_context(file)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)

    def __str__(self) -> str:
        return ", ".join(str(file.path) for file in self._files.values())

    def write(self, moment: Moment, picture: Callable[[], Pixels]) -> None:
        if moment.status.frames:
            late = (moment.status.age or 0.0) if moment.stale else 0.0
            self._files[moment.stream].write(picture(), (moment.frame.time or 0.0) + late)


class Frames:
    """A folder of numbered JPEGs, DIR/STREAM-00000001.jpg; the last `keep` of each stream stay, 0: all.

    What an earlier run left is gone on with. While the source gives no frames there is one picture that says so.
    """

    def __init__(self, target: str, streams: Mapping[str, float], keep: int = 0) -> None:
        self.folder, self._keep = Path(target), keep
        self._names = list(streams)
        self._written: dict[str, deque[Path]] = {}
        self._number: dict[str, int] = {}
        self._stale: set[str] = set()

    def __enter__(self) -> Frames:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            there = sorted(self.folder.iterdir())
        except OSError as e:
            raise OutputError(f"{self.folder}: no folder for frames ({e.strerror or e})") from e
        for name in self._names:
            mine = [p for p in there if re.fullmatch(re.escape(name) + r"-\d{8}\.jpg", p.name)]
            self._written[name] = deque(mine if self._keep else [])
            self._number[name] = int(mine[-1].stem[-8:]) if mine else 0
        return self

    def __exit__(self, *error: Any) -> None:
        pass

    def __str__(self) -> str:
        return f"{self.folder}/"

    def write(self, moment: Moment, picture: Callable[[], Pixels]) -> None:
        if not moment.stale:
            self._stale.discard(moment.stream)
        elif moment.stream in self._stale:
            return
        else:
            self._stale.add(moment.stream)
        self._number[moment.stream] += 1
        path = self.folder / f"{moment.stream}-{self._number[moment.stream]:08d}.jpg"
        bgr = cv2.cvtColor(picture(), cv2.COLOR_RGB2BGR)
        done, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
        if not done:
            raise OutputError(f"{path}: cannot be encoded as JPEG")
        with written_whole(path) as temporary:
            temporary.write_bytes(data.tobytes())
        if self._keep:
            written = self._written[moment.stream]
            written.append(path)
            while len(written) > self._keep:
                written.popleft().unlink(missing_ok=True)


class _Lines:
    """A text file of all streams that is added to, or stdout ("-"); each line is there as soon as it is written."""

    def __init__(self, target: str, streams: Mapping[str, float], keep: int = 0) -> None:
        self.target = target
        self._file: TextIO | None = None
        self._broken = False

    def __enter__(self) -> Any:
        if self.target == "-":
            self._file = sys.stdout
            return self
        path = Path(self.target)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("a", encoding="utf-8", newline="")
        except OSError as e:
            raise self._cannot(e) from e
        return self

    def __exit__(self, *error: Any) -> None:
        file, self._file = self._file, None
        if file is None or file is sys.stdout:
            return
        try:
            file.close()
        except OSError as e:
            if not self._broken:  # or else it was told, and is so still
                raise self._cannot(e) from e

    def __str__(self) -> str:
        return "stdout" if self.target == "-" else self.target

    def _put(self, text: str) -> None:
        assert self._file is not None
        try:
            self._file.write(text)
            self._file.flush()
        except BrokenPipeError:
            raise  # whoever read stdout has read enough
        except OSError as e:
            self._broken = True
            raise self._cannot(e) from e

    def _cannot(self, error: OSError) -> OutputError:
        return OutputError(f"{self}: cannot be written ({error.strerror or error})")


class JsonLines(_Lines):
    """One JSON object a moment and line, as `Moment.to_dict` gives it."""

    def write(self, moment: Moment, picture: Callable[[], Pixels]) -> None:
        self._put(json.dumps(moment.to_dict()) + "\n")


class Csv(_Lines):
    """A row an event: when (UTC), in which stream, what, where, who."""

    def __enter__(self) -> Csv:
        super().__enter__()
        if self._file is not None and self._file.tell() == 0:
            self._put(",".join(COLUMNS) + "\n")
        return self

    def write(self, moment: Moment, picture: Callable[[], Pixels]) -> None:
        for event in moment.seen.events:
            dwell = "" if event.dwell is None else f"{event.dwell:.3f}"
            row = [stamp(moment.wall), moment.stream, event.kind, event.where, event.id, event.label, dwell]
            text = io.StringIO()
            csv.writer(text, lineterminator="\n").writerow(row)
            self._put(text.getvalue())


OUTPUTS: dict[str, Any] = {".mp4": Video, "/": Frames, ".jsonl": JsonLines, "-": JsonLines, ".csv": Csv}


class Outputs:
    """All outputs of a run: moments of any stream's thread go to each of them.

    targets  what `kind_of_target` knows
    streams  name -> frames a second, 0 where that is not known
    scene    the lines and zones that a stream has now, by its name
    keep     as of `Frames`

    A context manager. The first error stays in `error`, sets `failed`, and nothing is written from then on.
    """

    def __init__(
        self,
        targets: Sequence[str],
        streams: Mapping[str, float],
        scene: Callable[[str], Scene] = lambda name: Scene(),
        keep: int = 0,
    ) -> None:
        self._all: list[Output] = [OUTPUTS[kind_of_target(t)](t, streams, keep) for t in targets]
        self._locks = [threading.Lock() for _ in self._all]
        self._scene = scene
        self._stack = ExitStack()
        self.failed = threading.Event()
        self.error: BaseException | None = None

    def __enter__(self) -> Outputs:
        with ExitStack() as stack:
            for output in self._all:
                stack.enter_context(output)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)

    def __str__(self) -> str:
        return ", ".join(map(str, self._all))

    def write(self, moment: Moment) -> None:
        """Give a moment to every output; for `Stream.listen`."""
        drawn: list[Pixels] = []

        def picture() -> Pixels:
            if not drawn:
                drawn.append(shown(moment, self._scene(moment.stream)))
            return drawn[0]

        for output, lock in zip(self._all, self._locks, strict=True):
            with lock:
                if self.failed.is_set():
                    return
                try:
                    output.write(moment, picture)
                except (OutputError, BrokenPipeError) as e:
                    self.error = e
                    self.failed.set()


def kind_of_target(target: str) -> str:
    """The key of OUTPUTS for what a user named. Raises SettingError for anything else."""
    if target == "-":
        return "-"
    if target.endswith(("/", "\\")) or (target and Path(target).is_dir()):
        return "/"
    suffix = Path(target).suffix.lower()
    if suffix not in OUTPUTS:
        known = "page, none, -, FILE.mp4, FILE.jsonl, FILE.csv, or a folder's name with / at its end"
        near = did_you_mean(target, ("page", "none")) if re.fullmatch(r"\w+", target) else ""
        raise SettingError(f"--to {target}: want {known}{near if 'mean' in near else ''}")
    return suffix


def shown(moment: Moment, scene: Scene) -> Pixels:
    """A moment as a picture: boxes with identities, lines and zones with their counts, and what is wrong."""
    frame, seen = moment.frame, moment.seen
    wide, high = frame.width, frame.height
    lines = {s.name: ((s.start[0] * wide, s.start[1] * high), (s.end[0] * wide, s.end[1] * high)) for s in scene.lines}
    zones = {s.name: [(x * wide, y * high) for x, y in s.corners] for s in scene.zones}
    counts = {**(seen.lines or {}), **(seen.zones or {})}
    return overlay(draw(frame.pixels, seen.found, thick=2), lines, zones, counts, seen.people, note(moment))


def note(moment: Moment) -> str:
    """What is wrong with the source, for a banner: "STALE 12 s"; "" when nothing is."""
    if not moment.stale:
        return ""
    age = moment.status.age
    return "NO PICTURE YET" if age is None else f"{moment.status.state.upper()} {age:.0f} s"


def stamp(wall: float) -> str:
    """Unix time as ISO 8601 in UTC, to the millisecond: "2026-01-31T12:00:00.000Z"."""
    return datetime.fromtimestamp(wall, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
