"""The rules that every reader applies to boxes and class names, each with a note of what it did."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from passerby.records import Note

Box = tuple[float, float, float, float]
RARE = 20  # a name that starts with one at least this many times as frequent is taken for a slip of it


def clean_box(box: Sequence[float], width: int, height: int, file: str, item: int, notes: list[Note]) -> Box | None:
    """One box made usable, or None when nothing usable is left.

    Swapped corners are put right, what lies past the border is cut off, and a box without area (or with a
    coordinate that is not a number) is dropped. Each adds a Note.
    """
    x0, y0, x1, y1 = (float(v) for v in box)
    if not all(math.isfinite(v) for v in (x0, y0, x1, y1)):
        notes.append(Note("dropped", file, item, f"a coordinate is not a number: {list(box)}"))
        return None
    if x1 < x0 or y1 < y0:
        notes.append(Note("swapped", file, item, f"corners put right: {[x0, y0, x1, y1]}"))
        x0, x1, y0, y1 = min(x0, x1), max(x0, x1), min(y0, y1), max(y0, y1)
    cut = (max(x0, 0.0), max(y0, 0.0), min(x1, float(width)), min(y1, float(height)))
    if cut[2] <= cut[0] or cut[3] <= cut[1]:
        where = "no area" if x1 <= x0 or y1 <= y0 else f"outside the {width} x {height} picture"
        notes.append(Note("dropped", file, item, f"{where}: {[x0, y0, x1, y1]}"))
        return None
    if cut != (x0, y0, x1, y1):
        notes.append(Note("clipped", file, item, f"past the border of {width} x {height}: {[x0, y0, x1, y1]}"))
    return cut


def settle_names(counts: Counter[str], wanted: Sequence[str]) -> tuple[tuple[str, ...], dict[str, str]]:
    """Which labels a data set has, and which mistyped names stand for one of them.

    counts   how often each name occurs
    wanted   the labels asked for, in order; empty: all that occur
    returns  (labels, {name as written: label}); a name missing from the dict is to be dropped

    A name is a slip when it starts with a known label ("headddd" for "head") or differs from one only in case or
    spaces; without `wanted`, only when the label is RARE times as frequent.
    """
    counts = Counter({name: n for name, n in counts.items() if name.strip()})  # a class needs a name
    if wanted:
        labels = tuple(wanted)
    else:
        slips = {n for n in counts for m in counts if m != n and _slip(n, m) and counts[m] >= RARE * counts[n]}
        labels = tuple(sorted(set(counts) - slips))
    names = {}
    for name in counts:
        if name in labels:
            names[name] = name
        elif near := [m for m in labels if _slip(name, m)]:
            names[name] = max(near, key=len)
    return labels, names


def _slip(name: str, label: str) -> bool:
    plain, other = name.strip().lower(), label.lower()
    return plain.startswith(other)
