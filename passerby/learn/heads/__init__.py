"""Heads: feature maps -> scores and offsets of default boxes. A head is one file here and one line in HEADS."""

from __future__ import annotations

from passerby.learn.heads.ssd import SSDLite

HEADS: dict[str, type[SSDLite]] = {
    "ssd": SSDLite,
}
