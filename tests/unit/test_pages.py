"""HTML and SVG: well formed, escaped, self-contained, and drawn where the numbers say."""

from __future__ import annotations

import base64
import math
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from itertools import pairwise

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from passerby.errors import OutputError
from passerby.pages import html, plots
from passerby.pages import svg as svg_parts

NASTY = "<script>alert(\"1\")</script> & 'x'"
SVG = "{http://www.w3.org/2000/svg}"
VOID = {"meta", "img", "br", "link", "input"}


class Checker(HTMLParser):
    """Fails on tags that are not closed in order, and collects what a document holds."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def parsed(document):
    checker = Checker()
    checker.feed(document)
    checker.close()
    assert checker.open == []
    return checker


def svg(text):
    return ET.fromstring(text)


def texts(plot):
    return ["".join(t.itertext()) for t in svg(plot).iter(f"{SVG}text")]


ALL_PLOTS = {
    "histogram": lambda t: plots.histogram([1, 2, 2, 3], [0, 2, 4], t, t, t),
    "bars": lambda t: plots.bars([t, "b"], [3.0, math.nan], t),
    "lines": lambda t: plots.lines({t: ([1, 2], [3, 4]), "b": ([1, 10], [1, 2])}, t, t, t, log_x=True),
    "stacks": lambda t: plots.stacks([t, "b"], {t: [3.0, 1.0], "d": [1.0, 2.0]}, t, " ms"),
    "groups": lambda t: plots.groups({t: [30.0, math.nan], "d": [10.0, 20.0]}, [t, "b"], t, t, 100.0),
    "scatter": lambda t: plots.scatter({t: (1.0, 50.0), "b": (math.nan, 2.0), "c": (9.0, 90.0)}, t, t, t),
    "log": lambda t: plots.lines({t: ([0.01, 1], [0.1, 0.9]), "b": ([1], [0])}, t, t, t, log_x=True, log_y=True),
    "heat": lambda t: plots.heat([[0, 1], [2, 3]], t, t, t),
}


@pytest.mark.parametrize("plot", ALL_PLOTS.values(), ids=ALL_PLOTS)
def test_plots_are_xml_with_a_title_and_escape_what_they_are_given(plot):
    root = svg(plot(NASTY))
    assert root.find(f"{SVG}title").text == NASTY
    assert root.get("role") == "img"
    assert not list(root.iter(f"{SVG}script"))
    assert "prefers-color-scheme" in root.find(f"{SVG}style").text


@pytest.mark.parametrize("plot", ALL_PLOTS.values(), ids=ALL_PLOTS)
def test_nothing_of_a_plot_lies_outside_its_frame(plot):
    root = svg(plot("words"))
    _, _, width, height = map(float, root.get("viewBox").split())
    for text in root.iter(f"{SVG}text"):
        if text.get("x"):
            assert 0 <= float(text.get("x")) <= width
            assert 0 <= float(text.get("y")) <= height
    for box in root.iter(f"{SVG}rect"):
        x, y, w, h = (float(box.get(k, 0)) for k in ("x", "y", "width", "height"))
        assert x >= 0
        assert y >= 0
        assert x + w <= width + 0.1
        assert y + h <= height + 0.1


def test_a_histogram_counts_and_what_lies_outside_goes_to_the_ends():
    root = svg(plots.histogram([-5, 0.5, 1.5, 1.6, 99], [0, 1, 2, 3], "x", "y", "t"))
    told = [r.find(f"{SVG}title").text for r in root.iter(f"{SVG}rect") if r.find(f"{SVG}title") is not None]
    assert told == ["0 to 1: 2", "1 to 2: 2", "2 to 3: 1"]
    heights = [float(r.get("height")) for r in root.iter(f"{SVG}rect") if r.find(f"{SVG}title") is not None]
    assert heights[0] == heights[1] == pytest.approx(2 * heights[2], abs=0.11)


def test_bars_are_as_long_as_their_values():
    root = svg(plots.bars(["a", "b", "c"], [10, 5, math.nan], "t", unit=" %"))
    a, b, c = (float(r.get("width")) for r in list(root.iter(f"{SVG}rect"))[1:])
    assert b == pytest.approx(a / 2, abs=0.11)
    assert c == 0
    assert {"10 %", "5 %", "-"} <= set(texts(plots.bars(["a", "b", "c"], [10, 5, math.nan], "t", unit=" %")))


def test_lines_rise_where_values_rise_and_leave_out_what_is_no_number():
    root = svg(plots.lines({"one": ([1, 2, 3, 4], [0, 1, math.nan, 2])}, "x", "y", "t"))
    spots = [(float(c.get("cx")), float(c.get("cy"))) for c in root.iter(f"{SVG}circle")]
    assert len(spots) == 3
    assert [x for x, _ in spots] == sorted(x for x, _ in spots)
    assert [y for _, y in spots] == sorted((y for _, y in spots), reverse=True)


def test_a_logarithmic_axis_has_equal_steps_for_equal_factors():
    root = svg(plots.lines({"one": ([1, 10, 100], [1, 2, 3])}, "x", "y", "t", log_x=True))
    a, b, c = (float(spot.get("cx")) for spot in root.iter(f"{SVG}circle"))
    assert b - a == pytest.approx(c - b, abs=0.2)


def test_parts_of_a_stack_lie_one_behind_the_other_and_are_as_long_as_their_values():
    root = svg(plots.stacks(["a"], {"one": [10.0], "two": [30.0]}, "t"))
    one, two = [r for r in root.iter(f"{SVG}rect") if r.find(f"{SVG}title") is not None]
    x, wide = float(one.get("x")), float(one.get("width"))
    assert float(two.get("width")) == pytest.approx(3 * wide, abs=0.2)
    assert float(two.get("x")) == pytest.approx(x + wide, abs=0.2)
    assert "40" in texts(plots.stacks(["a"], {"one": [10.0], "two": [30.0]}, "t"))


def test_bars_of_a_group_are_as_high_as_their_values_and_nan_has_none():
    root = svg(plots.groups({"one": [50.0, 100.0], "two": [math.nan, 25.0]}, ["a", "b"], "t", "y", 100.0))
    told = {r.find(f"{SVG}title").text: float(r.get("height")) for r in root.iter(f"{SVG}rect") if len(r)}
    assert set(told) == {"one, a: 50", "one, b: 100", "two, b: 25"}
    assert told["one, b: 100"] == pytest.approx(2 * told["one, a: 50"], abs=0.2)


def test_a_logarithmic_height_has_equal_steps_for_equal_factors():
    root = svg(plots.lines({"one": ([1, 2, 3, 4], [0.01, 0.1, 1, 0])}, "x", "y", "t", log_y=True))
    a, b, c = (float(spot.get("cy")) for spot in root.iter(f"{SVG}circle"))  # 0 has no place
    assert a - b == pytest.approx(b - c, abs=0.2)


def test_several_lines_have_a_legend_and_one_has_none():
    both = texts(plots.lines({"first": ([1, 2], [1, 2]), "second": ([1, 2], [2, 1])}, "x", "y", "t"))
    assert {"first", "second"} <= set(both)
    assert "first" not in texts(plots.lines({"first": ([1, 2], [1, 2])}, "x", "y", "t"))


def test_a_plot_without_values_is_still_a_plot():
    for text in (
        plots.lines({}, "x", "y", "t"),
        plots.lines({"a": ([], [])}, "x", "y", "t", log_x=True),
        plots.histogram([], [1, 2, 400], "x", "y", "t"),
        plots.bars([], [], "t"),
        plots.stacks([], {}, "t"),
        plots.groups({}, [], "t", "y", 100.0),
        plots.scatter({}, "x", "y", "t"),
        plots.heat(np.zeros((2, 2)), "x", "y", "t"),
    ):
        assert "nan" not in text
        svg(text)


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6))
def test_ticks_are_round_few_and_inside(low, length):
    found = svg_parts.ticks(low, low + length)
    assert 1 <= len(found) <= 13
    slack = length * 1e-6 + abs(low) * 1e-9
    assert all(low - slack <= t <= low + length + slack for t in found)


def test_ticks_by_hand():
    assert svg_parts.ticks(0, 100) == [0, 20, 40, 60, 80, 100]
    assert svg_parts.ticks(0, 1, 5) == [0, 0.2, 0.4, 0.6, 0.8, 1]
    assert svg_parts.log_ticks(2, 200) == pytest.approx([2, 5, 10, 20, 50, 100, 200])
    assert svg_parts.log_ticks(1, 1e5) == pytest.approx([1, 10, 100, 1000, 1e4, 1e5])


def test_tick_labels_do_not_lie_on_each_other():
    root = svg(plots.histogram([1], np.linspace(0, 3_000_000, 30), "x", "y", "t"))
    places = sorted(
        (float(t.get("x")), len(t.text)) for t in root.iter(f"{SVG}text") if re.fullmatch(r"[\d,]+", t.text or "")
    )
    across = [(x, n) for x, n in places if x > 60]
    assert len(across) >= 3
    for (x, n), (right, m) in pairwise(across):
        assert right - x > 7 * (n + m) / 2


def whole(pixels):
    return html.page(
        NASTY,
        [
            html.heading(NASTY),
            html.text(NASTY),
            html.code(NASTY),
            html.table([NASTY, "n"], [[NASTY, 1], ["b", None]]),
            html.gallery(
                [html.figure(plots.bars(["a"], [1], "t"), NASTY), html.figure(html.photo(pixels, alt=NASTY), "")]
            ),
        ],
    )


def test_a_page_is_well_formed_escaped_and_loads_nothing(make_pixels):
    document = whole(make_pixels())
    found = parsed(document)
    tags = [tag for tag, _ in found.seen]
    assert "script" not in tags
    assert "link" not in tags
    assert found.texts.count(NASTY) == 8  # title, two headings, paragraph, code, two cells, caption
    for tag, attributes in found.seen:
        for name, value in attributes.items():
            assert not name.startswith("on")
            if name in ("src", "href"):
                assert value.startswith("data:"), (tag, value)
    for place in re.findall(r"https?://[^\"'\s<]+", document):
        assert place.startswith("http://www.w3.org/")  # names of XML, which nothing loads
    assert "@import" not in document
    assert "url(" not in document
    assert "prefers-color-scheme: dark" in document
    assert ("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}) in found.seen


def test_a_table_aligns_columns_of_numbers_and_writes_them_out():
    found = html.table(["name", "n", "share"], [["a", 1234567, 0.123456], ["b", None, math.nan]])
    assert "1,234,567" in found
    assert "0.1235" in found
    assert found.count('<td class="n">-</td>') == 2
    assert "<td>a</td>" in found
    assert found.count('<th scope="col" class="n">') == 2


def test_rows_of_a_wrong_length_are_an_error():
    with pytest.raises(ValueError, match="argument"):
        html.table(["a", "b"], [["only one"]])


def image_of(tag):
    (attributes,) = [a for t, a in parsed(tag).seen if t == "img"]
    data = base64.b64decode(attributes["src"].removeprefix("data:image/jpeg;base64,"))
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    assert (str(pixels.shape[1]), str(pixels.shape[0])) == (attributes["width"], attributes["height"])
    return pixels, attributes["alt"]


def test_a_photo_is_shrunk_never_enlarged_and_says_what_it_shows():
    pixels, alt = image_of(html.photo(np.full((400, 1000, 3), 128, np.uint8), alt=NASTY, longest=500))
    assert (pixels.shape, alt) == ((200, 500, 3), NASTY)
    assert image_of(html.photo(np.full((30, 20, 3), 128, np.uint8), alt="a"))[0].shape == (30, 20, 3)


def test_boxes_are_drawn_where_they_are_and_the_marked_one_in_the_stronger_colour():
    grey = np.full((400, 800, 3), 128, np.uint8)
    boxes = np.array([[100, 100, 300, 300], [500, 100, 700, 300]], np.float32)
    before = grey.copy()
    pixels, _ = image_of(html.photo(grey, boxes, alt="two boxes", longest=400, highlight={1}))
    np.testing.assert_array_equal(grey, before)
    plain, marked = pixels[100, 50].astype(int), pixels[100, 250].astype(int)  # left edges, at half the size
    assert plain[2] > plain[0] + 30  # blue
    assert marked[0] > marked[2] + 60  # red
    assert np.abs(pixels[100, 100].astype(int) - 128).max() < 12  # inside: untouched
    assert np.abs(pixels[20, 20].astype(int) - 128).max() < 12


def test_save_writes_the_whole_document_or_says_that_it_cannot(tmp_path):
    html.save(tmp_path / "deep" / "page.html", html.page("Größe", []))
    assert "Größe" in (tmp_path / "deep" / "page.html").read_text(encoding="utf-8")
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="cannot be written"):
        html.save(tmp_path / "file" / "page.html", "x")
