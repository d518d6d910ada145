"""A small data set in every format, made of the same boxes: two pictures of 60 x 40 in one split, one in the other.

Picture a holds an object for each of the corners given, b and c hold none. A new row of READERS needs a maker here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

Corners = Sequence[tuple[float, float, float, float]]
NAN = float("nan")
CORNERS = (
    (1, 2, 11, 22),
    (-4, -4, 20, 20),
    (50, 30, 90, 90),
    (30, 20, 10, 5),
    (5, 5, 5, 9),
    (100, 100, 120, 120),
    (NAN, 5, 8, 20),
)
KEPT = [[1, 2, 11, 22], [0, 0, 20, 20], [50, 30, 60, 40], [10, 5, 30, 20]]  # of CORNERS
WRONG = {"clipped": [1, 2], "swapped": [3], "no-area": [4], "outside": [5], "not-a-number": [6]}  # numbers of CORNERS


@dataclass(frozen=True)
class Made:
    """A data set on disk.

    path    as it is named
    splits  the names of the two
    file    with the boxes of a; `lines` in it, one an object (a 0 each, where the format has no lines)
    label   class of the objects
    names   what names picture a: a file, and the text in it that stands for the name; None where no file names it
    """

    path: Path
    splits: tuple[str, str]
    file: Path | None = None
    lines: tuple[int, ...] = ()
    label: str = "head"
    names: tuple[Path, str] | None = None


def picture(path: Path, width: int = 60, height: int = 40) -> Path:
    """A picture of noise; the extension decides the format."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(len(path.name)).integers(0, 256, (height, width, 3), np.uint8)
    path.write_bytes(cv2.imencode(path.suffix, pixels)[1].tobytes())
    return path


def write(path: Path, *lines: str) -> Path:
    """A text file of these lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def sized(corners: Corners) -> list[list[float]]:
    """Corners as x y width height."""
    return [[x, y, x1 - x, y1 - y] for x, y, x1, y1 in corners]


def voc(root: Path, corners: Corners = CORNERS) -> Made:
    tags = ("xmin", "ymin", "xmax", "ymax")
    objects = []
    for box in corners:
        inner = "".join(f"<{t}>{v}</{t}>" for t, v in zip(tags, box, strict=True))
        objects.append(f"<object><name>head</name><bndbox>{inner}</bndbox></object>")
    start = "<annotation><size><width>60</width><height>40</height></size>"
    file = write(root / "Annotations" / "a.xml", start, *objects, "</annotation>")
    for name in "bc":
        write(root / "Annotations" / f"{name}.xml", start, "</annotation>")
    for name in "abc":
        picture(root / "JPEGImages" / f"{name}.jpg")
    train = write(root / "ImageSets" / "Main" / "train.txt", "a", "b")
    write(root / "ImageSets" / "Main" / "val.txt", "c")
    return Made(root, ("train", "val"), file, tuple(range(2, 2 + len(corners))), names=(train, "a"))


def coco(root: Path, corners: Corners = CORNERS) -> Made:
    rows = [json.dumps({"image_id": 1, "category_id": 1, "bbox": box}) for box in sized(corners)]
    end = '"categories": [{"id": 1, "name": "head"}]}'
    images = '"images": [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "b.png"}],'
    joined = [f"{row}," for row in rows[:-1]] + rows[-1:]
    file = write(root / "train.json", "{", images, '"annotations": [', *joined, "],", end)
    write(root / "val.json", '{"images": [{"id": 1, "file_name": "c.png"}], "annotations": [],', end)
    for name in "abc":
        picture(root / f"{name}.png")
    return Made(root, ("train", "val"), file, tuple(range(4, 4 + len(corners))), names=(file, '"a.png"'))


def yolo(root: Path, corners: Corners = CORNERS) -> Made:
    rows = []
    for x0, y0, x1, y1 in corners:
        values = ((x0 + x1) / 2 / 60, (y0 + y1) / 2 / 40, (x1 - x0) / 60, (y1 - y0) / 40)
        rows.append("0 " + " ".join(f"{v:.9f}" for v in values))
    write(root / "data.yaml", "train: [images/train, more.txt]", "val: images/val", "nc: 1", "names: [head]")
    more = write(root / "more.txt", "./images/train/a.png")
    file = write(root / "labels" / "train" / "a.txt", *rows)
    for name in ("train/a", "train/b", "val/c"):
        picture(root / "images" / f"{name}.png")
    more.write_text("")
    return Made(root, ("train", "val"), file, tuple(range(1, 1 + len(corners))), names=(more, ""))


def crowdhuman(root: Path, corners: Corners = CORNERS) -> Made:
    rows = [{"tag": "person", "hbox": box, "head_attr": {"ignore": 0}, "extra": {}} for box in sized(corners)]
    lines = [json.dumps({"ID": name, "gtboxes": rows if name == "a" else []}) for name in "ab"]
    file = write(root / "annotation_train.odgt", *lines)
    write(root / "annotation_val.odgt", json.dumps({"ID": "c", "gtboxes": []}))
    for name in "abc":
        picture(root / "Images" / f"{name}.jpg")
    return Made(root, ("train", "val"), file, (1,) * len(corners), names=(file, '"a"'))


def wider_face(root: Path, corners: Corners = CORNERS) -> Made:
    rows = [" ".join(map(str, box)) + " 0 0 0 0 0 0" for box in sized(corners)]
    none = ["0", "0 0 0 0 0 0 0 0 0 0"]
    blocks = ["0--P/a.jpg", str(len(rows)), *rows, "0--P/b.jpg", *none]
    file = write(root / "wider_face_split" / "wider_face_train_bbx_gt.txt", *blocks)
    write(root / "wider_face_split" / "wider_face_val_bbx_gt.txt", "0--P/c.jpg", *none)
    for name in ("train/images/0--P/a", "train/images/0--P/b", "val/images/0--P/c"):
        picture(root / f"WIDER_{name}.jpg")
    lines = tuple(range(3, 3 + len(corners)))
    return Made(root, ("train", "val"), file, lines, "face", names=(file, "0--P/a.jpg"))


def brainwash(root: Path, corners: Corners = CORNERS) -> Made:
    boxes = ", ".join(f"({x0}, {y0}, {x1}, {y1})" for x0, y0, x1, y1 in corners)
    file = write(root / "brainwash_train.idl", f'"a.png": {boxes};', '"b.png".')
    write(root / "brainwash_val.idl", '"c.png".')
    for name in "abc":
        picture(root / f"{name}.png")
    return Made(root, ("train", "val"), file, (1,) * len(corners), names=(file, '"a.png"'))


def inria(root: Path, corners: Corners = CORNERS) -> Made:
    start = "# PASCAL Annotation Version 1.00", "", 'Image filename : "Train/pos/a.png"'
    size = "Image size (X x Y x C) : 60 x 40 x 3"
    what = 'Bounding box for object {} "PASperson" (Xmin, Ymin) - (Xmax, Ymax) : ({}, {}) - ({}, {})'
    rows = [what.format(k, *box) for k, box in enumerate(corners, 1)]
    file = write(root / "Train" / "annotations" / "a.txt", *start, size, *rows)
    for name in ("Train/pos/a", "Train/neg/b", "Test/neg/c"):
        picture(root / f"{name}.png")
    for name in ("annotations", "pos"):
        (root / "Test" / name).mkdir()
    lines = tuple(range(5, 5 + len(corners)))
    return Made(root, ("train", "test"), file, lines, "person", names=(file, '"Train/pos/a.png"'))


def csv(root: Path, corners: Corners = CORNERS) -> Made:
    header = "filename,width,height,class,xmin,ymin,xmax,ymax"
    rows = [f"a.png,60,40,head,{','.join(map(str, box))}" for box in corners]
    file = write(root / "train.csv", header, *rows, "b.png,60,40,,,,,")
    write(root / "val.csv", header, "c.png,60,40,,,,,")
    for name in "abc":
        picture(root / f"{name}.png")
    return Made(root, ("train", "val"), file, tuple(range(2, 2 + len(corners))), names=(file, "a.png"))


def classes(root: Path, corners: Corners = CORNERS) -> Made:
    for name in ("train/head/a", "train/other/b", "val/head/c"):
        picture(root / f"{name}.png")
    return Made(root, ("train", "val"))


def folder(root: Path, corners: Corners = CORNERS) -> Made:
    for name in ("train/a", "train/b", "val/c"):
        picture(root / f"{name}.png")
    return Made(root, ("train", "val"))


MADE: dict[str, Callable[..., Made]] = {
    "voc": voc,
    "coco": coco,
    "yolo": yolo,
    "crowdhuman": crowdhuman,
    "wider_face": wider_face,
    "brainwash": brainwash,
    "inria": inria,
    "csv": csv,
    "classes": classes,
    "folder": folder,
}
