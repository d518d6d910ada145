"""Raw outputs of a device -> boxes. It stands alone: Python and numpy; `passerby export --target dlc` copies it.

    python decode.py FOLDER [NAME.json]

FOLDER    with one file an output, float32: logits_0_38x38.raw, offsets_0_38x38.raw, ... as qnn-net-run and snpe-net-run
          write them (with --use_native_output_files they are not float32: leave it out)
NAME.json the model's facts; default: the only .json file beside this program
prints    one line a box, highest score first: label score x0 y0 x1 y1, pixels of the network's input
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

CANDIDATES = 2000  # highest scores a class that enter suppression


def read_outputs(folder: Path, model: dict[str, Any]) -> tuple[Any, Any]:
    """Logits (A, C), or (A, C + 1) with the background first, and offsets (A, 4), the finest map first."""
    logits: list[Any] = []
    offsets: list[Any] = []
    for k, m in enumerate(model["anchors"]):
        count = m["rows"] * m["columns"] * len(m["sizes"])
        for kind, parts in (("logits", logits), ("offsets", offsets)):
            path = folder / f"{kind}_{k}_{m['rows']}x{m['columns']}.raw"
            values = np.fromfile(path, np.float32)
            if not values.size or values.size % count or (kind == "offsets" and values.size != 4 * count):
                sys.exit(f"{path}: holds {values.size} numbers, want a multiple of {count}, of offsets {4 * count}")
            parts.append(values.reshape(count, -1))
    return np.concatenate(logits), np.concatenate(offsets)


def default_boxes(model: dict[str, Any]) -> Any:
    """(A, 4) float32, cx cy w h, input pixels: map by map, row by row, column by column, box by box."""
    rows = []
    for m in model["anchors"]:
        sizes = np.array(m["sizes"], np.float32)
        y, x = np.meshgrid(
            (np.arange(m["rows"], dtype=np.float32) + 0.5) / m["rows"] * model["height"],
            (np.arange(m["columns"], dtype=np.float32) + 0.5) / m["columns"] * model["width"],
            indexing="ij",
        )
        centres = np.repeat(np.stack([x, y], -1).reshape(-1, 2), len(sizes), axis=0)
        rows.append(np.concatenate([centres, np.tile(sizes, (m["rows"] * m["columns"], 1))], axis=1))
    return np.concatenate(rows).astype(np.float32)


def decode(logits: Any, offsets: Any, model: dict[str, Any]) -> tuple[Any, Any]:
    """Boxes (A, 4), x0 y0 x1 y1, input pixels, and scores (A, C)."""
    if model["scoring"] == "softmax":
        risen = np.exp(logits - logits.max(axis=1, keepdims=True))
        scores = (risen / risen.sum(axis=1, keepdims=True))[:, 1:]
    else:
        scores = 1 / (1 + np.exp(-logits.astype(np.float64)))
    boxes, (centre, size) = default_boxes(model), model["variance"]
    middle = boxes[:, :2] + offsets[:, :2] * np.float32(centre) * boxes[:, 2:]
    half = boxes[:, 2:] * np.exp(offsets[:, 2:] * np.float32(size)) / 2
    return np.concatenate([middle - half, middle + half], axis=1), scores.astype(np.float32)


def suppress(boxes: Any, scores: Any, model: dict[str, Any]) -> list[tuple[int, float]]:
    """Rows that stay and their scores, highest first.

    What overlaps one that stays by more than the model's IoU goes ("hard"), or has 1 - IoU of its score left ("soft").
    """
    left = scores.copy()
    left[np.argsort(-scores, kind="stable")[CANDIDATES:]] = -1
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    kept: list[tuple[int, float]] = []
    while len(left) and left.max() >= np.float32(model["threshold"]):
        i = int(left.argmax())
        kept.append((i, float(left[i])))
        left[i] = -1
        sides = np.minimum(boxes[:, 2:], boxes[i, 2:]) - np.maximum(boxes[:, :2], boxes[i, :2])
        shared = sides.clip(0).prod(axis=1)
        overlap = shared / np.maximum(area + area[i] - shared, np.float32(1e-9))
        near = (overlap > np.float32(model["nms_iou"])) & (left >= 0)
        left[near] = left[near] * (1 - overlap[near]) if model.get("nms") == "soft" else -1
    return kept


def find(folder: Path, model: dict[str, Any]) -> list[tuple[str, float, list[float]]]:
    """What the outputs in a folder say: label, score, box of everything found, highest score first."""
    boxes, scores = decode(*read_outputs(folder, model), model)
    found = []
    for column, label in enumerate(model["labels"]):
        rows = np.flatnonzero(scores[:, column] >= np.float32(model["threshold"]))
        for k, score in suppress(boxes[rows], scores[rows, column], model):
            inside = boxes[rows[k]].clip(0, [model["width"], model["height"]] * 2)
            found.append((label, score, inside.tolist()))
    return sorted(found, key=lambda row: -row[1])[: model["max_detections"]]


def main() -> None:
    """The command line."""
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    facts = [Path(sys.argv[2])] if len(sys.argv) == 3 else sorted(Path(__file__).resolve().parent.glob("*.json"))
    if len(facts) != 1:
        sys.exit(f"there are {len(facts)} .json files beside this program; name the model's")
    for label, score, box in find(Path(sys.argv[1]), json.loads(facts[0].read_text(encoding="utf-8"))):
        print(label, f"{score:.4f}", *(f"{v:.2f}" for v in box))


if __name__ == "__main__":
    main()
