"""Pascal VOC: Annotations/*.xml, JPEGImages/*, ImageSets/Main/<split>.txt.

Coordinates are taken as they are written, as continuous pixels: x1 and y1 are the right and lower edge.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from passerby.data.clean import clean_box, settle_names
from passerby.errors import DataError, SourceError, did_you_mean
from passerby.pictures import EXTENSIONS, picture_size
from passerby.records import Note, Sample, SampleSet, Truth


@dataclass(frozen=True)
class _Object:
    name: str
    box: tuple[float, ...]
    difficult: bool


def read(root: Path, split: str = "", labels: Sequence[str] = ()) -> SampleSet:
    """Read a VOC folder.

    root     holds Annotations and JPEGImages
    split    lists in ImageSets/Main, one or several joined with commas; empty: every annotation
    labels   class names wanted, in order; empty: those that occur

    A `<size>` that is missing or disagrees with the picture gives way to the picture's own. Boxes past the border
    are cut, those without area dropped, mistyped names put right, pictures and annotations that cannot be read left
    out: each with a Note. Raises DataError when the folder, a split or everything in it is unusable.
    """
    root = Path(root)
    notes: list[Note] = []
    found: list[tuple[str, Path, int, int, list[_Object]]] = []
    pictures = _pictures(root)
    for name in _names(root, split):
        path = root / "Annotations" / f"{name}.xml"
        try:
            size, objects = _parse(path)
            if name not in pictures:
                raise DataError(f"no picture {name}.* in JPEGImages")
            width, height = picture_size(pictures[name])
        except (DataError, SourceError) as e:
            notes.append(Note("left out", path.name, -1, str(e)))
            continue
        if size != (width, height):
            notes.append(Note("size", path.name, -1, f"<size> says {size[0]} x {size[1]}, picture {width} x {height}"))
        found.append((path.name, pictures[name], width, height, objects))
    source = f"voc:{root.name}" + (f"#{split}" if split else "")
    if not found:
        first = f"; the first: {notes[0].file}: {notes[0].text}" if notes else ""
        raise DataError(f"{source}: no usable picture with an annotation{first}")
    chosen, names = settle_names(Counter(o.name for *_, objects in found for o in objects), labels)
    samples = [
        Sample(picture, width, height, _truth(file, width, height, objects, chosen, names, notes))
        for file, picture, width, height, objects in found
    ]
    return SampleSet(tuple(samples), chosen, source, tuple(notes))


def _truth(
    file: str,
    width: int,
    height: int,
    objects: list[_Object],
    labels: tuple[str, ...],
    names: dict[str, str],
    notes: list[Note],
) -> Truth:
    boxes, numbers, difficult = [], [], []
    for i, o in enumerate(objects):
        if o.name not in names:
            notes.append(Note("dropped", file, i, f"class '{o.name}' is not among {list(labels)}"))
            continue
        if names[o.name] != o.name:
            notes.append(Note("renamed", file, i, f"class '{o.name}' taken for '{names[o.name]}'"))
        if box := clean_box(o.box, width, height, file, i, notes):
            boxes.append(box)
            numbers.append(labels.index(names[o.name]))
            difficult.append(o.difficult)
    return Truth.of(boxes, numbers, difficult)


def _names(root: Path, split: str) -> list[str]:
    """Picture names of the splits, each once, in the lists' order."""
    if not (root / "Annotations").is_dir():
        raise DataError(f"{root}: no folder Annotations; is this Pascal VOC?")
    if not split:
        return sorted(p.stem for p in (root / "Annotations").glob("*.xml"))
    lists = root / "ImageSets" / "Main"
    names: dict[str, None] = {}
    for part in split.split(","):
        path = lists / f"{part.strip()}.txt"
        if not path.is_file():
            known = [p.stem for p in lists.glob("*.txt")]
            raise DataError(f"{root}: no split '{part.strip()}' in ImageSets/Main{did_you_mean(part.strip(), known)}")
        try:
            text = path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as e:
            raise DataError(f"{path}: cannot be read: {e}") from e
        for line in text.splitlines():
            if fields := line.split():  # VOC's class lists have a second column; -1: the class is not there
                names[fields[0]] = None
    return list(names)


def _pictures(root: Path) -> dict[str, Path]:
    folder = root / "JPEGImages"
    if not folder.is_dir():
        raise DataError(f"{root}: no folder JPEGImages; is this Pascal VOC?")
    return {p.stem: p for p in sorted(folder.iterdir()) if p.suffix.lower() in EXTENSIONS}


def _parse(path: Path) -> tuple[tuple[int, int], list[_Object]]:
    """Size as written (0 x 0 when missing) and objects of one file. Raises DataError naming object and field."""
    try:
        text = path.read_bytes()
        plain = text.replace(b"\0", b"")  # UTF-16 holds a zero beside each ASCII letter
        if b"<!DOCTYPE" in plain or b"<!ENTITY" in plain:
            raise DataError("it declares XML entities, which no annotation needs: refused")
        tree = ET.fromstring(text)
    except FileNotFoundError as e:
        raise DataError("no such annotation") from e
    except (OSError, ET.ParseError, ValueError, LookupError) as e:  # the last two: an encoding expat cannot read
        raise DataError(f"cannot be read: {e}") from e
    objects = []
    for i, node in enumerate(tree.iter("object")):
        corners = []
        for key in ("xmin", "ymin", "xmax", "ymax"):
            text_value = node.findtext(f"bndbox/{key}")
            try:
                corners.append(float(text_value or ""))
            except ValueError as e:
                raise DataError(f"object {i}: <{key}> is {text_value!r}, not a number") from e
        objects.append(
            _Object(
                (node.findtext("name") or "").strip(), tuple(corners), node.findtext("difficult", "0").strip() == "1"
            )
        )
    return (_whole(tree.findtext("size/width")), _whole(tree.findtext("size/height"))), objects


def _whole(text: str | None) -> int:
    try:
        return int(float(text or 0))
    except (ValueError, OverflowError):
        return 0
