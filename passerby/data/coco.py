"""COCO JSON: one file with `images`, `annotations` and `categories`; boxes are x y w h in pixels.

Lin et al. 2014, "Microsoft COCO"; the format is described at cocodataset.org, "Data format".
"""

from __future__ import annotations

import re
import reprlib
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from passerby.data.json_stream import JsonFile, four, text_of
from passerby.data.listing import DIFFICULT, IGNORE, Listed, Listing, first_there, printable, there
from passerby.errors import DataError, did_you_mean

_LISTS = {"images": ("id", "file_name"), "annotations": ("image_id", "category_id"), "categories": ("id", "name")}
_UNHELD = frozenset(("segmentation", "keypoints", "attributes", "score", "caption"))
_BOXES = "instances_"  # how COCO's own files with boxes begin; those beside them say other things of the same pictures
Key = int | str


def signs(path: Path) -> str:
    """Why a path looks like COCO; "" where it does not."""
    if path.is_file():
        return "it is a .json file with annotations" if path.suffix == ".json" and _is_coco(path) else ""
    found = [p for p in _files(path).values() if _is_coco(p)]
    return f"it holds {found[0].relative_to(path)} with annotations" if found else ""


def read(path: Path, splits: Sequence[str] = ()) -> Listing:
    """List a COCO detection file, or several of one folder.

    path     the .json file, or a folder that holds it (or annotations/ with it, or SPLIT/_annotations.coco.json)
    splits   names of files in that folder, without .json and "instances_"; none: all that are COCO files

    Pictures are looked for beside the file, in `images/`, in a folder named as the file, and in the same places one
    folder up where the file lies in `annotations/`. `iscrowd` objects are ignore regions.
    Raises DataError naming list, number and field when a file is not what it should be.
    """
    out = Listing()
    for split, file in _chosen(path, splits).items():
        _File(out, file, split).read()
    return out


class _File:
    """One file on its way into a Listing. Its lists may come in any order, so ids are settled at the end."""

    def __init__(self, out: Listing, path: Path, split: str) -> None:
        self.out, self.path, self.split = out, path, split
        self.folders = _folders(path, split)
        self.image_ids: dict[Key, int] = {}  # numbered as they come, in images or in annotations
        self.category_ids: dict[Key, int] = {}
        self.pictures: dict[int, int] = {}  # number of an image id -> number in the listing, -1: no such picture
        self.names: dict[int, str] = {}
        self.rows, self.boxes = array("i"), array("d")  # of each object: item, line, flags, image, category; box

    def read(self) -> None:
        self._lists()
        self.out.classes = tuple(dict.fromkeys((*self.out.classes, *self.names.values())))
        images, categories = list(self.image_ids), list(self.category_ids)
        for at in range(len(self.rows) // 5):
            item, line, flags, image, category = self.rows[5 * at : 5 * at + 5]
            picture, name = self.pictures.get(image), self.names.get(category)
            if picture is None:
                self._tell("no-picture", f"its picture {reprlib.repr(images[image])} is not listed", item, line)
            elif name is None:
                self._tell("bad-class", f"category_id {reprlib.repr(categories[category])} is not defined", item, line)
            elif picture >= 0:  # else it was said with the picture
                self.out.add_object(picture, name, self.boxes[4 * at : 4 * at + 4], item, line, flags)

    def _lists(self) -> None:
        file = JsonFile(self.path)
        if not file.is_object():
            raise DataError(f"{self.path}: a COCO file is an object with images, annotations and categories")
        seen: set[str] = set()
        for key, i, row, line in file.lists():
            if key not in _LISTS:
                continue
            if i < 0:
                raise DataError(f"{self.path}: no list '{key}'; a COCO file has images, annotations and categories")
            self._check(key, i, row, line)
            seen.add(key)
            if key == "images":
                self._picture(row, line)
            elif key == "categories":
                self.names.setdefault(_number(self.category_ids, row["id"]), printable(text_of(row["name"])))
            else:
                self._object(i, row, line)
        for key in _LISTS:  # an empty list gives no element; tell it from a missing one
            if key not in seen and not re.search(rf'"{key}"\s*:\s*\[', file.text):
                raise DataError(f"{self.path}: no list '{key}'; a COCO file has images, annotations and categories")

    def _check(self, key: str, i: int, row: Any, line: int) -> None:
        if not isinstance(row, dict) or not all(w in row for w in _LISTS[key]):
            raise DataError(f"{self.path}: {key}[{i}] lacks one of {', '.join(_LISTS[key])} (line {line})")
        for w in _LISTS[key]:
            if w.endswith("id") and not isinstance(row[w], (int, str)):
                raise DataError(f"{self.path}: {key}[{i}] has {w} {reprlib.repr(row[w])}, want a number or a text")

    def _picture(self, row: dict[str, Any], line: int) -> None:
        name = text_of(row["file_name"])
        number = _number(self.image_ids, row["id"])
        if number in self.pictures:
            self._tell("listed-twice", f"image id {reprlib.repr(row['id'])} is given twice", -1, line)
            return
        try:
            path = self._find(name)
        except DataError as e:
            shown = printable(name if len(name) <= 200 else name[:200] + "...")
            self.out.tell("no-picture", shown, str(e), -1, line)
            self.pictures[number] = -1
            return
        size = [row.get(k) for k in ("width", "height")]
        width, height = (int(v) if isinstance(v, (int, float)) and 0 < v < 2**31 else 0 for v in size)
        listed = Listed(path, self.path.name, line, width, height, split=self.split)
        self.pictures[number] = self.out.add_picture(listed)

    def _find(self, name: str) -> Path:
        path = first_there(self.folders, name)
        if not there(path):
            raise DataError(f"picture {name:.200} is neither beside {self.path.name} nor in images/")
        return path

    def _object(self, i: int, row: dict[str, Any], line: int) -> None:
        try:
            x, y, w, h = four(row.get("bbox"))
        except DataError as e:
            self._tell("bad-object", f"bbox {e}", i, line)
            return
        flags = IGNORE if row.get("iscrowd") else DIFFICULT if row.get("difficult") else 0
        image = _number(self.image_ids, row["image_id"])
        self.rows.extend((i, line, flags, image, _number(self.category_ids, row["category_id"])))
        self.boxes.extend((x, y, x + w, y + h))
        for key in _UNHELD & row.keys():
            self.out.unheld[key] += bool(row[key])

    def _tell(self, kind: str, text: str, item: int, line: int) -> None:
        self.out.tell(kind, self.path.name, text, item, line)


def _number(ids: dict[Key, int], value: Any) -> int:
    """The number that stands for an id of a file."""
    key = text_of(value) if isinstance(value, str) else int(value)
    return ids.setdefault(key, len(ids))


def _folders(file: Path, split: str) -> list[Path]:
    """Where the pictures of a file may lie; COCO's own: annotations/instances_val2017.json, val2017/."""
    bases = [file.parent, file.parent.parent] if file.parent.name == "annotations" else [file.parent]
    return [folder for base in bases for folder in (base, base / "images", base / split, base / "images" / split)]


def _files(folder: Path) -> dict[str, Path]:
    """{split: file} of the .json files that may be COCO's."""
    files = sorted(folder.glob("*.json")) or sorted((folder / "annotations").glob("*.json"))
    found = {p.stem: p for p in files}
    found |= {p.stem.removeprefix(_BOXES): p for p in files if p.stem.startswith(_BOXES)}
    return found or {p.parent.name: p for p in sorted(folder.glob("*/_annotations.coco.json"))}


def _chosen(path: Path, splits: Sequence[str]) -> dict[str, Path]:
    """{split: file}, as asked for."""
    if not path.is_dir():
        return {path.stem.removeprefix(_BOXES): path}
    found = _files(path)
    for split in splits:
        if split not in found:
            known = f": {', '.join(found)}" if found else ": there is none"
            raise DataError(f"{path}: no file {split}.json{did_you_mean(split, found)}; name one after #{known}")
    if splits:
        return {split.removeprefix(_BOXES): found[split] for split in splits}
    own = [p for p in found.values() if p.stem.startswith(_BOXES)]
    chosen = {s: p for s, p in found.items() if not s.startswith(_BOXES) and (p in own or not own) and _is_coco(p)}
    if not chosen:
        raise DataError(f"{path}: no COCO file in it: none of its .json files has images and annotations")
    return chosen


def _is_coco(file: Path) -> bool:
    """Whether a file's first or last part names the lists of a COCO file."""
    try:
        with file.open("rb") as f:
            head = f.read(4096)
            f.seek(max(0, file.stat().st_size - 4096))
            ends = head + f.read()
    except OSError:
        return False
    return head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{") and any(
        re.search(rb'"%b"\s*:\s*\[' % key, ends) for key in (b"images", b"annotations", b"categories")
    )
