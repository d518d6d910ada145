"""Pictures side by side with titles, and a legend of the heat map's colours."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from passerby.media.draw import DARK, LIGHT, draw_heat
from passerby.records import Pixels

SIDE = 400  # pixels of a panel's longer side
BAR, GAP, LEGEND = 26, 8, 74  # heights of a title, between panels, width of the legend
GREY = 150  # under the legend's colours, as a picture of middle brightness would be
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def side_by_side(panels: Sequence[tuple[str, Pixels]], legend: str = "") -> Pixels:
    """One picture of several of the same shape, each under its title.

    panels   title and (H, W, 3) uint8 RGB
    legend   what the heat map's colours, 0 to 1, stand for, e.g. "score"; "": no legend
    returns  (h, w, 3) uint8 RGB
    """
    height, width = panels[0][1].shape[:2]
    scale = SIDE / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    parts = []
    for title, pixels in panels:
        small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
        part = np.full((BAR + size[1], max(size[0], _wide(title)), 3), DARK, np.uint8)
        part[BAR:, : size[0]] = small
        cv2.putText(part, title, (4, BAR - 8), _FONT, 0.45, LIGHT, 1, cv2.LINE_AA)
        parts += [part, np.full((len(part), GAP, 3), DARK, np.uint8)]
    if legend:
        parts.append(_legend(size[1], legend))
    return np.hstack(parts if legend else parts[:-1])


def _wide(title: str) -> int:
    return int(cv2.getTextSize(title, _FONT, 0.45, 1)[0][0]) + 8


def _legend(height: int, name: str) -> Pixels:
    """The colours from 1 at the top to 0, over grey, with their numbers."""
    out = np.full((BAR + height, max(LEGEND, _wide(name)), 3), DARK, np.uint8)
    rise = np.linspace(1, 0, height, dtype=np.float32)[:, None].repeat(20, axis=1)
    out[BAR:, 4:24] = draw_heat(np.full((height, 20, 3), GREY, np.uint8), rise)
    cv2.putText(out, name, (4, BAR - 8), _FONT, 0.45, LIGHT, 1, cv2.LINE_AA)
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = BAR + round((1 - share) * (height - 1))
        spot = (30, min(max(y + 4, BAR + 10), BAR + height - 2))
        cv2.putText(out, f"{share:g}", spot, _FONT, 0.4, LIGHT, 1, cv2.LINE_AA)
    return out
