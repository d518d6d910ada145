"""A real RTSP source on loopback, by GStreamer's server: killed, hung and started again while a run goes on."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
import urllib.request
from itertools import pairwise
from pathlib import Path

import pytest

from passerby.live.hub import Hub
from passerby.live.metrics import Metrics
from passerby.live.pool import open_pool
from passerby.live.stream import Stream
from passerby.media.live import LiveSource
from passerby.runtime.model_file import find_model

TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS))
from rtsp_server import HEIGHT, WIDTH, read_clock  # noqa: E402 (it stands beside the folder of this file)

PYTHON = "/usr/bin/python3"  # Debian's own, which has `gi`
NEEDS = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import Gst, GstRtspServer; \
Gst.init(None); assert Gst.ElementFactory.find('x264enc') and Gst.ElementFactory.find('rtph264pay')"


class Server:
    """The server, in a process of its own; always at one port once it has one."""

    def __init__(self):
        self.port, self.uri, self.process = "0", "", None

    def start(self):
        """Run it; waits until it says that it is ready."""
        command = [PYTHON, str(TESTS / "rtsp_server.py"), "--port", self.port]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.uri = self.process.stdout.readline().strip()
        self.port = self.uri.split(":")[2].split("/")[0]

    def kill(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()
        self.process = None


@pytest.fixture(scope="module", autouse=True)
def gstreamer():
    if not Path(PYTHON).exists() or subprocess.run([PYTHON, "-c", NEEDS], capture_output=True, check=False).returncode:
        pytest.skip("no RTSP server of GStreamer's here (Debian: python3-gi, gir1.2-gst-rtsp-server-1.0, its plugins)")


@pytest.fixture
def server():
    server = Server()
    server.start()
    yield server
    server.kill()


def until(true, what, limit=60):
    """What `true` gives, once it gives something; a test that waits for longer than that fails."""
    end = time.monotonic() + limit
    while not (given := true()):
        assert time.monotonic() < end, f"{what}: it never happened"
        time.sleep(0.02)
    return given


def in_order(states):
    """States as they followed each other; that it was connecting first depends on how long that took."""
    states = [state for state in states if state != "connecting"]
    return [state for state, before in zip(states, [None, *states], strict=False) if state != before]


def test_frames_come_and_each_is_newer_than_the_one_before(server):
    with LiveSource(server.uri) as source:
        taken = [source.newest(timeout=30) for _ in range(30)]
    clocks = [read_clock(t.frame.pixels[:, :, 0]) for t in taken]
    assert all(t.frame.pixels.shape == (HEIGHT, WIDTH, 3) for t in taken)
    assert all(a < b for a, b in pairwise(clocks))
    assert all(a.captured < b.captured for a, b in pairwise(taken))
    assert clocks[-1] / 1000 < taken[-1].captured  # made before it came


def test_a_server_that_hangs_makes_the_stream_stale_then_lost_and_live_again(server):
    told, hub = [], Hub()
    stream = Stream("gate", LiveSource(server.uri, stale_after=1.0), open_pool(find_model("head")))
    stream.listen(lambda moment: told.append(moment.status.state))
    hub.add(stream)
    metrics = Metrics(hub)
    with hub:
        until(lambda: "live" in told, "live")
        server.process.send_signal(signal.SIGSTOP)
        until(lambda: "lost" in told, "lost")
        server.process.send_signal(signal.SIGCONT)
        until(lambda: told[-1] == "live", "live again")
        numbers = metrics.text().decode()
    assert in_order(told) == ["live", "stale", "lost", "live"]
    assert 'passerby_reconnects_total{stream="gate"} 1.0' in numbers
    assert 'passerby_outages_total{stream="gate"} 1.0' in numbers
    assert value(numbers, "passerby_outage_seconds_total", "gate") >= 1.0  # it was stale for as long at least


def value(numbers, name, stream, **labels):
    """One number of Prometheus' text."""
    inside = ",".join(f'{k}="{v}"' for k, v in sorted({"stream": stream, **labels}.items()))
    return float(re.search(rf"^{name}\{{{re.escape(inside)}\}} (\S+)$", numbers, re.MULTILINE).group(1))


class Run:
    """`passerby live` in a process of its own, with its metrics and its JSON lines."""

    def __init__(self, uri, folder):
        self.lines, self.errors = folder / "out.jsonl", folder / "err.txt"
        start = "import sys; from passerby.cli.main import run; run()"
        words = ["live", f"gate={uri}", "--to", self.lines, "--metrics", "127.0.0.1:0", "--log", folder / "live.log"]
        with self.errors.open("w") as errors:
            command = [sys.executable, "-W", "error", "-c", start, *map(str, words)]
            self.process = subprocess.Popen(command, cwd=TESTS.parent, stdout=subprocess.DEVNULL, stderr=errors)
        self.address = until(self._address, "metrics")

    def _address(self):
        assert self.process.poll() is None, self.errors.read_text()
        found = re.search(r"metrics: (http://\S+)", self.errors.read_text())
        return found and found.group(1)

    def numbers(self):
        with urllib.request.urlopen(self.address, timeout=30) as answer:
            return answer.read().decode()

    def metric(self, name):
        return value(self.numbers(), name, "gate")

    def state(self):
        numbers, states = self.numbers(), ("connecting", "live", "stale", "lost", "ended")
        return next(s for s in states if value(numbers, "passerby_stream_state", "gate", state=s))

    def told(self):
        """The state that the last whole JSON line tells, "" while its frame is new."""
        row = json.loads((["{}", *self.lines.read_text().split("\n")])[-2])
        return row["state"] if row.get("age") else ""

    def end(self):
        """Ask it to end; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


def test_a_run_survives_three_deaths_of_its_source_and_says_so(server, tmp_path):
    run = Run(server.uri, tmp_path)
    try:
        until(lambda: run.state() == "live", "live")
        for death in (1, 2, 3):
            server.kill()
            until(lambda: run.state() == run.told() == "lost", "lost")
            seconds = run.metric("passerby_outage_seconds_total")
            until(lambda s=seconds: run.metric("passerby_outage_seconds_total") > s, "the outage grows")
            server.start()
            until(lambda: run.state() == "live", "live again")
            frames = run.metric("passerby_results_total")
            until(lambda f=frames: run.metric("passerby_results_total") > f, "results again")
            assert run.metric("passerby_reconnects_total") == death
            assert run.metric("passerby_outages_total") == death
        server.kill()
        until(lambda: run.state() == run.told() == "lost", "lost at the end")
        assert run.end() == 11
    finally:
        run.process.kill()
        run.process.wait()
    last = run.errors.read_text().splitlines()[-1]
    assert re.fullmatch(r"passerby: at the end without frames: gate: .*", last), run.errors.read_text()
    told = [json.loads(line) for line in run.lines.read_text().splitlines()]
    states = in_order([row["state"] for row in told])
    assert [state for state in states if state != "stale"] == ["live", "lost"] * 4
    assert told[-1]["state"] == "lost"
    assert told[-1]["age"] > 0
    assert told[-1]["detections"] == []
    assert all(a["time"] <= b["time"] for a, b in pairwise(told))
    log = (tmp_path / "live.log").read_text()
    assert "gate: lost" in log
    assert "3 reconnects" in log
