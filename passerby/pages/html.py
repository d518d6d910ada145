"""One self-contained HTML document: everything inside, nothing loaded, no script; light and dark, also on a phone."""

from __future__ import annotations

import base64
import re
from collections.abc import Collection, Sequence
from html import escape
from pathlib import Path

import cv2
import numpy as np

from passerby.files import written_whole
from passerby.geometry.boxes import Floats
from passerby.geometry.resize import scale_to
from passerby.records import Pixels

Cell = str | int | float | None
Colour = tuple[int, int, int]
QUALITY = 82  # of the JPEGs inside
PLAIN, MARKED, DARK = (70, 190, 255), (255, 70, 90), (15, 15, 15)  # RGB
_NUMBER = re.compile(r"[-+]?[\d,]*\.?\d+(e[-+]?\d+)?( ?(%|px|x|ms|s))?|-|")
_STYLE = """
:root { color-scheme: light dark; --paper: #fbfbf9; --card: #ffffff; --ink: #1c2126; --soft: #5b646d; --line: #dcdfe2;
  --accent: #1f63c6 }
@media (prefers-color-scheme: dark) { :root { --paper: #14171a; --card: #1c2024; --ink: #e6e8ea; --soft: #a0a8b0;
  --line: #363c42; --accent: #7db0ff } }
* { box-sizing: border-box }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.55 system-ui, sans-serif }
main { max-width: 68rem; margin: 0 auto; padding: 1rem 1rem 4rem }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 1rem 0 .5rem; overflow-wrap: anywhere }
h2 { font-size: 1.25rem; margin: 2.2rem 0 .5rem; padding-top: .8rem; border-top: 1px solid var(--line) }
h3 { font-size: 1.05rem; margin: 1.4rem 0 .4rem }
p { max-width: 46rem; margin: .5rem 0; overflow-wrap: anywhere }
pre { overflow-x: auto; padding: .7rem .9rem; background: var(--card); border: 1px solid var(--line);
  border-radius: 6px; font-size: .875rem; line-height: 1.45 }
.wide { overflow-x: auto; margin: .6rem 0 }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums }
th, td { padding: .32rem .75rem .32rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line) }
th { color: var(--soft); font-weight: 600 }
td:first-child:not(.n) { min-width: 6rem }
td.n, th.n { text-align: right; padding: .32rem 0 .32rem 1rem; white-space: nowrap }
td.n + td:not(.n), th.n + th:not(.n) { padding-left: 1.2rem }
figure { margin: 0; padding: .6rem; background: var(--card); border: 1px solid var(--line); border-radius: 6px;
  min-width: 0 }
figure > svg, figure > img { display: block; width: 100%; height: auto }
figure > img { border-radius: 3px }
figcaption { font-size: .85rem; line-height: 1.4; color: var(--soft); margin-top: .45rem; overflow-wrap: anywhere }
.gallery { display: grid; gap: .8rem; margin: .8rem 0; align-items: start;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 24rem), 1fr)) }
.legend span { white-space: nowrap; margin-right: 1rem }
.legend i { display: inline-block; width: .9em; height: .9em; margin-right: .4em; border: 1px solid var(--ink);
  vertical-align: -.1em }
body > main > figure { max-width: 40rem; margin: .8rem 0 }
"""


def page(title: str, parts: Sequence[str]) -> str:
    """A whole document of parts made by the functions below; the title is escaped and is also the first heading."""
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en">',
            '<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title>",
            f"<style>{_STYLE}</style></head>",
            "<body><main>",
            heading(title, 1),
            *parts,
            "</main></body></html>\n",
        ]
    )


def heading(text: str, level: int = 2) -> str:
    """A heading, escaped; level 1 to 6."""
    return f"<h{level}>{escape(text)}</h{level}>"


def text(words: str) -> str:
    """A paragraph, escaped."""
    return f"<p>{escape(words)}</p>"


def code(words: str) -> str:
    """Text to copy, as it stands: line breaks and spaces kept, escaped."""
    return f"<pre><code>{escape(words)}</code></pre>"


def table(columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    """A table, cells escaped; a column whose cells all read as numbers is aligned right.

    columns  headings
    rows     cells: text as it stands, numbers with thousands marked and four digits, None as "-"
    """
    texts = [[_cell(c) for c in row] for row in rows]
    numeric = [
        bool(texts) and all(_NUMBER.fullmatch(row[k]) for row in texts if k < len(row)) for k in range(len(columns))
    ]
    mark = [' class="n"' if n else "" for n in numeric]
    head = "".join(f'<th scope="col"{m}>{escape(c)}</th>' for c, m in zip(columns, mark, strict=True))
    body = "\n".join(
        "<tr>" + "".join(f"<td{m}>{escape(c)}</td>" for c, m in zip(row, mark, strict=True)) + "</tr>" for row in texts
    )
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>'


def figure(content: str, caption: str) -> str:
    """A plot or a photo (HTML made here or by `plots`) above its caption, which is escaped; "" for no caption."""
    below = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    return f"<figure>{content}{below}</figure>"


def legend(entries: Sequence[tuple[str, Colour]]) -> str:
    """What colours of boxes mean: a sample of each, and its words, escaped."""
    samples = (f'<span><i style="background: rgb{colour}"></i>{escape(words)}</span>' for words, colour in entries)
    return f'<p class="legend">{" ".join(samples)}</p>'


def gallery(figures: Sequence[str]) -> str:
    """Figures side by side, as many as the screen has room for."""
    return f'<div class="gallery">{"".join(figures)}</div>' if figures else ""


def photo(
    pixels: Pixels,
    boxes: Floats | None = None,
    *,
    alt: str,
    longest: int = 480,
    highlight: Collection[int] = (),
    colours: Sequence[Colour] = (),
) -> str:
    """A picture as an <img> with the JPEG inside, boxes drawn on it.

    pixels     (H, W, 3) uint8 RGB, not changed; shrunk, never enlarged, to `longest` pixels on its longer side
    boxes      (N, 4) x0 y0 x1 y1 in pixels of that picture, or None
    alt        what can be seen, for those who cannot see it
    highlight  indices of boxes in the stronger colour, drawn last
    colours    RGB of each box, instead of the two
    """
    height, width = pixels.shape[:2]
    scale = min(1.0, longest / max(height, width))
    new_width, new_height = max(1, round(width * scale)), max(1, round(height * scale))
    canvas = np.ascontiguousarray(scale_to(pixels, new_width, new_height)).copy()
    marked = set(highlight)
    rows = np.zeros((0, 4)) if boxes is None else np.asarray(boxes, float)
    for i in sorted(range(len(rows)), key=lambda i: i in marked):
        x0, y0, x1, y1 = np.rint(rows[i] * scale)
        corners = (int(x0), int(y0)), (max(int(x0), int(x1) - 1), max(int(y0), int(y1) - 1))
        line = 2 if i in marked or colours else 1
        if not colours:  # beside several colours a dark edge would be one more
            cv2.rectangle(canvas, *corners, DARK, line + 2)
        cv2.rectangle(canvas, *corners, colours[i] if colours else MARKED if i in marked else PLAIN, line)
    _, data = cv2.imencode(".jpg", cv2.cvtColor(canvas, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    source = base64.b64encode(data.tobytes()).decode("ascii")
    size = f'width="{new_width}" height="{new_height}"'
    return f'<img {size} alt="{escape(alt)}" src="data:image/jpeg;base64,{source}">'


def save(path: Path, document: str) -> None:
    """Write a document, whole or not at all. Raises OutputError where the file cannot be written."""
    with written_whole(path) as temporary:
        temporary.write_text(document, encoding="utf-8")


def _cell(value: Cell) -> str:
    if value is None:
        return "-"
    if isinstance(value, str):
        return value
    if isinstance(value, (int, np.integer)):
        return f"{int(value):,}"
    return "-" if np.isnan(value) else f"{value:.4g}"
