"""What a data set's files state, before any rule is applied: what a reader makes, and `settle` turns into samples."""

from __future__ import annotations

import os
import stat
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from passerby.errors import DataError
from passerby.records import Note

DIFFICULT, IGNORE, ANY_CLASS, RELATIVE = 1, 2, 4, 8  # flags of an object
LARGEST_PART = 16_000_000  # bytes of labels for one picture (a file, or a line); more is a mistake or an attack
LARGEST_NAME = 200  # characters of a class name
MOST_NAMES = 25_000  # class names in one data set; ImageNet has 21,841
MOST_NOTES = 20_000  # of one kind; past that they are only counted


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
        self.told: Counter[str] = Counter()  # how often each kind was told, those past MOST_NOTES too
        self.left_out: set[int] = set()  # numbers of pictures whose labels turned out not to be readable
        self.unheld: Counter[str] = Counter()  # what the files hold and passerby has no place for
        self._numbers: dict[str, int] = {}
        self._numbered, self._box = array("i"), array("d")  # five whole numbers and four corners an object

    def __len__(self) -> int:
        return len(self._box) // 4

    def add_picture(self, picture: Listed) -> int:
        """Its number, for `add_object`."""
        self.pictures.append(picture)
        return len(self.pictures) - 1

    def add_object(
        self, picture: int, name: str, box: Iterable[float], item: int = 0, line: int = 0, flags: int = 0
    ) -> None:
        """One object: x0 y0 x1 y1 as written (pixels, or shares with RELATIVE); `item` is its number in its file."""
        self._box.extend(box)
        number = self._numbers.get(name)
        self._numbered.extend((picture, self.number_of(name) if number is None else number, item, line, flags))

    def number_of(self, name: str) -> int:
        """The number that stands for a class name in the columns. Raises DataError when there are too many names."""
        if name not in self._numbers:
            short = printable(name if len(name) <= LARGEST_NAME else name[:LARGEST_NAME] + "...")
            if short not in self._numbers:
                if len(self.names) >= MOST_NAMES:
                    raise DataError(f"over {MOST_NAMES:,} class names; is what was taken for the class one?")
                self._numbers[short] = len(self.names)
                self.names.append(short)
            return self._numbers[short]
        return self._numbers[name]

    def columns(self) -> Columns:
        """Views of the columns; nothing may be added while they are in use."""
        picture, name, item, line, flags = np.frombuffer(self._numbered, np.int32).reshape(-1, 5).T
        return Columns(picture, name, item, line, flags, np.frombuffer(self._box, np.float64).reshape(-1, 4))

    def tell(self, kind: str, file: str, text: str, item: int = -1, line: int = 0) -> None:
        """Add a note; past MOST_NOTES of a kind it is only counted."""
        self.told[kind] += 1
        if self.told[kind] <= MOST_NOTES:
            self.notes.append(Note(kind, file, item, printable(text), line))


@dataclass(frozen=True)
class Columns:
    """The objects of a Listing, one row each: numbers of picture and name, item, line, flags, box (N, 4) float64."""

    picture: NDArray[np.int32]
    name: NDArray[np.int32]
    item: NDArray[np.int32]
    line: NDArray[np.int32]
    flags: NDArray[np.int32]
    box: NDArray[np.float64]

    def part(self, rows: slice) -> Columns:
        """Some of the objects."""
        numbered = (self.picture[rows], self.name[rows], self.item[rows], self.line[rows], self.flags[rows])
        return Columns(*numbered, self.box[rows])


def inside(folder: Path, name: str) -> Path:
    """The file that `name` means in a data set's folder.

    Raises DataError for a name that leads out of the folder: "../x", or an absolute path elsewhere. Names are taken
    as they are written; a link that the user laid inside the folder may lead where it will.
    """
    plain = name.replace("\\", "/")
    try:
        data = os.fsencode(plain)
    except UnicodeEncodeError:  # half of a surrogate pair, from an escape in JSON
        data = b"\0"
    if not name.strip() or b"\0" in data or len(data) > 2000 or any(len(p) > 255 for p in data.split(b"/")):
        raise DataError(f"{_short(name)} is no file name")
    if b"/" not in data and plain not in (".", ".."):
        return folder / plain
    # abspath, not resolve: links stay as they are
    here, base = Path(os.path.abspath(folder / plain)), Path(os.path.abspath(folder))  # noqa: PTH100
    if here == base or not here.is_relative_to(base):
        raise DataError(f"the path {_short(name)} leads out of the data set's folder: refused; name it relative to it")
    return folder / here.relative_to(base)


def there(path: Path) -> bool:
    """Whether a file is there. A name that no file can have, or a folder that may not be looked into, holds none."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def first_there(folders: Iterable[Path], name: str) -> Path:
    """The file `name` in the first of the folders that has it; in the first folder, where none has.

    Raises DataError for a name that leads out of the first folder.
    """
    paths = []
    for folder in folders:
        try:
            paths.append(inside(folder, name))
        except DataError:
            if not paths:
                raise
            continue
        if there(paths[-1]):
            return paths[-1]
    return paths[0]


def printable(text: str) -> str:
    """A text on one line that any terminal can print: what it cannot becomes a space."""
    return text if text.isprintable() else "".join(c if c.isprintable() else " " for c in text)


def read_part(path: Path, largest: int = LARGEST_PART) -> bytes:
    """The bytes of a label file of one picture. Raises DataError when it cannot be read or is beyond all measure."""
    try:
        with path.open("rb") as f:
            # as much as there is, not `largest`: room for that much would be made for every small file
            told = os.fstat(f.fileno())
            data = f.read(min(told.st_size, largest) + 1) if stat.S_ISREG(told.st_mode) else f.read(largest + 1)
    except FileNotFoundError as e:
        raise DataError("no such file") from e
    except OSError as e:
        raise DataError(f"cannot be read ({e.strerror or e})") from e
    if len(data) > largest:
        raise DataError(f"over {largest // 1_000_000} MB, which no such file has: refused")
    return data


def read_text(path: Path, largest: int = LARGEST_PART) -> str:
    """`read_part` as text: UTF-8, with or without a byte order mark. Raises DataError when it is something else."""
    try:
        return read_part(path, largest).decode("utf-8-sig")
    except UnicodeDecodeError as e:
        raise DataError(f"not UTF-8 text (byte {e.start})") from e


def lines_of(path: Path, largest: int = LARGEST_PART, encoding: str = "utf-8") -> Iterator[tuple[int, str]]:
    """Number, from 1, and text of each line of a file, one at a time; bytes of another encoding become U+FFFD.

    Raises DataError when the file cannot be read, is UTF-16, or has a line beyond all measure.
    """
    try:
        with path.open("rb") as f:
            if f.read(2) in (b"\xff\xfe", b"\xfe\xff"):
                raise DataError(f"{path}: UTF-16 text; save it as UTF-8")
            f.seek(0)
            number = 0
            while line := f.readline(largest + 1):
                number += 1
                if len(line) > largest:
                    raise DataError(f"{path}: line {number} is over {largest // 1_000_000} MB long: refused")
                yield number, line.removeprefix(b"\xef\xbb\xbf").decode(encoding, "replace").rstrip("\r\n")
    except OSError as e:
        raise DataError(f"{path}: cannot be read ({e.strerror or e})") from e


def _short(text: str) -> str:
    return repr(text if len(text) <= 120 else text[:117] + "...")
