"""POST /detect: what it answers, and what it refuses before anything is decoded."""

from __future__ import annotations

import base64
import json
import struct
import threading
import zlib

import cv2
import httpx
import numpy as np
import pytest
from web_fixtures import Camera, post, until, wrong

from passerby.live.hub import Hub
from passerby.live.metrics import Metrics
from passerby.live.pool import Models
from passerby.web.app import create_app
from passerby.web.server import PageServer
from passerby.web.uploads import declared_size, kind_of

FOUND = [{"box": [120.0, 80.0, 180.0, 160.0], "score": 0.9, "label": "head"}]  # of 600 x 400
MORE = {"box": [300.0, 200.0, 360.0, 280.0], "score": 0.25, "label": "head"}


def png_of(width, height, data=b"x\x9cc\x00\x00\x00\x01\x00\x01"):
    """A PNG that states a size and holds next to nothing."""

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


@pytest.mark.parametrize("kind", [".jpg", ".png", ".webp", ".bmp"])
def test_every_kind_of_picture_is_answered(client, picture_bytes, kind):
    answer = post(client, picture_bytes(kind), "application/octet-stream")
    assert answer.status_code == 200
    assert answer.json() == {"source": "upload", "frame": 0, "width": 600, "height": 400, "detections": FOUND}


def test_the_answer_is_a_line_of_detect_json(cli, tiny_model, tmp_path, make_picture):
    path = make_picture(tmp_path / "photo.png", 120, 90)
    words = ["--model", tiny_model, "--threshold", 0, "--engine", "onnxruntime", "--threads", 1]
    expected = json.loads(cli("detect", path, "--json", *words).out)
    hub, models = Hub(), Models([str(tiny_model)], "onnxruntime", 1, 1)
    app = create_app(hub, models, Metrics(hub, models))
    with PageServer(app, "127.0.0.1", 0) as server, httpx.Client(base_url=server.url, timeout=60) as client:
        answer = post(client, path.read_bytes(), "image/png", params={"threshold": 0})
    assert len(expected["detections"]) > 5
    assert answer.text == json.dumps({**expected, "source": "upload"})


def test_the_threshold_is_that_of_the_request(client, picture_bytes):
    found = post(client, picture_bytes(), params={"threshold": 0.2}).json()["detections"]
    assert found == [*FOUND, MORE]
    assert post(client, picture_bytes(), params={"threshold": 0.95}).json()["detections"] == []


def test_a_heat_map_comes_when_asked_for(client, picture_bytes):
    assert "heat" not in post(client, picture_bytes()).json()
    heat = post(client, picture_bytes(), params={"heat": 1}).json()["heat"]
    assert (heat["width"], heat["height"]) == (144, 96)
    values = np.frombuffer(base64.b64decode(heat["values"]), np.uint8).reshape(96, 144)
    assert values[0, 0] == round(0.9 * 255)  # the first default boxes are those of the first cell
    assert (values > 0).sum() == 1


@pytest.mark.parametrize("model", ["nope", "../head", "/etc/passwd", "http://x/y.onnx", "head.onnx", ""])
def test_only_listed_models_can_be_named(client, picture_bytes, model):
    wrong(post(client, picture_bytes(), params={"model": model}), 404, "no model")


def test_another_listed_model_can_be_named(client, picture_bytes):
    assert post(client, picture_bytes(), params={"model": "other"}).json()["detections"] == FOUND


@pytest.mark.parametrize("threshold", ["-0.1", "1.1", "nan", "inf", "much"])
def test_a_threshold_out_of_range_is_refused_by_name(client, picture_bytes, threshold):
    wrong(post(client, picture_bytes(), params={"threshold": threshold}), 422, "threshold")


@pytest.mark.parametrize(
    "kind", ["application/x-www-form-urlencoded", "text/plain", "image/svg+xml", "multipart/form-data"]
)
def test_a_body_of_another_type_is_refused(client, picture_bytes, kind):
    wrong(post(client, picture_bytes(), kind), 415, kind, "Content-Type")


@pytest.mark.parametrize(
    "data",
    [b"hello", b"GIF89a" + bytes(40), b"II*\0" + bytes(40), b"P6 60000 60000 255\n", b"%PDF-1.7", b"<svg/>"],
    ids=["text", "gif", "tiff", "ppm", "pdf", "svg"],
)
def test_what_is_no_picture_of_a_known_kind_is_refused(client, site, data):
    wrong(post(client, data, "application/octet-stream"), 415, "JPEG, PNG, WebP or BMP")
    assert site.engine.calls == 0


def test_nothing_sent_is_refused(client):
    wrong(post(client, b""), 400, "nothing was sent")


def test_a_picture_cut_short_is_refused(client, picture_bytes):
    wrong(post(client, picture_bytes()[:2000]), 422, "cut short")


@pytest.mark.parametrize("kind", [".png", ".webp"])
def test_a_damaged_picture_is_refused(client, picture_bytes, kind):
    data = bytearray(picture_bytes(kind))
    data[60:200] = bytes(140)
    wrong(post(client, bytes(data), "application/octet-stream"), 422)


def test_a_decompression_bomb_is_refused_by_its_header(client, monkeypatch):
    monkeypatch.setattr("passerby.web.uploads.decode_picture", lambda *_: pytest.fail("it was decoded"))
    bomb = png_of(60_000, 60_000)
    assert len(bomb) < 100
    wrong(post(client, bomb, "image/png"), 413, "60000 x 60000", "50,000,000")


def bmp_of(width, height):
    return b"BM" + bytes(12) + struct.pack("<IiiHH", 40, width, height, 1, 24) + bytes(40)


def jpeg_of(width, height, before=b""):
    frame = b"\xff\xc0\x00\x11\x08" + struct.pack(">HH", height, width) + bytes(10)
    return b"\xff\xd8\xff\xe0\x00\x04ab" + before + frame + b"\xff\xda" + bytes(10) + b"\xff\xd9"


def webp_of(width, height):
    canvas = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return b"RIFF" + struct.pack("<I", 30) + b"WEBPVP8X" + struct.pack("<II", 10, 0) + canvas + bytes(8)


@pytest.mark.parametrize("make", [png_of, bmp_of, jpeg_of, webp_of])
def test_bombs_of_every_kind_are_refused(client, make, monkeypatch):
    monkeypatch.setattr("passerby.web.uploads.decode_picture", lambda *_: pytest.fail("it was decoded"))
    wrong(post(client, make(16_000, 16_000), "application/octet-stream"), 413, "16000 x 16000")
    if make is bmp_of:
        wrong(post(client, make(16_000, -16_000), "image/bmp"), 413, "16000 x 16000")


def test_a_jpeg_whose_header_is_no_ordinary_one_is_refused(client, monkeypatch):
    # to a decoder RST0 has no length, to a careless reader it hides the frame header that counts
    monkeypatch.setattr("passerby.web.uploads.decode_picture", lambda *_: pytest.fail("it was decoded"))
    hidden = (
        b"\xff\xd0" + struct.pack(">H", 21) + b"\xff\xc0\x00\x11\x08" + struct.pack(">HH", 60_000, 60_000) + bytes(10)
    )
    wrong(post(client, jpeg_of(10, 10, hidden)), 422, "states no size")
    wrong(post(client, jpeg_of(10, 10, b"junk")), 422, "states no size")


def test_a_jpeg_of_endless_scans_is_refused(client, monkeypatch):
    monkeypatch.setattr("passerby.web.uploads.decode_picture", lambda *_: pytest.fail("it was decoded"))
    wrong(post(client, jpeg_of(100, 100) + 200 * b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00"), 422, "scans")


@pytest.mark.parametrize("kind", [".jpg", ".png", ".webp", ".bmp"])
@pytest.mark.parametrize(("width", "height"), [(1, 1), (37, 5), (300, 211)])
def test_the_stated_size_is_the_decoded_one(picture_bytes, kind, width, height):
    data = picture_bytes(kind, width, height)
    assert declared_size(data, kind_of(data)) == (width, height)
    if kind == ".webp":  # the lossy kind has another header
        lossy = cv2.imencode(kind, np.zeros((height, width, 3), np.uint8), [cv2.IMWRITE_WEBP_QUALITY, 50])[1].tobytes()
        assert declared_size(lossy, "WebP") == (width, height)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WebP", "BMP"])
def test_a_header_cut_short_states_no_size(kind):
    for length in range(30):
        width, height = declared_size(b"\xff\xd8\xff\xe0\x00\x10JFIF".ljust(length)[:length], kind)
        assert width * height <= 2**62


def test_pixels_up_to_the_limit_are_taken(make_site, picture_bytes):
    client = make_site(pixels=200 * 100).client()
    assert post(client, picture_bytes(".png", 200, 100), "image/png").status_code == 200
    wrong(post(client, picture_bytes(".png", 201, 100), "image/png"), 413, "201 x 100")


def test_a_picture_that_exif_turns_comes_upright(client, picture_bytes, tmp_path, turn_jpeg):
    path = tmp_path / "p.jpg"
    path.write_bytes(picture_bytes(".jpg", 80, 40))
    answer = post(client, turn_jpeg(path, 6).read_bytes()).json()
    assert (answer["width"], answer["height"]) == (40, 80)


def test_too_many_pictures_are_told_to_come_later(make_site, picture_bytes):
    site = make_site(uploads=2, workers=2)
    client = site.client()
    site.engine.gate.clear()
    answers = []
    callers = [threading.Thread(target=lambda: answers.append(post(client, picture_bytes()))) for _ in range(2)]
    for caller in callers:
        caller.start()
    try:
        until(lambda: site.engine.calls == 2)
        refused = post(client, picture_bytes())
        wrong(refused, 503, "try again later")
        assert int(refused.headers["Retry-After"]) >= 1
    finally:
        site.engine.gate.set()
    for caller in callers:
        caller.join(60)
    assert [a.status_code for a in answers] == [200, 200]
    assert post(client, picture_bytes()).status_code == 200
    assert 'passerby_busy_total{path="/detect"} 1.0' in client.get("/metrics").text


def test_who_stands_in_line_too_long_is_told_to_come_later(make_site, picture_bytes):
    site = make_site(wait=0.05)
    client = site.client()
    site.engine.gate.clear()
    answers = []
    caller = threading.Thread(target=lambda: answers.append(post(client, picture_bytes())))
    caller.start()
    try:
        until(lambda: site.engine.calls)
        wrong(post(client, picture_bytes()), 503, "try again later")
    finally:
        site.engine.gate.set()
    caller.join(60)
    assert answers[0].status_code == 200


def test_a_client_that_asks_too_often_is_told_to_wait(make_site):
    client = make_site(rate=3).client()
    answers = [client.get("/models") for _ in range(30)]
    assert [a.status_code for a in answers[:6]] == [200] * 6
    refused = [a for a in answers if a.status_code != 200]
    assert len(refused) > 10
    wrong(refused[0], 429, "3 requests a second")
    assert refused[0].headers["Retry-After"] == "1"


def test_the_models_are_told_of_and_given(client, site):
    rows = client.get("/models").json()
    assert [(r["name"], r["default"]) for r in rows] == [("head", True), ("other", False)]
    spec = site.models.spec("head")
    row = rows[0]
    assert (row["width"], row["height"], row["labels"]) == (spec.width, spec.height, list(spec.labels))
    file = client.get("/models/other.onnx")
    assert len(file.content) == rows[1]["bytes"]
    assert file.content == site.models.path("other").read_bytes()
    assert client.get("/models/other.onnx", headers={"If-None-Match": file.headers["ETag"]}).status_code == 304


@pytest.mark.parametrize("name", ["nope", "..%2fother", "%2e%2e%2fhead", "head.onnx", "/etc/passwd"])
def test_a_model_that_is_not_listed_is_not_given(client, name):
    answer = client.get(f"/models/{name}.onnx")
    wrong(answer, 404)


def test_health_names_the_streams(make_site):
    camera = Camera()
    client = make_site({"door": camera}).client()
    until(lambda: client.get("/health").json()["status"] == "ok")
    assert client.get("/health").json()["streams"] == {"door": "live"}
    camera.left = 0
    until(
        lambda: (
            client.get("/health").json() != {"status": "ok"} and client.get("/health").json()["status"] == "degraded"
        )
    )


def test_metrics_count_requests_by_their_routes(client, picture_bytes):
    post(client, picture_bytes())
    client.get("/models/nope.onnx")
    client.get("/never/heard/of")
    answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert 'passerby_requests_total{method="POST",path="/detect",status="200"} 1.0' in answer.text
    assert 'path="/models/{name}.onnx",status="404"' in answer.text
    assert "never/heard" not in answer.text


def test_a_failure_of_ours_is_told_without_its_details(site, picture_bytes, monkeypatch, caplog):
    def fail(pixels):
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr(site.engine, "run", fail)
    answer = post(site.client(), picture_bytes())
    wrong(answer, 500, "see its log")
    assert "secret" not in answer.text
    assert "content-security-policy" in answer.headers
    assert "secret detail" in caplog.text
