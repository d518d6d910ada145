"""Metrics: names and labels that were promised, counters that only rise, memory that stays flat."""

from __future__ import annotations

import sys
import urllib.request
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from passerby import Detections, Frame
from passerby.errors import MissingExtraError, OutputError
from passerby.live.metrics import CONTENT_TYPE, MOST, Metrics
from passerby.live.stream import Moment, Totals
from passerby.live.watch import Seen
from passerby.media.live import Status
from passerby.track.counting import Event

parser = pytest.importorskip("prometheus_client.parser")


class Source:
    """What metrics ask of a stream."""

    def __init__(self):
        self.state = Status("live", 100, 20, 3, 0.25, "")
        self.totals = Totals(80, 2, 7.5)
        self.moment = None

    def status(self):
        return self.state

    def latest(self):
        return self.moment


def moment(events=(), stream="cam", state="live", delay=0.04, **seen):
    frame = Frame(np.zeros((4, 4, 3), np.uint8), "x", 1, 0.1)
    told = Seen(Detections.none(), tuple(events), 3, 12, {}, {"desk": {"present": 2, "visitors": 5, "dwell": {}}})
    return Moment(stream, 1, frame, replace(told, **seen), Status(state, 1, 0, 0, 0.1, ""), delay, 10.0, 0.0)


def values(metrics):
    """Every sample: (name, labels as sorted pairs) -> value."""
    return {
        (s.name, tuple(sorted(s.labels.items()))): s.value
        for family in parser.text_string_to_metric_families(metrics.text().decode())
        for s in family.samples
    }


def value(metrics, name, **labels):
    return values(metrics).get((f"passerby_{name}", tuple(sorted(labels.items()))))


@pytest.fixture
def source():
    return Source()


@pytest.fixture
def metrics(source):
    return Metrics(SimpleNamespace(streams={"cam": source}), SimpleNamespace(names=("head", "person")))


def test_streams_are_read_when_asked(metrics, source):
    source.moment = moment()
    for name, number in {
        "frames_total": 100,
        "frames_dropped_total": 20,
        "results_total": 80,
        "reconnects_total": 3,
        "outages_total": 2,
        "outage_seconds_total": 7.5,
        "identities_total": 12,
        "people": 3,
        "frame_age_seconds": 0.25,
    }.items():
        assert value(metrics, name, stream="cam") == number, name
    assert value(metrics, "zone_people", stream="cam", zone="desk") == 2
    source.state = replace(source.state, frames=101)
    assert value(metrics, "frames_total", stream="cam") == 101


def test_one_state_is_1_and_the_others_0(metrics, source):
    for state in ("connecting", "live", "stale", "lost", "ended"):
        source.state = replace(source.state, state=state)
        told = {
            s: value(metrics, "stream_state", stream="cam", state=s) for s in ("connecting", "live", "stale", "lost")
        }
        told["ended"] = value(metrics, "stream_state", stream="cam", state="ended")
        assert told == {s: float(s == state) for s in told}


def test_nobody_is_in_view_of_a_source_that_gives_no_frames(metrics, source):
    source.moment = moment()
    source.state = replace(source.state, state="lost")
    assert value(metrics, "people", stream="cam") == 0


def test_a_stream_before_its_first_frame_is_no_error(metrics, source):
    source.state = Status("connecting", 0, 0, 0, None, "")
    assert value(metrics, "frame_age_seconds", stream="cam") is None
    assert value(metrics, "people", stream="cam") == 0


def test_a_counter_never_sinks(metrics, source):
    assert value(metrics, "outage_seconds_total", stream="cam") == 7.5
    source.totals.outage_seconds = 7.4
    assert value(metrics, "outage_seconds_total", stream="cam") == 7.5
    source.totals.outage_seconds = 8.0
    assert value(metrics, "outage_seconds_total", stream="cam") == 8.0


def test_events_are_counted(metrics):
    for event in (
        Event(1, "in", "door", 1, "head"),
        Event(1, "in", "door", 2, "head"),
        Event(1, "out", "door", 1, "head"),
        Event(1, "entered", "desk", 1, "head"),
        Event(9, "left", "desk", 1, "head", 8.0),
    ):
        metrics.moment(moment([event]))
    assert value(metrics, "crossings_total", stream="cam", line="door", direction="in") == 2
    assert value(metrics, "crossings_total", stream="cam", line="door", direction="out") == 1
    assert value(metrics, "zone_visitors_total", stream="cam", zone="desk") == 1
    assert value(metrics, "dwell_seconds_sum", stream="cam", zone="desk") == 8
    assert value(metrics, "dwell_seconds_count", stream="cam", zone="desk") == 1
    assert value(metrics, "delay_seconds_count", stream="cam") == 5
    assert value(metrics, "delay_seconds_sum", stream="cam") == pytest.approx(0.2)


def test_a_line_is_there_from_0_on(metrics):
    metrics.moment(moment(lines={"door": {"in": 0, "out": 0}}))
    for way in ("in", "out"):
        assert value(metrics, "crossings_total", stream="cam", line="door", direction=way) == 0


def test_the_delay_of_a_stale_frame_is_none(metrics):
    metrics.moment(moment(state="stale", delay=12.0))
    assert value(metrics, "delay_seconds_count", stream="cam") is None


def test_a_stream_is_listened_to(metrics):
    listeners = []
    metrics.listen(SimpleNamespace(listen=listeners.append))
    listeners[0](moment([Event(1, "in", "door", 1, "head")]))
    assert value(metrics, "crossings_total", stream="cam", line="door", direction="in") == 1


def test_requests_are_counted(metrics):
    metrics.request("/detect", 200, 0.05, "POST")
    metrics.request("/detect", 503, 0.01, "POST")
    metrics.request("/health", 200, 0.001)
    metrics.busy("/detect")
    assert value(metrics, "requests_total", path="/detect", method="POST", status="200") == 1
    assert value(metrics, "requests_total", path="/detect", method="POST", status="503") == 1
    assert value(metrics, "requests_total", path="/health", method="GET", status="200") == 1
    assert value(metrics, "request_seconds_count", path="/detect") == 2
    assert value(metrics, "busy_total", path="/detect") == 1


def test_names_that_callers_make_up_do_not_fill_the_memory(metrics):
    def series():
        return len(values(metrics))

    def ask(many):
        for k in many:
            metrics.request(f"/{k}", 404, 0.1)
            metrics.busy(f"/{k}")
            metrics.moment(
                moment([Event(1, "in", f"line {k}", 1, "head"), Event(1, "left", f"zone {k}", 1, "head", 1)])
            )
            metrics.moment(moment(lines={f"drawn {k}": {"in": 0, "out": 0}}))

    ask(range(3 * MOST))
    full = series()
    ask(range(3 * MOST, 6 * MOST))
    assert series() == full
    assert value(metrics, "requests_total", path="other", method="GET", status="404") == 5 * MOST


def test_what_is_told_of_the_program(metrics):
    from passerby import __version__

    assert value(metrics, "build_info", version=__version__, models="head,person") == 1


def test_two_registries_do_not_meet():
    one, two = Metrics(), Metrics()
    one.busy("/detect")
    assert value(one, "busy_total", path="/detect") == 1
    assert value(two, "busy_total", path="/detect") is None


def test_they_are_served_over_http(metrics):
    with metrics.serving("127.0.0.1", 0) as port:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as answer:
            assert b'passerby_frames_total{stream="cam"} 100.0' in answer.read()
        with (
            pytest.raises(OutputError, match=f"cannot listen at 127.0.0.1 port {port}"),
            Metrics().serving("127.0.0.1", port),
        ):
            pass
    assert CONTENT_TYPE.startswith("text/plain")


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(MissingExtraError, match=r"prometheus_client.*passerby\[serve\]"):
        Metrics()
