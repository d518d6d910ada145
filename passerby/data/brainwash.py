"""Brainwash: .idl files of AnnoList, or .json files of TensorBox; boxes x1 y1 x2 y2 in pixels, class "head".

Stewart and Andriluka 2016, "End-to-end people detection in crowded scenes"; github.com/Russell91/TensorBox. A line of
an .idl file is `"picture.png": (x1, y1, x2, y2), (x1, y1, x2, y2);`, the last ends with a full stop. A TensorBox file
is a list of {"image_path": ..., "rects": [{"x1": ..., "x2": ..., "y1": ..., "y2": ...}]}. The set Brainwash itself
showed people who had not been asked, and was withdrawn by its authors in 2019: the format is read, the set is not
recommended.
"""

from __future__ import annotations

import re
import reprlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from passerby.data.json_stream import JsonFile, text_of
from passerby.data.listing import Listed, Listing, inside, lines_of
from passerby.data.places import choose
from passerby.errors import DataError

_PICTURE = re.compile(r'\s*"([^"]+)"\s*:?')
_BOX = re.compile(r"\(([^()]*)\)(:[^,;()]*)?")
_SIDES = ("x1", "y1", "x2", "y2")


def signs(path: Path) -> str:
    """Why a path looks like Brainwash's format; "" where it does not."""
    if path.is_file():
        if path.suffix == ".idl":
            return "it is an .idl file"
        return "it is a .json list of pictures with rects" if path.suffix == ".json" and _is_tensorbox(path) else ""
    found = next(iter(_files(path).values()), None)
    return f"it holds {found.name}" if found else ""


def read(path: Path, splits: Sequence[str] = ()) -> Listing:
    """List files in Brainwash's format.

    path     an .idl or .json file, or a folder with such files, beside which the pictures lie
    splits   names of the files, without "brainwash_" and extension; none: all

    Raises DataError for a missing file or split. An entry that cannot be read is a note.
    """
    files = _files(path) if path.is_dir() else {_split(path): path}
    if not files:
        raise DataError(f"{path}: no .idl file and no .json list of pictures with rects in it")
    out = Listing(["head"])
    for split, file in choose(path, splits, files).items():
        if file.suffix == ".json":
            _tensorbox(out, file, split)
        else:
            _idl(out, file, split)
    return out


def _idl(out: Listing, file: Path, split: str) -> None:
    item = 0
    for line, text in lines_of(file):
        if not text.strip():
            continue
        named = _PICTURE.match(text)
        rest = text[named.end() :] if named else ""
        if not named or _BOX.sub("", rest).strip(" \t,;."):
            out.tell("bad-labels", file.name, f'want "picture": (x1, y1, x2, y2), ...; not {text[:60]!r}', -1, line)
            continue
        number = _picture(out, file, named[1], split, line)
        for found in _BOX.finditer(rest):
            if number >= 0:
                _add(out, number, file.name, found[1].split(","), item, line)
            if found[2]:
                out.unheld["score"] += 1
            item += 1


def _tensorbox(out: Listing, file: Path, split: str) -> None:
    raw = JsonFile(file)
    if not raw.is_list():
        raise DataError(f"{file}: a TensorBox file is a list of pictures with rects")
    item = 0
    for _, entry, line in raw.elements():
        rects = entry.get("rects", []) if isinstance(entry, dict) else None
        if not isinstance(rects, list) or "image_path" not in entry:
            out.tell("bad-labels", file.name, f"want image_path and rects, not {reprlib.repr(entry)}", -1, line)
            continue
        number = _picture(out, file, text_of(entry["image_path"]), split, line)
        for rect in rects:
            if number >= 0:
                _add(
                    out, number, file.name, [rect.get(k) for k in _SIDES] if isinstance(rect, dict) else [], item, line
                )
            item += 1


def _picture(out: Listing, file: Path, name: str, split: str, line: int) -> int:
    """Number of the picture, -1 where its path is refused."""
    try:
        return out.add_picture(Listed(inside(file.parent, name), file.name, line, split=split))
    except DataError as e:
        out.tell("no-picture", file.name, str(e), -1, line)
        return -1


def _add(out: Listing, picture: int, file: str, values: list[Any], item: int, line: int) -> None:
    try:
        x0, y0, x1, y1 = (float(v) for v in values)
    except (TypeError, ValueError, OverflowError):
        out.tell("bad-object", file, f"want x1, y1, x2, y2; not {reprlib.repr(values)}", item, line)
        return
    out.add_object(picture, "head", (x0, y0, x1, y1), item, line)


def _split(file: Path) -> str:
    return file.stem.removeprefix("brainwash_")


def _files(folder: Path) -> dict[str, Path]:
    """{split: file}, .idl before .json of the same name."""
    found = {_split(p): p for p in sorted(folder.glob("*.json")) if _is_tensorbox(p)}
    return found | {_split(p): p for p in sorted(folder.glob("*.idl"))}


def _is_tensorbox(file: Path) -> bool:
    """Whether a file starts as a list of objects, the first of which has a path and rects."""
    try:
        with file.open("rb") as f:
            head = f.read(4096).removeprefix(b"\xef\xbb\xbf").lstrip()
    except OSError:
        return False
    return re.match(rb"\[\s*\{", head) is not None and b'"image_path"' in head and b'"rects"' in head
