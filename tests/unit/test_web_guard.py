"""The gate before every route: hosts, origins, tokens, and bodies that are too large or too slow."""

from __future__ import annotations

import json

import httpx
import pytest
from web_fixtures import post, wrong

TOKEN = "correct horse 马"
JPEG = {"Content-Type": "image/jpeg"}


def told(raw):
    """Status and JSON of an answer as it came."""
    head, _, body = raw.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body), head.lower()


def test_every_answer_has_the_headers_that_keep_others_out(client):
    for path in ("/health", "/nothing", "/static/none", "/openapi.json", "/metrics"):
        headers = client.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe-inline" not in policy
        assert "'unsafe-eval'" not in policy
        assert "http" not in policy
        assert headers["cross-origin-opener-policy"] == "same-origin"
        assert headers["cross-origin-embedder-policy"] == "require-corp"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] == "no-store"
        assert "server" not in headers


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", "localhost.evil", "", "[", "a b"]
)
def test_a_foreign_name_in_the_host_header_is_refused(client, host):
    # a page whose name its own name server points at us (DNS rebinding) would come with that name
    wrong(client.get("/health", headers={"Host": host}), 403, "Host header")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:1", "LOCALHOST", "[::1]:8080", "192.168.1.7", "cams.example"])
def test_own_names_and_addresses_are_known(make_site, host):
    client = make_site(hosts=("127.0.0.1", "cams.example")).client()
    assert client.get("/health", headers={"Host": host}).status_code == 200


def test_two_host_headers_are_refused(site):
    raw = site.raw(b"GET /health HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nConnection: close\r\n\r\n")
    assert raw.startswith(b"HTTP/1.1 400")


def test_bound_to_everywhere_the_machines_own_name_is_known(make_site):
    import socket

    client = make_site(hosts=("0.0.0.0",)).client()
    assert client.get("/health", headers={"Host": socket.gethostname()}).status_code == 200
    wrong(client.get("/health", headers={"Host": "evil.example"}), 403)


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://127.0.0.1:1", "http://[", "", "http://localhost"]
)
def test_pages_of_others_may_not_send(client, picture_bytes, origin, site):
    wrong(post(client, picture_bytes(), headers={"Origin": origin}), 403, "other servers")
    wrong(client.put("/streams/x", json={}, headers={"Origin": origin}), 403)
    assert site.engine.calls == 0


def test_the_own_page_may_send(client, picture_bytes):
    assert post(client, picture_bytes(), headers={"Origin": str(client.base_url)}).status_code == 200


def test_a_page_under_a_stated_name_may_send(make_site, picture_bytes):
    client = make_site(hosts=("127.0.0.1", "cams.example")).client()
    assert post(client, picture_bytes(), headers={"Origin": "https://cams.example"}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Basic Y29ycmVjdA=="},
        {"Authorization": "Bearer"},
        {"Cookie": "passerby_token=wrong"},
        {"Cookie": "passerby_token=" + "\u00e4"},
        {"Cookie": ";;;=;\x01"},
    ],
    ids=["none", "wrong", "basic", "empty", "wrong cookie", "odd cookie", "no cookie at all"],
)
@pytest.mark.parametrize(
    "path", ["/", "/health", "/models/head.onnx", "/metrics", "/openapi.json", "/nothing", "/static/x"]
)
def test_nothing_is_given_without_the_token(make_site, headers, path):
    client = make_site(token=TOKEN).client()
    answer = client.get(path, headers={k: v.encode("latin-1") for k, v in headers.items()})
    wrong(answer, 401, "token")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert "set-cookie" not in answer.headers


def test_the_token_opens_everything(make_site, picture_bytes):
    client = make_site(token=TOKEN).client()
    known = {"Authorization": f"Bearer {TOKEN}".encode()}
    assert client.get("/health", headers=known).status_code == 200
    assert post(client, picture_bytes(), headers=known).status_code == 200
    wrong(post(client, picture_bytes()), 401)


def test_the_page_makes_a_cookie_of_the_token_and_the_cookie_opens_the_rest(make_site, tmp_path):
    (tmp_path / "page").mkdir()
    (tmp_path / "page/index.html").write_text("the page")
    client = make_site(token=TOKEN, static=tmp_path / "page").client()
    wrong(client.get("/", params={"token": "wrong"}), 401)
    assert not client.cookies
    wrong(client.get("/health", params={"token": TOKEN}), 401)  # only where people come in
    answer = client.get("/", params={"token": TOKEN})
    assert answer.text == "the page"
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "samesite=strict" in cookie.lower()
    assert "correct" not in cookie  # not the token itself
    assert client.get("/health").status_code == 200


def test_guessing_tokens_is_slow(make_site):
    client = make_site(token=TOKEN, rate=5).client()
    statuses = [client.get("/", params={"token": str(k)}).status_code for k in range(30)]
    assert statuses[:2] == [401, 429]
    assert statuses.count(401) < 10


def test_a_body_over_the_limit_is_refused_before_it_is_read(make_site):
    site = make_site(body=5000)
    wrong(post(site.client(), bytes(5001)), 413, "5,000 bytes")
    raw = site.raw(
        b"POST /detect HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\nExpect: 100-continue\r\n"
        b"Content-Length: 999999999999\r\n\r\n"
    )
    status, answer, _ = told(raw)
    assert status == 413
    assert "5,000 bytes" in answer["error"]


def test_a_body_that_does_not_say_its_length_is_cut_off_at_the_limit(make_site):
    site = make_site(body=5000)
    wrong(post(site.client(), iter([bytes(1000)] * 8)), 413, "5,000 bytes")
    assert post(site.client(), iter([bytes(1000)] * 3)).status_code == 415  # no picture, but small enough


def test_a_body_that_comes_too_slowly_is_given_up(make_site):
    site = make_site(body_time=0.3)
    raw = site.raw(
        b"POST /detect HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\nContent-Length: 50\r\n\r\nabc"
    )
    status, answer, head = told(raw)
    assert status == 408
    assert "0.3 seconds" in answer["error"]
    assert b"connection: close" in head


def test_bodies_that_are_held_have_a_limit_together(make_site):
    wrong(post(make_site(body=5000, memory=4000).client(), bytes(4500)), 503, "too much is being sent")


def test_what_was_held_is_given_back(make_site, picture_bytes):
    client = make_site(memory=60_000, body=50_000).client()
    data = picture_bytes(".jpg", 100, 100)
    assert len(data) > 6000
    for _ in range(12):
        assert post(client, data).status_code == 200
        wrong(post(client, bytes(50_001)), 413)


def test_a_client_that_goes_away_in_the_middle_is_no_failure(make_site, caplog):
    import socket

    site = make_site()
    with socket.create_connection(("127.0.0.1", site.serve().port)) as link:
        link.sendall(b"POST /detect HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000\r\n\r\nabc")
    assert site.client().get("/health").status_code == 200
    assert not caplog.records


@pytest.mark.parametrize(
    "lines",
    [
        b"nonsense\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\r\n\r\n",
    ],
    ids=["text", "negative length", "TLS"],
)
def test_what_is_no_http_is_refused_in_json(site, lines):
    status, answer, head = told(site.raw(lines))
    assert status == 400
    assert "no HTTP request" in answer["error"]
    assert b"nosniff" in head


def test_a_head_without_an_end_is_refused(site):
    raw = site.raw(b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 100_000)
    assert raw.startswith(b"HTTP/1.1 400")


def test_a_head_that_comes_byte_by_byte_is_given_up(site, monkeypatch):
    monkeypatch.setattr("passerby.web.protocol.HEAD_TIME", 0.4)
    assert site.raw(b"GET /health HTTP/1.1\r\n", b"Host: loc", pause=0.1) == b""


def test_a_body_that_nobody_wants_is_not_waited_for(site, monkeypatch):
    # refused at once, for its Host; the sender goes on
    monkeypatch.setattr("passerby.web.protocol.HEAD_TIME", 0.4)
    raw = site.raw(b"POST /detect HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 5000\r\n\r\n", b"ab", pause=0.1)
    assert raw.startswith(b"HTTP/1.1 403")


def test_more_connections_than_allowed_are_refused_in_json(make_site):
    import socket

    site = make_site(connections=3)
    site.serve()
    with (
        socket.create_connection(("127.0.0.1", site.server.port)),
        socket.create_connection(("127.0.0.1", site.server.port)),
        httpx.Client(base_url=site.server.url) as third,
    ):
        assert third.get("/health").status_code == 200
        status, answer, head = told(site.raw(b""))
    assert status == 503
    assert "too many connections" in answer["error"]
    assert b"retry-after: 1" in head


@pytest.mark.parametrize(("method", "path"), [("DELETE", "/detect"), ("POST", "/health"), ("PUT", "/streams")])
def test_another_method_is_refused_naming_the_right_one(client, method, path):
    answer = client.request(method, path)
    wrong(answer, 405)
    assert answer.headers["Allow"]


def test_fastapis_own_pages_are_off(client):
    for path in ("/docs", "/redoc", "/docs/oauth2-redirect"):
        wrong(client.get(path), 404)
