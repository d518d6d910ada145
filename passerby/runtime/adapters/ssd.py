"""SSD and its like: with post-processing in the graph (DetectionOutput, or TensorFlow's four outputs), and without."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from passerby.records import Floats
from passerby.runtime.adapters.base import Adapter, Input, Shape
from passerby.runtime.adapters.names import COCO, coco_by_number
from passerby.runtime.graph import Graph

TITLES = {"person-": ("person",), "pedestrian-": ("pedestrian",), "face-": ("face",)}  # of Open Model Zoo
COLUMNS = 7  # of DetectionOutput: picture, class, score, x0, y0, x1, y1 in shares of the picture


def find_detection_output(graph: Graph, shapes: Sequence[Shape]) -> tuple[int, ...]:
    """The output (1, 1, N, 7)."""
    return next(((k,) for k, s in enumerate(shapes) if len(s) == 4 and s[:2] == (1, 1) and s[3] == COLUMNS), ())


def decode_detection_output(outputs: Sequence[Floats], width: int, height: int) -> tuple[Floats, Floats]:
    """(1, 1, N, 7) -> boxes (K, 4) input pixels, scores (K, C); a picture number under 0 ends the list."""
    rows = outputs[0].reshape(-1, COLUMNS)
    ends = np.flatnonzero(rows[:, 0] < 0)
    rows = rows[: ends[0]] if len(ends) else rows
    return _in_pixels(rows[:, 3:], width, height), spread(rows[:, 2], rows[:, 1])


def find_tensorflow(graph: Graph, shapes: Sequence[Shape]) -> tuple[int, ...]:
    """Boxes (1, N, 4), classes (1, N), scores (1, N), count (1,): by name, or in TFLite's order."""
    boxes = [k for k, s in enumerate(shapes) if len(s) == 3 and s[0] == 1 and s[2] == 4]
    if len(boxes) != 1:
        return ()
    flat = [k for k, s in enumerate(shapes) if s == shapes[boxes[0]][:2]]
    count = [k for k, s in enumerate(shapes) if s in ((1,), ())]
    if len(flat) < 2 or len(count) != 1:
        return ()
    names = [p.name for p in graph.outputs]
    classes = next((k for k in flat if "classes" in names[k]), flat[0])
    scores = next((k for k in flat if "scores" in names[k]), flat[1])
    return (boxes[0], classes, scores, count[0])


def decode_tensorflow(outputs: Sequence[Floats], width: int, height: int) -> tuple[Floats, Floats]:
    """Boxes y0 x0 y1 x1 in shares, classes, scores, count -> boxes (K, 4) input pixels, scores (K, C)."""
    boxes, classes, scores, count = outputs
    k = int(count.reshape(-1)[0])
    return _in_pixels(boxes[0, :k][:, [1, 0, 3, 2]], width, height), spread(scores[0, :k], classes[0, :k])


def find_unsuppressed(graph: Graph, shapes: Sequence[Shape]) -> tuple[int, ...]:
    """Scores (1, A, C) with the background first and boxes (1, A, 4), and nothing else."""
    if len(shapes) != 2 or any(len(s) != 3 for s in shapes) or shapes[0][1] != shapes[1][1]:
        return ()
    boxes = [k for k, s in enumerate(shapes) if s[2] == 4]
    if len(boxes) == 2:  # three classes and the background look like boxes: names decide
        boxes = [k for k in boxes if "box" in graph.outputs[k].name.lower()]
    return (1 - boxes[0], boxes[0]) if len(boxes) == 1 and shapes[1 - boxes[0]][2] > 1 else ()


def decode_unsuppressed(outputs: Sequence[Floats], width: int, height: int) -> tuple[Floats, Floats]:
    """Scores (1, A, C + 1), boxes (1, A, 4) in shares -> boxes (A, 4) input pixels, scores (A, C)."""
    scores, boxes = outputs
    return _in_pixels(boxes[0], width, height), np.ascontiguousarray(scores[0, :, 1:])


def spread(scores: Floats, classes: Floats) -> Floats:
    """Scores (K,) of classes (K,) as a matrix (K, C): each in its class's column, 0 elsewhere."""
    numbers = np.maximum(classes, 0).astype(np.int64)
    out = np.zeros((len(scores), int(numbers.max(initial=0)) + 1), np.float32)
    out[np.arange(len(scores)), numbers] = scores
    return out


def _in_pixels(boxes: Floats, width: int, height: int) -> Floats:
    return np.asarray(boxes * np.array([width, height, width, height], np.float32), np.float32)


def _by_title(graph: Graph, classes: int) -> tuple[str, ...]:
    return next((names for start, names in TITLES.items() if graph.title.startswith(start)), ())


def _tensorflow_names(graph: Graph, classes: int) -> tuple[str, ...]:
    """TFLite counts classes from 0, TensorFlow from 1 with the background as 0."""
    names = coco_by_number()
    return names if any("PostProcess" in p.name for p in graph.outputs) else ("background", *names)


def _face_if_one(_: Graph, classes: int) -> tuple[str, ...]:
    """Two columns, background and one class, are what Ultra-Light face has; COCO's names where there are 80."""
    return ("face",) if classes == 1 else COCO if classes == len(COCO) else ()


DETECTION_OUTPUT = Adapter(
    "SSD with DetectionOutput (Open Model Zoo, Caffe)", find_detection_output, decode_detection_output,
    Input("stretch", "bgr", size=(300, 300)), _by_title, 0.5, None,
)  # fmt: skip
TENSORFLOW = Adapter(
    "SSD of TensorFlow or TFLite, four outputs", find_tensorflow, decode_tensorflow,
    Input("stretch", "rgb", (127.5,), (127.5,), size=(300, 300)), _tensorflow_names, 0.5, None,
)  # fmt: skip
UNSUPPRESSED = Adapter(
    "SSD without post-processing (Ultra-Light face)", find_unsuppressed, decode_unsuppressed,
    Input("stretch", "rgb", (127.0,), (128.0,), size=(320, 240)), _face_if_one, 0.7, 0.3,
)  # fmt: skip
