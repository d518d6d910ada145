"""The page of `data check`: what is wrong, how often, and pictures of the worst cases."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from passerby.data.check import Checked
from passerby.data.kinds import KINDS
from passerby.errors import SourceError
from passerby.geometry.resize import scale_to
from passerby.pages.html import Cell, figure, gallery, heading, page, photo, table, text
from passerby.pictures import read_picture
from passerby.records import Note, Pixels

SHOWN = 6  # pictures of a kind
CLOSE = 0.15  # a box whose side is under this share of the picture is shown close up
LISTED = ("size", "empty", "no-labels", "other-split", "not-held")  # a picture would show nothing of it


def check_page(checked: Checked) -> str:
    """One self-contained HTML document; reads the pictures that it shows."""
    counts = checked.counts()
    pictures, objects = (sum(f(p.samples) for p in checked.parts) for f in (len, lambda s: s.objects()))
    parts = [
        text(", ".join(p.samples.source for p in checked.parts) + f": {pictures:,} pictures, {objects:,} objects."),
        text(f"{checked.errors():,} errors. Boxes are judged in an input of {_input(checked)}."),
    ]
    if not counts:
        parts.append(text("Nothing is wrong."))
    rows: list[list[Cell]] = [
        [KINDS[k].severity, k, n, KINDS[k].meaning, KINDS[k].done, KINDS[k].fixed] for k, n in counts.items()
    ]
    parts.append(table(["severity", "kind", "count", "what it is", "what readers do", "what --fix does more"], rows))
    by_kind: dict[str, list[Note]] = defaultdict(list)
    for note in checked.notes:
        by_kind[note.kind].append(note)
    for kind in counts:
        notes = by_kind[kind]
        parts += [heading(f"{kind}: {KINDS[kind].meaning}"), text(f"{KINDS[kind].severity}, {counts[kind]:,} found.")]
        figures = [] if kind in LISTED else [_figure(n) for n in _worst(notes) if n.picture]
        shown = [f for f in figures if f]
        parts.append(gallery(shown))
        if not shown:
            parts.append(table(["file", "line", "object", "what"], [_row(n) for n in notes[:20]]))
    return page("What is wrong with the data", parts)


def _input(checked: Checked) -> str:
    limits = checked.limits
    return f"{limits.width} x {limits.height} pixels ({limits.rule})"


def _worst(notes: list[Note]) -> list[Note]:
    """The worst few, one a picture: the smallest of the tiny, the largest of the huge, the most alike first."""
    ranked = sorted(notes, key=_badness) if notes[0].kind in ("tiny", "huge") else notes
    first = list({n.picture: n for n in reversed(ranked)}.values())[::-1]
    return first[:SHOWN]


def _badness(note: Note) -> float:
    x0, y0, x1, y1 = note.box
    return (x1 - x0) * (y1 - y0) * (-1 if note.kind == "huge" else 1)


def _row(note: Note) -> list[str | int | None]:
    return [note.file, note.line or None, note.item if note.item >= 0 else None, note.text]


def _figure(note: Note) -> str:
    assert note.picture is not None
    where = f"{note.file}" + (f":{note.line}" if note.line else "") + (f" object {note.item}" if note.item >= 0 else "")
    try:
        pixels = read_picture(note.picture)
    except SourceError:
        return ""
    box = np.array([note.box], np.float32) if note.box and np.isfinite(note.box).all() else np.zeros((0, 4), np.float32)
    pixels, box = _close_up(pixels, box)
    alt = f"{note.picture.name}: {note.kind}"
    if note.other:
        try:
            pixels = _side_by_side(pixels, read_picture(note.other))
        except SourceError:
            return ""
        alt = f"{note.picture.name} beside {note.other.name}: {note.kind}"
    return figure(photo(pixels, box, alt=alt, highlight=range(len(box))), f"{where}: {note.text}")


def _side_by_side(one: Pixels, other: Pixels) -> Pixels:
    """Two pictures at the height of the lower one, a white line between them."""
    height = min(one.shape[0], other.shape[0])
    both = [scale_to(p, max(1, round(p.shape[1] * height / p.shape[0])), height) for p in (one, other)]
    return np.concatenate([both[0], np.full((height, 6, 3), 255, np.uint8), both[1]], axis=1)


def _close_up(pixels: Pixels, box: np.ndarray) -> tuple[Pixels, np.ndarray]:
    """The surroundings of a small box, so that it can be seen at all."""
    height, width = pixels.shape[:2]
    if len(box) == 0:
        return pixels, box
    x0, y0, x1, y1 = np.clip(box[0], 0, [width, height, width, height])
    side = max(x1 - x0, y1 - y0)
    if side >= CLOSE * max(width, height):
        return pixels, box
    half = max(4 * side, 0.12 * max(width, height))
    x, y = (x0 + x1) / 2, (y0 + y1) / 2
    left, top = int(np.clip(x - half, 0, width - 1)), int(np.clip(y - half, 0, height - 1))
    right, bottom = int(np.clip(x + half, left + 1, width)), int(np.clip(y + half, top + 1, height))
    return np.ascontiguousarray(pixels[top:bottom, left:right]), box - np.array([left, top, left, top], np.float32)
