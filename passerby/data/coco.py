"""COCO JSON: one file with `images`, `annotations` and `categories`; boxes are x y w h in pixels.

Lin et al. 2014, "Microsoft COCO"; the format is described at cocodataset.org, "Data format".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from passerby.data.json_stream import JsonFile, text_of
from passerby.data.listing import DIFFICULT, IGNORE, Listed, Listing, inside
from passerby.errors import DataError, did_you_mean

_LISTS = {"images": ("id", "file_name"), "annotations": ("image_id", "category_id"), "categories": ("id", "name")}
_UNHELD = ("segmentation", "keypoints", "attributes", "score", "caption")
Key = int | str


def signs(path: Path) -> str:
    """Why a path looks like COCO; "" where it does not."""
    if path.is_file():
        return "it is a .json file with annotations" if path.suffix == ".json" and _is_coco(path) else ""
    found = [p for p in _files(path) if _is_coco(p)]
    return f"it holds {found[0].relative_to(path)} with annotations" if found else ""


def read(path: Path, splits: Sequence[str] = ()) -> Listing:
    """List a COCO detection file, or several of one folder.

    path     the .json file, or a folder that holds it (or annotations/ with it)
    splits   names of files in that folder, without .json; none: all that are COCO files

    Pictures are looked for beside the file, in `images/`, in a folder named as the file, and in the same places one
    folder up where the file lies in `annotations/`. `iscrowd` objects are ignore regions.
    Raises DataError naming list, number and field when a file is not what it should be.
    """
    files = _chosen(path, splits)
    out = Listing()
    for file in files:
        _File(out, file).read()
    return out


class _File:
    """One file on its way into a Listing. Its lists may come in any order, so ids are settled at the end."""

    def __init__(self, out: Listing, path: Path) -> None:
        self.out, self.path = out, path
        self.folders = _folders(path)
        self.pictures: dict[Key, int] = {}
        self.categories: dict[Key, str] = {}
        self.early: list[tuple[int, dict[str, Any], int]] = []  # annotations that came before what they speak of

    def read(self) -> None:
        file = JsonFile(self.path)
        if not file.is_object():
            raise DataError(f"{self.path}: a COCO file is an object with images, annotations and categories")
        seen: set[str] = set()
        for key, i, row, line in file.lists():
            if key not in _LISTS:
                continue
            if i < 0:
                raise DataError(f"{self.path}: no list '{key}'; a COCO file has images, annotations and categories")
            if isinstance(row, dict) and all(w in row for w in _LISTS[key]):
                self._check_ids(key, i, row)
            else:
                lacking = ", ".join(_LISTS[key])
                raise DataError(f"{self.path}: {key}[{i}] lacks one of {lacking} (line {line})")
            seen.add(key)
            if key == "images":
                self._picture(row, line)
            elif key == "categories":
                self.categories.setdefault(_key(row["id"]), text_of(row["name"]))
            elif row["category_id"] in self.categories and _key(row["image_id"]) in self.pictures:
                self._object(i, row, line)
            else:
                self.early.append((i, {k: row.get(k) for k in ("image_id", "category_id", "bbox", "iscrowd")}, line))
        self._missing(file, seen)
        self.out.classes = tuple(dict.fromkeys((*self.out.classes, *self.categories.values())))
        for i, row, line in self.early:
            self._object(i, row, line)

    def _missing(self, file: JsonFile, seen: set[str]) -> None:
        """An empty list gives no element; tell it from a missing one."""
        for key in _LISTS:
            if key not in seen and not re.search(rf'"{key}"\s*:\s*\[', file.text):
                raise DataError(f"{self.path}: no list '{key}'; a COCO file has images, annotations and categories")

    def _check_ids(self, key: str, i: int, row: dict[str, Any]) -> None:
        for w in _LISTS[key]:
            if w.endswith("id") and not isinstance(row[w], (int, str)):
                raise DataError(f"{self.path}: {key}[{i}] has {w} {row[w]!r:.80}, want a number or a text")

    def _picture(self, row: dict[str, Any], line: int) -> None:
        name = text_of(row["file_name"])
        number = _key(row["id"])
        if number in self.pictures:
            self.out.tell("listed-twice", self.path.name, f"image id {number!r} is given twice", -1, line)
            return
        try:
            path = self._find(name)
        except DataError as e:
            self.out.tell("no-picture", name if len(name) <= 200 else name[:200] + "...", str(e), -1, line)
            self.pictures[number] = -1
            return
        size = [row.get(k) for k in ("width", "height")]
        width, height = (int(v) if isinstance(v, (int, float)) and 0 < v < 2**31 else 0 for v in size)
        listed = Listed(path, self.path.name, line, width, height, split=self.path.stem)
        self.pictures[number] = self.out.add_picture(listed)

    def _find(self, name: str) -> Path:
        for folder in self.folders:
            path = inside(folder, name)
            if path.is_file():
                return path
        raise DataError(f"picture {name:.200} is neither beside {self.path.name} nor in images/")

    def _object(self, i: int, row: dict[str, Any], line: int) -> None:
        file, number = self.path.name, _key(row["image_id"])
        picture = self.pictures.get(number)
        if picture is None:
            self.out.tell("no-picture", file, f"its picture {number!r:.80} is not listed", i, line)
            return
        if picture < 0:
            return  # said once, with the picture
        name = self.categories.get(_key(row["category_id"]))
        if name is None:
            self.out.tell("bad-class", file, f"category_id {row['category_id']!r:.80} is not defined", i, line)
            return
        try:
            x, y, w, h = (float(v) for v in row["bbox"])
        except (KeyError, TypeError, ValueError, OverflowError):
            self.out.tell("bad-object", file, f"bbox is {row.get('bbox')!r:.80}, want [x, y, width, height]", i, line)
            return
        flags = IGNORE if row.get("iscrowd") else DIFFICULT if row.get("difficult") else 0
        self.out.add_object(picture, name, (x, y, x + w, y + h), i, line, flags)
        self.out.unheld.update(k for k in _UNHELD if row.get(k))


def _key(number: Any) -> Key:
    return text_of(number) if isinstance(number, str) else int(number)


def _folders(file: Path) -> list[Path]:
    """Where the pictures of a file may lie."""
    bases = [file.parent, file.parent.parent] if file.parent.name == "annotations" else [file.parent]
    stem = file.stem.removeprefix("instances_")  # COCO's own files: annotations/instances_val2017.json, val2017/
    return [folder for base in bases for folder in (base, base / "images", base / stem, base / "images" / stem)]


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.json")) or sorted((folder / "annotations").glob("*.json"))


def _chosen(path: Path, splits: Sequence[str]) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = {p.stem: p for p in _files(path)}
    for split in splits:
        if split not in found:
            known = f": {', '.join(found)}" if found else ": there is none"
            raise DataError(f"{path}: no file {split}.json{did_you_mean(split, found)}; name one after #{known}")
    chosen = [found[s] for s in splits] if splits else [p for p in found.values() if _is_coco(p)]
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
