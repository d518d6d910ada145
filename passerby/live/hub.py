"""Several streams that run side by side, by name."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

from passerby.errors import SettingError
from passerby.live.stream import Stream


class Hub:
    """Named streams; a context manager that begins and ends them all."""

    def __init__(self) -> None:
        self.streams: dict[str, Stream] = {}

    def add(self, stream: Stream) -> None:
        """Take a stream in, before the hub is entered. Raises SettingError for a name that is taken."""
        if stream.name in self.streams:
            raise SettingError(f"two streams are called '{stream.name}'; name them: NAME=SOURCE")
        self.streams[stream.name] = stream

    def __enter__(self) -> Hub:
        try:
            for stream in self.streams.values():
                stream.__enter__()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """End all streams at once: one that hangs in its source holds nobody up."""
        if self.streams:
            with ThreadPoolExecutor(len(self.streams)) as each:
                list(each.map(Stream.close, self.streams.values()))

    def wait(self, timeout: float) -> bool:
        """Whether all streams have ended; waits for that, `timeout` seconds at most."""
        end = time.monotonic() + timeout
        while not (ended := all(s.ended for s in self.streams.values())) and time.monotonic() < end:
            time.sleep(min(0.05, max(0.0, end - time.monotonic())))
        return ended

    def error(self) -> BaseException | None:
        """The first stream's error that ended it, if any did."""
        return next((s.error for s in self.streams.values() if s.error), None)

    def stale(self) -> list[str]:
        """Names of the streams whose source gives no frames now, and has not ended."""
        return [n for n, s in self.streams.items() if s.status().state in ("connecting", "stale", "lost")]
