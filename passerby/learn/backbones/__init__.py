"""Backbones: pixels -> feature maps. A backbone is one file here and one line in BACKBONES."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from passerby.learn.backbones.mobilenet_v2 import MobileNetV2

BACKBONES: dict[str, Callable[[float, float, Sequence[int]], MobileNetV2]] = {
    "mobilenet_v2": MobileNetV2,
}
