"""The server's streams: told of, shown, set while they run, and watched over sockets."""

from __future__ import annotations

import json
from contextlib import suppress

import cv2
import numpy as np
import pytest
from web_fixtures import Camera, until, wrong
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from passerby.live.stream import Stream
from passerby.media.live import LiveSource
from passerby.web.app import create_app

SCENE = {"lines": [{"name": "door", "start": [0.5, 0.0], "end": [0.5, 1.0]}], "zones": []}
BOX = [19.2, 12.8, 28.8, 25.6]  # 60 60 90 120 of 300 x 300 in 96 x 64


@pytest.fixture
def camera():
    """What the stream "door" is fed from."""
    return Camera()


@pytest.fixture
def site(make_site, camera):
    """A Site with that stream."""
    return make_site({"door": camera})


@pytest.fixture
def client(site):
    """A client of it, once there are results."""
    client = site.client()
    until(lambda: client.get("/streams/door").status_code == 200)
    return client


@pytest.fixture
def watch(site):
    """Makes a socket that watches a stream."""

    def make(name="door", **more):
        return connect(f"{site.serve().url.replace('http', 'ws')}/ws/streams/{name}", open_timeout=60, **more)

    return make


def shown(socket):
    """The next moment and its picture."""
    socket.send("next")
    moment = json.loads(socket.recv(60))
    return moment, cv2.imdecode(np.frombuffer(socket.recv(60), np.uint8), cv2.IMREAD_COLOR)


def test_streams_are_listed_with_how_they_are(client):
    (row,) = until(lambda: (r := client.get("/streams").json())[0]["people"] and r)
    assert list(row) == ["name", "state", "rate", "delay", "people", "threshold", "model", "width", "height"]
    assert (row["name"], row["state"], row["model"], row["people"]) == ("door", "live", "head", 1)
    assert (row["width"], row["height"]) == (96, 64)
    assert row["rate"] > 0


def test_no_answer_holds_the_sources_password(client):
    for path in ("/streams", "/streams/door", "/health", "/metrics"):
        assert "secret" not in client.get(path).text


def test_the_newest_moment_is_told(client):
    moment = until(lambda: (m := client.get("/streams/door").json())["detections"] and m)
    assert moment["stream"] == "door"
    assert moment["state"] == "live"
    (found,) = moment["detections"]
    assert found["box"] == pytest.approx(BOX, abs=0.02)
    assert (found["score"], found["label"], found["id"]) == (0.9, "head", 1)
    assert (moment["people"], moment["total"]) == (1, 1)


@pytest.mark.parametrize("way", ["/streams/nope", "/streams/nope/picture", "/streams/nope/scene", "/streams/..%2fdoor"])
def test_a_stream_that_is_not_listed_is_not_found(client, way):
    wrong(client.get(way), 404)


def test_the_nearest_name_is_told(client):
    wrong(client.get("/streams/dor"), 404, "did you mean 'door'")


def test_the_newest_frame_comes_as_a_picture_with_and_without_boxes(client):
    until(lambda: client.get("/streams/door").json()["detections"])
    plain, drawn = client.get("/streams/door/picture"), client.get("/streams/door/picture?drawn=1")
    assert plain.headers["content-type"] == drawn.headers["content-type"] == "image/jpeg"
    a, b = (cv2.imdecode(np.frombuffer(r.content, np.uint8), cv2.IMREAD_COLOR) for r in (plain, drawn))
    assert a.shape == b.shape == (64, 96, 3)
    assert np.ptp(a) < 8
    assert np.ptp(b) > 100


def test_a_stream_is_set_while_it_runs(client, site):
    held = client.put("/streams/door", json={"threshold": 0.05, "scene": SCENE}).json()
    assert (held["threshold"], held["model"], held["heat"]) == (0.05, "head", False)
    assert held["scene"]["lines"][0]["name"] == "door"
    assert client.get("/streams/door/scene").json() == held["scene"]
    until(lambda: len(client.get("/streams/door").json()["detections"]) == 2)
    assert client.get("/streams/door").json()["lines"] == {"door": {"in": 0, "out": 0}}


def test_another_model_brings_its_threshold(client, site):
    own = site.models.spec("other").threshold
    assert client.put("/streams/door", json={"threshold": 0.9}).json()["threshold"] == 0.9
    held = client.put("/streams/door", json={"model": "other"}).json()
    assert (held["model"], held["threshold"]) == ("other", own)
    assert client.put("/streams/door", json={"model": "head", "threshold": 0.6}).json()["threshold"] == 0.6


def test_heat_maps_can_be_switched_on(client):
    assert client.put("/streams/door", json={"heat": True}).json()["heat"] is True
    assert until(lambda: client.get("/streams/door").json().get("heat"))["width"] == 144


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"threshold": 2}, "threshold"),
        ({"threshold": "high"}, "threshold"),
        ({"model": "../other"}, "no model"),
        ({"source": "rtsp://evil.example"}, "source"),
        ({"scene": {"line": []}}, "did you mean 'lines'"),
        ({"scene": {"lines": [{"name": "x", "start": [0, 0], "end": [0, 0]}]}}, "no line"),
        ([], ""),
    ],
)
def test_what_cannot_be_set_is_refused_and_changes_nothing(client, change, words):
    before = client.put("/streams/door", json={}).json()
    both = {"threshold": 0.77, **change} if isinstance(change, dict) else change
    wrong(client.put("/streams/door", json=both), 422, words)
    assert client.put("/streams/door", json={}).json() == before


@pytest.mark.parametrize("body", [b"{", b"\xff\xfe", b"[" * 5000, b'{"threshold": NaN}', b'{"threshold": 1e999}'])
def test_a_body_that_is_no_json_is_refused(client, body):
    answer = client.put("/streams/door", content=body, headers={"Content-Type": "application/json"})
    wrong(answer, answer.status_code)
    assert answer.status_code in (400, 422)


def test_a_socket_shows_each_moment_at_most_once(client, watch):
    with watch() as socket:
        moments = [shown(socket) for _ in range(6)]
    frames = [m["frame"] for m, _ in moments]
    assert frames == sorted(set(frames))
    moment, picture = moments[-1]
    assert picture.shape == (moment["height"], moment["width"], 3)
    assert moment["detections"][0]["box"] == pytest.approx(BOX, abs=0.02)


def test_several_watch_one_stream(client, watch):
    with watch() as one, watch() as other:
        for _ in range(3):
            assert shown(one)[0]["stream"] == shown(other)[0]["stream"] == "door"


def test_what_is_not_next_is_refused(client, watch):
    with watch() as socket:
        socket.send("last")
        assert json.loads(socket.recv(60)) == {"error": 'want the text "next"'}
        assert shown(socket)[0]["stream"] == "door"


def test_two_nexts_give_two_moments(client, watch):
    with watch() as socket:
        socket.send("next")
        socket.send("next")
        one, _, other, _ = (socket.recv(60) for _ in range(4))
    assert json.loads(one)["frame"] < json.loads(other)["frame"]


def test_a_stream_that_has_ended_says_so(make_site, tmp_path, make_video):
    site = make_site()
    video = make_video(tmp_path / "short.mp4", frames=3)
    stream = Stream("short", LiveSource(str(video)), site.models.pool())
    site.hub.add(stream)
    site.app = create_app(site.hub, site.models, site.metrics)
    answers = []
    with stream, connect(f"{site.serve().url.replace('http', 'ws')}/ws/streams/short", open_timeout=60) as socket:
        with suppress(ConnectionClosed):
            while len(answers) < 100:
                socket.send("next")
                answers.append(socket.recv(60))
        assert socket.close_code == 1000
        assert json.loads(answers[-1]) == {"error": "the stream has ended", "ended": True}
        assert site.client().get("/streams").json()[0]["state"] == "ended"


def test_a_lost_source_is_told_again_and_again(make_site, monkeypatch):
    from passerby.live import stream as streams

    monkeypatch.setattr(streams, "TELL", 0.05)
    camera = Camera(frames=5)
    site = make_site({"door": camera})
    with connect(f"{site.serve().url.replace('http', 'ws')}/ws/streams/door", open_timeout=60) as socket:
        lost = until(lambda: (m := shown(socket)[0])["state"] == "lost" and m)
        assert lost["detections"] == []
        assert shown(socket)[0]["age"] > lost["age"]


def test_a_stream_that_is_not_listed_has_no_socket(client, watch):
    with pytest.raises(InvalidStatus) as e, watch("nope"):
        pass
    assert e.value.response.status_code == 404
    assert "no stream" in json.loads(e.value.response.body)["error"]
