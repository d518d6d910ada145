"""CSV: a row an object, with a header (TensorFlow, Roboflow and others) or without one (RetinaNet).

With a header the columns may come in any order and under several names (see NAMES): file, four of the box, class, and
if wanted difficult, ignore, split and the picture's own width and height. Without one they are
`path,x1,y1,x2,y2,class`, the form of github.com/fizyr/keras-retinanet. Boxes are in pixels. A row without coordinates
lists a picture that holds no object. The separator is a comma, a semicolon or a tab.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from passerby.data.listing import DIFFICULT, IGNORE, Listed, Listing, first_there, lines_of, printable, there
from passerby.data.places import choose, folders_in
from passerby.errors import DataError, did_you_mean
from passerby.pictures import is_picture_name

NAMES = {  # what a column means -> names it goes by, in small letters with _ for spaces and hyphens
    "file": "filename file file_name image image_path img_path path filepath file_path image_name img image_id imageid",
    "class": "class label name class_name label_name category category_name labelname",
    "difficult": "difficult",
    "ignore": "ignore iscrowd is_crowd",
    "split": "split set subset",
    "width": "width image_width img_width",
    "height": "height image_height img_height",
}
CORNERS = ("xmin ymin xmax ymax", "x_min y_min x_max y_max", "x0 y0 x1 y1", "x1 y1 x2 y2", "left top right bottom")
SIZED = ("x y w h", "x y width height", "left top width height", "bbox_x bbox_y bbox_width bbox_height")
_EXTENSIONS = (".csv", ".tsv")
_LARGEST_LINE = 1_000_000  # bytes
_HEAD = 64_000  # bytes that are looked at to know the format


@dataclass(frozen=True)
class _Columns:
    """Which column means what; `box` are four of them, x y width height where `sized`; `start`: rows of the header."""

    of: dict[str, int]
    box: tuple[int, ...]
    sized: bool
    start: int


def signs(path: Path) -> str:
    """Why a path looks like CSV with boxes; "" where it does not."""
    if path.is_file():
        return f"it is a {path.suffix} file with boxes" if path.suffix.lower() in _EXTENSIONS and _is_csv(path) else ""
    found = next(iter(_files(path).values()), None)
    return f"it holds {found.relative_to(path)} with boxes" if found else ""


def read(path: Path, splits: Sequence[str] = ()) -> Listing:
    """List a CSV file with boxes, or several of one folder.

    path     the file, or the folder that holds it (or SPLIT/_annotations.csv)
    splits   names of files without .csv, or values of the column split; none: all

    Pictures are looked for beside the file, in images/, in a folder named as the split, and in images/SPLIT.
    Raises DataError when columns are missing or a split is not there. A row that cannot be read is a note.
    """
    files = _files(path) if path.is_dir() else {path.stem: path}
    if not files:
        raise DataError(f"{path}: no .csv file with boxes in it")
    out = Listing()
    if set(splits) <= set(files):
        for split, file in choose(path, splits, files).items():
            _File(out, file, split, ()).read()
        return out
    found: dict[str, None] = {}
    for split, file in files.items():
        found |= _File(out, file, split, splits).read()
    for split in splits:
        if split not in found:
            raise DataError(f"{path}: no split '{split}'{did_you_mean(split, found)}")
    return out


class _File:
    """One file on its way into a Listing; with `wanted`, only rows of these splits."""

    def __init__(self, out: Listing, path: Path, split: str, wanted: Sequence[str]) -> None:
        self.out, self.path, self.split, self.wanted = out, path, split, wanted
        self.pictures: dict[tuple[str, str], int] = {}  # name as written and split -> number, -1 where it is not there

    def read(self) -> dict[str, None]:
        """Returns every split that the file names."""
        seen: dict[str, None] = {}
        rows = _rows(self.path)
        first = next(rows, None)
        if first is None:
            raise DataError(f"{self.path}: it is empty")
        columns = _columns(self.path, first[1])
        if not columns.start:
            rows = chain([first], rows)
        item = -1
        for line, row in rows:
            item += 1
            split = printable(_at(row, columns.of.get("split"))) or self.split
            seen.setdefault(split)
            if not self.wanted or split in self.wanted:
                self._row(columns, row, split, item, line)
        return seen

    def _row(self, columns: _Columns, row: list[str], split: str, item: int, line: int) -> None:
        tell, file = self.out.tell, self.path.name
        if len(row) <= max(*columns.box, columns.of["class"]):
            tell(
                "bad-object", file, f"{len(row)} columns, want {max(*columns.box, columns.of['class']) + 1}", item, line
            )
            return
        picture = self._picture(columns, row, split, line)
        if picture < 0:
            return  # said once, with the picture
        told = [row[k].strip() for k in columns.box]
        if not any(told):
            return
        try:
            x0, y0, x1, y1 = (float(v) for v in told)
        except ValueError:
            tell("bad-object", file, f"want four numbers, not {', '.join(told)[:80]!r}", item, line)
            return
        if columns.sized:
            x1, y1 = x0 + x1, y0 + y1
        flags = DIFFICULT if _yes(row, columns.of.get("difficult")) else 0
        flags = IGNORE if _yes(row, columns.of.get("ignore")) else flags
        self.out.add_object(picture, row[columns.of["class"]].strip(), (x0, y0, x1, y1), item, line, flags)

    def _picture(self, columns: _Columns, row: list[str], split: str, line: int) -> int:
        name = row[columns.of["file"]].strip()
        key = (name, split)
        if key not in self.pictures:
            width, height = (_whole(_at(row, columns.of.get(k))) for k in ("width", "height"))
            try:
                path = self._find(name, split)
                listed = Listed(path, self.path.name, line, width, height, split=split)
                self.pictures[key] = self.out.add_picture(listed)
            except DataError as e:
                self.out.tell("no-picture", self.path.name, str(e), -1, line)
                self.pictures[key] = -1
        return self.pictures[key]

    def _find(self, name: str, split: str) -> Path:
        base = self.path.parent
        folders = [base, base / "images"]
        if split and "/" not in split and split not in (".", ".."):
            folders += [base / split, base / "images" / split]
        path = first_there(folders, name)
        if not there(path) and not is_picture_name(path):  # image_id: a name without its extension
            path = next((p for e in (".jpg", ".png", ".jpeg") if there(p := first_there(folders, name + e))), path)
        if not there(path):
            raise DataError(f"picture {name:.200} is neither beside {self.path.name} nor in images/")
        return path


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Number of the line and fields of each row that is not empty."""
    lines = (text.replace("\r", " ").replace("\0", " ") + "\n" for _, text in lines_of(path, _LARGEST_LINE))
    first = next(lines, "")
    reader = csv.reader(chain([first], lines), delimiter=_separator(first))
    try:
        for row in reader:
            if any(field.strip() for field in row):
                yield reader.line_num, row
    except csv.Error as e:  # a field of over 128 kB, as after a quotation mark that is never closed
        raise DataError(f"{path}: not readable CSV: {e} (line {reader.line_num})") from e


def _separator(line: str) -> str:
    return max(",;\t", key=line.count)


def _columns(path: Path, first: list[str]) -> _Columns:
    """Which column means what. Raises DataError naming what is missing."""
    header = [name.strip().lower().replace(" ", "_").replace("-", "_") for name in first]
    if not any(name in header for name in NAMES["file"].split()) and _is_row(first):
        return _Columns({"file": 0, "class": 5}, (1, 2, 3, 4), False, 0)
    of = {what: header.index(n) for what, names in NAMES.items() for n in reversed(names.split()) if n in header}
    four = next((four for four in (*CORNERS, *SIZED) if set(four.split()) <= set(header)), "")
    told = printable(", ".join(header)[:200])
    if not four:
        raise DataError(f"{path}: no columns for the box among {told}; want xmin, ymin, xmax, ymax")
    for what in ("file", "class"):
        if what not in of:
            some = ", ".join(NAMES[what].split()[:4])
            raise DataError(f"{path}: no column for the {what} among {told}; want one of {some}")
    box = tuple(header.index(name) for name in four.split())
    if box[2] == of.get("width"):  # then these two are the box's, not the picture's
        del of["width"], of["height"]
    return _Columns(of, box, four in SIZED, 1)


def _is_row(row: list[str]) -> bool:
    """Whether a row is one of `path,x1,y1,x2,y2,class`."""
    if len(row) < 6 or not is_picture_name(Path(row[0].strip()[:4096])):
        return False
    try:
        return not any(row[1:6]) or all(float(v) is not None for v in row[1:5])
    except ValueError:
        return False


def _is_csv(file: Path) -> bool:
    """Whether the first row of a file names or holds a box."""
    try:
        with file.open("rb") as f:
            head = f.read(_HEAD).removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace").replace("\0", " ")
        first = next((line for line in head.splitlines() if line.strip()), "")
        _columns(file, next(csv.reader([first], delimiter=_separator(first)), []))
    except (OSError, DataError, csv.Error):
        return False
    return True


def _files(folder: Path) -> dict[str, Path]:
    """{split: file}: those in the folder, or _annotations.csv in the folders in it."""
    found = {p.stem: p for p in sorted(folder.glob("*.[ct]sv")) if _is_csv(p)}
    inner = {p.name: p / "_annotations.csv" for p in folders_in(folder)}
    return found or {split: p for split, p in inner.items() if there(p) and _is_csv(p)}


def _at(row: list[str], column: int | None) -> str:
    return row[column].strip() if column is not None and column < len(row) else ""


def _yes(row: list[str], column: int | None) -> bool:
    return _at(row, column).lower() not in ("", "0", "0.0", "false", "no")


def _whole(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 10 else 0
