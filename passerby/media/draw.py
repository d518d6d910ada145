"""Boxes drawn on a picture."""

from __future__ import annotations

import cv2
import numpy as np

from passerby.records import Detections, Pixels

COLOURS = ((255, 196, 0), (0, 200, 255), (255, 90, 160), (120, 230, 60), (170, 130, 255), (255, 130, 50))  # RGB
DARK = (20, 20, 20)
_FONT = cv2.FONT_HERSHEY_SIMPLEX


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
            name = f"{found.names[int(label)]} " if len(found.names) > 1 else ""
            _write(out, f"{name}{score:.2f}", x0, y0, x1 - x0, colour)
    return out


def _write(out: Pixels, text: str, x: int, y: int, room: int, colour: tuple[int, int, int]) -> None:
    """Text on a bar above the box's upper edge; nothing where it would be wider than half again the box."""
    scale = max(0.35, min(out.shape[:2]) / 1400)
    (width, height), base = cv2.getTextSize(text, _FONT, scale, 1)
    if width > 1.5 * room:
        return
    top = max(0, y - height - base)
    cv2.rectangle(out, (x, top), (x + width, top + height + base), colour, cv2.FILLED)
    cv2.putText(out, text, (x, top + height + base // 2), _FONT, scale, DARK, 1, cv2.LINE_AA)
