"""The server itself: ready when entered, gone when left, and refused where it cannot be."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress

import httpx
import pytest
from web_fixtures import Camera, until
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from passerby.errors import OutputError, SettingError
from passerby.web.limits import Limits
from passerby.web.rates import CLIENTS, Bucket, Places, Rates, client_of
from passerby.web.server import PageServer


@pytest.fixture
def certificate(tmp_path):
    """A certificate of localhost and its key."""
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "2"]
    more = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-out", str(cert), "-keyout", str(key)]
    try:
        subprocess.run([*words, *more], check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("needs openssl")
    return cert, key


def test_it_is_ready_when_entered_and_gone_when_left(site):
    with PageServer(site.app, "127.0.0.1", 0) as server:
        assert server.port > 0
        assert server.url == f"http://127.0.0.1:{server.port}"
        assert httpx.get(f"{server.url}/health").json()["status"] == "ok"
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{server.url}/health")


def test_a_port_that_is_taken_is_an_output_error(site):
    with PageServer(site.app, "127.0.0.1", 0) as first:
        with (
            pytest.raises(OutputError, match=rf"port {first.port}.*--port"),
            PageServer(site.app, "127.0.0.1", first.port),
        ):
            pass
        assert httpx.get(f"{first.url}/health").status_code == 200


@pytest.mark.parametrize("host", ["192.0.2.77", "no.such.host.invalid"])
def test_a_host_that_is_not_ours_is_an_output_error(site, host):
    with pytest.raises(OutputError, match=host), PageServer(site.app, host, 0):
        pass


def test_it_ends_though_sockets_are_open_and_requests_hang(make_site):
    site = make_site({"door": Camera()})
    base = site.serve().url.replace("http", "ws")
    place = ("127.0.0.1", site.server.port)
    with (
        connect(f"{base}/ws/streams/door", open_timeout=60) as watching,
        connect(f"{base}/ws/detect", open_timeout=60) as talking,
        socket.create_connection(place),
    ):
        watching.send("next")
        json.loads(watching.recv(60))
        site.server.close()
        assert not site.server._thread.is_alive()
        for one in (watching, talking):
            with suppress(ConnectionClosed):
                list(one)  # what is left of it; a socket that stays open would never end
            assert one.close_code == 1012


def test_no_thread_stays_behind(make_site, picture_bytes):
    before = set(threading.enumerate())
    site = make_site()
    with PageServer(site.app, "127.0.0.1", 0) as server:
        httpx.post(f"{server.url}/detect", content=picture_bytes(), headers={"Content-Type": "image/jpeg"})
    until(lambda: {t for t in threading.enumerate() if t.name.startswith(("upload", "page"))} <= before)


ASK = """
import ssl, sys
import httpx
print(httpx.get(sys.argv[1] + "health", verify=ssl.create_default_context(cafile=sys.argv[2])).status_code)
"""


def test_https(certificate):
    """In processes of their own: beside all else that a test process has loaded, TLS ended it now and then."""
    words = ["serve", "--port", "0", "--cert", str(certificate[0]), "--key", str(certificate[1])]
    with subprocess.Popen([sys.executable, "-m", "passerby", *words], stderr=subprocess.PIPE, text=True) as server:
        try:
            page = next(line for line in server.stderr if line.startswith("page: "))
            url = page.removeprefix("page: ").strip().rstrip("/") + "/"
            assert url.startswith("https://127.0.0.1:")
            words = [sys.executable, "-c", ASK, url, str(certificate[0])]
            asked = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
            assert (asked.stdout.strip(), asked.stderr) == ("200", "")
        finally:
            server.terminate()
        server.stderr.read()
    assert server.returncode == 0


def test_a_certificate_that_is_none_is_a_setting_error(site, tmp_path, certificate):
    junk = tmp_path / "junk.pem"
    junk.write_text("junk")
    with pytest.raises(SettingError, match=r"junk\.pem"), PageServer(site.app, "127.0.0.1", 0, junk, certificate[1]):
        pass


def test_a_proxy_is_believed_only_where_that_is_said(make_site):
    for proxy, refused in ((False, True), (True, False)):
        site = make_site(rate=1)
        site.serve(proxy=proxy)
        client = site.client()
        statuses = {client.get("/models", headers={"X-Forwarded-For": f"10.0.0.{k}"}).status_code for k in range(20)}
        assert (429 in statuses) is refused


def test_the_address_of_a_server_of_all_hosts_is_one_that_can_be_opened(make_site):
    site = make_site(hosts=("0.0.0.0",))
    with PageServer(site.app, "0.0.0.0", 0) as server:
        assert "0.0.0.0" not in server.url
        assert httpx.get(f"{server.url}/health").status_code == 200


@pytest.mark.parametrize("name", ["body", "pixels", "sockets", "idle", "uploads"])
@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf")])
def test_a_limit_that_is_none_is_refused_by_name(name, value):
    with pytest.raises(SettingError, match=f"limit {name}"):
        Limits(**{name: value})


def test_a_bucket_fills_at_its_rate():
    now = [0.0]
    bucket = Bucket(10.0, lambda: now[0])
    assert [bucket.take() for _ in range(20)] == [0.0] * 20  # twice the rate at once
    assert bucket.take() == pytest.approx(0.1)
    now[0] = 0.1
    assert bucket.take() == 0.0
    assert bucket.take() > 0
    now[0] = 1000.0
    assert [bucket.take() for _ in range(20)] == [0.0] * 20
    assert bucket.take() > 0


def test_a_bucket_without_a_rate_never_refuses():
    bucket = Bucket(0.0)
    assert all(bucket.take() == 0.0 for _ in range(1000))


def test_the_table_of_clients_does_not_grow_for_ever():
    rates = Rates(1.0)
    first = rates.of("first")
    for k in range(CLIENTS + 5):
        rates.of(str(k))
    assert len(rates._buckets) == CLIENTS
    assert rates.of("first") is not first


def test_places_are_given_back():
    from passerby.errors import BusyError

    places = Places(3, 2)
    with places.one("a"), places.one("a"):
        with pytest.raises(BusyError), places.one("a"):
            pass
        with places.one("b"), pytest.raises(BusyError), places.one("c"):
            pass
    with places.one("a"), places.one("a"), places.one("b"):
        pass


@pytest.mark.parametrize(
    ("address", "client"),
    [
        ("10.1.2.3", "10.1.2.3"),
        ("::ffff:10.1.2.3", "10.1.2.3"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("testclient", "testclient"),
    ],
)
def test_who_counts_as_one_client(address, client):
    assert client_of({"client": (address, 5)}) == client
    assert client_of({"client": None}) == ""


def test_a_server_that_was_never_entered_can_be_closed(site):
    began = time.monotonic()
    PageServer(site.app, "127.0.0.1", 0).close()
    assert time.monotonic() - began < 60
