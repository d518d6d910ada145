"""passerby serve: a process of its own that says where it is, serves, and ends when told to."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys

import httpx
import pytest
from model_fixtures import REPOSITORY
from web_fixtures import post, until


@pytest.fixture
def serve(tmp_path, tiny_model):
    """Starts `passerby serve` with the tiny model on a free port: words -> process, address."""
    running = []

    def start(*words):
        code = f"import sys; sys.path.insert(0, {str(REPOSITORY)!r}); from passerby.cli.main import run; run()"
        settings = ["--model", str(tiny_model), "--engine", "onnxruntime", "--threads", "1", "--port", "0"]
        process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", code, "serve", *settings, *map(str, words)],
            cwd=tmp_path,
            stderr=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        lines = []
        for line in process.stderr:
            lines.append(line)
            if found := re.search(r"page: (\S+)", line):
                return process, found.group(1)
        raise AssertionError("".join(lines))

    yield start
    for process in running:
        process.kill()
        process.communicate(timeout=60)


def test_it_serves_until_it_is_told_to_end(serve, picture_bytes):
    process, url = serve("--threshold", "0.5")
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", url)
    assert post(httpx, picture_bytes(), url=url).json()["width"] == 600
    assert httpx.get(f"{url}/models").json()[0]["name"] == "tiny"
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "Traceback" not in err


def test_sources_are_watched_under_their_names(serve, tmp_path, make_video):
    make_video(tmp_path / "clip.mp4", frames=30)
    process, url = serve("door=clip.mp4", "clip.mp4", "--repeat")
    until(lambda: all(s["width"] == 64 for s in httpx.get(f"{url}/streams").json()))
    assert [s["name"] for s in httpx.get(f"{url}/streams").json()] == ["door", "clip"]
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 0


def test_bound_to_other_machines_it_makes_a_token(serve):
    _, url = serve("--host", "0.0.0.0")
    address, _, token = url.partition("/?token=")
    assert len(token) >= 16
    place = f"http://127.0.0.1:{address.rpartition(':')[2]}"
    assert httpx.get(f"{place}/health").status_code == 401
    assert httpx.get(f"{place}/health", headers={"Authorization": f"Bearer {token}"}).status_code == 200


def test_limits_are_options(serve, picture_bytes):
    _, url = serve("--max-body", "0.001", "--rate", "0")
    assert post(httpx, picture_bytes(), url=url).status_code == 413


def test_a_port_that_is_taken_is_an_output_error(cli, refused, tiny_model):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused(cli("serve", "--model", tiny_model, "--engine", "onnxruntime", "--port", port), 6, port, "--port")


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["--model", "haed"], 2, "did you mean 'head'"),
        (["--threshold", "3"], 2, "--threshold"),
        (["--max-pixels", "0"], 2, "limit pixels"),
        (["--cert", "x.pem"], 2, "--key"),
        (["gone.mp4"], 3, "no such file"),
        (["a=0", "a=1"], 2, "two streams are called 'a'"),
        (["--engine", "onx"], 2, "no engine"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_served(cli, refused, words, code, told):
    refused(cli("serve", *words), code, told)


def test_what_is_not_installed_is_named_with_its_pip_line(shell):
    gone = (
        "import importlib.util as u; f = u.find_spec; u.find_spec = lambda n, *a: None if n == 'uvicorn' else f(n, *a)"
    )
    ran = shell("serve", before=gone)
    assert ran.code == 7
    assert "pip install 'passerby[serve]'" in ran.err
