"""A plain folder of pictures, without labels: something to run on, or pictures known to be empty."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from passerby.errors import DataError, SourceError
from passerby.pictures import is_picture_name, picture_size
from passerby.records import Note, Sample, SampleSet, Truth


def read(root: Path, split: str = "", labels: Sequence[str] = ()) -> SampleSet:
    """Read every picture of a folder (and of `split`, a folder inside it), sorted by name, each with an empty truth.

    Pictures that cannot be read are left out with a Note. Raises DataError when none is left.
    """
    folder = Path(root) / split if split else Path(root)
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder")
    samples, notes = [], []
    for path in sorted(p for p in folder.rglob("*") if is_picture_name(p)):
        try:
            width, height = picture_size(path)
            samples.append(Sample(path, width, height, Truth.of([])))
        except SourceError as e:
            notes.append(Note("left out", path.name, -1, str(e)))
    if not samples:
        raise DataError(f"{folder}: no picture in it")
    return SampleSet(tuple(samples), tuple(labels), f"folder:{folder.name}", tuple(notes))
