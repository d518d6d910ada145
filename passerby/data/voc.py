"""Pascal VOC: Annotations/*.xml, JPEGImages/*, ImageSets/Main/<split>.txt.

Coordinates are taken as they are written, as continuous pixels: x1 and y1 are the right and lower edge.
"""

from __future__ import annotations

import os
import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path

from passerby.data.listing import DIFFICULT, IGNORE, Listed, Listing, inside, read_part, read_text, there
from passerby.data.places import entries
from passerby.errors import DataError, did_you_mean
from passerby.pictures import EXTENSIONS

_OBJECT = re.compile(rb"<object[\s>]")
_MOST_TAGS = 2_000_000  # in one annotation; each takes over a hundred bytes once read, and 20,000 objects have 800,000
_SECOND = re.compile(r"\s+-?[01]$")
_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_UNHELD = ("truncated", "occluded")  # flags that only some tools write, and no detector of ours uses


def signs(path: Path) -> str:
    """Why a folder looks like Pascal VOC; "" where it does not."""
    found = any(p.suffix == ".xml" for p in entries(path / "Annotations"))
    return "its folder Annotations holds .xml files" if found else ""


def read(root: Path, splits: Sequence[str] = ()) -> Listing:
    """List a VOC folder.

    root     holds Annotations and JPEGImages
    splits   lists in ImageSets/Main; none: every annotation, each with the list that names it

    Raises DataError when a folder or a split is missing. An annotation that cannot be read is a note.
    """
    out = Listing(size_stated=True)
    if not (root / "Annotations").is_dir():
        raise DataError(f"{root}: no folder Annotations; is this Pascal VOC?")
    pictures = _pictures(root)
    names = _chosen(root, splits) if splits else _all(root)
    for name, split in names.items():
        file = f"{name}.xml"
        try:
            (width, height), objects, lines = _parse(inside(root / "Annotations", file))
        except DataError as e:
            out.tell("bad-labels", file, str(e))
            continue
        if name not in pictures:
            out.tell("no-picture", file, f"no picture {name}.* in JPEGImages")
            continue
        picture = out.add_picture(Listed(pictures[name], file, 0, width, height, split=split))
        for i, node in enumerate(objects):
            _add(out, picture, file, node, i, lines[i] if i < len(lines) else 0)
    if not splits:
        labelled = set(names)
        for name, path in pictures.items():
            if name not in labelled:
                out.tell("no-labels", path.name, "no annotation of this name")
    return out


def _add(out: Listing, picture: int, file: str, node: ET.Element, item: int, line: int) -> None:
    values = {child.tag: child.text for child in node}
    corners = {child.tag: child.text for child in node.find("bndbox") or ()}
    key = ""
    try:
        box = [float(corners.get(key := k) or "") for k in _CORNERS]
    except ValueError:
        out.tell("bad-object", file, f"<{key}> is {corners.get(key)!r:.80}, not a number", item, line)
        return
    flags = DIFFICULT if _is_one(values.get("difficult")) else 0
    if _is_one(values.get("ignore")):  # our own, see data/write.py: VOC has no ignore regions
        flags = IGNORE
    out.add_object(picture, (values.get("name") or "").strip(), box, item, line, flags)
    for key in _UNHELD:
        if values.get(key, "0") not in ("0", None):
            out.unheld[key] += 1


def _is_one(text: str | None) -> bool:
    return text == "1" or (text is not None and text.strip() == "1")


def _chosen(root: Path, splits: Sequence[str]) -> dict[str, str]:
    """{picture name: split} of the lists, each name once, in the lists' order."""
    lists = root / "ImageSets" / "Main"
    names: dict[str, str] = {}
    for split in splits:
        path = lists / f"{split}.txt"
        if not path.is_file():
            known = [p.stem for p in lists.glob("*.txt")]
            raise DataError(f"{root}: no split '{split}' in ImageSets/Main{did_you_mean(split, known)}")
        for name in _names(root, path):
            names.setdefault(name, split)
    return names


def _all(root: Path) -> dict[str, str]:
    """{picture name: the list that names it, or ""} of every annotation; lists that join others do not count."""
    split: dict[str, str] = {}
    for path in sorted((root / "ImageSets" / "Main").glob("*.txt")):
        if not path.stem.startswith("trainval"):
            try:
                for name in _names(root, path):
                    split.setdefault(name, path.stem)
            except DataError:
                continue
    names = (name[:-4] for name in sorted(p.name for p in os.scandir(root / "Annotations")) if name.endswith(".xml"))
    return {name: split.get(name, "") for name in names}


def _names(root: Path, path: Path) -> list[str]:
    """The names in a list. VOC's class lists have a second column: 1, 0, or -1 where the class is not there."""
    try:
        text = read_text(path)
    except DataError as e:
        raise DataError(f"{path}: {e}") from e
    names = []
    for line in text.splitlines():
        name = line.strip()
        plain = _SECOND.sub("", name)
        if name:
            names.append(plain if plain == name or not there(root / "Annotations" / f"{name}.xml") else name)
    return names


def _pictures(root: Path) -> dict[str, Path]:
    folder = root / "JPEGImages"
    if not folder.is_dir():
        raise DataError(f"{root}: no folder JPEGImages; is this Pascal VOC?")
    found = (name.rpartition(".") for name in sorted(p.name for p in os.scandir(folder)))
    return {stem: folder / f"{stem}.{suffix}" for stem, _, suffix in found if f".{suffix.lower()}" in EXTENSIONS}


def _parse(path: Path) -> tuple[tuple[int, int], list[ET.Element], list[int]]:
    """Size as written (0 x 0 when missing), objects, and the line of each (none where they cannot be told)."""
    text = read_part(path)
    plain = text.replace(b"\0", b"")  # UTF-16 holds a zero beside each ASCII letter
    if b"<!DOCTYPE" in plain or b"<!ENTITY" in plain:
        raise DataError("it declares XML entities, which no annotation needs: refused")
    if text.count(b"<") > _MOST_TAGS:
        raise DataError(f"over {_MOST_TAGS:,} tags: refused")
    try:
        tree = ET.fromstring(text)
    except (ET.ParseError, ValueError, LookupError) as e:  # the last two: an encoding expat cannot read
        raise DataError(f"cannot be read: {e}") from e
    objects = list(tree.iter("object"))
    lines = _lines(text)
    size = (_whole(tree.findtext("size/width")), _whole(tree.findtext("size/height")))
    return size, objects, lines if len(lines) == len(objects) else []


def _lines(text: bytes) -> list[int]:
    """The line of each <object>."""
    lines, line, last = [], 1, 0
    for found in _OBJECT.finditer(text):
        line += text.count(b"\n", last, found.start())
        last = found.start()
        lines.append(line)
    return lines


def _whole(text: str | None) -> int:
    try:
        return int(float(text or 0))
    except (ValueError, OverflowError):
        return 0
