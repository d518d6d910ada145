"""Heads: feature maps -> boxes and scores. A head is one file here and one line in HEADS."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from passerby.learn.heads.base import Head
from passerby.learn.heads.ssd import SSDLite
from passerby.spec import ModelSpec

HEADS: dict[str, Callable[[Sequence[int], ModelSpec], Head]] = {
    "ssd": SSDLite,
}
