"""WIDER FACE: wider_face_split/wider_face_train_bbx_gt.txt and WIDER_train/images/.

Yang et al. 2016, "WIDER FACE: A Face Detection Benchmark"; shuoyang1213.me/WIDERFACE and the readme.txt in
wider_face_split. A block a picture: its path, the number of faces, and a row `x y w h blur expression illumination
invalid occlusion pose` each; a picture without a face has the number 0 and one row of zeros. The class is "face"; a
face marked `invalid` is an ignore region.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from passerby.data.listing import IGNORE, Listed, Listing, first_there, lines_of
from passerby.data.places import choose
from passerby.errors import DataError
from passerby.pictures import is_picture_name

_FILE = re.compile(r"wider_face_(\w+)_bbx_gt\.txt")
_UNHELD = ("blur", "expression", "illumination", "", "occlusion", "pose")  # columns 4 to 9; the fourth is `invalid`


def signs(path: Path) -> str:
    """Why a path looks like WIDER FACE; "" where it does not."""
    if path.is_file():
        return "it is a file wider_face_*_bbx_gt.txt" if _FILE.fullmatch(path.name) else ""
    found = next(iter(_files(path).values()), None)
    return f"it holds {found.relative_to(path)}" if found else ""


def read(path: Path, splits: Sequence[str] = ()) -> Listing:
    """List WIDER FACE.

    path     a bbx_gt.txt file, or the folder that holds it (or wider_face_split/ with it)
    splits   "train", "val"; none: all that are there

    Pictures are looked for in WIDER_SPLIT/images/, images/ and beside the file, there and one folder up.
    Raises DataError for a missing file or split. A block that is damaged is a note, and its picture is left out.
    """
    files = _files(path)
    if path.is_file():
        named = _FILE.fullmatch(path.name)
        files = {named[1] if named else "": path}
    if not files:
        raise DataError(f"{path}: no file wider_face_*_bbx_gt.txt in it; is this WIDER FACE?")
    out = Listing(["face"])
    for split, file in choose(path, splits, files).items():
        _Blocks(out, file, split).read()
    return out


class _Blocks:
    """One file on its way into a Listing."""

    def __init__(self, out: Listing, file: Path, split: str) -> None:
        self.out, self.file, self.split = out, file, split
        up = [file.parent.parent] if file.parent.name == "wider_face_split" else []
        inner = (f"WIDER_{split}/images", "images", "")
        self.folders = [base / name for base in (*up, file.parent) for name in inner if (base / name).is_dir()]
        self.item = 0

    def read(self) -> None:
        lines = ((number, text.strip()) for number, text in lines_of(self.file))
        start = next(lines, None)
        while start:
            start = self._block(*start, lines)

    def _block(self, number: int, text: str, lines: Iterator[tuple[int, str]]) -> tuple[int, str] | None:
        """List the picture whose path stands here. Returns the first line after its block, None at the end."""
        if not _is_path(text):
            if text:
                self._tell("bad-labels", f"neither a picture nor one of its rows: {text:.60}", number)
            return self._next_path(lines)
        picture = self._picture(number, text)
        line, told = next(lines, (number, ""))
        if not told.isdecimal() or len(told) > 9:
            return self._damaged(picture, f"{told[:60]!r} is not the number of its faces", line, told, lines)
        wanted = int(told)
        for k in range(max(wanted, 1)):  # without a face there is one row of zeros
            line, row = next(lines, (line, ""))
            if not row or _is_path(row):
                if wanted == 0:  # or there is none
                    return (line, row) if row else next(lines, None)
                return self._damaged(picture, f"{wanted} faces announced, {k} found", line, row, lines)
            if wanted:
                self._face(picture, row, line)
        return next(lines, None)

    def _damaged(
        self, picture: int, text: str, number: int, line: str, lines: Iterator[tuple[int, str]]
    ) -> tuple[int, str] | None:
        self._tell("bad-labels", text, number)
        self.out.left_out.add(picture)
        return (number, line) if _is_path(line) else self._next_path(lines)

    def _next_path(self, lines: Iterator[tuple[int, str]]) -> tuple[int, str] | None:
        return next(((n, text) for n, text in lines if _is_path(text)), None)

    def _picture(self, number: int, name: str) -> int:
        """Its number, -1 where its path is refused."""
        try:
            path = first_there(self.folders, name)
        except DataError as e:
            self._tell("no-picture", str(e), number)
            return -1
        return self.out.add_picture(Listed(path, self.file.name, number, split=self.split))

    def _face(self, picture: int, row: str, line: int) -> None:
        item, self.item = self.item, self.item + 1
        if picture < 0:
            return
        try:
            x, y, w, h, *told = (float(v) for v in row.split())
        except ValueError:
            self._tell("bad-object", f"want x y width height and six marks, not {row[:60]!r}", line, item)
            return
        invalid = len(told) > 3 and told[3] == 1
        self.out.add_object(picture, "face", (x, y, x + w, y + h), item, line, IGNORE if invalid else 0)
        self.out.unheld.update(what for what, v in zip(_UNHELD, told, strict=False) if what and v)

    def _tell(self, kind: str, text: str, line: int, item: int = -1) -> None:
        self.out.tell(kind, self.file.name, text, item, line)


def _is_path(text: str) -> bool:
    return len(text) < 4096 and is_picture_name(Path(text))


def _files(folder: Path) -> dict[str, Path]:
    for place in (folder, folder / "wider_face_split"):
        found = {m[1]: p for p in sorted(place.glob("wider_face_*_bbx_gt.txt")) if (m := _FILE.fullmatch(p.name))}
        if found:
            return found
    return {}
