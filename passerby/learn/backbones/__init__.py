"""Backbones: pixels -> feature maps. A backbone is one file here and one line in BACKBONES."""

from __future__ import annotations

from passerby.learn.backbones.base import Backbone
from passerby.learn.backbones.mobilenet_v1 import MobileNetV1
from passerby.learn.backbones.mobilenet_v2 import MobileNetV2
from passerby.learn.backbones.vgg16 import VGG16

BACKBONES: dict[str, type[Backbone]] = {
    "mobilenet_v1": MobileNetV1,
    "mobilenet_v2": MobileNetV2,
    "vgg16": VGG16,
}
