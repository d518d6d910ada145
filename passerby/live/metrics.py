"""Numbers for Prometheus: what streams give, what is counted in them, what callers ask for."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from passerby import __version__
from passerby.errors import MissingExtraError, OutputError

if TYPE_CHECKING:
    from passerby.live.hub import Hub
    from passerby.live.pool import Models
    from passerby.live.stream import Moment, Stream

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
STATES = ("connecting", "live", "stale", "lost", "ended")
DELAYS = (0.01, 0.02, 0.035, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0)  # seconds
DWELLS = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600)
MOST = 200  # values of a label that callers can choose; those that come later are counted together as "other"


class Metrics:
    """Counters, gauges and histograms in a registry of their own.

    hub     whose streams are told of; read when somebody asks, so it costs nothing in between
    models  named in passerby_build_info

    What happens in a stream is counted by listening to it: `listen` before it is entered. Memory stays flat: labels
    have at most MOST values. Thread-safe. Raises MissingExtraError without prometheus_client.
    """

    def __init__(self, hub: Hub | None = None, models: Models | None = None) -> None:
        try:
            import prometheus_client as made
        except ModuleNotFoundError as e:
            raise MissingExtraError("prometheus_client", "serve") from e
        self._made = made
        self.registry = made.CollectorRegistry()
        self._labels = _Known()
        self._begun: set[tuple[str, str]] = set()
        one: dict[str, Any] = {"registry": self.registry}
        self._delay = made.Histogram(
            "passerby_delay_seconds", "From capture to result.", ["stream"], buckets=DELAYS, **one
        )
        self._crossings = made.Counter(
            "passerby_crossings_total", "Identities that crossed a line.", ["stream", "line", "direction"], **one
        )
        self._visitors = made.Counter(
            "passerby_zone_visitors_total", "Identities that entered a zone.", ["stream", "zone"], **one
        )
        self._dwell = made.Histogram(
            "passerby_dwell_seconds", "In a zone, of who left it.", ["stream", "zone"], buckets=DWELLS, **one
        )
        self._requests = made.Counter("passerby_requests_total", "Answered.", ["path", "method", "status"], **one)
        self._seconds = made.Histogram(
            "passerby_request_seconds", "To answer.", ["path"], buckets=(*DELAYS, 10.0, 30.0), **one
        )
        self._busy = made.Counter("passerby_busy_total", "Refused because of too much work.", ["path"], **one)
        made.Gauge("passerby_build_info", "1.", ["version", "models"], **one).labels(
            __version__, ",".join(models.names) if models else ""
        ).set(1)
        made.ProcessCollector(registry=self.registry)
        if hub is not None:
            self.registry.register(_Streams(hub))

    def listen(self, stream: Stream) -> None:
        """Count what happens in a stream from now on."""
        stream.listen(self.moment)

    def moment(self, moment: Moment) -> None:
        """Count one moment of a stream."""
        if not moment.stale:
            self._delay.labels(moment.stream).observe(moment.delay)
        for line in moment.seen.lines or {}:
            self._begin(moment.stream, line)
        for event in moment.seen.events:
            where = self._labels(f"where {moment.stream}", event.where)
            if event.kind in ("in", "out"):
                self._crossings.labels(moment.stream, where, event.kind).inc()
            elif event.kind == "entered":
                self._visitors.labels(moment.stream, where).inc()
            elif event.kind == "left":
                self._dwell.labels(moment.stream, where).observe(event.dwell or 0.0)

    def _begin(self, stream: str, line: str) -> None:
        """Let a line's counters be there from 0 on: an increase from nothing is not seen by Prometheus."""
        if (stream, line) not in self._begun and len(self._begun) < MOST:
            self._begun.add((stream, line))
            for way in ("in", "out"):
                self._crossings.labels(stream, self._labels(f"where {stream}", line), way)

    def request(self, path: str, status: int, seconds: float, method: str = "GET") -> None:
        """Count an answer. `path` is the route's pattern ("/streams/{name}"), not what the caller wrote."""
        path = self._labels("path", path)
        self._requests.labels(path, self._labels("method", method), str(status)).inc()
        self._seconds.labels(path).observe(seconds)

    def busy(self, path: str) -> None:
        """Count a refusal because of too much work."""
        self._busy.labels(self._labels("path", path)).inc()

    def text(self) -> bytes:
        """Everything in Prometheus' text format, CONTENT_TYPE."""
        return bytes(self._made.generate_latest(self.registry))

    @contextmanager
    def serving(self, host: str, port: int) -> Iterator[int]:
        """Answer Prometheus at http://host:port/metrics in a thread; gives the port (chosen, where it is 0).

        Raises OutputError when nothing can listen there.
        """
        try:
            server, thread = self._made.start_http_server(port, host, self.registry)
        except OSError as e:
            raise OutputError(f"metrics: cannot listen at {host} port {port} ({e.strerror or e})") from e
        try:
            yield int(server.server_port)
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


class _Known:
    """Values of labels that were seen before; a new one over MOST of its kind is "other"."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: dict[str, set[str]] = {}

    def __call__(self, kind: str, value: str) -> str:
        with self._lock:
            seen = self._seen.setdefault(kind, set())
            if value not in seen and len(seen) >= MOST:
                return "other"
            seen.add(value)
            return value


class _Streams:
    """What a hub's streams say of themselves, asked for at each scrape."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self._highest: dict[tuple[str, str], float] = {}

    def describe(self) -> list[Any]:
        return []

    def collect(self) -> Iterator[Any]:
        from prometheus_client.core import CounterMetricFamily as Counter
        from prometheus_client.core import GaugeMetricFamily as Gauge

        counters = {
            name: Counter(f"passerby_{name}_total", help_, labels=["stream"])
            for name, help_ in (
                ("frames", "Frames that came from the source."),
                ("frames_dropped", "Of these, those that nobody looked at because a newer one came."),
                ("results", "Frames looked at."),
                ("reconnects", "Times that the source came back."),
                ("outages", "Times that the source gave no frames."),
                ("outage_seconds", "Without frames, the present outage included."),
                ("identities", "Identities so far."),
            )
        }
        state = Gauge("passerby_stream_state", "1 for the state that the source is in.", labels=["stream", "state"])
        age = Gauge("passerby_frame_age_seconds", "Since the newest frame came.", labels=["stream"])
        people = Gauge("passerby_people", "Identities in view.", labels=["stream"])
        present = Gauge("passerby_zone_people", "Identities in a zone.", labels=["stream", "zone"])
        for name, stream in list(self.hub.streams.items()):
            status, totals, latest = stream.status(), stream.totals, stream.latest()
            values = {
                "frames": status.frames,
                "frames_dropped": status.dropped,
                "results": totals.results,
                "reconnects": status.reconnects,
                "outages": totals.outages,
                "outage_seconds": totals.seconds_out(),
                "identities": latest.seen.total if latest else 0,
            }
            for key, value in values.items():
                # An outage that ends is found to have been a little shorter; a counter that sinks would be a restart.
                highest = self._highest[name, key] = max(value, self._highest.get((name, key), 0.0))
                counters[key].add_metric([name], highest)
            for one in STATES:
                state.add_metric([name, one], float(one == status.state))
            if status.age is not None:
                age.add_metric([name], status.age)
            people.add_metric([name], latest.seen.people if latest and status.state == "live" else 0)
            for zone, counts in ((latest.seen.zones or {}) if latest else {}).items():
                present.add_metric([name, zone], counts["present"])
        yield from (*counters.values(), state, age, people, present)
