"""Heads: feature maps -> boxes and scores, or a score and a map. A head is one file here and one line in HEADS."""

from __future__ import annotations

from passerby.learn.heads.base import Head
from passerby.learn.heads.pooled import Pooled
from passerby.learn.heads.ssd import PlainSSD, SSDLite
from passerby.learn.heads.two_stage import TwoStage

HEADS: dict[str, type[Head]] = {
    "ssd": SSDLite,
    "plain_ssd": PlainSSD,
    "two_stage": TwoStage,
    "pooled": Pooled,
}
