"""CrowdHuman: annotation_train.odgt, a JSON object a line, and pictures ID.jpg.

Shao et al. 2018, "CrowdHuman: A Benchmark for Detecting Human in a Crowd"; crowdhuman.org/download.html. A
person has three boxes, here three classes: "person" (fbox, whole body, also where hidden), "visible" (vbox) and "head"
(hbox). What CrowdHuman's own evaluation ignores is ignored: groups and pictures of people (any tag but "person"), for
all three classes; a person with extra.ignore, for the two body boxes; a head with head_attr.ignore.
"""

from __future__ import annotations

import json
import reprlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from passerby.data.json_stream import four
from passerby.data.listing import ANY_CLASS, IGNORE, Listed, Listing, first_there, lines_of
from passerby.data.places import choose, folders_in
from passerby.errors import DataError

CLASSES = {"person": "fbox", "visible": "vbox", "head": "hbox"}
LARGEST_LINE = 8_000_000  # bytes; JSON takes up to 24 times as much once read, and 5 MB say 20,000 people
_UNHELD = ("occ", "unsure")


def signs(path: Path) -> str:
    """Why a path looks like CrowdHuman; "" where it does not."""
    if path.is_file():
        return "it is an .odgt file" if path.suffix == ".odgt" else ""
    found = next(iter(_files(path).values()), None)
    return f"it holds {found.relative_to(path)}" if found else ""


def read(path: Path, splits: Sequence[str] = ()) -> Listing:
    """List CrowdHuman.

    path     an .odgt file, or the folder that holds annotation_train.odgt (or annotations/ with it)
    splits   names of its files, without "annotation_" and ".odgt"; none: all

    Pictures are looked for beside the file, in Images/, Images_SPLIT/, SPLIT/, and in CrowdHuman_*/Images/.
    Raises DataError for a missing file or split. A line that cannot be read is a note.
    """
    out = Listing(CLASSES)
    files = _files(path) if path.is_dir() else {path.stem.removeprefix("annotation_"): path}
    if not files:
        raise DataError(f"{path}: no .odgt file in it; is this CrowdHuman?")
    for split, file in choose(path, splits, files).items():
        folders = _folders(file, split)
        item = 0
        for line, text in lines_of(file, LARGEST_LINE):
            if not text.strip():
                continue
            try:
                name, rows = _entry(text)
            except DataError as e:
                out.tell("bad-labels", file.name, str(e), -1, line)
                continue
            try:
                picture = first_there(folders, f"{name}.jpg")
            except DataError as e:
                out.tell("no-picture", file.name, str(e), -1, line)
                continue
            number = out.add_picture(Listed(picture, file.name, line, split=split))
            for row in rows:
                _add(out, number, file.name, row, item, line)
                item += 1
    return out


def _entry(text: str) -> tuple[str, list[Any]]:
    """ID and boxes of a line. Raises DataError that says what is wrong with it."""
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError) as e:
        raise DataError(f"it is not readable JSON: {getattr(e, 'msg', type(e).__name__)}") from e
    if not isinstance(raw, dict) or not isinstance(raw.get("ID"), str):
        raise DataError("it has no ID")
    rows = raw.get("gtboxes", [])
    if not isinstance(rows, list):
        raise DataError(f"it has no list gtboxes but {reprlib.repr(rows)}")
    return raw["ID"], rows


def _add(out: Listing, picture: int, file: str, row: Any, item: int, line: int) -> None:
    if not isinstance(row, dict):
        out.tell("bad-object", file, f"it is {reprlib.repr(row)}, no object", item, line)
        return
    extra, head = (v if isinstance(v := row.get(k), dict) else {} for k in ("extra", "head_attr"))
    person = row.get("tag") == "person"
    found = 0
    for name, key in CLASSES.items():
        if key not in row or (not person and found):
            continue
        found += 1
        try:
            x, y, w, h = four(row[key])
        except DataError as e:
            out.tell("bad-object", file, f"{key} {e}", item, line)
            continue
        flags = IGNORE if (head if name == "head" else extra).get("ignore") else 0
        out.add_object(picture, name, (x, y, x + w, y + h), item, line, flags if person else IGNORE | ANY_CLASS)
    if not found:
        out.tell("bad-object", file, "it has none of fbox, vbox, hbox", item, line)
    out.unheld.update(f"head {key}" for key in _UNHELD if head.get(key))
    out.unheld.update(f"person {key}" for key in _UNHELD if extra.get(key))


def _files(folder: Path) -> dict[str, Path]:
    found = sorted(folder.glob("*.odgt")) or sorted((folder / "annotations").glob("*.odgt"))
    return {p.stem.removeprefix("annotation_"): p for p in found}


def _folders(file: Path, split: str) -> list[Path]:
    """Where the pictures of a file may lie: as the zips unpack, or put together by hand."""
    base = file.parent.parent if file.parent.name == "annotations" else file.parent
    return [base, *_inner(base, split), *(q for p in folders_in(base) for q in _inner(p, split))]


def _inner(folder: Path, split: str) -> Iterator[Path]:
    for name in ("Images", "images", f"Images_{split}", f"images_{split}", split):
        if (folder / name).is_dir():
            yield folder / name
