"""A plain folder of pictures, without labels: something to run on, or pictures known to be empty."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from passerby.data.listing import Listed, Listing
from passerby.data.places import choose, folders_in, pictures_in
from passerby.errors import DataError


def signs(path: Path) -> str:
    """Why a folder looks like one of pictures only; "" where it does not."""
    return "nothing but pictures was found in it" if path.is_dir() else ""


def read(root: Path, splits: Sequence[str] = ()) -> Listing:
    """List every picture of a folder (and of `splits`, folders inside it), sorted by name, without any object.

    Raises DataError when a folder is missing or none holds a picture.
    """
    out = Listing()
    if not root.is_dir():
        raise DataError(f"{root}: no such folder")
    inner = {p.name: p for p in folders_in(root)}
    for split, folder in choose(root, splits, inner).items() if splits else [("", root)]:
        for path in pictures_in(folder, deep=True):
            out.add_picture(Listed(path, path.name, split=split))
    if not out.pictures:
        raise DataError(f"{root}: no picture in it")
    return out
