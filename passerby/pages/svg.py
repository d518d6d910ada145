"""What plots are made of: axes, ticks, legends, and the SVG document around them; light and dark."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

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


class Frame:
    """Axes, grid, labels and legend; `x` and `y` turn values into places.

    legend  names of lines, in the order of their colours; `bars`: of bars or points. One name alone has no legend
    x_label  "": nothing is written across, for plots that name their own places
    """

    def __init__(
        self,
        title: str,
        x_label: str,
        y_label: str,
        x_range: tuple[float, float],
        y_range: tuple[float, float],
        log: bool = False,
        legend: Sequence[str] = (),
        log_y: bool = False,
        bars: Sequence[str] = (),
    ) -> None:
        self.log_y = log_y
        (self.first, self.last), (self.low, self.high), self.log = x_range, y_range, log
        if self.last <= self.first:
            self.first, self.last = (self.first / 2, self.first * 2) if log else (self.first - 1, self.first + 1)
        if self.high <= self.low:
            self.high = self.low * 2 if log_y else self.low + 1
        self.title = title
        key, top = legend_of(legend or bars, bool(bars))
        y_ticks = log_ticks(self.low, self.high) if log_y else ticks(self.low, self.high, 5)
        self.left = 36 + max((wide_of(number(v)) for v in y_ticks), default=0.0)
        self.top, self.right, self.bottom = top, WIDTH - 16, HEIGHT - 46
        self.parts = list(key)
        for v in y_ticks:
            y = self.y(v)
            self.parts.append(
                f'<path class="g" d="M{self.left:.1f} {y:.1f}H{self.right:.1f}"/>'
                f'<text x="{self.left - 7:.1f}" y="{y + 4:.1f}" text-anchor="end">{number(v)}</text>'
            )
        taken = -math.inf
        across = log_ticks(self.first, self.last) if log else ticks(self.first, self.last)
        for v in across if x_label else ():
            x, half = self.x(v), wide_of(number(v)) / 2
            self.parts.append(f'<path class="a" d="M{x:.1f} {self.bottom:.1f}v4"/>')
            x = min(x, WIDTH - 4 - half)
            if x - half > taken + 6:
                taken = x + half
                self.parts.append(
                    f'<text x="{x:.1f}" y="{self.bottom + 18:.1f}" text-anchor="middle">{number(v)}</text>'
                )
        middle = (self.left + self.right) / 2
        self.parts.append(f'<text x="{middle:.1f}" y="{HEIGHT - 9:.1f}" text-anchor="middle">{escape(x_label)}</text>')
        self.parts.append(turned(16, (self.top + self.bottom) / 2, y_label))
        self.axis = f'<path class="a" d="M{self.left:.1f} {self.bottom:.1f}H{self.right:.1f}"/>'

    def x(self, value: float) -> float:
        """Where a value lies across."""
        a, b, v = (math.log(t) for t in (self.first, self.last, value)) if self.log else (self.first, self.last, value)
        return self.left + (v - a) / (b - a) * (self.right - self.left)

    def y(self, value: float) -> float:
        """Where a value lies up and down."""
        a, b, v = (math.log(t) for t in (self.low, self.high, value)) if self.log_y else (self.low, self.high, value)
        return self.bottom - (v - a) / (b - a) * (self.bottom - self.top)

    def svg(self) -> str:
        """The document."""
        return document(self.title, [*self.parts, self.axis], HEIGHT)


def document(title: str, parts: Sequence[str], height: float) -> str:
    """A whole SVG of parts, `height` units high, with its title written above them."""
    return (
        f'<svg class="plot" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH:g} {height:g}" role="img">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style>"
        f'<rect width="{WIDTH:g}" height="{height:g}" fill="var(--card)"/>'
        f'<text class="t" x="8" y="19">{escape(shortened(title, 62))}</text>' + "".join(parts) + "</svg>"
    )


def legend_of(names: Sequence[str], bars: bool = False) -> tuple[list[str], float]:
    """Samples of each line, or bar, with its name, in rows under the title, and where the plot may begin."""
    parts, x, y = [], 10.0, 40.0
    for k, name in enumerate(names if len(names) > 1 else ()):
        shown = shortened(name, 40)
        if x > 10 and x + 34 + wide_of(shown) > WIDTH - 8:
            x, y = 10.0, y + 18
        line = f'<path d="M{x:.1f} {y - 4:.1f}h24" {stroke(k)}/>'
        square = f'<rect x="{x + 10:.1f}" y="{y - 11:.1f}" width="14" height="13" fill="var(--c{k % COLOURS})"/>'
        parts.append((square if bars else line) + f'<text x="{x + 30:.1f}" y="{y:.1f}">{escape(shown)}</text>')
        x += 48 + wide_of(shown)
    return parts, y + 14 if parts else 36.0


def stroke(k: int) -> str:
    """Attributes of line number k: its colour and its dashes."""
    dash = f' stroke-dasharray="{DASHES[k % len(DASHES)]}"' if k % len(DASHES) else ""
    return f'fill="none" stroke="var(--c{k % COLOURS})" stroke-width="2" stroke-linejoin="round"{dash}'


def turned(x: float, y: float, text: str) -> str:
    """A text that reads upwards."""
    return f'<text transform="translate({x:.1f} {y:.1f}) rotate(-90)" text-anchor="middle">{escape(text)}</text>'


def number(value: float) -> str:
    """As short as it reads well: 0.05, 12.5, 1,200."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def wide_of(text: str) -> float:
    """About how wide a text is, in the plot's units."""
    return 0.56 * FONT * len(text)


def shortened(text: str, longest: int) -> str:
    """The text, or its beginning and a mark that something is missing."""
    return text if len(text) <= longest else text[: longest - 1] + "…"
