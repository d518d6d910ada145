"""A plain folder of pictures, without labels: something to run on, or pictures known to be empty."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from passerby.data.listing import Listed, Listing
from passerby.errors import DataError
from passerby.pictures import is_picture_name


def signs(path: Path) -> str:
    """Why a folder looks like one of pictures only; "" where it does not."""
    return "nothing but pictures was found in it" if path.is_dir() else ""


def read(root: Path, splits: Sequence[str] = ()) -> Listing:
    """List every picture of a folder (and of `splits`, folders inside it), sorted by name, without any object.

    Raises DataError when a folder is missing or none holds a picture.
    """
    out = Listing()
    for split in splits or ("",):
        folder = root / split
        if not folder.is_dir():
            raise DataError(f"{folder}: no such folder")
        for path in sorted(p for p in folder.rglob("*") if is_picture_name(p)):
            out.add_picture(Listed(path, path.name, split=split))
    if not out.pictures:
        raise DataError(f"{root}: no picture in it")
    return out
