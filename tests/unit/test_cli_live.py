"""passerby live: real runs on small videos and a made camera; what is written, and how a run ends."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec

import cv2
import numpy as np
import pytest
from model_fixtures import REPOSITORY

from passerby.media.recording import Recording

av = pytest.importorskip("av")
QUICK = ("--engine", "onnxruntime", "--threads", "1")
RATE = 30000 / 1001


@pytest.fixture
def clip(tmp_path):
    """Makes a video whose frames have these times, seconds."""

    def make(name="clip.mp4", times=tuple(k / RATE for k in range(30))):
        with Recording(tmp_path / name, live=False, rate=RATE) as file:
            for k, time in enumerate(times):
                file.write(np.full((96, 128, 3), 8 * k % 250, np.uint8), time)
        return tmp_path / name

    return make


@pytest.fixture
def begin(tmp_path):
    """Starts a run in a process of its own; one that is still there at the end of the test is killed."""
    runs = []

    def call(*words):
        command = [sys.executable, "-W", "error", "-m", "passerby", "live", *map(str, words), *QUICK]
        runs.append(
            subprocess.Popen(
                command,
                cwd=tmp_path,
                env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
        return runs[-1]

    yield call
    for run in runs:
        run.kill()
        run.communicate()


@pytest.fixture
def camera():
    """A camera at http://...: sends JPEGs until `broken` is set."""
    broken = threading.Event()
    done, jpeg = cv2.imencode(".jpg", np.full((96, 128, 3), 90, np.uint8))
    assert done

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            if broken.is_set():
                self.send_error(503)
                return
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            try:
                while not broken.wait(0.04):
                    head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                    self.wfile.write(head.encode() + jpeg.tobytes() + b"\r\n")
            except OSError:
                pass  # whoever watched has gone

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.broken, server.url = broken, f"http://127.0.0.1:{server.server_port}/a.mjpg"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    broken.set()
    server.shutdown()
    server.server_close()
    thread.join()


def rows_of(text):
    return [json.loads(line) for line in text.splitlines()]


def times_of(path):
    with av.open(str(path)) as box:
        stream = box.streams.video[0]
        return [float(f.pts * stream.time_base) for f in box.decode(stream)]


def test_a_video_is_watched_to_its_end(cli, clip, tmp_path):
    ran = cli("live", clip(), "--to", "-", "--to", "out.mp4", "--to", "frames/", "--to", "e.csv", *QUICK)
    assert ran.code == 0, ran.err
    rows = rows_of(ran.out)
    assert rows
    assert {r["stream"] for r in rows} == {"clip"}
    assert {r["state"] for r in rows} <= {"live", "ended"}
    assert [r["frame"] for r in rows] == sorted({r["frame"] for r in rows})
    for field in ("source", "wall", "width", "height", "delay", "rate", "detections", "people", "total", "events"):
        assert field in rows[0]
    assert len(list((tmp_path / "frames").iterdir())) == len(rows)
    assert (tmp_path / "e.csv").read_text() == "time,stream,kind,where,id,label,dwell\n"
    assert f"clip: {len(rows)} results of 30 frames" in ran.err
    assert ran.err.splitlines()[-1] == "written to stdout, out.mp4, frames/, e.csv"


@pytest.mark.parametrize("variable", [False, True], ids=["29.97", "variable"])
def test_times_are_the_files_own(cli, clip, tmp_path, variable):
    grid = np.arange(30) / RATE
    if variable:
        grid = np.cumsum([0, *np.random.default_rng(3).choice([0.02, 0.033, 0.05, 0.11], 29)])
    ran = cli("live", clip(times=grid), "--to", "-", "--to", "out.mp4", *QUICK)
    rows = rows_of(ran.out)
    told, true = np.array([r["time"] for r in rows]), np.array([grid[r["frame"]] for r in rows])
    assert told - told[0] == pytest.approx(true - true[0], abs=2e-4)  # in JSON to 0.0001 s
    assert times_of(tmp_path / "out.mp4") == pytest.approx(true - true[0], abs=1e-5)


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_its_files_complete(begin, clip, tmp_path, stop):
    run = begin(clip(), "--repeat", "--to", "-", "--to", "out.mp4", "--log", "a.log")
    lines = [run.stdout.readline() for _ in range(40)]
    run.send_signal(stop)
    out, err = run.communicate(timeout=60)
    assert run.returncode == 0, err
    rows = rows_of("".join(lines) + out)
    times = times_of(tmp_path / "out.mp4")
    assert times == pytest.approx([r["time"] - rows[0]["time"] for r in rows], abs=2e-4)
    assert "clip: live" in (tmp_path / "a.log").read_text()
    assert (tmp_path / "a.log").read_text().splitlines()[-1].endswith("Z the run ends")


def test_a_reader_that_leaves_ends_it(begin, clip):
    run = begin(clip(), "--repeat", "--to", "-")
    assert run.stdout.readline()
    run.stdout.close()
    assert run.wait(60) == 141
    assert "Traceback" not in run.stderr.read()


def test_time_can_be_limited(cli, clip):
    ran = cli("live", clip(), "--repeat", "--to", "none", "--for", "0.5", *QUICK)
    assert ran.code == 0, ran.err
    assert ran.out == ""


def test_several_streams_share_lines_and_have_their_own_videos(cli, clip, tmp_path):
    words = ("--to", "out.mp4", "--to", "all.jsonl", "--to", "f/", "--keep", "4", "--line", "b:door=0.5,0,0.5,1")
    ran = cli("live", clip(), f"b={clip('other.mp4')}", *words, *QUICK)
    assert ran.code == 0, ran.err
    rows = rows_of((tmp_path / "all.jsonl").read_text())
    assert {r["stream"] for r in rows} == {"clip", "b"}
    assert {tuple(r["lines"]) for r in rows if r["stream"] == "b"} == {("door",)}
    assert {tuple(r["lines"]) for r in rows if r["stream"] == "clip"} == {()}
    for name in ("clip", "b"):
        assert len(times_of(tmp_path / f"out-{name}.mp4")) == sum(r["stream"] == name for r in rows)
        assert 1 <= len(list((tmp_path / "f").glob(f"{name}-*.jpg"))) <= 4


def test_results_can_be_fewer(cli, clip):
    ran = cli("live", clip(times=[k / 20 for k in range(40)]), "--to", "-", "--fps", "4", *QUICK)
    assert 1 <= len(rows_of(ran.out)) <= 10


def test_a_source_that_dies_is_told_and_ends_with_11(begin, camera, tmp_path):
    run = begin(f"gate={camera.url}", "--to", "-", "--to", "out.mp4", "--log", "a.log", "--stale-after", "0.3")
    rows = rows_of("".join(run.stdout.readline() for _ in range(5)))
    assert {r["state"] for r in rows} == {"live"}
    camera.broken.set()
    while rows[-1]["state"] == "live":
        rows.append(json.loads(run.stdout.readline()))
    last = rows[-1]
    assert (last["stream"], last["detections"], last["people"]) == ("gate", [], 0)
    assert last["state"] in ("stale", "lost")
    run.send_signal(signal.SIGTERM)
    _, err = run.communicate(timeout=60)
    assert run.returncode == 11, err
    assert err.splitlines()[-1].startswith("passerby: at the end without frames: gate: no frame for ")
    assert any(f"gate: {state}" in (tmp_path / "a.log").read_text() for state in ("stale", "lost"))
    with av.open(str(tmp_path / "out.mp4")) as box:
        *_, banner = (f.to_ndarray(format="rgb24") for f in box.decode(video=0))
    red = (banner[..., 0] > 140) & (banner[..., 1] < 80)
    assert red[48].sum() > 30


def test_a_source_that_never_came_ends_with_11(cli):
    ran = cli("live", "door=rtsp://me:secret@127.0.0.1:9/1", "--to", "none", "--for", "1", *QUICK)
    assert ran.code == 11
    assert "door: no frame came at all" in ran.err.splitlines()[-1]
    assert "secret" not in ran.err


def test_metrics_are_served_without_the_page(begin, clip):
    pytest.importorskip("prometheus_client")
    run = begin(clip(), "--repeat", "--to", "-", "--metrics", "127.0.0.1:0")
    run.stdout.readline()
    address = run.stderr.readline().removeprefix("metrics: ").strip()
    with urllib.request.urlopen(address, timeout=20) as answer:
        text = answer.read().decode()
    assert 'passerby_stream_state{state="live",stream="clip"} 1.0' in text
    run.send_signal(signal.SIGTERM)
    run.communicate(timeout=60)
    assert run.returncode == 0


def test_a_log_rotates(cli, clip, tmp_path):
    words = ("--repeat", "--for", "0.3", "--log", "logs/a.log", "--log-size", "0.0001", "--log-keep", "2")
    for _ in range(2):
        ran = cli("live", clip(), "--to", "none", *words, *QUICK)
        assert ran.code == 0, ran.err
    assert sorted(p.name for p in (tmp_path / "logs").iterdir()) == ["a.log", "a.log.1", "a.log.2"]


def test_a_target_that_breaks_ends_it_with_6(cli, clip, tmp_path):
    (tmp_path / "full.jsonl").symlink_to("/dev/full")
    ran = cli("live", clip(), "--repeat", "--to", "full.jsonl", *QUICK)
    assert ran.code == 6
    assert ran.err.splitlines()[-1].startswith("passerby: full.jsonl: cannot be written (No space left")


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("gone.mp4",), 3, "gone.mp4: no such file"),
        (("clip.mp4", "--to", "a.avi"), 2, "--to a.avi: want page, none"),
        (("clip.mp4", "--to", "none", "--to", "-"), 2, "nothing else can be named"),
        (("clip.mp4", "--to", "-", "--to", "-"), 2, "is named twice"),
        (("clip.mp4", "--to", "page:x"), 2, "'x' is no port"),
        (("clip.mp4", "--to", "none", "--line", "door"), 2, "door"),
        (("clip.mp4", "--to", "none", "--line", "x:door=0,0,1,1"), 2, "no stream 'x'"),
        (("clip.mp4", "--to", "none", "--zone", "z=0,0,1,1"), 2, "2 corners"),
        (("clip.mp4", "--to", "none", "--scene", "gone.json"), 2, "gone.json: cannot be read"),
        (("clip.mp4", "--to", "none", "--threshold", "2"), 2, "threshold is 2"),
        (("clip.mp4", "--to", "none", "--model", "heat"), 2, "did you mean 'head'"),
        (("clip.mp4", "--to", "none", "--metrics", "9100"), 2, "want HOST:PORT"),
        (("clip.mp4", "--to", "none", "--cert", "a.pem"), 2, "--cert and --key"),
        (("clip.mp4", "--to", "none", "--for", "0"), 2, "--for"),
        (("a=0", "a=1", "--to", "none"), 2, "two streams are called 'a'"),
        (("clip.mp4", "--to", "file/a.mp4"), 6, "cannot be written"),
        (("clip.mp4", "--to", "file/"), 6, "file"),
    ],
    ids=lambda v: " ".join(v) if isinstance(v, tuple) else None,
)
def test_what_cannot_be_is_refused_in_one_line(cli, clip, refused, tmp_path, words, code, told):
    clip()
    (tmp_path / "file").write_text("a file")
    refused(cli("live", *words), code, told)


def test_the_page_is_what_is_opened_without_to(begin, clip):
    pytest.importorskip("fastapi")
    run = begin(clip(), "--repeat", "--port", "0")
    first = run.stderr.readline()
    assert first.startswith("page: http://127.0.0.1:")
    from web_fixtures import until

    url = first.removeprefix("page: ").strip().rstrip("/") + "/health"

    def lives():
        with urllib.request.urlopen(url, timeout=20) as answer:
            return json.load(answer)["streams"]["clip"] == "live"

    until(lives)  # before its first frame a stream that is ended was never live: exit code 11
    run.send_signal(signal.SIGTERM)
    run.communicate(timeout=60)
    assert run.returncode == 0


@pytest.mark.parametrize(
    ("package", "words", "extra"),
    [("fastapi", (), "serve"), ("prometheus_client", ("--to", "page"), "serve"), ("av", ("--to", "a.mp4"), "video")],
)
def test_a_missing_extra_is_named(cli, clip, refused, monkeypatch, package, words, extra):
    # no module is taken out and loaded anew: that left other tests with halves of packages
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name, *a, f=find_spec: None if name == package else f(name, *a)
    )
    monkeypatch.setitem(sys.modules, package, None)
    path = clip() if package != "av" else "0"
    refused(cli("live", path, *words, "--port", "0"), 7, f"passerby[{extra}]")


def test_without_the_extras_the_rest_goes(cli, make_video, tmp_path, monkeypatch):
    for package in ("av", "fastapi", "uvicorn", "prometheus_client"):
        monkeypatch.setitem(sys.modules, package, None)
    path = make_video(tmp_path / "a.mp4", frames=10)
    ran = cli("live", path, "--to", "-", "--to", "e.csv", "--to", "f/", *QUICK)
    assert ran.code == 0, ran.err
    assert rows_of(ran.out)


@pytest.mark.shared
def test_people_who_come_one_by_one_are_counted(cli, shared, tmp_path):
    path = shared / "data/video/one-by-one-person-detection.mp4"
    if not path.is_file():
        pytest.skip("no ../shared/data/video beside the repository")
    words = ("--to", "-", "--to", "e.csv", "--line", "middle=0.5,0,0.5,1", "--for", "12")
    ran = cli("live", f"room={path}", *words, *QUICK)
    assert ran.code == 0, ran.err
    last = rows_of(ran.out)[-1]
    assert last["lines"]["middle"]["in"] + last["lines"]["middle"]["out"] == 1  # the first comes in 6 s after the start
    (row,) = csv.DictReader((tmp_path / "e.csv").read_text().splitlines())
    assert (row["stream"], row["where"], row["label"]) == ("room", "middle", "head")
