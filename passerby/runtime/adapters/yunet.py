"""YuNet (libfacedetection): cls, obj, bbox and kps a stride of 8, 16, 32; faces.

score = sqrt(cls * obj); the centre is offset and the size logarithmic, both in cells (Wu et al. 2023, "YuNet"; the
decoding is that of OpenCV's FaceDetectorYN).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from passerby.geometry.boxes import to_corners
from passerby.records import Floats
from passerby.runtime.adapters.base import Adapter, Input, Shape, cells, grid, input_size
from passerby.runtime.graph import Graph

STRIDES = (8, 16, 32)
INPUT = Input("corner", "bgr", pad=0, size=(320, 320))


def find(graph: Graph, shapes: Sequence[Shape]) -> tuple[int, ...]:
    """Of each stride cls, obj, bbox, by shapes: 1, 1, 4 and 10 wide. cls and obj are multiplied: either may lead."""
    width, height, _ = input_size(graph.inputs[0], INPUT)
    order: dict[str, list[int]] = {"cls": [], "obj": [], "bbox": []}
    for stride in STRIDES:
        own = [k for k, s in enumerate(shapes) if len(s) == 3 and s[1] == cells(width, height, [stride])]
        own.sort(key=lambda k: shapes[k][2])
        if [shapes[k][2] for k in own] != [1, 1, 4, 10]:
            return ()
        for part, k in zip(order.values(), own, strict=False):
            part.append(k)
    return (*order["cls"], *order["obj"], *order["bbox"])


def decode(outputs: Sequence[Floats], width: int, height: int) -> tuple[Floats, Floats]:
    """cls, obj, bbox (1, A_s, .) of three strides -> boxes (A, 4) input pixels, scores (A, 1)."""
    classes, objects, boxes = (np.concatenate([o[0] for o in outputs[k : k + 3]]) for k in (0, 3, 6))
    spots, steps = grid(width, height, STRIDES)
    scores = np.sqrt(np.clip(classes, 0, 1) * np.clip(objects, 0, 1))
    centres = np.concatenate([(spots + boxes[:, :2]) * steps, np.exp(boxes[:, 2:4]) * steps], axis=1)
    return to_corners(centres), np.asarray(scores.reshape(-1, 1), np.float32)


def name_faces(_: Graph, classes: int) -> tuple[str, ...]:
    """It knows one class."""
    return ("face",)


ADAPTER = Adapter("YuNet (libfacedetection), faces", find, decode, INPUT, name_faces, 0.6, 0.3)
