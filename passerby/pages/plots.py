"""Plots as SVG text, written by hand: no library, sharp at any size, light and dark; each stands alone as a file."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
from numpy.typing import ArrayLike

WIDTH, HEIGHT, FONT = 480.0, 290.0, 13.0
COLOURS = 6
DASHES = ("", "7 4", "2 3", "9 3 2 3", "12 4", "4 6")
_LIGHT = "--card:#ffffff;--ink:#1c2126;--soft:#5b646d;--line:#dcdfe2;--c0:#1f63c6;--c1:#cf6a08;--c2:#15845a;"
_DARK = "--card:#1c2024;--ink:#e6e8ea;--soft:#a0a8b0;--line:#363c42;--c0:#6ea6ff;--c1:#ffab4d;--c2:#53d39b;"
_STYLE = (
    f"svg.plot{{{_LIGHT}--c3:#8446cf;--c4:#c92f4d;--c5:#4c6470}}"
    f"@media(prefers-color-scheme:dark){{svg.plot{{{_DARK}--c3:#c79bff;--c4:#ff7f93;--c5:#a9bcc6}}}}"
    f".plot text{{font:{FONT:g}px system-ui,sans-serif;fill:var(--soft)}}.plot .t{{fill:var(--ink);font-weight:600}}"
    ".plot .g{stroke:var(--line)}.plot .a{stroke:var(--soft)}.plot .v{fill:var(--ink)}"
)


def histogram(values: ArrayLike, edges: ArrayLike, x_label: str, y_label: str, title: str) -> str:
    """How many values lie between each two edges; what lies outside is counted in the first or the last bar.

    values  (N,) numbers; edges (K + 1,) rising, evenly spaced in value or in logarithm (the axis follows)
    """
    bounds = np.asarray(edges, float)
    inside = np.clip(np.asarray(values, float), bounds[0], bounds[-1])
    counts = np.histogram(inside, bounds)[0]
    log = bool(bounds[0] > 0 and bounds[-1] / bounds[0] > 20)
    frame = _Frame(title, x_label, y_label, (bounds[0], bounds[-1]), (0.0, max(1.0, float(counts.max()))), log)
    for low, high, n in zip(bounds, bounds[1:], counts, strict=False):
        left, right, top = frame.x(low), frame.x(high), frame.y(float(n))
        frame.parts.append(
            f'<rect x="{left + 0.5:.1f}" y="{top:.1f}" width="{max(0.5, right - left - 1):.1f}" '
            f'height="{frame.bottom - top:.1f}" fill="var(--c0)"><title>{_number(low)} to {_number(high)}: '
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
    shown = [_shortened(n, 26) for n in names]
    left = 14 + max((_wide(n) for n in shown), default=0.0)
    texts = ["-" if math.isnan(v) else _number(v) + unit for v in values]
    right = WIDTH - 14 - max((_wide(t) for t in texts), default=0.0)
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
    return _document(title, parts, bottom + 8)


def lines(
    series: Mapping[str, tuple[ArrayLike, ArrayLike]],
    x_label: str,
    y_label: str,
    title: str,
    log_x: bool = False,
    y_range: tuple[float, float] | None = None,
) -> str:
    """One line a series, each in its own colour and dash, with a legend above.

    series   name -> x (N,), y (N,); points whose y is not finite (or x not over 0, where log_x) are left out
    y_range  where the axis starts and ends; None: as the values do, from 0 where that is near
    """
    points = {}
    for name, (x, y) in series.items():
        xs, ys = np.asarray(x, float), np.asarray(y, float)
        good = np.isfinite(xs) & np.isfinite(ys) & ((xs > 0) | (not log_x))
        points[name] = xs[good], ys[good]
    every_x = np.concatenate([x for x, _ in points.values()] or [np.zeros(0)])
    every_y = np.concatenate([y for _, y in points.values()] or [np.zeros(0)])
    if len(every_x) == 0:
        every_x, every_y = np.array([1.0, 10.0]), np.array([0.0, 1.0])
    frame = _Frame(
        title,
        x_label,
        y_label,
        (float(every_x.min()), float(every_x.max())),
        y_range or _from_zero(float(every_y.min()), float(every_y.max())),
        log_x,
        list(points),
    )
    for k, (xs, ys) in enumerate(points.values()):
        ends = np.clip(ys, frame.low, frame.high)
        at = [(frame.x(x), frame.y(y)) for x, y in zip(xs.tolist(), ends.tolist(), strict=True)]
        path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in at) if at else ""
        frame.parts.append(f'<path d="{path}" {_stroke(k)}/>')
        if len(at) <= 24:
            frame.parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.8" fill="var(--c{k % COLOURS})"/>' for x, y in at]
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
                f"<title>{_number(cells[r, c])}</title></rect>"
            )
    right = left + columns * side_x
    parts.append(
        f'<text x="{(left + right) / 2:.1f}" y="{bottom + 20:.1f}" text-anchor="middle">{escape(x_label)}</text>'
    )
    parts.append(_turned(16, (top + bottom) / 2, y_label))
    steps, key = 5, right + 18
    for i in range(steps):
        share = 1 - i / (steps - 1)
        y = top + i * 24
        parts.append(
            f'<rect x="{key:.1f}" y="{y:.1f}" width="16" height="23" fill="var(--c0)" '
            f'fill-opacity="{0.04 + 0.96 * share:.3f}"/>'
            f'<text x="{key + 22:.1f}" y="{y + 16:.1f}">{_number(most * share)}</text>'
        )
    return _document(title, parts, bottom + 32)


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round numbers (1, 2 or 5 times a power of ten apart) from low to high, at most about `most` of them."""
    if not high > low:
        return [low]
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(k * step, 12) for k in range(first, last + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Round numbers from low to high on a logarithmic axis: 1, 2, 5, 10, ..., or only powers of ten over 3 decades."""
    steps = (1,) if high / low > 1000 else (1, 2, 5)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    found = [m * 10.0**p for p in powers for m in steps if low * 0.999 <= m * 10.0**p <= high * 1.001]
    return found if len(found) > 1 else [low, high]


class _Frame:
    """Axes, grid, labels and legend; `x` and `y` turn values into places."""

    def __init__(
        self,
        title: str,
        x_label: str,
        y_label: str,
        x_range: tuple[float, float],
        y_range: tuple[float, float],
        log: bool = False,
        legend: Sequence[str] = (),
    ) -> None:
        (self.first, self.last), (self.low, self.high), self.log = x_range, y_range, log
        if self.last <= self.first:
            self.first, self.last = (self.first / 2, self.first * 2) if log else (self.first - 1, self.first + 1)
        if self.high <= self.low:
            self.high = self.low + 1
        self.title = title
        key, top = _legend(legend)
        y_ticks = ticks(self.low, self.high, 5)
        self.left = 36 + max((_wide(_number(v)) for v in y_ticks), default=0.0)
        self.top, self.right, self.bottom = top, WIDTH - 16, HEIGHT - 46
        self.parts = list(key)
        for v in y_ticks:
            y = self.y(v)
            self.parts.append(
                f'<path class="g" d="M{self.left:.1f} {y:.1f}H{self.right:.1f}"/>'
                f'<text x="{self.left - 7:.1f}" y="{y + 4:.1f}" text-anchor="end">{_number(v)}</text>'
            )
        taken = -math.inf
        for v in log_ticks(self.first, self.last) if log else ticks(self.first, self.last):
            x, half = self.x(v), _wide(_number(v)) / 2
            self.parts.append(f'<path class="a" d="M{x:.1f} {self.bottom:.1f}v4"/>')
            x = min(x, WIDTH - 4 - half)
            if x - half > taken + 6:
                taken = x + half
                self.parts.append(
                    f'<text x="{x:.1f}" y="{self.bottom + 18:.1f}" text-anchor="middle">{_number(v)}</text>'
                )
        middle = (self.left + self.right) / 2
        self.parts.append(f'<text x="{middle:.1f}" y="{HEIGHT - 9:.1f}" text-anchor="middle">{escape(x_label)}</text>')
        self.parts.append(_turned(16, (self.top + self.bottom) / 2, y_label))
        self.axis = f'<path class="a" d="M{self.left:.1f} {self.bottom:.1f}H{self.right:.1f}"/>'

    def x(self, value: float) -> float:
        a, b, v = (math.log(t) for t in (self.first, self.last, value)) if self.log else (self.first, self.last, value)
        return self.left + (v - a) / (b - a) * (self.right - self.left)

    def y(self, value: float) -> float:
        return self.bottom - (value - self.low) / (self.high - self.low) * (self.bottom - self.top)

    def svg(self) -> str:
        return _document(self.title, [*self.parts, self.axis], HEIGHT)


def _document(title: str, parts: Sequence[str], height: float) -> str:
    return (
        f'<svg class="plot" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH:g} {height:g}" role="img">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style>"
        f'<rect width="{WIDTH:g}" height="{height:g}" fill="var(--card)"/>'
        f'<text class="t" x="8" y="19">{escape(_shortened(title, 62))}</text>' + "".join(parts) + "</svg>"
    )


def _legend(names: Sequence[str]) -> tuple[list[str], float]:
    """Samples of each line with its name, in rows under the title, and where the plot may begin."""
    parts, x, y = [], 10.0, 40.0
    for k, name in enumerate(names if len(names) > 1 else ()):
        shown = _shortened(name, 40)
        if x > 10 and x + 34 + _wide(shown) > WIDTH - 8:
            x, y = 10.0, y + 18
        parts.append(
            f'<path d="M{x:.1f} {y - 4:.1f}h24" {_stroke(k)}/><text x="{x + 30:.1f}" y="{y:.1f}">{escape(shown)}</text>'
        )
        x += 48 + _wide(shown)
    return parts, y + 14 if parts else 36.0


def _stroke(k: int) -> str:
    dash = f' stroke-dasharray="{DASHES[k % len(DASHES)]}"' if k % len(DASHES) else ""
    return f'fill="none" stroke="var(--c{k % COLOURS})" stroke-width="2" stroke-linejoin="round"{dash}'


def _turned(x: float, y: float, text: str) -> str:
    return f'<text transform="translate({x:.1f} {y:.1f}) rotate(-90)" text-anchor="middle">{escape(text)}</text>'


def _from_zero(low: float, high: float) -> tuple[float, float]:
    """The range of an axis: from 0 where the values come near it."""
    return (0.0, high) if 0 <= low <= 0.5 * high else (low, high)


def _number(value: float) -> str:
    """As short as it reads well: 0.05, 12.5, 1,200."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _wide(text: str) -> float:
    """About how wide a text is, in the plot's units."""
    return 0.56 * FONT * len(text)


def _shortened(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"
