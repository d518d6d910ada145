"""Plots as SVG text, written by hand: no library, sharp at any size, light and dark; each stands alone as a file."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
from numpy.typing import ArrayLike, NDArray

from passerby.pages.svg import COLOURS, WIDTH, Frame, document, legend_of, number, shortened, stroke, turned, wide_of


def histogram(values: ArrayLike, edges: ArrayLike, x_label: str, y_label: str, title: str) -> str:
    """How many values lie between each two edges; what lies outside is counted in the first or the last bar.

    values  (N,) numbers; edges (K + 1,) rising, evenly spaced in value or in logarithm (the axis follows)
    """
    bounds = np.asarray(edges, float)
    inside = np.clip(np.asarray(values, float), bounds[0], bounds[-1])
    counts = np.histogram(inside, bounds)[0]
    log = bool(bounds[0] > 0 and bounds[-1] / bounds[0] > 20)
    frame = Frame(title, x_label, y_label, (bounds[0], bounds[-1]), (0.0, max(1.0, float(counts.max()))), log)
    for low, high, n in zip(bounds, bounds[1:], counts, strict=False):
        left, right, top = frame.x(low), frame.x(high), frame.y(float(n))
        frame.parts.append(
            f'<rect x="{left + 0.5:.1f}" y="{top:.1f}" width="{max(0.5, right - left - 1):.1f}" '
            f'height="{frame.bottom - top:.1f}" fill="var(--c0)"><title>{number(low)} to {number(high)}: '
            f"{n:,}</title></rect>"
        )
    return frame.svg()


def bars(names: Sequence[str], values: Sequence[float], title: str, unit: str = "", highest: float = 0.0) -> str:
    """One bar lying for each name, its value written behind it.

    values   not negative; NaN is written as "-"
    unit     written behind each value, e.g. " %"
    highest  where the axis ends; 0: the largest value
    """
    row = 24.0
    shown = [shortened(n, 26) for n in names]
    left = 14 + max((wide_of(n) for n in shown), default=0.0)
    texts = ["-" if math.isnan(v) else number(v) + unit for v in values]
    right = WIDTH - 14 - max((wide_of(t) for t in texts), default=0.0)
    finite = [v for v in values if not math.isnan(v)]
    most = highest or max([*finite, 0.0]) or 1.0
    parts = []
    for i, (name, text, value) in enumerate(zip(shown, texts, values, strict=True)):
        y = 38 + i * row
        length = 0.0 if math.isnan(value) else max(0.0, min(1.0, value / most)) * (right - left)
        parts.append(
            f'<text x="{left - 8:.1f}" y="{y + 13:.1f}" text-anchor="end">{escape(name)}</text>'
            f'<rect x="{left:.1f}" y="{y:.1f}" width="{length:.1f}" height="{row - 7:.1f}" fill="var(--c0)"/>'
            f'<text class="v" x="{left + length + 6:.1f}" y="{y + 13:.1f}">{escape(text)}</text>'
        )
    bottom = 38 + len(shown) * row
    parts.append(f'<path class="a" d="M{left:.1f} 34V{bottom:.1f}"/>')
    return document(title, parts, bottom + 8)


def lines(
    series: Mapping[str, tuple[ArrayLike, ArrayLike]],
    x_label: str,
    y_label: str,
    title: str,
    log_x: bool = False,
    y_range: tuple[float, float] | None = None,
    log_y: bool = False,
) -> str:
    """One line a series, each in its own colour and dash, with a legend above.

    series   name -> x (N,), y (N,); points whose y is not finite (or not over 0 on a logarithmic axis) are left out
    y_range  where the axis starts and ends; None: as the values do, from 0 where that is near
    """
    points = {}
    for name, (x, y) in series.items():
        xs, ys = np.asarray(x, float), np.asarray(y, float)
        good = np.isfinite(xs) & np.isfinite(ys) & ((xs > 0) | (not log_x)) & ((ys > 0) | (not log_y))
        points[name] = xs[good], ys[good]
    every_x = np.concatenate([x for x, _ in points.values()] or [np.zeros(0)])
    every_y = np.concatenate([y for _, y in points.values()] or [np.zeros(0)])
    if len(every_x) == 0:
        every_x, every_y = np.array([1.0, 10.0]), np.array([0.0, 1.0])
    frame = Frame(
        title,
        x_label,
        y_label,
        (float(every_x.min()), float(every_x.max())),
        y_range or ((float(every_y.min()), float(every_y.max())) if log_y else _from_zero(every_y)),
        log_x,
        list(points),
        log_y,
    )
    for k, (xs, ys) in enumerate(points.values()):
        ends = np.clip(ys, frame.low, frame.high)
        at = [(frame.x(x), frame.y(y)) for x, y in zip(xs.tolist(), ends.tolist(), strict=True)]
        path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in at) if at else ""
        frame.parts.append(f'<path d="{path}" {stroke(k)}/>')
        if len(at) <= 24:
            frame.parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.8" fill="var(--c{k % COLOURS})"/>' for x, y in at]
    return frame.svg()


def stacks(names: Sequence[str], parts: Mapping[str, Sequence[float]], title: str, unit: str = "") -> str:
    """One lying bar a name, made of parts one behind the other, the sum written behind it.

    parts  what is added up -> its value for each name, not negative
    """
    key, top = legend_of(list(parts), bars=True)
    shown = [shortened(n, 26) for n in names]
    left = 14 + max((wide_of(n) for n in shown), default=0.0)
    sums = [sum(values[i] for values in parts.values()) for i in range(len(names))]
    texts = [number(v) + unit for v in sums]
    right = WIDTH - 14 - max((wide_of(t) for t in texts), default=0.0)
    most = max([*sums, 0.0]) or 1.0
    drawn = list(key)
    for i, (name, text) in enumerate(zip(shown, texts, strict=True)):
        x, y = left, top + 4 + 24 * i
        drawn.append(f'<text x="{left - 8:.1f}" y="{y + 13:.1f}" text-anchor="end">{escape(name)}</text>')
        for k, (part, values) in enumerate(parts.items()):
            length = values[i] / most * (right - left)
            drawn.append(
                f'<rect x="{x:.1f}" y="{y:.1f}" width="{length:.1f}" height="17" fill="var(--c{k % COLOURS})">'
                f"<title>{escape(part)}: {number(values[i])}{escape(unit)}</title></rect>"
            )
            x += length
        drawn.append(f'<text class="v" x="{x + 6:.1f}" y="{y + 13:.1f}">{escape(text)}</text>')
    bottom = top + 4 + 24 * len(shown)
    drawn.append(f'<path class="a" d="M{left:.1f} {top:.1f}V{bottom:.1f}"/>')
    return document(title, drawn, bottom + 8)


def groups(
    series: Mapping[str, Sequence[float]], names: Sequence[str], title: str, y_label: str, highest: float
) -> str:
    """Standing bars side by side: one group a name, one bar of it a series, in the series' colour.

    series   name -> values (N,); NaN has no bar
    highest  where the axis ends
    """
    frame = Frame(title, "", y_label, (0.0, float(max(len(names), 1))), (0.0, highest), bars=list(series))
    many = max(len(series), 1)
    for i, name in enumerate(names):
        start, end = frame.x(i + 0.12), frame.x(i + 0.88)
        for k, (which, values) in enumerate(series.items()):
            if math.isfinite(values[i]):
                x, top = start + k * (end - start) / many, frame.y(min(max(values[i], 0.0), highest))
                frame.parts.append(
                    f'<rect x="{x:.1f}" y="{top:.1f}" width="{(end - start) / many - 1:.1f}" '
                    f'height="{frame.bottom - top:.1f}" fill="var(--c{k % COLOURS})"><title>{escape(which)}, '
                    f"{escape(name)}: {number(values[i])}</title></rect>"
                )
        frame.parts.append(
            f'<text x="{(start + end) / 2:.1f}" y="{frame.bottom + 18:.1f}" text-anchor="middle">{escape(name)}</text>'
        )
    return frame.svg()


def scatter(points: Mapping[str, tuple[float, float]], x_label: str, y_label: str, title: str) -> str:
    """A point a name, named in the legend; axes from 0.

    points  name -> x, y; one that is not finite is left out
    """
    real = {n: p for n, p in points.items() if all(map(math.isfinite, p))}
    ends = [max([p[axis] for p in real.values()], default=1.0) * 1.1 or 1.0 for axis in (0, 1)]
    frame = Frame(title, x_label, y_label, (0.0, ends[0]), (0.0, ends[1]), bars=list(real))
    for k, (name, (x, y)) in enumerate(real.items()):
        frame.parts.append(
            f'<circle cx="{frame.x(x):.1f}" cy="{frame.y(y):.1f}" r="6" fill="var(--c{k % COLOURS})">'
            f"<title>{escape(name)}: {number(x)}, {number(y)}</title></circle>"
        )
    return frame.svg()


def heat(grid: ArrayLike, x_label: str, y_label: str, title: str) -> str:
    """Shares or counts in cells, darkest the largest; row 0 above, as in a picture.

    grid  (rows, columns), not negative
    """
    cells = np.nan_to_num(np.asarray(grid, float))
    rows, columns = cells.shape
    most = float(cells.max()) if cells.size else 0.0
    left, top, bottom = 34.0, 36.0, 250.0
    side_x, side_y = (WIDTH - left - 96) / columns, (bottom - top) / rows
    parts = []
    for r in range(rows):
        for c in range(columns):
            share = cells[r, c] / most if most else 0.0
            parts.append(
                f'<rect x="{left + c * side_x:.1f}" y="{top + r * side_y:.1f}" width="{side_x - 1:.1f}" '
                f'height="{side_y - 1:.1f}" fill="var(--c0)" fill-opacity="{0.04 + 0.96 * share:.3f}">'
                f"<title>{number(cells[r, c])}</title></rect>"
            )
    right = left + columns * side_x
    parts.append(
        f'<text x="{(left + right) / 2:.1f}" y="{bottom + 20:.1f}" text-anchor="middle">{escape(x_label)}</text>'
    )
    parts.append(turned(16, (top + bottom) / 2, y_label))
    steps, key = 5, right + 18
    for i in range(steps):
        share = 1 - i / (steps - 1)
        y = top + i * 24
        parts.append(
            f'<rect x="{key:.1f}" y="{y:.1f}" width="16" height="23" fill="var(--c0)" '
            f'fill-opacity="{0.04 + 0.96 * share:.3f}"/>'
            f'<text x="{key + 22:.1f}" y="{y + 16:.1f}">{number(most * share)}</text>'
        )
    return document(title, parts, bottom + 32)


def _from_zero(values: NDArray[np.float64]) -> tuple[float, float]:
    """The range of an axis: from 0 where the values come near it."""
    low, high = float(values.min()), float(values.max())
    return (0.0, high) if 0 <= low <= 0.5 * high else (low, high)
