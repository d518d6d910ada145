"""The rules that hold for every format: what the files state becomes a SampleSet, with a note of each change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from passerby.data.classes import Classes, looks_like, settle_names
from passerby.data.listing import ANY_CLASS, DIFFICULT, IGNORE, RELATIVE, Columns, Listing
from passerby.errors import DataError, SourceError
from passerby.pictures import orientation_of, picture_size
from passerby.records import Floats, Note, Sample, SampleSet, Truth

Size = tuple[int, int]
Order = tuple[int, int]  # of a note: number of the picture, number of the object
MOST_OBJECTS = 20_000  # in one picture; the most crowded photographs have a few thousand


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
    notes: list[tuple[Order, Note]] = [((-1, -1), n) for n in listing.notes]
    sizes, turned = _sizes(listing, size_of, notes)
    columns = listing.columns()
    many = np.bincount(columns.picture, minlength=len(listing.pictures)) > MOST_OBJECTS
    for p in np.flatnonzero(many & (sizes[:, 0] > 0)).tolist():
        count = int((columns.picture == p).sum())
        notes.append(((p, -1), _note(listing, p, "too-many", f"{count:,} objects; at most {MOST_OBJECTS:,} are read")))
        sizes[p] = 0
    used = sizes[:, 0] > 0
    if not used.any():
        first = min(notes, key=lambda n: n[0])[1] if notes else None
        told = f"; the first: {first.file}: {first.text}" if first else ""
        raise DataError(f"{source}: no usable picture{told}")
    labels, names, columns, numbers = _classes(listing, columns, classes, source, used, notes)
    box, kept = _boxes(listing, columns, sizes, turned, used[columns.picture] & (numbers >= 0), notes)
    samples = _samples(listing, columns, labels, names, sizes, numbers, box, kept)
    for what, count in sorted(listing.unheld.items()):
        notes.append(((len(sizes), -1), Note("not-held", source, -1, what, count=count)))
    notes.sort(key=lambda n: n[0])
    return SampleSet(tuple(samples), labels, source, tuple(n for _, n in notes))


def _sizes(
    listing: Listing, size_of: Callable[[Path], Size], notes: list[tuple[Order, Note]]
) -> tuple[NDArray[np.int64], dict[int, int]]:
    """(P, 2) width and height of each picture, 0 where it cannot be used; {picture: EXIF orientation of its labels}."""
    sizes = np.zeros((len(listing.pictures), 2), np.int64)
    turned: dict[int, int] = {}
    seen: dict[tuple[Path, str], int] = {}
    for p, picture in enumerate(listing.pictures):
        if seen.setdefault((picture.path, picture.split), p) != p:
            notes.append(((p, -1), _note(listing, p, "listed-twice", f"{picture.path.name} is listed again")))
            continue
        try:
            sizes[p] = width, height = size_of(picture.path)
        except SourceError as e:
            there = picture.path.is_file()
            text = str(e).removeprefix(f"{picture.path}: ")
            text = text if there else f"its picture {picture.path.name} is not there"
            notes.append(((p, -1), _note(listing, p, "unreadable" if there else "no-picture", text)))
            continue
        told = (picture.width, picture.height)
        if (told == (0, 0) and not listing.size_stated) or told == (width, height):
            continue
        text = f"stated {told[0]} x {told[1]}, picture {width} x {height}"
        if told == (height, width) and (way := orientation_of(picture.path)) > 4:
            turned[p] = way
            notes.append(((p, -1), _note(listing, p, "turned", f"{text}, EXIF orientation {way}")))
        else:
            notes.append(((p, -1), _note(listing, p, "size", text)))
    return sizes, turned


def _classes(
    listing: Listing,
    columns: Columns,
    classes: Classes,
    source: str,
    used: NDArray[np.bool_],
    notes: list[tuple[Order, Note]],
) -> tuple[tuple[str, ...], dict[str, str], Columns, NDArray[np.int64]]:
    """Labels; name -> label; the columns with IGNORE where a class says so; each object's label, -1 not wanted."""
    mine = used[columns.picture] & ((columns.flags & ANY_CLASS) == 0)
    occurs = np.bincount(columns.name[mine], minlength=len(listing.names))
    counts = Counter({name: int(n) for name, n in zip(listing.names, occurs, strict=True) if n})
    counts.update(listing.pictures[p].label for p in np.flatnonzero(used) if listing.pictures[p].label)
    labels, names = settle_names(counts, classes, listing.classes)
    as_written = [labels.index(names[n]) if n in names else -1 for n in listing.names]
    numbers = np.array([*as_written, -1], np.int64)[columns.name]
    aside = np.array([*(n in classes.ignored for n in listing.names), False])[columns.name]
    flags = np.where(mine & aside, columns.flags | IGNORE, columns.flags).astype(np.uint8)
    numbers[aside | ((flags & ANY_CLASS) > 0)] = 0
    for name, count in counts.items():
        objects = np.flatnonzero(mine & (columns.name == listing.number_of(name)))
        if name in classes.ignored or name in classes.renamed or names.get(name) == name:
            continue
        if name in names:
            kind, text = "renamed", f"class '{name}' taken for '{names[name]}'"
        elif not name.strip():
            kind, text = "bad-object", "it has no class name"
        elif near := looks_like(name, labels):
            kind, text = "unknown-class", f"class '{name}' is not among {list(labels)}; a slip of '{near}'?"
        else:
            text = f"class '{name}' is not among {list(labels)}"
            notes.append(((len(used), -1), Note("not-chosen", source, -1, text, count=count)))
            continue
        notes.extend(_of(listing, columns, i, kind, text) for i in objects.tolist())
    return labels, names, replace(columns, flags=flags), numbers


def _boxes(
    listing: Listing,
    columns: Columns,
    sizes: NDArray[np.int64],
    turned: dict[int, int],
    kept: NDArray[np.bool_],
    notes: list[tuple[Order, Note]],
) -> tuple[Floats, NDArray[np.bool_]]:
    """(N, 4) float32 boxes in pixels inside their pictures, and (N,) which objects are left."""
    limit = sizes[columns.picture][:, [0, 1, 0, 1]].astype(np.float64)
    box = columns.box.copy()
    relative = (columns.flags & RELATIVE) > 0
    box[relative] *= limit[relative]

    def tell(which: NDArray[np.bool_], kind: str, text: str) -> None:
        for i in np.flatnonzero(which).tolist():
            p = int(columns.picture[i])
            shown = [round(float(v), 2) for v in box[i]]
            full = text.format(width=sizes[p, 0], height=sizes[p, 1]) + f": {shown}"
            notes.append(_of(listing, columns, i, kind, full, tuple(float(v) for v in box[i])))

    with np.errstate(invalid="ignore"):
        bad = kept & ~np.isfinite(box).all(axis=1)
        tell(bad, "not-a-number", "a coordinate is not a finite number")
        kept = kept & ~bad
        for p, way in turned.items():
            rows = kept & (columns.picture == p)
            box[rows] = turn(box[rows], int(sizes[p, 0]), int(sizes[p, 1]), way)
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
        tell(kept & (edge != box).any(axis=1), "clipped", "past the border of {width} x {height}")
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
) -> list[Sample]:
    rows = np.flatnonzero(kept)
    rows = rows[np.argsort(columns.picture[rows], kind="stable")]
    ends = np.searchsorted(columns.picture[rows], np.arange(len(sizes) + 1))
    box, number, flags = box[rows], numbers[rows], columns.flags[rows]
    samples = []
    for p in np.flatnonzero(sizes[:, 0]):
        picture, part = listing.pictures[p], slice(ends[p], ends[p + 1])
        if picture.label and picture.label not in names:
            continue
        truth = Truth(box[part], number[part], (flags[part] & DIFFICULT) > 0, (flags[part] & IGNORE) > 0)
        label = labels.index(names[picture.label]) if picture.label else None
        samples.append(Sample(picture.path, int(sizes[p, 0]), int(sizes[p, 1]), truth, label, picture.split))
    return samples


def turn(box: NDArray[np.float64], width: int, height: int, way: int) -> NDArray[np.float64]:
    """Boxes (N, 4) on a picture's raster -> boxes on the upright picture of width x height; `way` is EXIF's 1 to 8.

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
    return Note(kind, picture.file, -1, text, picture.line, picture=picture.path)


def _of(
    listing: Listing, columns: Columns, i: int, kind: str, text: str, box: Sequence[float] = ()
) -> tuple[Order, Note]:
    p, item = int(columns.picture[i]), int(columns.item[i])
    picture = listing.pictures[p]
    return (p, item), Note(kind, picture.file, item, text, int(columns.line[i]), 1, picture.path, tuple(box))
