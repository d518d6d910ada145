"""Classes as folders: CLASS/*.jpg, or SPLIT/CLASS/*.jpg; the class is of the whole picture, and there is no box.

The layout of torchvision's ImageFolder and of `yolo classify`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from passerby.data.listing import Listed, Listing
from passerby.data.places import SPLITS, choose, folders_in, has_picture, pictures_in
from passerby.errors import DataError


def signs(path: Path) -> str:
    """Why a folder looks like classes as folders; "" where it does not."""
    parts = _parts(path) if path.is_dir() and not has_picture(path) else {}
    found = next((classes for classes in parts.values() if len(classes) > 1), [])
    names = ", ".join(p.name for p in found[:3])
    return f"pictures lie in the folders {names}{', ...' if len(found) > 3 else ''}" if found else ""


def read(root: Path, splits: Sequence[str] = ()) -> Listing:
    """List a folder of class folders.

    root     holds a folder a class, or folders train, val, valid, test with them
    splits   names of such folders; none: all

    Raises DataError when there is no class folder with a picture, and for a missing split.
    """
    if not root.is_dir():
        raise DataError(f"{root}: no such folder")
    parts = _parts(root)
    if not parts:
        raise DataError(f"{root}: no folder with pictures in it; want CLASS/*.jpg or SPLIT/CLASS/*.jpg")
    out = Listing(sorted({p.name for classes in parts.values() for p in classes}))
    for split, classes in choose(root, splits, parts).items():
        for folder in classes:
            for picture in pictures_in(folder):
                file = picture.relative_to(root).as_posix()
                out.add_picture(Listed(picture, file, label=folder.name, split=split))
    return out


def _parts(root: Path) -> dict[str, list[Path]]:
    """{split: its class folders}."""
    inner = {p.name: [q for q in folders_in(p) if has_picture(q)] for p in folders_in(root) if p.name in SPLITS}
    parts = {split: classes for split, classes in inner.items() if classes}
    whole = [p for p in folders_in(root) if p.name not in SPLITS and has_picture(p)]
    return parts or ({"": whole} if whole else {})
