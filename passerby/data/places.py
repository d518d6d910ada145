"""Where the parts of a data set lie: folders with pictures, and splits by name."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from passerby.errors import DataError, did_you_mean
from passerby.pictures import is_picture_name

SPLITS = ("train", "val", "valid", "validation", "test", "dev")  # names that folders of splits go by
T = TypeVar("T")


def entries(folder: Path) -> Iterator[Path]:
    """What lies in a folder, hidden things left out, in no order; nothing where it cannot be looked into."""
    try:
        with os.scandir(folder) as found:
            for entry in found:
                if not entry.name.startswith("."):
                    yield folder / entry.name
    except OSError:
        return


def folders_in(folder: Path) -> list[Path]:
    """The folders in a folder, sorted by name."""
    return sorted(p for p in entries(folder) if p.is_dir())


def has_picture(folder: Path) -> bool:
    """Whether pictures lie in a folder itself."""
    return any(is_picture_name(p) for p in entries(folder))


def pictures_in(folder: Path, deep: bool = False) -> list[Path]:
    """The pictures in a folder (and in the folders in it, with `deep`), sorted."""
    return sorted(p for p in (folder.rglob("*") if deep else entries(folder)) if is_picture_name(p))


def folder_named(folder: Path, *names: str) -> Path | None:
    """The folder in a folder that has one of the names, in any case: "annotations" finds Annotations."""
    found = {p.name.lower(): p for p in folders_in(folder)}
    return next((found[name.lower()] for name in names if name.lower() in found), None)


def choose(path: Path, splits: Sequence[str], found: Mapping[str, T]) -> dict[str, T]:
    """{split: what it is} of the splits asked for, of all where none is.

    path   of the data set, for the message
    found  every split that it has
    Raises DataError for one that it does not have, with the nearest name.
    """
    for split in splits:
        if split not in found:
            known = did_you_mean(split, found) if any(found) else "; it has no splits: leave out what follows #"
            raise DataError(f"{path}: no split '{split}'{known}")
    return {split: found[split] for split in splits} if splits else dict(found)
