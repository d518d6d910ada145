"""A run of live streams: until they end, time is up, somebody stops it, or nothing can be written any more."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from passerby.errors import SourceError, StaleError
from passerby.live.hub import Hub
from passerby.live.log import Log
from passerby.live.outputs import Outputs
from passerby.live.stream import Stream

TURN = 0.2  # seconds between two looks at how things are


def follow(
    hub: Hub,
    stop: threading.Event,
    outputs: Outputs,
    log: Log | None = None,
    seconds: float | None = None,
    tell: Callable[[str], None] = lambda text: None,
) -> None:
    """Wait while the streams run.

    stop     ends the run when it is set
    seconds  after which it ends; None: when all streams have ended
    tell     called again and again with a line about how things are

    Raises what outputs or streams failed with; StaleError when a source gives no frames as the run ends, SourceError
    when one ended without having given any.
    """
    end = time.monotonic() + seconds if seconds is not None else float("inf")
    over = False
    while not (over or stop.is_set() or outputs.failed.is_set() or time.monotonic() >= end):
        over = hub.wait(min(TURN, max(0.0, end - time.monotonic())))
        if (error := hub.error()) is not None:
            raise error
        if log is not None:
            log.look(hub)
        tell("   ".join(line(stream) for stream in hub.streams.values()))
    if log is not None:
        log.rates(hub)
        log.line("the run ends")
    if outputs.error is not None:
        raise outputs.error
    _judge(hub)


def line(stream: Stream) -> str:
    """How a stream is, in some words: "door 14.2/s 41 ms 3 people"."""
    status, latest = stream.status(), stream.latest()
    if status.state != "live" or latest is None:
        age = "" if status.age is None or status.state == "ended" else f" {status.age:.0f} s"
        return f"{stream.name} {status.state.upper() if status.state in ('stale', 'lost') else status.state}{age}"
    people = f"{latest.seen.people} {'person' if latest.seen.people == 1 else 'people'}"
    return f"{stream.name} {stream.rate():.1f}/s {latest.delay * 1000:.0f} ms {people}"


@contextmanager
def stopping() -> Iterator[threading.Event]:
    """An event that SIGINT or SIGTERM sets; a second signal ends the program at once."""
    stop = threading.Event()

    def end(number: int, frame: Any) -> None:
        for one in before:
            signal.signal(one, signal.SIG_DFL)
        stop.set()

    here = threading.current_thread() is threading.main_thread()  # nobody else may ask for signals
    before = {one: signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)} if here else {}
    for one in before:
        signal.signal(one, end)
    try:
        yield stop
    finally:
        for one, old in before.items():
            signal.signal(one, old)


def _judge(hub: Hub) -> None:
    """Raise what is wrong with the sources as the run ends."""
    states = {name: stream.status() for name, stream in hub.streams.items()}
    for name, status in states.items():
        if status.state == "ended" and not status.frames:
            raise SourceError(status.error or f"{name}: no frame came")
    stale = []
    for name in hub.stale():
        status = states[name]
        since = "no frame came at all" if status.age is None else f"no frame for {status.age:.0f} s"
        stale.append(f"{name}: {since} ({status.error or hub.streams[name].source.name})")
    if stale:
        raise StaleError(f"at the end without frames: {'; '.join(stale)}")
