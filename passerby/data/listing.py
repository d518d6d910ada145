"""What a data set's files state, before any rule is applied: what a reader makes, and `settle` turns into samples."""

from __future__ import annotations

import os
from array import array
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from passerby.errors import DataError
from passerby.records import Note

DIFFICULT, IGNORE, ANY_CLASS, RELATIVE = 1, 2, 4, 8  # flags of an object
LARGEST_PART = 32_000_000  # bytes of labels for one picture (a file, or a line); more is a mistake or an attack
LARGEST_NAME = 200  # characters of a class name


@dataclass(frozen=True)
class Listed:
    """One picture as the labels name it.

    path           where it should be
    file           the label file, for messages; `line` in it, 0: not known
    width, height  as stated; 0: not stated
    label          class name of the whole picture; "": none
    split          the part of the data set
    """

    path: Path
    file: str
    line: int = 0
    width: int = 0
    height: int = 0
    label: str = ""
    split: str = ""


class Listing:
    """Pictures and objects as the files state them; objects are columns, for a million of them must fit.

    Flags of an object: DIFFICULT; IGNORE, a region that nothing is judged in; ANY_CLASS, an ignore region of whatever
    class is asked for; RELATIVE, its box is in shares of the picture's width and height.
    """

    def __init__(self, classes: Iterable[str] = (), size_stated: bool = False) -> None:
        self.size_stated = size_stated  # whether the format wants a size, so that none is a flaw
        self.classes = tuple(classes)  # in the data set's own order, where it states one
        self.pictures: list[Listed] = []
        self.names: list[str] = []
        self.notes: list[Note] = []
        self.unheld: Counter[str] = Counter()  # what the files hold and passerby has no place for
        self._numbers: dict[str, int] = {}
        self._picture, self._name = array("i"), array("i")
        self._item, self._line = array("i"), array("i")
        self._flags, self._box = array("B"), array("d")

    def __len__(self) -> int:
        return len(self._picture)

    def add_picture(self, picture: Listed) -> int:
        """Its number, for `add_object`."""
        self.pictures.append(picture)
        return len(self.pictures) - 1

    def add_object(
        self, picture: int, name: str, box: Iterable[float], item: int = 0, line: int = 0, flags: int = 0
    ) -> None:
        """One object: x0 y0 x1 y1 as written (pixels, or shares with RELATIVE); `item` is its number in its file."""
        self._box.extend(box)
        self._picture.append(picture)
        self._name.append(self.number_of(name))
        self._item.append(item)
        self._line.append(min(line, 2**31 - 1))
        self._flags.append(flags)

    def number_of(self, name: str) -> int:
        """The number that stands for a class name in the columns."""
        if name not in self._numbers:
            self._numbers[name] = len(self.names)
            self.names.append(name if len(name) <= LARGEST_NAME else name[:LARGEST_NAME] + "...")
        return self._numbers[name]

    def columns(self) -> Columns:
        """Views of the columns; nothing may be added while they are in use."""
        return Columns(
            np.frombuffer(self._picture, np.int32),
            np.frombuffer(self._name, np.int32),
            np.frombuffer(self._item, np.int32),
            np.frombuffer(self._line, np.int32),
            np.frombuffer(self._flags, np.uint8),
            np.frombuffer(self._box, np.float64).reshape(-1, 4),
        )

    def tell(self, kind: str, file: str, text: str, item: int = -1, line: int = 0) -> None:
        """Add a note."""
        self.notes.append(Note(kind, file, item, text, line))


@dataclass(frozen=True)
class Columns:
    """The objects of a Listing, one row each: numbers of picture and name, item, line, flags, box (N, 4) float64."""

    picture: NDArray[np.int32]
    name: NDArray[np.int32]
    item: NDArray[np.int32]
    line: NDArray[np.int32]
    flags: NDArray[np.uint8]
    box: NDArray[np.float64]


def inside(folder: Path, name: str) -> Path:
    """The file that `name` means in a data set's folder.

    Raises DataError for a name that leads out of the folder: "../x", or an absolute path elsewhere. Names are taken
    as they are written; a link that the user laid inside the folder may lead where it will.
    """
    if "\0" in name or not name.strip():
        raise DataError(f"{name!r} is no file name")
    plain = name.replace("\\", "/")
    path = Path(os.path.normpath(folder / plain))
    base = Path(os.path.normpath(folder))
    if path == base or not path.is_relative_to(base):
        raise DataError(f"the path {_short(name)} leads out of the data set's folder: refused; name it relative to it")
    return path


def read_part(path: Path, largest: int = LARGEST_PART) -> bytes:
    """The bytes of a label file of one picture. Raises DataError when it cannot be read or is beyond all measure."""
    try:
        with path.open("rb") as f:
            data = f.read(largest + 1)
    except FileNotFoundError as e:
        raise DataError("no such file") from e
    except OSError as e:
        raise DataError(f"cannot be read ({e.strerror or e})") from e
    if len(data) > largest:
        raise DataError(f"over {largest // 1_000_000} MB of labels for one picture: refused")
    return data


def read_text(path: Path, largest: int = LARGEST_PART) -> str:
    """`read_part` as text: UTF-8, with or without a byte order mark. Raises DataError when it is something else."""
    try:
        return read_part(path, largest).decode("utf-8-sig")
    except UnicodeDecodeError as e:
        raise DataError(f"not UTF-8 text (byte {e.start})") from e


def _short(text: str) -> str:
    return repr(text if len(text) <= 120 else text[:117] + "...")
