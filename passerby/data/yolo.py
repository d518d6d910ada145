"""YOLO: a text file beside each picture, a line `class cx cy width height` an object, in shares of the picture.

docs.ultralytics.com/datasets/detect describes the lines and data.yaml; Darknet began it (pjreddie.com/darknet/yolo). A
line with more coordinates is a polygon and becomes the box around it. By this format's rule a picture without a text
file holds no object: a label file that got lost cannot be told from a negative.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from passerby.data.listing import RELATIVE, Listed, Listing, first_there, lines_of, read_text, there
from passerby.data.places import choose, entries, folders_in, has_picture, pictures_in
from passerby.data.yolo_yaml import find_yaml, is_data_yaml, parts_of, read_yaml
from passerby.errors import DataError

_NAMES = ("classes.txt", "obj.names", "labels/classes.txt", "data/obj.names")
_LOOKED_AT = 20  # label files that are looked into to know the format


@dataclass
class _Set:
    """A data set of this format: its folder, its splits, and what its class numbers mean (None: any number)."""

    root: Path
    parts: dict[str, list[Path]]
    names: dict[int, str] | None = None
    keypoints: bool = False
    missing: dict[str, str] = field(default_factory=dict)  # split -> why a place of it is not there


def signs(path: Path) -> str:
    """Why a path looks like YOLO; "" where it does not."""
    if path.is_file():
        return "it is a data.yaml with splits and names" if is_data_yaml(path) else ""
    if yaml := find_yaml(path):
        return f"it has {yaml.name} with splits and names"
    folders = [place for places in _layout(path).values() for place in places]
    texts = [text for place in folders for text in _texts(_labels_of(place, path) or place)]
    found = next((t for t in texts[:_LOOKED_AT] if _looks(t)), None)
    return f"{found.relative_to(path)} holds lines of class, centre and size" if found else ""


def read(path: Path, splits: Sequence[str] = ()) -> Listing:
    """List a YOLO data set.

    path     data.yaml, or the folder with it; without one, a folder with images/SPLIT and labels/SPLIT, SPLIT/images
             and SPLIT/labels, images and labels, or text files beside the pictures
    splits   as data.yaml or the folders name them; none: all

    Raises DataError for data.yaml that cannot be used, a missing split and a folder without pictures;
    MissingExtraError where data.yaml is to be read without PyYAML.
    """
    found = _set(path)
    out = Listing(dict.fromkeys(found.names.values()) if found.names else ())
    for split, places in choose(path, splits, found.parts).items():
        if split in found.missing and split in splits:
            raise DataError(f"{path}: split '{split}': {found.missing[split]}")
        if split in found.missing:
            out.tell("no-picture", path.name, f"split '{split}': {found.missing[split]}")
        for place in places:
            _list(out, found, place, split)
    if not out.pictures and not out.notes:
        raise DataError(f"{path}: no picture in it")
    return out


def _set(path: Path) -> _Set:
    yaml = path if path.is_file() else find_yaml(path)
    if yaml:
        told = read_yaml(yaml)
        parts, missing = parts_of(yaml, told.folder, told.splits)
        return _Set(yaml.parent, parts, told.names, told.keypoints, missing)
    file = next((path / name for name in _NAMES if there(path / name)), None)
    names = dict(enumerate(line.strip() for _, line in lines_of(file) if line.strip())) if file else None
    parts = _layout(path)
    if not parts:
        raise DataError(f"{path}: no picture in it")
    return _Set(path, parts, names)


def _layout(root: Path) -> dict[str, list[Path]]:
    """{split: folders with pictures} of a data set without data.yaml."""
    images = root / "images"
    if images.is_dir() and (root / "labels").is_dir():
        inner = {p.name: [p] for p in folders_in(images)}
        return {"": [images]} if has_picture(images) or not inner else inner
    nested = {p.name: [p / "images"] for p in folders_in(root) if (p / "images").is_dir() and (p / "labels").is_dir()}
    if nested:
        return nested
    if has_picture(root):
        return {"": [root]}
    return {p.name: [p] for p in folders_in(root) if has_picture(p)}


def _list(out: Listing, found: _Set, place: Path, split: str) -> None:
    """List the pictures of a folder, or those that a text file names."""
    if place.is_dir():
        pictures: Iterator[Path] = iter(pictures_in(place, deep=True))
    else:
        pictures = _named(out, found.root, place)
    used = set()
    for path in pictures:
        label = _label(path, found.root)
        used.add(label)
        known = there(label)
        number = out.add_picture(Listed(path, label.name if known else path.name, split=split))
        if known:
            _objects(out, found, number, label)
    if place.is_dir():
        labels = _labels_of(place, found.root)
        for text in _texts(labels or place, deep=True):
            if text not in used and (labels or _looks(text)):
                out.tell("no-picture", text.name, "no picture of this name")


def _named(out: Listing, root: Path, file: Path) -> Iterator[Path]:
    """The pictures that a list names, a line each, relative to the data set's folder or to the list's."""
    for number, line in lines_of(file):
        if not (name := line.strip()):
            continue
        try:
            path = first_there((root, file.parent), name)
        except DataError as e:
            out.tell("no-picture", file.name, str(e), -1, number)
            continue
        if there(path):
            yield path
        else:
            out.tell("no-picture", file.name, f"picture {name:.200} is not there", -1, number)


def _label(picture: Path, root: Path) -> Path:
    """The text file of a picture: in `labels` where the picture is in `images`, or beside it."""
    beside = picture.with_suffix(".txt")
    labels = _labels_of(picture.parent, root)
    return labels / beside.name if labels and (there(labels / beside.name) or not there(beside)) else beside


def _labels_of(folder: Path, root: Path) -> Path | None:
    """The folder with the labels of a folder with pictures: the last "images" of its path is "labels"."""
    parts = list(folder.relative_to(root).parts)
    for k in range(len(parts) - 1, -1, -1):
        if parts[k].lower() == "images":
            labels = root.joinpath(*parts[:k], "labels", *parts[k + 1 :])
            return labels if labels.is_dir() else None
    return None


def _texts(folder: Path, deep: bool = False) -> list[Path]:
    found = sorted(folder.rglob("*.txt") if deep else (p for p in entries(folder) if p.suffix == ".txt"))
    return [p for p in found if p.name != "classes.txt"]


def _looks(text: Path) -> bool:
    """Whether the first line of a text file is an object of this format."""
    try:
        _, line = next(lines_of(text), (0, ""))
        fields = line[:1000].split()
        return len(fields) > 4 and fields[0].isdigit() and all(-1 < float(v) < 2 for v in fields[1:5])
    except (DataError, ValueError):
        return False


def _objects(out: Listing, found: _Set, picture: int, file: Path) -> None:
    try:
        text = read_text(file)
    except DataError as e:
        out.tell("bad-labels", file.name, str(e))
        out.left_out.add(picture)
        return
    item = -1
    for number, line in enumerate(io.StringIO(text), 1):
        if not (fields := line.split()):
            continue
        item += 1
        try:
            name, box = _object(out, found, fields)
        except DataError as e:
            kind = "bad-class" if str(e).startswith("class") else "bad-object"
            out.tell(kind, file.name, str(e), item, number)
            continue
        out.add_object(picture, name, box, item, number, RELATIVE)


def _object(out: Listing, found: _Set, fields: list[str]) -> tuple[str, tuple[float, ...]]:
    """Class name and box, in shares, of one line. Raises DataError that says what is wrong with it."""
    try:
        values = [float(f) for f in fields]
    except ValueError as e:
        raise DataError(f"not numbers: {' '.join(fields):.80}") from e
    extra = len(values) - 5
    if not found.keypoints and extra > 1 and extra % 2:
        raise DataError(f"{len(values)} values, want class and 4 of a box, or class and x y of each corner")
    if extra < 0:
        raise DataError(f"{len(values)} values, want class, centre x and y, width, height")
    number = values[0]
    if not number.is_integer() or (found.names is None and not 0 <= number < 2**31):
        raise DataError(f"class {fields[0]:.20} is not a whole number")
    if found.names is not None and number not in found.names:
        raise DataError(f"class {fields[0]:.20} is beyond the {len(found.names)} that are named")
    name = str(int(number)) if found.names is None else found.names[int(number)]
    if extra > 1 and not found.keypoints:
        out.unheld["polygon"] += 1
        xs, ys = values[1::2], values[2::2]
        whole = all(v - v == 0 for v in values[1:])  # min and max would lose what is not a number
        return name, (min(xs), min(ys), max(xs), max(ys)) if whole else (float("nan"),) * 4
    if extra:
        out.unheld["keypoints" if found.keypoints else "confidence"] += 1
    x, y, w, h = values[1:5]
    return name, (x - w / 2, y - h / 2, x + w / 2, y + h / 2)
