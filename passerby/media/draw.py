"""Boxes drawn on a picture."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from passerby.records import Detections, Pixels

COLOURS = ((255, 196, 0), (0, 200, 255), (255, 90, 160), (120, 230, 60), (170, 130, 255), (255, 130, 50))  # RGB
DARK = (20, 20, 20)
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
}


def draw(pixels: Pixels, found: Detections, scores: bool = True) -> Pixels:
    """A copy of the picture with a box around each detection, its colour by label.

    pixels   (H, W, 3) uint8 RGB, not changed
    scores   write the score (and, where a model has several labels, the label) where the box has room for it
    returns  (H, W, 3) uint8 RGB
    """
    out = np.ascontiguousarray(pixels).copy()
    line = max(1, round(min(out.shape[:2]) / 300))
    for box, score, label in zip(found.boxes[::-1], found.scores[::-1], found.labels[::-1], strict=True):
        x0, y0, x1, y1 = (round(float(v)) for v in box)
        colour = COLOURS[int(label) % len(COLOURS)]
        cv2.rectangle(out, (x0, y0), (x1 - 1, y1 - 1), DARK, line + 2)
        cv2.rectangle(out, (x0, y0), (x1 - 1, y1 - 1), colour, line)
        if scores:
            label_text = found.names[int(label)] if len(found.names) > 1 else ""
            _label(out, label_text, f"{score:.2f}", x0, y0, x1 - x0, colour)
    return out


def _label(out: Pixels, name: str, number: str, x: int, y: int, room: int, colour: tuple[int, int, int]) -> None:
    """Name and number on a bar above the box's upper edge; nothing where it would be wider than half again the box."""
    zoom = max(1, round(min(out.shape[:2]) / 500))
    digits = _dots(number, zoom)
    height = digits.shape[0] + 4 * zoom
    scale = 0.3 * zoom
    width = cv2.getTextSize(name, _FONT, scale, 1)[0][0] + 3 * zoom if name else 0
    total = width + digits.shape[1] + 4 * zoom
    if total > 1.5 * room:
        return
    top, left = max(0, y - height), min(max(0, x), max(0, out.shape[1] - total))
    bar = out[top : top + height, left : left + total]
    bar[:] = colour
    if name:
        cv2.putText(out, name, (left + zoom, top + height - 3 * zoom), _FONT, scale, DARK, 1, cv2.LINE_AA)
    place = bar[2 * zoom :, width + 2 * zoom :][: digits.shape[0], : digits.shape[1]]
    place[digits[: place.shape[0], : place.shape[1]]] = DARK


def _dots(number: str, zoom: int) -> NDArray[np.bool_]:
    """A number as dots (7 * zoom, ...), one empty column between digits."""
    columns = []
    for digit in number:
        rows = np.array([[dot == "1" for dot in row] for row in _DIGITS[digit].split()])
        columns += [rows, np.zeros((7, 1), bool)]
    return np.kron(np.hstack(columns[:-1]), np.ones((zoom, zoom), bool))
