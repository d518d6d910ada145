"""Reading labels: 1,000,000 boxes over 10,000 pictures, each format in a fresh process; COCO beside `json.load`.

Limit of the project: COCO JSON takes at most 4 times its size in memory. The pictures are links to one tiny PNG, so
that the seconds are those of the labels, plus opening 10,000 files for their sizes. Seconds are rough: one run each.
python benchmarks/reading.py
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
from common import save

PICTURES, BOXES = 10_000, 100  # pictures, and boxes in each
WIDTH, HEIGHT = 640, 480
LIMIT = 4.0

# Peak over what the imports took. VmHWM is of this process alone; ru_maxrss would hold the parent's as well.
MEASURE = """
import json, sys, time
from passerby.data import load_data
def size(key):
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(key)) / 1024
before, start = size("VmRSS"), time.perf_counter()
if sys.argv[1] == "json.load":
    found = json.load(open(sys.argv[2]))
    count = len(found["annotations"])
else:
    found = load_data(sys.argv[1] + ":" + sys.argv[2])
    count = found.objects()
print(count, time.perf_counter() - start, size("VmHWM") - before)
"""


def main() -> None:
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        boxes = make_boxes()
        whole = {"coco": make_coco(root, boxes), "csv": make_csv(root, boxes), "yolo": make_yolo(root, boxes)}
        for name in ("json.load", *whole):
            path = whole["coco" if name == "json.load" else name]
            command = [sys.executable, "-c", MEASURE, name, str(path)]
            count, seconds, memory = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
            assert int(count) == PICTURES * BOXES, f"{name}: {count} boxes"
            size = size_of(path, name)
            rows.append(
                {
                    "what": {"coco": "COCO JSON", "csv": "CSV", "yolo": "YOLO"}.get(name, "COCO JSON by json.load"),
                    "labels, MiB": f"{size:.0f}",
                    "memory, MiB": f"{float(memory):.0f}",
                    "memory / labels": f"{float(memory) / size:.2f}",
                    "limit": f"{LIMIT:.0f} x" if name == "coco" else "-",
                    "seconds, rough": f"{float(seconds):.1f}",
                }
            )
    save("reading", f"Reading {PICTURES * BOXES:,} boxes of {PICTURES:,} pictures in a fresh process", rows)
    if float(str(rows[1]["memory / labels"])) > LIMIT:
        sys.exit(f"over the limit of {LIMIT:.0f} times the file")


def make_boxes() -> list[list[tuple[float, float, float, float]]]:
    """For each picture its boxes, x y width height, all inside it."""
    dice = random.Random(0)

    def box() -> tuple[float, float, float, float]:
        w, h = dice.uniform(4, 200), dice.uniform(4, 200)
        return round(dice.uniform(0, WIDTH - w), 2), round(dice.uniform(0, HEIGHT - h), 2), round(w, 2), round(h, 2)

    return [[box() for _ in range(BOXES)] for _ in range(PICTURES)]


def link_pictures(folder: Path) -> None:
    """The same PNG under 10,000 names."""
    folder.mkdir(parents=True)
    first = folder / "000000.png"
    first.write_bytes(cv2.imencode(".png", np.zeros((HEIGHT, WIDTH, 3), np.uint8))[1].tobytes())
    for k in range(1, PICTURES):
        os.link(first, folder / f"{k:06}.png")


def make_coco(root: Path, boxes: list[list[tuple[float, float, float, float]]]) -> Path:
    """A file in the order of COCO's own: the categories come last."""
    link_pictures(root / "coco" / "images")
    images = [{"id": k, "file_name": f"{k:06}.png", "width": WIDTH, "height": HEIGHT} for k in range(PICTURES)]
    rows = [
        {
            "id": k * BOXES + n,
            "image_id": k,
            "category_id": n % 2 + 1,
            "bbox": row,
            "area": round(row[2] * row[3], 2),
            "iscrowd": 0,
        }
        for k, inner in enumerate(boxes)
        for n, row in enumerate(inner)
    ]
    categories = [{"id": 1, "name": "person"}, {"id": 2, "name": "head"}]
    path = root / "coco" / "train.json"
    path.write_text(json.dumps({"info": {}, "images": images, "annotations": rows, "categories": categories}))
    return path


def make_csv(root: Path, boxes: list[list[tuple[float, float, float, float]]]) -> Path:
    link_pictures(root / "csv" / "images")
    path = root / "csv" / "train.csv"
    with path.open("w") as f:
        f.write("filename,width,height,class,xmin,ymin,xmax,ymax\n")
        for k, inner in enumerate(boxes):
            f.writelines(
                f"{k:06}.png,{WIDTH},{HEIGHT},{'head' if n % 2 else 'person'},{x},{y},{x + w:.2f},{y + h:.2f}\n"
                for n, (x, y, w, h) in enumerate(inner)
            )
    return path


def make_yolo(root: Path, boxes: list[list[tuple[float, float, float, float]]]) -> Path:
    link_pictures(root / "yolo" / "images")
    labels = root / "yolo" / "labels"
    labels.mkdir()
    for k, inner in enumerate(boxes):
        lines = (
            f"{n % 2} {(x + w / 2) / WIDTH:.6f} {(y + h / 2) / HEIGHT:.6f} {w / WIDTH:.6f} {h / HEIGHT:.6f}\n"
            for n, (x, y, w, h) in enumerate(inner)
        )
        (labels / f"{k:06}.txt").write_text("".join(lines))
    (root / "yolo" / "classes.txt").write_text("person\nhead\n")
    return root / "yolo"


def size_of(path: Path, name: str) -> float:
    """MiB of the label files."""
    files = (path / "labels").iterdir() if name == "yolo" else [path]
    return sum(p.stat().st_size for p in files) / 2**20


if __name__ == "__main__":
    main()
