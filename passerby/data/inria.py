"""INRIA Person: Train/pos, Train/neg, Train/annotations, and the same in Test; PASCAL Annotation Version 1.00.

Dalal and Triggs 2005, "Histograms of Oriented Gradients for Human Detection"; a text file a picture, with lines
`Bounding box for object 1 "PASperson" (Xmin, Ymin) - (Xmax, Ymax) : (194, 127) - (413, 647)`. The class is what
follows PAS. The pictures in neg hold no person.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from passerby.data.listing import Listed, Listing, inside, lines_of, read_part, there
from passerby.data.places import choose, entries, folder_named, pictures_in
from passerby.errors import DataError

_HEAD = "PASCAL Annotation"
_NAME = re.compile(r'Image filename\s*:\s*"([^"]*)"')
_SIZE = re.compile(r"Image size[^:]*:\s*(\d{1,9}) x (\d{1,9})")
_BOX = re.compile(r'Bounding box for object \d+ "([^"]*)"[^:]*:\s*\(([^()]*)\)\s*-\s*\(([^()]*)\)')
_UNHELD = {"Original label": "original label", "Center point": "centre point"}
_READ = ("Image filename", "Image size", "Bounding box", *_UNHELD)  # how lines begin that say something
LARGEST = 4_000_000  # bytes of an annotation


def signs(path: Path) -> str:
    """Why a folder looks like INRIA Person; "" where it does not."""
    found = next((f for f in _parts(path).values() if any(_is_annotation(p) for p in _texts(f)[:5])), None)
    return f"{found.name} has annotations and pos" if found else ""


def read(path: Path, splits: Sequence[str] = ()) -> Listing:
    """List INRIA Person.

    path     the folder with Train and Test
    splits   "Train", "Test", in any case; none: both

    Where annotations.lst and neg.lst lie in a split they say what belongs to it, else what is in the folders does.
    Raises DataError for a missing folder or split. An annotation that cannot be read is a note.
    """
    parts = _parts(path)
    if not parts:
        raise DataError(f"{path}: neither Train nor Test with a folder annotations; is this INRIA Person?")
    out = Listing()
    for split, folder in choose(path, [s.lower() for s in splits], parts).items():
        seen = set()
        for file in _listed(out, path, folder, "annotations.lst") or _texts(folder):
            if (picture := _read(out, path, folder, file, split)) is not None:
                seen.add(picture)
        pos = folder_named(folder, "pos")
        for picture in pictures_in(pos) if pos else ():
            if picture not in seen:
                out.tell("no-labels", picture.name, "no annotation names it")
        neg = folder_named(folder, "neg")
        for picture in _listed(out, path, folder, "neg.lst") or (pictures_in(neg) if neg else ()):
            out.add_picture(Listed(picture, picture.name, split=split))
    return out


def _read(out: Listing, root: Path, folder: Path, file: Path, split: str) -> Path | None:
    """List one annotation; the picture that it names, None where it cannot be read."""
    try:
        lines = list(_lines(file))
        name = next((m[1] for _, text in lines if (m := _NAME.search(text))), "")
        if not name:
            raise DataError("it names no picture")
    except DataError as e:
        out.tell("bad-labels", file.name, str(e))
        return None
    try:
        path = _picture(root, folder, name)
    except DataError as e:
        out.tell("no-picture", file.name, str(e))
        return None
    size = next(((int(m[1]), int(m[2])) for _, text in lines if (m := _SIZE.search(text))), (0, 0))
    picture = out.add_picture(Listed(path, file.name, 0, *size, split=split))
    item = -1
    for number, text in lines:
        out.unheld.update(what for start, what in _UNHELD.items() if text.startswith(start))
        if not text.startswith("Bounding box"):
            continue
        item += 1
        found = _BOX.match(text)
        try:
            if not found:
                raise ValueError
            x0, y0, x1, y1 = (float(v) for v in f"{found[2]},{found[3]}".split(","))
        except ValueError:
            out.tell("bad-object", file.name, f"want (Xmin, Ymin) - (Xmax, Ymax), not {text[:120]!r}", item, number)
            continue
        out.add_object(picture, found[1].removeprefix("PAS"), (x0, y0, x1, y1), item, number)
    return path


def _lines(file: Path) -> Iterator[tuple[int, str]]:
    """Lines of an annotation that are read. Raises DataError when it is none."""
    text = read_part(file, LARGEST).decode("latin-1")
    if _HEAD not in text[:500]:
        raise DataError(f"no '{_HEAD} Version 1.00' at its start")
    for number, line in enumerate(io.StringIO(text), 1):
        if line.startswith(_READ):
            yield number, line.strip()


def _is_annotation(file: Path) -> bool:
    try:
        with file.open("rb") as f:
            return _HEAD.encode() in f.read(500)
    except OSError:
        return False


def _picture(root: Path, folder: Path, name: str) -> Path:
    """The picture that an annotation names relative to the data set, or that of the same name in pos."""
    path = inside(root, name)
    pos = folder_named(folder, "pos")
    return path if there(path) or not pos else pos / path.name


def _listed(out: Listing, root: Path, folder: Path, name: str) -> list[Path]:
    """The files that a list in a split names, relative to the data set; empty where there is no such list."""
    found = []
    for number, line in lines_of(folder / name, encoding="latin-1") if there(folder / name) else ():
        try:
            if line.strip():
                found.append(inside(root, line.strip()))
        except DataError as e:
            out.tell("no-picture", name, str(e), -1, number)
    return found


def _texts(folder: Path) -> list[Path]:
    annotations = folder_named(folder, "annotations")
    return sorted(p for p in entries(annotations) if p.suffix == ".txt") if annotations else []


def _parts(root: Path) -> dict[str, Path]:
    """{split: its folder}."""
    found = {name: folder_named(root, name) for name in ("train", "test")}
    return {name: p for name, p in found.items() if p and folder_named(p, "annotations") and folder_named(p, "pos")}
