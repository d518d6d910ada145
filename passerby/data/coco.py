"""COCO JSON: one file with `images`, `annotations` and `categories`; boxes are x y w h in pixels."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from passerby.data.clean import clean_box, settle_names
from passerby.errors import DataError, SourceError
from passerby.pictures import picture_size
from passerby.records import Note, Sample, SampleSet, Truth


def read(path: Path, split: str = "", labels: Sequence[str] = ()) -> SampleSet:
    """Read a COCO detection file.

    path     the .json file, or a folder that holds <split>.json
    split    which .json in that folder
    labels   class names wanted, in order; empty: the file's categories

    Pictures are looked for beside the file, in `images/` and in a folder named as the file. `iscrowd` objects become
    ignore regions. Raises DataError naming list, number and field when the file is not what it should be.
    """
    file = _file(Path(path), split)
    raw = _load(file)
    notes: list[Note] = []
    categories = {c["id"]: str(c["name"]) for c in raw["categories"]}
    counts = Counter(categories.get(a.get("category_id"), "?") for a in raw["annotations"])
    known = labels or tuple(dict.fromkeys(categories.values()))
    chosen, names = settle_names(counts, known) if known else ((), {})
    objects: dict[Any, list[tuple[int, dict[str, Any]]]] = {}
    for i, a in enumerate(raw["annotations"]):
        objects.setdefault(a.get("image_id"), []).append((i, a))
    listed = {image["id"] for image in raw["images"]}
    for number, rows in objects.items():
        if number not in listed:
            notes.extend(Note("dropped", file.name, i, f"its picture {number!r} is not listed") for i, _ in rows)
    samples = []
    for image in raw["images"]:
        try:
            picture = _picture(file, str(image["file_name"]))
            width, height = picture_size(picture)
        except (DataError, SourceError) as e:
            notes.append(Note("left out", str(image["file_name"]), -1, str(e)))
            continue
        if (image.get("width", width), image.get("height", height)) != (width, height):
            text = f"listed as {image.get('width')} x {image.get('height')}, picture {width} x {height}"
            notes.append(Note("size", picture.name, -1, text))
        mine = objects.get(image["id"], [])
        samples.append(
            Sample(picture, width, height, _truth(file, mine, width, height, categories, chosen, names, notes))
        )
    if not samples:
        first = f"; the first: {notes[0].text}" if notes else ""
        raise DataError(f"{file}: none of its {len(raw['images'])} pictures can be used{first}")
    return SampleSet(tuple(samples), chosen, f"coco:{file.name}", tuple(notes))


def _truth(
    file: Path,
    objects: list[tuple[int, dict[str, Any]]],
    width: int,
    height: int,
    categories: dict[Any, str],
    labels: tuple[str, ...],
    names: dict[str, str],
    notes: list[Note],
) -> Truth:
    boxes, numbers, ignore = [], [], []
    for i, a in objects:
        name = categories.get(a.get("category_id"), "?")
        if name not in names:
            notes.append(Note("dropped", file.name, i, f"category '{name}' is not among {list(labels)}"))
            continue
        if names[name] != name:
            notes.append(Note("renamed", file.name, i, f"category '{name}' taken for '{names[name]}'"))
        try:
            x, y, w, h = (float(v) for v in a["bbox"])
        except (KeyError, TypeError, ValueError, OverflowError):
            notes.append(Note("dropped", file.name, i, f"bbox is {a.get('bbox')!r}, want [x, y, width, height]"))
            continue
        if box := clean_box((x, y, x + w, y + h), width, height, file.name, i, notes):
            boxes.append(box)
            numbers.append(labels.index(names[name]))
            ignore.append(bool(a.get("iscrowd", 0)))
    return Truth.of(boxes, numbers, ignore=ignore)


def _file(path: Path, split: str) -> Path:
    if path.is_dir():
        found = sorted(path.glob("*.json"))
        wanted = [p for p in found if p.stem == split] if split else found
        if len(wanted) != 1:
            raise DataError(
                f"{path}: name one of its files after #: {', '.join(p.stem for p in found) or 'there is none'}"
            )
        return wanted[0]
    return path


def _load(file: Path) -> dict[str, Any]:
    try:
        raw = json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as e:
        raise DataError(f"{file}: not readable JSON: {e}") from e
    if not isinstance(raw, dict):
        raise DataError(f"{file}: a COCO file is an object with images, annotations and categories")
    need = {"images": ("id", "file_name"), "annotations": ("image_id", "category_id"), "categories": ("id", "name")}
    for key, wanted in need.items():
        if not isinstance(raw.get(key), list):
            raise DataError(f"{file}: no list '{key}'; a COCO file has images, annotations and categories")
        for i, row in enumerate(raw[key]):
            if not isinstance(row, dict) or any(w not in row for w in wanted):
                raise DataError(f"{file}: {key}[{i}] lacks one of {', '.join(wanted)}")
            for w in wanted:
                if w.endswith("id") and not isinstance(row[w], (int, str)):
                    raise DataError(f"{file}: {key}[{i}] has {w} {row[w]!r}, want a number or a text")
    return raw


def _picture(file: Path, name: str) -> Path:
    base = file.parent
    for folder in (base, base / "images", base / file.stem):
        if (folder / name).is_file():
            return folder / name
    raise DataError(f"picture {name} is neither beside {file.name} nor in images/")
