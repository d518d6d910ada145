"""Pictures on the page: the boxes of `POST /detect`, and those of the network in the browser within a pixel of them."""

import base64
import json
import re
import urllib.request

import cv2
import numpy as np
import pytest

from passerby.geometry.nms import suppress
from passerby.geometry.resize import scale_to
from passerby.pictures import read_picture

sync_api = pytest.importorskip("playwright.sync_api", reason="no playwright: pip install playwright")
expect = sync_api.expect
THRESHOLD = 0.3
PIXEL, SCORE = 1.0, 0.01  # the most by which boxes and scores may differ
SIZES = [  # from, to: enlarged, halved, bilinear, averaged by parts and in whole blocks, one side each way
    ((50, 40), (150, 150)),
    ((200, 200), (100, 100)),
    ((240, 180), (100, 100)),
    ((101, 99), (100, 100)),
    ((300, 300), (100, 100)),
    ((500, 378), (150, 113)),
    ((300, 30), (100, 100)),
    ((30, 300), (100, 100)),
    ((1, 1), (30, 20)),
    ((30, 20), (30, 20)),
]


def post(url, path, model="head"):
    kind = "image/png" if path.suffix == ".png" else "image/jpeg"
    where = f"{url}/detect?model={model}&threshold={THRESHOLD}"
    request = urllib.request.Request(where, path.read_bytes(), {"Content-Type": kind}, method="POST")
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.loads(answer.read())


def look_at(page, paths, where="on the server", model="head"):
    page.get_by_role("radio", name="Pictures, video").check()
    page.get_by_role("radio", name=where).check()
    page.select_option("#model", model)
    page.locator("#threshold").fill(str(THRESHOLD))
    page.set_input_files("#files", paths)
    expect(page.locator("#strip .count", has_text="found")).to_have_count(len(paths) if len(paths) > 1 else 0)
    expect(page.locator("#people")).to_have_text(re.compile(r"^\d+$"))


def assert_same(found, wanted):
    """Each box that is clearly over the threshold on one side is on the other, nearly."""
    assert (found["width"], found["height"]) == (wanted["width"], wanted["height"])
    for ours, theirs in ((found, wanted), (wanted, found)):
        for row in ours["detections"]:
            if row["score"] < THRESHOLD + SCORE:
                continue
            near = [
                other
                for other in theirs["detections"]
                if other["label"] == row["label"]
                and abs(other["score"] - row["score"]) <= SCORE
                and max(abs(a - b) for a, b in zip(other["box"], row["box"], strict=True)) <= PIXEL
            ]
            assert near, f"{found['source']}: only {'the server' if ours is wanted else 'the browser'} has {row}"


@pytest.fixture
def pictures(tmp_path, examples, turn_jpeg):
    """Example pictures as JPEG and PNG, one of them turned by EXIF."""
    turned = turn_jpeg(_copy(examples[0], tmp_path / "turned.jpg"), 6)
    png = tmp_path / "as_png.png"
    cv2.imwrite(str(png), cv2.imread(str(examples[0])))
    return [*examples, turned, png]


def _copy(path, target):
    target.write_bytes(path.read_bytes())
    return target


def test_pictures_chosen_get_the_boxes_of_post_detect(open_page, site, pictures, saved):
    page = open_page()
    look_at(page, pictures)
    kept = saved(page)
    assert [row["source"] for row in kept["results"]] == [p.name for p in pictures]
    for row, path in zip(kept["results"], pictures, strict=True):
        assert set(row) == {"source", "frame", "width", "height", "detections"}
        assert row["detections"] == post(site, path)["detections"]
    assert all(row["detections"] for row in kept["results"][:2])


def test_picture_dropped_gets_the_boxes_of_post_detect(open_page, site, examples, saved):
    page = open_page()
    page.locator("#threshold").fill(str(THRESHOLD))
    expect(page.locator("#rate")).to_have_text(re.compile(r"^\d"))
    page.evaluate(
        """([name, data]) => {
          const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
          const dataTransfer = new DataTransfer();
          dataTransfer.items.add(new File([bytes], name, { type: "image/jpeg" }));
          for (const kind of ["dragover", "drop"])
            document.body.dispatchEvent(new DragEvent(kind, { dataTransfer, bubbles: true, cancelable: true }));
        }""",
        [examples[0].name, base64.b64encode(examples[0].read_bytes()).decode()],
    )
    wanted = post(site, examples[0])["detections"]
    page.locator("#threshold").fill(str(THRESHOLD))
    expect(page.locator("#people")).to_have_text(str(len(wanted)))
    assert saved(page)["results"][0]["detections"] == wanted


@pytest.mark.parametrize("model", ["head", "boxed"])
def test_network_in_the_browser_finds_what_the_server_finds(open_page, site, pictures, saved, model):
    page = open_page()
    posted = []
    page.on("request", lambda r: posted.append(r.url) if r.method != "GET" else None)
    look_at(page, pictures, "in this browser", model)
    rows = saved(page)["results"]
    assert posted == []
    assert len(rows) == len(pictures)
    for row, path in zip(rows, pictures, strict=True):
        assert row["detections"]
        assert_same(row, post(site, path, model))


@pytest.mark.shared
def test_network_in_the_browser_finds_the_same_heads_in_classrooms(open_page, site, shared, saved, tmp_path):
    root = shared / "data" / "scut_head"
    names = [
        name for part in "AB" for name in (root / "ImageSets" / "Main" / f"val_{part}.txt").read_text().split()[:10]
    ]
    paths = [root / "JPEGImages" / f"{name}.jpg" for name in names]
    for k in range(0, 20, 5):
        png = tmp_path / f"{names[k]}.png"
        cv2.imwrite(str(png), cv2.imread(str(paths[k])))
        paths[k] = png
    page = open_page()
    look_at(page, paths, "in this browser")
    rows = saved(page)["results"]
    assert sum(len(row["detections"]) for row in rows) > 200
    for row, path in zip(rows, paths, strict=True):
        assert_same(row, post(site, path))


def test_pixels_are_resized_as_the_server_resizes_them(open_page):
    page = open_page()
    random = np.random.default_rng(5)
    for (width, height), (to_width, to_height) in SIZES:
        pixels = random.integers(0, 256, (height, width, 3), np.uint8)
        rgba = np.dstack([pixels, np.full((height, width), 255, np.uint8)])
        made = page.evaluate(
            """async ([data, width, height, toWidth, toHeight]) => {
              const { scaleTo } = await import("/static/detector.js");
              const bytes = Uint8ClampedArray.from(atob(data), (c) => c.charCodeAt(0));
              const out = scaleTo({ width, height, data: bytes }, toWidth, toHeight);
              let text = "";
              for (const byte of out) text += String.fromCharCode(byte);
              return btoa(text);
            }""",
            [base64.b64encode(rgba.tobytes()).decode(), width, height, to_width, to_height],
        )
        wanted = scale_to(pixels, to_width, to_height).astype(int)
        got = np.frombuffer(base64.b64decode(made), np.uint8).reshape(wanted.shape)
        # Bit for bit with OpenCV on x86; on other processors its own roundings differ from each other by one.
        assert np.abs(got - wanted).max() <= 1, (width, height)
        assert (got != wanted).mean() < 0.02, (width, height)


@pytest.mark.parametrize("method", ["hard", "soft"])
def test_boxes_are_suppressed_as_the_server_suppresses_them(open_page, method):
    page = open_page()
    random = np.random.default_rng(7)
    corner = random.uniform(0, 60, (80, 2))
    boxes = np.concatenate([corner, corner + random.uniform(8, 30, (80, 2))], axis=1).astype(np.float32)
    boxes[5], boxes[6] = boxes[4], [3, 3, 3, 3]  # the same twice; no area
    scores = random.uniform(0, 1, (80, 2)).astype(np.float32)
    found, values, labels = suppress(boxes, scores, 0.1, 0.4, 50, method)
    rows = page.evaluate(
        """async ([boxes, scores, method]) => {
          const { suppress } = await import("/static/detector.js");
          return suppress(Float32Array.from(boxes), Float32Array.from(scores), 2, 0.1, 0.4, 50, method);
        }""",
        [boxes.ravel().tolist(), scores.ravel().tolist(), method],
    )
    assert len(rows) == len(values) > 20
    np.testing.assert_array_equal(boxes[[r["row"] for r in rows]], found)
    np.testing.assert_allclose([r["score"] for r in rows], values, atol=1e-6)
    assert [r["label"] for r in rows] == labels.tolist()


@pytest.mark.parametrize("threads", [1, 2])
def test_heat_map_in_the_browser_is_that_of_the_server(open_page, examples, models, threads):
    page = open_page()
    wanted = models.pool("boxed").look(read_picture(examples[1]))[1]
    made = page.evaluate(
        """async ([data, model, threads]) => {
          const { Local } = await import("/static/local.js");
          const blob = new Blob([Uint8Array.from(atob(data), (c) => c.charCodeAt(0))], { type: "image/jpeg" });
          const { heat } = await new Local(threads).look(model, blob, 0.3, true);
          return [heat.height, heat.width, [...heat.values]];
        }""",
        [base64.b64encode(examples[1].read_bytes()).decode(), "boxed", threads],
    )
    assert (made[0], made[1]) == wanted.shape
    assert np.abs(np.reshape(made[2], wanted.shape) / 255 - wanted).max() < 0.02
    assert wanted.max() > 0.5
