"""/ws/detect: a browser's pictures, or the boxes that it found itself, followed and counted."""

from __future__ import annotations

import base64
import json
import struct
import threading
from contextlib import ExitStack, suppress

import pytest
from web_fixtures import post, until
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

DOOR = {"lines": [{"name": "door", "start": [0.5, 1.0], "end": [0.5, 0.0]}], "zones": []}


@pytest.fixture
def talk(make_site):
    """Makes a socket of a site (limits by keyword), closed at the end."""
    with ExitStack() as stack:

        def make(site=None, headers=None, query="", **limits):
            site = site or make_site(**limits)
            url = f"{site.serve().url.replace('http', 'ws')}/ws/detect{query}"
            socket = stack.enter_context(connect(url, open_timeout=60, additional_headers=headers, max_size=None))
            socket.site = site
            return socket

        yield make


def said(socket, message):
    """The answer to a message: a dict as JSON, bytes and text as they are."""
    socket.send(json.dumps(message) if isinstance(message, dict) else message)
    return json.loads(socket.recv(60))


def picture(data, time=0.0):
    return struct.pack("<d", time) + data


def boxes(time, x, score=0.9, **more):
    found = [{"box": [x, 20, x + 20, 44], "score": score, "label": "head"}]
    return {"boxes": {"time": time, "width": 200, "height": 100, "detections": found, **more}}


def test_a_picture_is_looked_at_and_followed(talk, picture_bytes):
    socket = talk()
    rows = [said(socket, picture(picture_bytes(), k / 10)) for k in range(3)]
    row = rows[-1]
    assert list(row) == [
        "time", "width", "height", "model", "ms", "detections", "events", "people", "total", "lines", "zones",
    ]  # fmt: skip
    assert (row["time"], row["width"], row["height"], row["model"]) == (0.2, 600, 400, "head")
    assert row["ms"] > 0
    assert row["detections"] == [{"box": [120.0, 80.0, 180.0, 160.0], "score": 0.9, "label": "head", "id": 1}]
    assert (row["people"], row["total"]) == (1, 1)


def test_boxes_alone_are_followed_and_counted(talk):
    socket = talk()
    assert said(socket, {"set": {"scene": DOOR}})["set"]["scene"]["lines"][0]["name"] == "door"
    rows = [said(socket, boxes(k / 10, 40 + 10 * k)) for k in range(12)]
    assert rows[-1]["lines"] == {"door": {"in": 1, "out": 0}}
    assert rows[-1]["total"] == 1
    assert [e["kind"] for row in rows for e in row["events"]] == ["in"]
    assert socket.site.engine.calls == 0  # no picture travelled, none was looked at


def test_what_is_set_holds_and_is_told(talk, picture_bytes):
    socket = talk()
    own = socket.site.models.spec().threshold
    held = said(socket, {"set": {}})["set"]
    assert held == {"model": "head", "threshold": own, "scene": {"lines": [], "zones": []}, "heat": False}
    assert said(socket, {"set": {"threshold": 0.05}})["set"]["threshold"] == 0.05
    assert len(said(socket, picture(picture_bytes(), 1.0))["detections"]) == 2
    assert said(socket, {"set": {"threshold": 0.95}})["set"]["threshold"] == 0.95
    assert said(socket, {"set": {"model": "other"}})["set"]["threshold"] == socket.site.models.spec("other").threshold
    assert said(socket, picture(picture_bytes(), 2.0))["model"] == "other"


def test_heat_comes_when_asked_for(talk, picture_bytes):
    socket = talk()
    assert "heat" not in said(socket, picture(picture_bytes(), 0.1))
    said(socket, {"set": {"heat": True}})
    heat = said(socket, picture(picture_bytes(), 0.2))["heat"]
    assert len(base64.b64decode(heat["values"])) == heat["width"] * heat["height"] == 144 * 96


def test_two_sockets_count_for_themselves(talk, picture_bytes):
    one = talk()
    other = talk(one.site)
    for k in range(3):
        said(one, boxes(k / 10, 40 + 40 * (k % 2)))
    assert said(other, boxes(0.5, 40))["total"] == 1


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("hello", "no JSON"),
        ("[" * 5000, "no JSON"),
        ("[]", "want"),
        ("{}", "want"),
        ({"set": 1}, "want an object"),
        ({"set": {"modell": "head"}}, "did you mean 'model'"),
        ({"set": {"model": "/etc/passwd"}}, "no model"),
        ({"set": {"model": 3}}, "want a name"),
        ({"set": {"threshold": 3}}, "from 0 to 1"),
        ({"set": {"threshold": True}}, "from 0 to 1"),
        ('{"set": {"threshold": NaN}}', "from 0 to 1"),
        ({"set": {"heat": 1}}, "true or false"),
        ({"set": {"scene": {"lines": 3}}}, "scene"),
        ({"set": {}, "boxes": {}}, "want"),
        ({"boxes": []}, "want an object"),
        (boxes("now", 1), "time"),
        (boxes(0, 1, width=0), "width"),
        (boxes(0, 1, width=10**9), "width"),
        (boxes(0, 1, detections=None), "want a list"),
        (boxes(0, 1, detections=[{}] * 100_000), "at most 200"),
        (boxes(0, 1, detections=[3]), "detection 0"),
        (boxes(0, 1, detections=[{"box": [1, 2, 3]}]), "four numbers"),
        (boxes(0, 1, detections=[{"box": [9, 2, 3, 4], "score": 1, "label": "head"}]), "upper left"),
        (boxes(0, 1, score=1.5), "score"),
        (boxes(0, 1, detections=[{"box": [1, 2, 3, 4], "score": 1, "label": "cat"}]), "want one of head"),
        (b"", "8 bytes"),
        (b"1234", "8 bytes"),
        (picture(b"no picture"), "no picture of a kind"),
        (picture(b"\xff\xd8\xff", float("nan")), "time"),
    ],
)
def test_a_wrong_message_is_told_of_and_the_socket_goes_on(talk, message, words):
    socket = talk()
    answer = said(socket, message)
    assert list(answer) == ["error"]
    assert words in answer["error"]
    assert said(socket, boxes(9, 40))["total"] == 1


def test_a_set_with_one_wrong_part_changes_nothing(talk):
    socket = talk()
    before = said(socket, {"set": {}})
    assert "error" in said(socket, {"set": {"threshold": 0.1, "heat": True, "model": "nope"}})
    assert said(socket, {"set": {}}) == before


def test_a_bomb_is_refused_over_a_socket_too(talk, picture_bytes):
    socket = talk(pixels=1000)
    assert "at most 1,000" in said(socket, picture(picture_bytes(".png", 100, 100)))["error"]


def test_a_message_over_the_limit_closes_the_socket(talk):
    socket = talk(body=5000)
    socket.send(bytes(6000))
    with pytest.raises(ConnectionClosed):
        socket.recv(60)
    assert socket.close_code == 1009


def test_an_overloaded_server_says_when_to_come_again(talk, picture_bytes):
    socket = talk(uploads=1)
    site = socket.site
    client = site.client()
    site.engine.gate.clear()
    caller = threading.Thread(target=post, args=(client, picture_bytes()))
    caller.start()
    try:
        until(lambda: site.engine.calls)
        answer = said(socket, picture(picture_bytes(), 1.0))
        assert answer["busy"] is True
        assert answer["retry"] >= 1
        assert "try again later" in answer["error"]
    finally:
        site.engine.gate.set()
    caller.join(60)
    assert said(socket, picture(picture_bytes(), 2.0))["width"] == 600


def test_a_silent_socket_is_closed(talk):
    socket = talk(idle=0.2)
    assert "silent for 0.2 seconds" in json.loads(socket.recv(60))["error"]
    with pytest.raises(ConnectionClosed):
        socket.recv(60)
    assert socket.close_code == 1001


def test_a_socket_has_its_time(talk):
    socket = talk(socket_time=0.5)
    answers = []
    with suppress(ConnectionClosed):
        for k in range(10_000):
            answers.append(said(socket, boxes(k / 10, 40)))
    with suppress(ConnectionClosed):  # what was said last, where it came while the next picture was being sent
        answers.append(json.loads(socket.recv(timeout=5)))
    assert 0 < len(answers) < 10_000
    assert "open over 0.5 seconds" in answers[-1]["error"]


@pytest.mark.parametrize("limit", ["sockets", "client_sockets"])
def test_sockets_are_limited_in_number(talk, limit):
    first = talk(**{limit: 2})
    talk(first.site)
    with pytest.raises(InvalidStatus) as e:
        talk(first.site)
    assert e.value.response.status_code == 503
    assert "too many sockets" in json.loads(e.value.response.body)["error"]
    first.close()
    until(lambda: _opens(talk, first.site))


def _opens(talk, site):
    try:
        return talk(site)
    except InvalidStatus:
        return None


def test_messages_that_come_too_fast_are_slowed_down_not_refused(talk):
    socket = talk(rate=20)
    assert all("error" not in said(socket, boxes(k / 10, 40)) for k in range(60))


def test_a_page_of_others_opens_no_socket(talk, make_site):
    site = make_site()
    with pytest.raises(InvalidStatus) as e:
        talk(site, headers={"Origin": "https://evil.example"})
    assert e.value.response.status_code == 403
    assert "other servers" in json.loads(e.value.response.body)["error"]


def test_a_socket_needs_the_token(talk, make_site):
    site = make_site(token="secret")
    with pytest.raises(InvalidStatus) as e:
        talk(site)
    assert e.value.response.status_code == 401
    assert said(talk(site, query="?token=secret"), {"set": {}})["set"]["model"] == "head"
    assert said(talk(site, headers={"Authorization": "Bearer secret"}), {"set": {}})["set"]["model"] == "head"
