"""Boxes drawn on a picture, and what is counted in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from passerby.records import Detections, Floats, Pixels

COLOURS = ((255, 196, 0), (0, 200, 255), (255, 90, 160), (120, 230, 60), (170, 130, 255), (255, 130, 50))  # RGB
DARK = (20, 20, 20)
LIGHT = (245, 245, 245)
ALARM = (200, 20, 30)
LINE, ZONE = (90, 220, 255), (255, 150, 220)
COOL, HOT, HEAT = (255, 230, 40), (255, 0, 40), 0.62  # a heat map's colours, and how much of them covers the picture
Colour = tuple[int, int, int]
Spot = tuple[float, float]
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_DIGITS = {  # 5 x 7 dots. OpenCV needs 25 ms to load its font on first use, a tenth of a cold start
    "0": "01110 10001 10011 10101 11001 10001 01110",
    "1": "00100 01100 00100 00100 00100 00100 01110",
    "2": "01110 10001 00001 00110 01000 10000 11111",
    "3": "01110 10001 00001 00110 00001 10001 01110",
    "4": "00010 00110 01010 10010 11111 00010 00010",
    "5": "11111 10000 11110 00001 00001 10001 01110",
    "6": "00110 01000 10000 11110 10001 10001 01110",
    "7": "11111 00001 00010 00100 01000 01000 01000",
    "8": "01110 10001 10001 01110 10001 10001 01110",
    "9": "01110 10001 10001 01111 00001 00010 01100",
    ".": "0 0 0 0 0 0 1",
    "#": "01010 01010 11111 01010 11111 01010 01010",
    " ": "00 00 00 00 00 00 00",
}


def draw(pixels: Pixels, found: Detections, scores: bool = True, thick: int = 1) -> Pixels:
    """A copy of the picture with a box around each detection, its colour by label.

    pixels   (H, W, 3) uint8 RGB, not changed
    scores   write the score (and, where a model has several labels, the label) where the box has room for it; before
             it the identity ("#7"), where somebody tracked
    thick    of the lines, pixels, at least; 2 keeps their colour in video, which has half as many pixels for colour
    returns  (H, W, 3) uint8 RGB
    """
    out = np.ascontiguousarray(pixels).copy()
    line = max(thick, round(min(out.shape[:2]) / 300))
    who: list[str] = [f"#{n}" for n in found.ids] if found.ids is not None else [""] * len(found)
    rows = zip(found.boxes[::-1], found.scores[::-1], found.labels[::-1], who[::-1], strict=True)
    for box, score, label, number in rows:
        x0, y0, x1, y1 = (round(float(v)) for v in box)
        colour = COLOURS[int(label) % len(COLOURS)]
        cv2.rectangle(out, (x0, y0), (x1 - 1, y1 - 1), DARK, line + 2)
        cv2.rectangle(out, (x0, y0), (x1 - 1, y1 - 1), colour, line)
        if scores:
            label_text = found.names[int(label)] if len(found.names) > 1 else ""
            told = f"{number} {score:.2f}" if number else f"{score:.2f}"
            if not _label(out, label_text, told, x0, y0, x1 - x0, colour) and number:
                _label(out, "", number, x0, y0, x1 - x0, colour)
    return out


def _label(out: Pixels, name: str, number: str, x: int, y: int, room: int, colour: Colour) -> bool:
    """Name and number on a bar above the box's upper edge; not where it would be wider than half again the box."""
    zoom = max(1, round(min(out.shape[:2]) / 500))
    digits = _dots(number, zoom)
    height = digits.shape[0] + 4 * zoom
    scale = 0.3 * zoom
    width = cv2.getTextSize(name, _FONT, scale, 1)[0][0] + 3 * zoom if name else 0
    total = width + digits.shape[1] + 4 * zoom
    if total > 1.5 * room:
        return False
    top, left = max(0, y - height), min(max(0, x), max(0, out.shape[1] - total))
    bar = out[top : top + height, left : left + total]
    bar[:] = colour
    if name:
        cv2.putText(out, name, (left + zoom, top + height - 3 * zoom), _FONT, scale, DARK, 1, cv2.LINE_AA)
    place = bar[2 * zoom :, width + 2 * zoom :][: digits.shape[0], : digits.shape[1]]
    place[digits[: place.shape[0], : place.shape[1]]] = DARK
    return True


def _dots(number: str, zoom: int) -> NDArray[np.bool_]:
    """A number as dots (7 * zoom, ...), one empty column between digits."""
    columns = []
    for digit in number:
        rows = np.array([[dot == "1" for dot in row] for row in _DIGITS[digit].split()])
        columns += [rows, np.zeros((7, 1), bool)]
    return np.kron(np.hstack(columns[:-1]), np.ones((zoom, zoom), bool))


def draw_heat(pixels: Pixels, heat: Floats, told: str = "") -> Pixels:
    """A copy of the picture with a heat map over it: clear where it is 0, yellow to red where it is high.

    pixels  (H, W, 3) uint8 RGB, not changed
    heat    (h, w) float32, 0..1, laid evenly over the picture by a cubic
    told    stands in the lower left corner, away from the scores of boxes, e.g. "person 0.97"; "": nothing
    """
    height, width = pixels.shape[:2]
    if heat.shape != (height, width):
        heat = np.asarray(cv2.resize(heat, (width, height), interpolation=cv2.INTER_CUBIC), np.float32)
    share = np.clip(heat, 0, 1)[..., None]
    cool, hot = np.array(COOL, np.float32), np.array(HOT, np.float32)
    colour = cool + share * (hot - cool)
    out = np.asarray((pixels + HEAT * share * (colour - pixels)).round(), np.uint8)
    if told:
        _text(out, told, (0, height), max(0.4, min(height, width) / 900), LIGHT, DARK)
    return out


def overlay(
    pixels: Pixels,
    lines: Mapping[str, tuple[Spot, Spot]] | None = None,
    zones: Mapping[str, Sequence[Spot]] | None = None,
    counts: Mapping[str, Mapping[str, int]] | None = None,
    people: int | None = None,
    note: str = "",
) -> Pixels:
    """A copy of the picture with lines, zones, a strip of counts, and a red banner where something is wrong.

    pixels  (H, W, 3) uint8 RGB, not changed
    lines   name -> start and end, pixels; an arrow shows the way that counts as "in"
    zones   name -> corners, pixels
    counts  name -> {"in": n, "out": n} of a line, {"present": n} of a zone
    people  in view; None: no strip
    note    of the banner, e.g. "STALE 12 s"; "": none
    """
    out = np.ascontiguousarray(pixels).copy()
    counts = counts or {}
    size = max(0.4, min(out.shape[:2]) / 900)
    for name, corners in (zones or {}).items():
        _zone(out, corners, f"{name} {counts.get(name, {}).get('present', 0)}", size)
    for name, (start, end) in (lines or {}).items():
        tally = counts.get(name, {})
        _line(out, start, end, f"{name} in {tally.get('in', 0)} out {tally.get('out', 0)}", size)
    if people is not None:
        parts = [f"{people} {'person' if people == 1 else 'people'}"]
        if lines:
            parts += [f"{way} {sum(counts.get(name, {}).get(way, 0) for name in lines)}" for way in ("in", "out")]
        _text(out, "   ".join(parts), (0, 0), 1.2 * size, LIGHT, DARK)
    if note:
        _banner(out, note, 2.2 * size)
    return out


def _zone(out: Pixels, corners: Sequence[Spot], text: str, size: float) -> None:
    points = np.array(corners, np.float64).round().astype(np.int32)
    veil = out.copy()
    cv2.fillPoly(veil, [points], ZONE)
    cv2.addWeighted(veil, 0.18, out, 0.82, 0, dst=out)
    cv2.polylines(out, [points], True, DARK, _thick(out) + 2, cv2.LINE_AA)
    cv2.polylines(out, [points], True, ZONE, _thick(out), cv2.LINE_AA)
    top = points[points[:, 1].argmin()]
    _text(out, text, (int(top[0]), int(top[1])), size, DARK, ZONE)


def _line(out: Pixels, start: Spot, end: Spot, text: str, size: float) -> None:
    a, b = (np.array(spot, np.float64) for spot in (start, end))
    along = (b - a) / max(float(np.hypot(*(b - a))), 1e-6)
    middle = (a + b) / 2
    tip = middle + np.array([-along[1], along[0]]) * 28 * size  # to the right hand: y grows downwards
    for colour, more in ((DARK, 2), (LINE, 0)):
        cv2.line(out, _at(a), _at(b), colour, _thick(out) + more, cv2.LINE_AA)
        cv2.arrowedLine(out, _at(middle), _at(tip), colour, _thick(out) + more, cv2.LINE_AA, tipLength=0.4)
    _text(out, text, _at(a if a[1] >= b[1] else b), size, DARK, LINE)  # at its lower end: heads are higher up


def _banner(out: Pixels, text: str, size: float) -> None:
    """Red over the whole width, in the middle: nobody takes this picture for a present one."""
    (width, _), _ = cv2.getTextSize(text, _FONT, size, max(1, round(2 * size)))
    size *= min(1.0, 0.85 * out.shape[1] / max(width, 1))
    thick = max(1, round(2 * size))
    (width, height), _ = cv2.getTextSize(text, _FONT, size, thick)
    middle = out.shape[0] // 2
    out[max(0, middle - height) : middle + height] = ALARM
    spot = (max(0, (out.shape[1] - width) // 2), middle + height // 2)
    cv2.putText(out, text, spot, _FONT, size, LIGHT, thick, cv2.LINE_AA)


def _text(out: Pixels, text: str, spot: tuple[int, int], size: float, ink: Colour, ground: Colour) -> None:
    """A word on a bar whose lower left corner is at the spot, moved into the picture."""
    (width, height), below = cv2.getTextSize(text, _FONT, size, 1)
    wide, high = width + 8, height + below + 6
    x = min(max(0, spot[0]), max(0, out.shape[1] - wide))
    y = min(max(0, spot[1] - high), max(0, out.shape[0] - high))
    out[y : y + high, x : x + wide] = ground
    cv2.putText(out, text, (x + 4, y + 3 + height), _FONT, size, ink, 1, cv2.LINE_AA)


def _thick(out: Pixels) -> int:
    return max(2, round(min(int(side) for side in out.shape[:2]) / 300))


def _at(spot: NDArray[np.float64]) -> tuple[int, int]:
    return round(float(spot[0])), round(float(spot[1]))
