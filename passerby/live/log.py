"""A log of a run that does not fill the disk: states of sources, what is counted, and a line a minute with rates."""

from __future__ import annotations

import logging
import logging.handlers
import time
from pathlib import Path
from typing import Any

from passerby.errors import OutputError
from passerby.live.hub import Hub
from passerby.live.outputs import stamp
from passerby.live.stream import Moment

MINUTE = 60.0  # seconds between two lines with rates


class Log:
    """A rotating text file: "2026-01-31T12:00:00.000Z door: lost (it gave no more frames)".

    size  bytes after which a new file is begun: FILE becomes FILE.1, FILE.1 becomes FILE.2
    keep  how many of the old ones stay

    A context manager. Raises OutputError for a file that cannot be written.
    """

    def __init__(self, path: Path, size: int = 10_000_000, keep: int = 5) -> None:
        self.path, self._size, self._keep = path, size, keep
        self._states: dict[str, str] = {}
        self._broken = False
        self._due = time.monotonic() + MINUTE

    def __enter__(self) -> Log:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._handler = _Strict(self.path, maxBytes=self._size, backupCount=self._keep, encoding="utf-8")
        except OSError as e:
            raise self._cannot(e) from e
        return self

    def __exit__(self, *error: Any) -> None:
        try:
            self._handler.close()
        except OSError as e:
            if not self._broken:  # or else it was told, and is so still
                raise self._cannot(e) from e

    def line(self, text: str) -> None:
        """Write a line, with the time before it. Thread-safe."""
        plain = " ".join(text.split())
        record = logging.LogRecord("passerby", logging.INFO, "", 0, f"{stamp(time.time())} {plain}", None, None)
        try:
            self._handler.handle(record)
        except OSError as e:
            self._broken = True
            raise self._cannot(e) from e

    def write(self, moment: Moment) -> None:
        """What was counted in a moment; for `Stream.listen`."""
        for event in moment.seen.events:
            dwell = "" if event.dwell is None else f" after {event.dwell:.1f} s"
            self.line(f"{moment.stream}: {event.kind} {event.where}: {event.label} {event.id}{dwell}")

    def look(self, hub: Hub) -> None:
        """Write what changed in the sources' states, and once a minute how everything is. To be called now and then."""
        for name, stream in hub.streams.items():
            status = stream.status()
            if self._states.get(name) != status.state:
                self._states[name] = status.state
                why = f" ({status.error})" if status.error and status.state in ("lost", "connecting", "ended") else ""
                self.line(f"{name}: {status.state}{why}")
        if time.monotonic() >= self._due:
            self._due += MINUTE
            self.rates(hub)

    def rates(self, hub: Hub) -> None:
        """A line a stream with its numbers."""
        for name, stream in hub.streams.items():
            self.line(f"{name}: {summary(stream)}")

    def _cannot(self, error: OSError) -> OutputError:
        return OutputError(f"{self.path}: cannot be written ({error.strerror or error})")


def summary(stream: Any) -> str:
    """A stream's numbers in words."""
    status, totals, latest = stream.status(), stream.totals, stream.latest()
    parts = [
        f"{totals.results} results of {status.frames} frames",
        f"{stream.rate():.1f} a second",
        f"{latest.seen.total if latest else 0} identities",
        f"{totals.outages} outages of {totals.seconds_out():.1f} s",
        f"{status.reconnects} reconnects",
    ]
    if latest and not latest.stale:
        parts.insert(2, f"delay {latest.delay * 1000:.0f} ms")
    if latest:
        parts += [f"{name} in {n['in']} out {n['out']}" for name, n in (latest.seen.lines or {}).items()]
        parts += [f"{name} {n['visitors']} visitors" for name, n in (latest.seen.zones or {}).items()]
    return ", ".join(parts)


class _Strict(logging.handlers.RotatingFileHandler):
    """Errors are told, not printed and passed over."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (logging's name)
        raise  # called where the error is being handled
