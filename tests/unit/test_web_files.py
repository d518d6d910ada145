"""The page's files: what is listed is given, packed where it can be, and nothing else can be named."""

from __future__ import annotations

import gzip

import pytest
from web_fixtures import wrong

from passerby.web.files import STATIC, static_files


@pytest.fixture
def folder(tmp_path):
    """A page of three files beside a secret."""
    (tmp_path / "secret.txt").write_text("secret")
    page = tmp_path / "page"
    (page / "ort").mkdir(parents=True)
    (page / "index.html").write_text("<p>page</p>")
    (page / "app.js").write_text("let x = 1;")
    (page / "ort/run.wasm.gz").write_bytes(gzip.compress(b"\0asm" + bytes(1000)))
    (page / ".hidden").write_text("hidden")
    return page


@pytest.fixture
def client(make_site, folder):
    """A client of a server of that page."""
    return make_site(static=folder).client()


def test_the_page_and_its_files_are_given_with_their_types(client):
    page = client.get("/")
    assert page.text == "<p>page</p>"
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert client.get("/static/app.js").headers["content-type"] == "text/javascript; charset=utf-8"
    assert client.head("/").status_code == 200


def test_a_packed_file_is_given_under_its_own_name(client):
    answer = client.get("/static/ort/run.wasm")
    assert answer.content == b"\0asm" + bytes(1000)
    assert answer.headers["content-type"] == "application/wasm"
    assert answer.headers["content-encoding"] == "gzip"
    assert int(answer.headers["content-length"]) < 200
    plain = client.get("/static/ort/run.wasm", headers={"Accept-Encoding": "identity"})
    assert plain.content == answer.content
    assert "content-encoding" not in plain.headers
    assert plain.headers["etag"] != answer.headers["etag"]
    wrong(client.get("/static/ort/run.wasm.gz"), 404)


def test_a_file_that_the_browser_has_is_not_sent_again(client):
    first = client.get("/static/app.js")
    again = client.get("/static/app.js", headers={"If-None-Match": first.headers["etag"]})
    assert again.status_code == 304
    assert not again.content
    assert again.headers["cross-origin-embedder-policy"] == "require-corp"
    assert again.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize(
    "path",
    [
        "/static/../secret.txt",
        "/static/..%2fsecret.txt",
        "/static/%2e%2e/secret.txt",
        "/static/%2e%2e%2fsecret.txt",
        "/static/..%5csecret.txt",
        "/static/ort/../../secret.txt",
        "/static//etc/passwd",
        "/static/%2fetc%2fpasswd",
        "/static/.hidden",
        "/static/ort",
        "/static/ort/",
        "/static/",
        "/static/app.js%00.html",
        "/static/app.js/",
        "/../secret.txt",
        "//secret.txt",
        "/static/http://127.0.0.1/x",
    ],
)
def test_nothing_else_can_be_named(make_site, folder, path):
    site = make_site(static=folder)
    raw = site.raw(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    assert raw.startswith(b"HTTP/1.1 404"), raw
    assert b"secret" not in raw.partition(b"\r\n\r\n")[2]


def test_without_a_page_programs_are_still_served(make_site, tmp_path):
    (tmp_path / "none").mkdir()
    client = make_site(static=tmp_path / "none").client()
    wrong(client.get("/"), 404, "/openapi.json")
    assert client.get("/health").status_code == 200


def test_every_shipped_file_has_a_type_of_its_own():
    files = static_files()
    assert "ort/ort-wasm-simd-threaded.wasm" in files
    for name, file in files.items():
        assert file.kind != "text/plain; charset=utf-8" or "." not in name or name.endswith((".txt", ".md")), name


def test_the_shipped_page_loads_nothing_from_outside():
    for path in (p for p in STATIC.rglob("*") if p.suffix in (".html", ".css", ".js") and "ort" not in p.parts):
        text = path.read_text(encoding="utf-8")
        for sign in ('src="http', 'href="http', 'from "http', "url(http", "//cdn", 'import("http', "@import"):
            assert sign not in text, f"{path.name}: {sign}"
