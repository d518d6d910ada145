"""One stream that runs: its newest frame is looked at, followed and told of, whatever happens to the source."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from passerby.errors import PasserbyError
from passerby.live.pool import Pool
from passerby.live.scene import Scene
from passerby.live.watch import LOW, Seen, Watcher
from passerby.media.live import LiveSource, Status, Taken
from passerby.records import Detections, Floats, Frame
from passerby.runtime.detector import Detector
from passerby.runtime.localiser import Localiser

TELL = 1.0  # seconds between two moments of a source that gives no frames
POLL = 0.25  # seconds for which a frame is waited for before the source's state is asked
RATED = 60  # results over which the rate is taken


@dataclass(frozen=True)
class Moment:
    """One frame of a stream with all that is known of it.

    stream  its name; number: of the moment, rises by one
    seen    detections, identities and counts
    status  of the source; delay: seconds from capture to result; rate: results a second lately
    wall    when it was captured, seconds of Unix time
    heat    (rows, columns) 0 to 1 over the frame, where it was asked for
    """

    stream: str
    number: int
    frame: Frame
    seen: Seen
    status: Status
    delay: float
    rate: float
    wall: float
    heat: Floats | None = None

    @property
    def stale(self) -> bool:
        """Whether the frame is an old one, because the source gives none."""
        return self.status.state not in ("live", "ended")

    def to_dict(self) -> dict[str, Any]:
        """As plain Python, for JSON; without pixels and heat."""
        age = self.status.age
        return {
            "stream": self.stream,
            "source": self.frame.source,
            "frame": self.frame.index,
            "time": round(self.frame.time or 0.0, 4),
            "wall": round(self.wall, 3),
            "width": self.frame.width,
            "height": self.frame.height,
            "state": self.status.state,
            "age": None if age is None else round(age, 3),
            "delay": round(self.delay, 4),
            "rate": round(self.rate, 2),
            **self.seen.to_dict(),
        }


@dataclass
class Totals:
    """What a stream did since it began: results, times without frames, and their seconds (of those that are over)."""

    results: int = 0
    outages: int = 0
    outage_seconds: float = 0.0
    out_since: float | None = field(default=None, repr=False)  # monotonic

    def seconds_out(self) -> float:
        """Seconds without frames, the present outage included."""
        out_since = self.out_since
        return self.outage_seconds + (time.monotonic() - out_since if out_since is not None else 0.0)


class Stream:
    """Looks at a source's newest frame, again and again, in a thread of its own.

    name       as told in results
    scene      lines and zones; threshold: None: the model's own
    every      least seconds between two results, to spare the machine; 0: as fast as it can
    heat       whether moments hold a heat map

    A context manager: leaving it ends the thread and gives the source back. An error in the thread, or in a listener,
    ends the stream and is kept in `error`.
    """

    def __init__(
        self,
        name: str,
        source: LiveSource,
        pool: Pool,
        scene: Scene | None = None,
        threshold: float | None = None,
        every: float = 0.0,
        heat: bool = False,
    ) -> None:
        self.name, self.source, self.every, self.heat = name, source, every, heat
        self._pool = pool
        self.watcher = Watcher(scene, pool.detector.threshold if threshold is None else threshold)
        self.totals = Totals()
        self.error: BaseException | None = None
        self._listeners: list[Callable[[Moment], None]] = []
        self._over = threading.Event()
        self._news = threading.Condition()
        self._taking, self._turns = threading.Lock(), threading.Condition()
        self._given = self._told_of = 0  # numbers of frames: that were taken, and that were told of
        self._due = 0.0  # when the next may be taken
        self._moment: Moment | None = None
        self._done: deque[float] = deque(maxlen=RATED)
        self._reconnects = 0
        self._told = time.monotonic()
        self._thread = threading.Thread(target=self._run, name=f"stream {name}", daemon=True)

    def __enter__(self) -> Stream:
        self.source.__enter__()
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """End the thread and give the source back; nothing is told after this."""
        self._end()
        self.source.close()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(30)

    @property
    def ended(self) -> bool:
        """Whether no more moments will come."""
        return self._thread.ident is not None and not self._thread.is_alive()

    @property
    def threshold(self) -> float:
        """Score from which a detection begins an identity; may be set while it runs."""
        return self.watcher.threshold

    @threshold.setter
    def threshold(self, value: float) -> None:
        self.watcher.threshold = value

    @property
    def scene(self) -> Scene:
        """Lines and zones; may be set while it runs."""
        return self.watcher.scene

    @scene.setter
    def scene(self, scene: Scene) -> None:
        self.watcher.scene = scene

    @property
    def pool(self) -> Pool:
        """The model that looks; may be set while it runs: identities begin anew, the threshold is that model's own."""
        return self._pool

    @pool.setter
    def pool(self, pool: Pool) -> None:
        if pool is not self._pool:
            self._pool = pool
            self.watcher.begin_anew()
            self.watcher.threshold = pool.detector.threshold

    def listen(self, callback: Callable[[Moment], None]) -> None:
        """Have a function called with every moment, in order, in the stream's thread. Before it is entered."""
        self._listeners.append(callback)

    def status(self) -> Status:
        """How the source is now."""
        return self.source.status()

    def latest(self) -> Moment | None:
        """The newest moment; None before the first."""
        with self._news:
            return self._moment

    def next(self, after: int, timeout: float) -> Moment | None:
        """The newest moment whose number is over `after`; None when there is none within `timeout` seconds."""
        with self._news:
            self._news.wait_for(lambda: self._newer(after) or self._over.is_set(), timeout)
            return self._moment if self._newer(after) else None

    def _newer(self, after: int) -> bool:
        return self._moment is not None and self._moment.number > after

    def _run(self) -> None:
        """As many threads as the model serves at once: with one frame in flight its other workers would be idle."""
        others = [threading.Thread(target=self._look, name=self._thread.name) for _ in range(self._pool.workers - 1)]
        for other in others:
            other.start()
        self._look()
        for other in others:
            other.join()

    def _look(self) -> None:
        try:
            while not self._over.is_set():
                self._step()
        except BaseException as e:
            self.error = self.error or e
            if not isinstance(e, PasserbyError):
                raise
        finally:
            self._end()

    def _step(self) -> None:
        """Take a frame, look at it, and tell of it when those that were taken before it have been told of."""
        found = heat = None
        with ExitStack() as place:
            ticket, taken, status, detector = self._take(place)
            if taken is not None:
                low = min(LOW, self.threshold)
                if self.heat:
                    found, heat = detector.look(taken.frame, low)
                else:
                    found = detector(taken.frame, low)
        with self._turns:
            self._turns.wait_for(lambda: self._told_of == ticket or self._over.is_set())
            if self._over.is_set():
                return
            self._follow(status)
            if taken is not None and found is not None:
                self._tell(taken, found, heat, status)
            elif status.state == "ended":
                self._over.set()
            elif status.state != "live" and time.monotonic() - self._told >= TELL:
                self._tell_outage(status)
            self._told_of += 1
            self._turns.notify_all()

    def _take(self, place: ExitStack) -> tuple[int, Taken | None, Status, Detector | Localiser]:
        """The next number, and the newest frame: a place at the model comes first, so that no frame ages in line."""
        with self._taking:
            pool, taken = self._pool, None
            early = self._due - time.monotonic()
            if not (self._over.wait(early) if early > 0 else self._over.is_set()) and self.source.fresh(POLL):
                self._due = time.monotonic() + self.every
                place.enter_context(pool.turn())
                taken = self.source.newest(0)
            ticket, self._given = self._given, self._given + 1
            return ticket, taken, self.source.status(), pool.detector

    def _tell(self, taken: Taken, found: Detections, heat: Floats | None, status: Status) -> None:
        frame = taken.frame
        seen = self.watcher.see(found, frame.time or 0.0, frame.width, frame.height)
        now = time.monotonic()
        self._done.append(now)
        self.totals.results += 1
        delay = now - taken.captured
        self._publish(frame, seen, status, delay, time.time() - delay, heat)

    def _tell_outage(self, status: Status) -> None:
        """The last frame again, or a dark one where none came yet, with nobody in it."""
        last = self.latest()
        frame = last.frame if last else Frame(np.full((360, 640, 3), 40, np.uint8), self.source.name, 0, 0.0)
        age = status.age or 0.0
        self._publish(frame, self.watcher.rest(), status, age, time.time() - age, None)

    def _publish(
        self, frame: Frame, seen: Seen, status: Status, delay: float, wall: float, heat: Floats | None
    ) -> None:
        self._told = time.monotonic()
        number = 1 if self._moment is None else self._moment.number + 1
        moment = Moment(self.name, number, frame, seen, status, delay, self.rate(), wall, heat)
        for listener in self._listeners:
            listener(moment)
        with self._news:
            self._moment = moment
            self._news.notify_all()

    def rate(self) -> float:
        """Results a second lately; sinks while none come."""
        done = list(self._done)
        if len(done) < 2:
            return 0.0
        spacing = (done[-1] - done[0]) / (len(done) - 1)
        late = time.monotonic() - done[-1]
        return 1 / max(spacing, 1e-6) if late < max(1.0, 3 * spacing) else len(done) / (time.monotonic() - done[0])

    def _follow(self, status: Status) -> None:
        """Keep the book of outages."""
        totals = self.totals
        out = status.state in ("stale", "lost") or (status.state == "connecting" and status.error != "")
        if out and totals.out_since is None:
            totals.outages += 1
            totals.out_since = time.monotonic() - (status.age or 0.0)
        elif not out and totals.out_since is not None:
            totals.outage_seconds += time.monotonic() - totals.out_since - (status.age or 0.0)
            totals.out_since = None
        elif status.reconnects > self._reconnects and not out:
            totals.outages += status.reconnects - self._reconnects  # so short that nobody saw it
        self._reconnects = status.reconnects

    def _end(self) -> None:
        """Let nobody wait for what does not come any more."""
        self._over.set()
        for waiting in (self._news, self._turns):
            with waiting:
                waiting.notify_all()
