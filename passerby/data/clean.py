"""The rules that hold for every format: what the files state becomes a SampleSet, with a note of each change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from passerby.data.classes import Classes, looks_like, settle_names
from passerby.data.listing import (
    ANY_CLASS,
    DIFFICULT,
    IGNORE,
    RELATIVE,
    Columns,
    Listed,
    Listing,
    printable,
    there,
)
from passerby.data.notes import Notes, Order
from passerby.errors import DataError, SourceError
from passerby.pictures import orientation_of, picture_size
from passerby.records import Floats, Note, Sample, SampleSet, Truth

Size = tuple[int, int]
Side = int | NDArray[np.float64]
MOST_OBJECTS = 20_000  # in one picture; the most crowded photographs have a few thousand
AT_ONCE = 100_000  # objects whose boxes are worked on together: a bound for the memory
ROUNDING = 0.01  # pixels past the border that are no mistake: what shares of six digits leave


@dataclass(frozen=True)
class Origin:
    """Where a sample comes from: its entry, and number and line of each of its objects in the label file."""

    picture: Listed
    item: NDArray[np.int32]
    line: NDArray[np.int32]


def settle(
    listing: Listing, classes: Classes, source: str, size_of: Callable[[Path], Size] = picture_size
) -> SampleSet:
    """Apply the rules of `kinds.KINDS` to what the files state.

    listing  as a reader made it
    classes  which are wanted, and what they are called; no labels: all
    source   the data set, for messages: "format:name#split"
    size_of  picture -> width and height when upright; raises SourceError for a picture that cannot be read

    The picture's own size counts, whatever the labels state. Boxes made on the unturned raster of a picture that EXIF
    turns are turned with it. Swapped corners are put right, what lies past the border is cut off, a box without area
    or with a coordinate that is not finite is dropped.
    Raises DataError when no picture is left.
    """
    return settle_rows(listing, classes, source, size_of)[0]


def settle_rows(
    listing: Listing, classes: Classes, source: str, size_of: Callable[[Path], Size] = picture_size
) -> tuple[SampleSet, list[Origin]]:
    """`settle`, and for each sample where it comes from in the listing."""
    notes = Notes(listing)
    sizes, turned = _sizes(listing, size_of, notes)
    columns = listing.columns()
    many = np.bincount(columns.picture, minlength=len(listing.pictures)) > MOST_OBJECTS
    for p in np.flatnonzero(many & (sizes[:, 0] > 0)).tolist():
        count = int((columns.picture == p).sum())
        notes.add((p, -1), _note(listing, p, "too-many", f"{count:,} objects; at most {MOST_OBJECTS:,} are read"))
        sizes[p] = 0
    used = sizes[:, 0] > 0
    if not used.any():
        raise DataError(f"{source}: no usable picture{notes.first()}")
    labels, names, columns, numbers = _classes(listing, columns, classes, source, used, notes)
    box, kept = _boxes(listing, columns, sizes, turned, used[columns.picture] & (numbers >= 0), notes)
    samples, origins = _samples(listing, columns, labels, names, sizes, numbers, box, kept)
    for what, count in sorted((+listing.unheld).items()):  # + leaves out what was counted and never found
        notes.add((len(sizes), -1), Note("not-held", source, -1, printable(what), count=count))
    if not samples:  # every picture has a class of its own, and none of them is wanted
        raise DataError(f"{source}: no picture of a class among {list(labels[:20])}")
    return SampleSet(tuple(samples), labels, source, notes.all(source)), origins


def _sizes(listing: Listing, size_of: Callable[[Path], Size], notes: Notes) -> tuple[NDArray[np.int64], dict[int, int]]:
    """(P, 2) width and height of each picture, 0 where it cannot be used; {picture: EXIF orientation of its labels}."""
    sizes = np.zeros((len(listing.pictures), 2), np.int64)
    turned: dict[int, int] = {}
    seen: dict[tuple[Path, str], int] = {}
    for p, picture in enumerate(listing.pictures):
        if p in listing.left_out:
            continue
        if seen.setdefault((picture.path, picture.split), p) != p:
            notes.add((p, -1), _note(listing, p, "listed-twice", f"{picture.path.name} is listed again"))
            continue
        try:
            sizes[p] = width, height = size_of(picture.path)
        except SourceError as e:
            found = there(picture.path)
            text = str(e).removeprefix(f"{picture.path}: ")
            text = text if found else f"its picture {picture.path.name} is not there"
            notes.add((p, -1), _note(listing, p, "unreadable" if found else "no-picture", text))
            continue
        told = (picture.width, picture.height)
        if (told == (0, 0) and not listing.size_stated) or told == (width, height):
            continue
        text = f"stated {told[0]} x {told[1]}, picture {width} x {height}"
        if told == (height, width) and (way := orientation_of(picture.path)) > 4:
            turned[p] = way
            notes.add((p, -1), _note(listing, p, "turned", f"{text}, EXIF orientation {way}"))
        else:
            notes.add((p, -1), _note(listing, p, "size", text))
    return sizes, turned


def _classes(
    listing: Listing,
    columns: Columns,
    classes: Classes,
    source: str,
    used: NDArray[np.bool_],
    notes: Notes,
) -> tuple[tuple[str, ...], dict[str, str], Columns, NDArray[np.int64]]:
    """Labels; name -> label; the columns with IGNORE where a class says so; each object's label, -1 not wanted."""
    mine = used[columns.picture] & ((columns.flags & ANY_CLASS) == 0)
    occurs = np.bincount(columns.name[mine], minlength=len(listing.names))
    counts = Counter({name: int(n) for name, n in zip(listing.names, occurs, strict=True) if n})
    whole = Counter(listing.pictures[p].label for p in np.flatnonzero(used).tolist() if listing.pictures[p].label)
    counts.update(whole)
    labels, names = settle_names(counts, classes, listing.classes)
    order = {label: k for k, label in enumerate(labels)}
    as_written = [order[names[n]] if n in names else -1 for n in listing.names]
    numbers = np.array([*as_written, -1], np.int64)[columns.name]
    aside = np.array([*(n in classes.ignored for n in listing.names), False])[columns.name]
    flags = np.where(mine & aside, columns.flags | IGNORE, columns.flags)
    numbers[aside | ((flags & ANY_CLASS) > 0)] = 0
    known = str(list(labels)) if len(labels) <= 20 else f"the {len(labels):,} classes"
    for name, count in counts.items():
        if names.get(name) == name or name in classes.renamed or (name in classes.ignored and not whole[name]):
            continue
        if name in names:
            kind, text = "renamed", f"class '{name}' taken for '{names[name]}'"
        elif not name.strip():
            kind, text = "bad-object", "it has no class name"
        elif near := looks_like(name, labels):
            kind, text = "unknown-class", f"class '{name}' is not among {known}; a slip of '{near}'?"
        else:
            kind, text = "not-chosen", f"class '{name}' is not among {known}"
        if kind == "not-chosen" or whole[name]:
            notes.add((len(used), -1), Note(kind, source, -1, printable(text), count=count))
            continue
        objects = np.flatnonzero(mine & (columns.name == listing.number_of(name)))
        for i in objects[: notes.room(kind, len(objects))].tolist():
            notes.add(*_of(listing, columns, i, kind, text))
    return labels, names, replace(columns, flags=flags), numbers


def _boxes(
    listing: Listing,
    columns: Columns,
    sizes: NDArray[np.int64],
    turned: dict[int, int],
    kept: NDArray[np.bool_],
    notes: Notes,
) -> tuple[Floats, NDArray[np.bool_]]:
    """(N, 4) float32 boxes in pixels inside their pictures, and (N,) which objects are left."""
    ways = np.ones(len(sizes), np.int64)
    ways[list(turned)] = list(turned.values())
    cut, left = np.zeros((len(kept), 4), np.float32), np.zeros(len(kept), bool)
    for start in range(0, len(kept), AT_ONCE):
        rows = slice(start, start + AT_ONCE)
        cut[rows], left[rows] = _cut(listing, columns.part(rows), sizes, ways, kept[rows], notes)
    return cut, left


def _cut(
    listing: Listing,
    columns: Columns,
    sizes: NDArray[np.int64],
    ways: NDArray[np.int64],
    kept: NDArray[np.bool_],
    notes: Notes,
) -> tuple[Floats, NDArray[np.bool_]]:
    limit = sizes[columns.picture][:, [0, 1, 0, 1]].astype(np.float64)
    box = columns.box.copy()
    relative = (columns.flags & RELATIVE) > 0
    with np.errstate(over="ignore", invalid="ignore"):
        box[relative] *= limit[relative]

    def tell(which: NDArray[np.bool_], kind: str, text: str) -> None:
        rows = np.flatnonzero(which)
        for i in rows[: notes.room(kind, len(rows))].tolist():
            p = int(columns.picture[i])
            shown = [round(float(v), 2) for v in box[i]]
            full = text.format(width=sizes[p, 0], height=sizes[p, 1]) + f": {shown}"
            notes.add(*_of(listing, columns, i, kind, full, tuple(float(v) for v in box[i])))

    with np.errstate(invalid="ignore"):
        bad = kept & ~np.isfinite(box).all(axis=1)
        tell(bad, "not-a-number", "a coordinate is not a finite number")
        kept = kept & ~bad
        for way in range(5, 9):
            rows = kept & (ways[columns.picture] == way)
            box[rows] = turn(box[rows], limit[rows, 0], limit[rows, 1], way)
        swapped = kept & ((box[:, 2] < box[:, 0]) | (box[:, 3] < box[:, 1]))
        tell(swapped, "swapped", "corners in the wrong order")
        low, high = np.minimum(box[:, :2], box[:, 2:]), np.maximum(box[:, :2], box[:, 2:])
        box[swapped] = np.concatenate([low, high], axis=1)[swapped]
        edge = np.clip(box, 0, limit)
        cut = edge.astype(np.float32)
        apart = kept & ((box[:, :2] >= limit[:, :2]) | (box[:, 2:] <= 0)).any(axis=1)
        flat = kept & ((box[:, 2] <= box[:, 0]) | (box[:, 3] <= box[:, 1]))
        gone = kept & ~flat & apart
        flat |= kept & ~gone & ((cut[:, 2] <= cut[:, 0]) | (cut[:, 3] <= cut[:, 1]))  # less than a float32 can tell
        tell(flat, "no-area", "no area")
        tell(gone, "outside", "outside the {width} x {height} picture")
        kept = kept & ~flat & ~gone
        tell(kept & (np.abs(edge - box) > ROUNDING).any(axis=1), "clipped", "past the border of {width} x {height}")
    return cut, kept


def _samples(
    listing: Listing,
    columns: Columns,
    labels: tuple[str, ...],
    names: dict[str, str],
    sizes: NDArray[np.int64],
    numbers: NDArray[np.int64],
    box: Floats,
    kept: NDArray[np.bool_],
) -> tuple[list[Sample], list[Origin]]:
    rows = np.flatnonzero(kept)
    rows = rows[np.argsort(columns.picture[rows], kind="stable")]
    ends = np.searchsorted(columns.picture[rows], np.arange(len(sizes) + 1))
    box, number, flags = box[rows], numbers[rows], columns.flags[rows]
    samples, origins = [], []
    order = {label: k for k, label in enumerate(labels)}
    for p in np.flatnonzero(sizes[:, 0]).tolist():
        picture, part = listing.pictures[p], slice(ends[p], ends[p + 1])
        if picture.label and picture.label not in names:
            continue
        truth = Truth(box[part], number[part], (flags[part] & DIFFICULT) > 0, (flags[part] & IGNORE) > 0)
        label = order[names[picture.label]] if picture.label else None
        samples.append(Sample(picture.path, int(sizes[p, 0]), int(sizes[p, 1]), truth, label, picture.split))
        origins.append(Origin(picture, columns.item[rows[part]], columns.line[rows[part]]))
    return samples, origins


def turn(box: NDArray[np.float64], width: Side, height: Side, way: int) -> NDArray[np.float64]:
    """Boxes (N, 4) on a picture's raster -> boxes on the upright picture of width x height; `way` is EXIF's 1 to 8.

    width, height  in pixels, of the one picture or (N,) of the picture of each box

    EXIF 2.32, table 6 (orientation): which side of the scene row 0 and column 0 of the raster show.
    """
    x0, y0, x1, y1 = box.T
    if way > 4:  # rows are columns
        x0, y0, x1, y1 = y0, x0, y1, x1
    if way in (2, 3, 6, 7):  # right to left
        x0, x1 = width - x1, width - x0
    if way in (3, 4, 7, 8):  # upside down
        y0, y1 = height - y1, height - y0
    return np.stack([x0, y0, x1, y1], axis=1)


def _note(listing: Listing, p: int, kind: str, text: str) -> Note:
    picture = listing.pictures[p]
    return Note(kind, picture.file, -1, printable(text), picture.line, picture=picture.path)


def _of(
    listing: Listing, columns: Columns, i: int, kind: str, text: str, box: Sequence[float] = ()
) -> tuple[Order, Note]:
    p, item = int(columns.picture[i]), int(columns.item[i])
    picture = listing.pictures[p]
    note = Note(kind, picture.file, item, printable(text), int(columns.line[i]), 1, picture.path, tuple(box))
    return (p, item), note
