"""The page in a real browser: camera, video, streams, lines, keys, small screens, and what it must not do."""

import json
import re
import urllib.request

import cv2
import numpy as np
import pytest

from passerby.live.pool import Models

sync_api = pytest.importorskip("playwright.sync_api", reason="no playwright: pip install playwright")
expect = sync_api.expect
SOME = re.compile(r"^[1-9]\d*$")
# A video's own time goes on as ever, and a busy machine looks at as many moments of it as an idle one.
SLOWLY = """() => {
  const { play } = HTMLMediaElement.prototype;
  HTMLMediaElement.prototype.play = function () {
    this.playbackRate = 0.35;
    return play.call(this);
  };
}"""


def ask(url):
    with urllib.request.urlopen(url, timeout=30) as answer:
        return json.loads(answer.read())


def start_camera(page):
    page.get_by_role("radio", name="Camera").check()
    page.click("#camera-start")


def drag(page, start, end):
    """From one place on the stage to another, in shares of it."""
    box = page.locator("#stage").bounding_box()
    (x0, y0), (x1, y1) = ((box["x"] + p[0] * box["width"], box["y"] + p[1] * box["height"]) for p in (start, end))
    page.mouse.move(x0, y0)
    page.mouse.down()
    page.mouse.move((x0 + x1) / 2, (y0 + y1) / 2)
    page.mouse.move(x1, y1)
    page.mouse.up()


def eventually(page, what, good):
    """Ask again until the answer is good, for half a minute at most: the answer."""
    for _ in range(300):
        if good(answer := what()):
            return answer
        page.wait_for_timeout(100)
    raise AssertionError(f"still {answer}")


def test_opens_without_errors_or_requests_to_elsewhere_and_shows_the_first_stream(open_page):
    page = open_page()
    expect(page.locator("#server")).to_have_text(re.compile(r"^server (ok|degraded)$"))
    expect(page.locator("#model option")).to_have_text(["head", "boxed"])
    expect(page.locator("#streams button[aria-pressed=true]")).to_have_text("door")
    expect(page.locator("#rate")).to_have_text(re.compile(r"^\d+\.\d$"))
    expect(page.locator("#people")).to_have_text(SOME)
    assert page.evaluate("crossOriginIsolated")


def test_names_from_outside_are_text(open_page, site):
    page = open_page()
    nasty = ask(f"{site}/streams")[1]["name"]
    page.locator("#streams button", has_text="<img").click()
    expect(page.locator("#streams button[aria-pressed=true]")).to_have_text(nasty)
    expect(page.locator("#rate")).to_have_text(re.compile(r"^\d"))
    assert page.locator("img").count() == 0
    assert page.title() == "passerby"


def test_camera_shows_boxes_and_counts_and_follows_the_threshold(open_page, saved):
    page = open_page()
    start_camera(page)
    expect(page.locator("#people")).to_have_text(SOME)
    expect(page.locator("#total")).to_have_text(SOME)
    page.locator("#found-card summary").click()
    expect(page.locator("#found tr").first).to_contain_text("head")
    page.locator("#threshold").fill("0.95")
    expect(page.locator("#people")).to_have_text("0")
    expect(page.locator("#found tr")).to_have_count(0)
    page.locator("#threshold").fill("0.3")
    expect(page.locator("#people")).to_have_text(SOME)
    kept = saved(page)
    assert kept["threshold"] == 0.3
    assert kept["where"] == "server"
    times = [row["time"] for row in kept["results"]]
    assert times == sorted(times)
    assert any(row["detections"] for row in kept["results"])
    assert all({"id", "score", "box", "label"} <= set(d) for row in kept["results"] for d in row["detections"])
    assert max(row["total"] for row in kept["results"]) > min(row["total"] for row in kept["results"])
    page.click("#camera-start")
    expect(page.locator("#camera-start")).to_have_text("Start the camera")
    expect(page.locator("#people")).to_have_text("-")


def test_in_the_browser_boxes_travel_and_pictures_do_not_and_alone_nothing_does(open_page):
    page = open_page()
    sent = []
    page.on("websocket", lambda socket: socket.on("framesent", lambda message: sent.append(message)))
    page.get_by_role("radio", name="in this browser").check()
    start_camera(page)
    expect(page.locator("#where-says")).to_contain_text("Pictures stay on this machine; boxes go")
    expect(page.locator("#total")).to_have_text(SOME)
    assert any(isinstance(m, str) and m.startswith('{"boxes"') for m in sent)
    assert not [m for m in sent if not isinstance(m, str)]
    page.check("#alone")
    expect(page.locator("#untracked")).to_contain_text("Nothing is sent")
    expect(page.locator("#total")).to_have_text("-")
    sent.clear()
    expect(page.locator("#people")).to_have_text("0")
    expect(page.locator("#people")).to_have_text(SOME)
    assert sent == []


def test_video_file_plays_to_its_end_and_is_counted_over_a_line(open_page, clip):
    page = open_page()
    page.evaluate(SLOWLY)
    page.set_input_files("#files", clip)
    page.click("#line")
    drag(page, (0.75, 0.98), (0.75, 0.02))
    page.locator("#seek").fill("0")  # a busy machine may have played past the crossing before the line was there
    expect(page.locator("#banner")).to_have_text("ENDED")
    expect(page.locator("#total")).to_have_text(SOME)
    expect(page.locator("#scene .counts")).to_have_text(re.compile(r"in [1-9]\d*, out"))
    page.locator("#seek").fill("0")
    expect(page.locator("#banner")).to_be_hidden()


def test_line_drawn_by_mouse_on_a_stream_counts_and_zone_by_clicks_fills(open_page, site):
    page = open_page()
    expect(page.locator("#rate")).to_have_text(re.compile(r"^\d"))
    page.click("#line")
    expect(page.locator("#hint")).to_be_visible()
    drag(page, (0.75, 0.98), (0.75, 0.02))  # upwards: the right hand, "in", is to the right
    expect(page.locator("#scene input")).to_have_value("line 1")
    expect(page.locator("#scene .counts")).to_have_text(re.compile(r"in [1-9]\d*, out"))
    [line] = ask(f"{site}/streams/door/scene")["lines"]
    assert line["start"] == pytest.approx([0.75, 0.98], abs=0.01)
    assert line["end"] == pytest.approx([0.75, 0.02], abs=0.01)

    page.locator("#scene input").fill("door")
    page.locator("#scene input").press("Enter")
    page.get_by_role("button", name="Turn").click()
    turned = eventually(page, lambda: ask(f"{site}/streams/door/scene")["lines"], lambda n: n[0]["name"] == "door")
    eventually(page, lambda: ask(f"{site}/streams/door/scene")["lines"][0]["start"][1], lambda y: y < 0.1)
    assert len(turned) == 1

    page.click("#zone")
    box = page.locator("#stage").bounding_box()
    corners = [(0.02, 0.02), (0.98, 0.02), (0.98, 0.98), (0.02, 0.98)]
    for x, y in corners:
        page.mouse.click(box["x"] + x * box["width"], box["y"] + y * box["height"])
    page.locator("#stage").press("Enter")
    expect(page.locator("#scene .counts").nth(1)).to_have_text(re.compile(r"[1-9]\d* in all"))
    page.click("#clear")
    expect(page.locator("#scene li")).to_have_count(0)
    eventually(page, lambda: ask(f"{site}/streams/door/scene"), lambda s: s == {"lines": [], "zones": []})


def test_everything_by_keyboard(open_page, site):
    page = open_page()
    page.locator("#streams button", has_text="<img").click()  # a stream whose lines no other test uses
    name = ask(f"{site}/streams")[1]["name"]
    where = f"{site}/streams/{urllib.request.quote(name)}/scene"
    expect(page.locator("#rate")).to_have_text(re.compile(r"^\d"))
    page.keyboard.press("?")
    expect(page.locator("#help")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#help")).to_be_hidden()

    page.keyboard.press("l")
    page.keyboard.press("Enter")
    expect(page.locator("#scene li")).to_have_count(1)
    page.keyboard.press("ArrowDown")  # the focus is on the line's start
    page.keyboard.press("Shift+ArrowRight")
    lines = eventually(page, lambda: ask(where)["lines"], lambda lines: lines and lines[0]["start"] != [0.1, 0.5])
    assert lines[0]["start"] == pytest.approx([0.15, 0.51], abs=1e-6)
    page.keyboard.press("Delete")
    expect(page.locator("#scene li")).to_have_count(0)
    page.keyboard.press("z")
    page.keyboard.press("Escape")
    expect(page.locator("#hint")).to_be_hidden()

    page.locator("#stage").focus()
    page.keyboard.press("Space")
    expect(page.locator("#banner")).to_have_text("PAUSED")
    page.keyboard.press("Space")
    expect(page.locator("#banner")).to_be_hidden()
    page.keyboard.press("h")
    expect(page.locator("#heat")).to_be_checked()
    page.keyboard.press("h")
    before = float(page.locator("#threshold-value").inner_text())
    page.keyboard.press("]")
    assert float(page.locator("#threshold-value").inner_text()) == pytest.approx(before + 0.05)
    page.keyboard.press("[")

    page.keyboard.press("?")
    page.uncheck("#keys-on")
    page.keyboard.press("Escape")
    page.keyboard.press("h")
    expect(page.locator("#heat")).not_to_be_checked()


def test_every_control_is_reached_by_tab_and_shows_it(open_page):
    page = open_page()
    expect(page.locator("#rate")).to_have_text(re.compile(r"^\d"))
    outlines = {}
    for _ in range(40):
        page.keyboard.press("Tab")
        name, outline = page.evaluate(
            """() => {
              const at = document.activeElement;
              const seen = at.type === "radio" ? at.nextElementSibling : at;
              return [at === document.body ? "" : at.id || at.name || at.textContent.trim(),
                getComputedStyle(seen).outlineStyle];
            }"""
        )
        outlines[name] = outline
    outlines.pop("", None)  # the end of the page, before it begins anew
    wanted = {"help-open", "tab", "door", "stage", "pause", "line", "zone", "save-picture", "save-json", "threshold"}
    assert wanted | {"model", "where", "heat"} <= set(outlines)
    assert [name for name, outline in outlines.items() if outline not in ("solid", "auto")] == []


def test_a_source_gone_silent_is_shown_as_stale(open_page):
    page = open_page()
    page.locator("#streams button", has_text="silent").click()
    expect(page.locator("#banner")).to_have_text(re.compile(r"^(STALE|LOST) \d+ s$"))
    expect(page.locator("#stage")).to_have_class(re.compile(r"\bold\b"))
    assert "grayscale" in page.locator("#canvas").evaluate("c => getComputedStyle(c).filter")
    expect(page.locator("#people")).to_have_text("0")
    expect(page.locator("#server")).to_contain_text("degraded")


def test_a_server_that_comes_back_is_found_again(open_page, serve, models):
    with serve(models) as url:
        page = open_page(url, strict=False)  # the browser itself writes lost connections on its console
        page.get_by_role("radio", name="in this browser").check()
        start_camera(page)
        expect(page.locator("#total")).to_have_text(SOME)
        page.get_by_role("radio", name="on the server").check()
        expect(page.locator("#people")).to_have_text(SOME)
        before = int(page.locator("#total").inner_text())
    expect(page.locator("#banner")).to_have_text(re.compile(r"^STALE \d+ s: no server$"))
    expect(page.locator("#server")).to_have_text("server not reached")
    page.get_by_role("radio", name="in this browser").check()  # which goes on without it
    expect(page.locator("#banner")).to_be_hidden()
    expect(page.locator("#untracked")).to_contain_text("The server is not reached")
    page.get_by_role("radio", name="on the server").check()
    with serve(models, port=int(url.rpartition(":")[2])):
        expect(page.locator("#total")).to_have_text(SOME)
        expect(page.locator("#banner")).to_be_hidden()
        assert int(page.locator("#total").inner_text()) >= before
        page.close()


def test_token_opens_everything_and_leaves_the_address(open_page, serve, models):
    with serve(models, token="open sesame") as url:
        page = open_page(url, path="/?token=open%20sesame")
        expect(page.locator("#model option").first).to_have_text("head")
        assert page.url == f"{url}/"
        start_camera(page)
        expect(page.locator("#rate")).to_have_text(re.compile(r"^\d"))
        page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_phone_has_no_sideways_scrolling_in_light_and_dark(open_page, examples, scheme):
    page = open_page(viewport={"width": 360, "height": 740}, color_scheme=scheme, has_touch=True, is_mobile=True)
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    light = sum(int(n) for n in re.findall(r"\d+", background)[:3]) > 382
    assert light == (scheme == "light")
    for tab in ("Streams", "Camera", "Pictures, video"):
        page.get_by_role("radio", name=tab).check()
        assert page.evaluate("document.documentElement.scrollWidth") == 360
    page.get_by_role("radio", name="Streams").check()
    page.get_by_role("button", name="silent").click()
    expect(page.locator("#banner")).to_be_visible()
    page.click("#line")
    page.locator("#stage").press("Enter")
    expect(page.locator("#scene li")).to_have_count(1)
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    page.click("#clear")
    page.set_input_files("#files", examples)
    expect(page.locator("#strip .count").first).to_have_text(re.compile("found"))
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    small = page.evaluate(
        """() => [...document.querySelectorAll("button, select")]
          .filter((e) => e.offsetParent && Math.min(e.offsetWidth, e.offsetHeight) < 32).map((e) => e.textContent)"""
    )
    assert small == []  # a finger needs room


def test_picture_is_saved_with_its_boxes(open_page, examples, tmp_path):
    page = open_page()
    page.set_input_files("#files", examples[0])
    expect(page.locator("#people")).to_have_text(SOME)
    with page.expect_download() as download:
        page.click("#save-picture")
    download.value.save_as(tmp_path / "saved.png")
    plain, drawn = cv2.imread(str(examples[0])), cv2.imread(str(tmp_path / "saved.png"))
    assert drawn.shape == plain.shape
    changed = np.abs(drawn.astype(int) - plain).max(axis=2) > 60
    assert 0.001 < changed.mean() < 0.1  # lines, not the whole picture
    assert download.value.suggested_filename == f"{examples[0].stem}.png"


def test_a_model_that_localises_says_that_it_runs_on_the_server_only(open_page, serve):
    with serve(Models(["person-map"], engine="onnxruntime")) as url:
        page = open_page(url)
        page.get_by_role("radio", name="in this browser").check()
        expect(page.locator("#where-says")).to_contain_text("person-map shows where, not boxes")
        page.get_by_role("radio", name="on the server").check()
        expect(page.locator("#where-says")).not_to_contain_text("cannot run")
