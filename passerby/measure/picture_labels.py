"""Pictures with what is known of each as a whole: which labels it holds, and, where boxes are known, where they are."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from passerby.data import load_data
from passerby.data.classes import parse_classes
from passerby.errors import DataError
from passerby.geometry.boxes import area, clip
from passerby.records import Floats, Sample, SampleSet, Truth

HOLDS, HOLDS_NOT, UNKNOWN = 1, 0, -1


@dataclass(frozen=True)
class PictureSet:
    """Pictures with labels of the whole.

    samples  with boxes where they are known; `labels` are the model's
    holds    (P, C) int8: HOLDS, HOLDS_NOT or UNKNOWN (only ignore regions or difficult objects of that label)
    located  (P,) bool: whether the boxes of all that it holds are known
    """

    samples: SampleSet
    holds: NDArray[np.int8]
    located: NDArray[np.bool_]

    def with_boxes(self) -> SampleSet:
        """The pictures whose boxes are known, for a detector's metrics."""
        kept = tuple(replace(s, label=None) for s, known in zip(self.samples, self.located, strict=True) if known)
        return replace(self.samples, samples=kept)


def load_pictures(
    source: str,
    labels: Sequence[str],
    classes: Sequence[str] = (),
    root: str | Path = ".",
    boxes: Path | None = None,
) -> PictureSet:
    """A data set for judging what is said of whole pictures.

    source   class folders ("classes:person_or_not#valid"), or any set with boxes, where a picture holds what it has a
             box of
    labels   of the model; a class folder of another name holds none of them
    classes  what the model's labels are called there: "person=pedestrian+rider"
    boxes    JSON beside class folders: [{"file": "person/00000.jpg", "boxes": [[x0, y0, x1, y1], ...]}, ...], pixels

    Raises DataError where no picture holds any of the labels, or `boxes` cannot be used; as `load_data` otherwise.
    """
    out = read_pictures(source, labels, classes, root, boxes)
    if not (out.holds == HOLDS).any():
        named = load_data(source, (), root).labels
        raise DataError(f"{out.samples.source}: has {list(named)}, no picture holds any of the model's {list(labels)}")
    return out


def read_pictures(
    source: str,
    labels: Sequence[str],
    classes: Sequence[str] = (),
    root: str | Path = ".",
    boxes: Path | None = None,
) -> PictureSet:
    """`load_pictures` where no picture needs to hold anything, e.g. a folder of pictures known to be empty."""
    found = load_data(source, (), root)
    if any(s.label is not None for s in found):
        known = {} if boxes is None else read_boxes(boxes)
        return _of_folders(found, labels, classes, known, str(boxes))
    if boxes is not None:
        raise DataError(f"{boxes}: {found.source} has boxes of its own; leave the file of boxes out")
    return _of_boxes(load_data(source, classes or labels, root), labels)


def pictures_of(samples: SampleSet, labels: Sequence[str]) -> PictureSet:
    """As `read_pictures`, of samples that are there already; a class of another name is none of the labels."""
    if any(s.label is not None for s in samples):
        return _of_folders(samples, labels, (), {}, "")
    return _of_boxes(samples, labels)


def read_boxes(path: Path) -> dict[str, Floats]:
    """{file: boxes (N, 4)} of a JSON file beside class folders. Raises DataError naming the entry that is wrong."""
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as e:
        raise DataError(f"{path}: cannot be read as JSON ({e})") from e
    if not isinstance(rows, list):
        raise DataError(f'{path}: want a list of {{"file": ..., "boxes": [[x0, y0, x1, y1], ...]}}')
    out: dict[str, Floats] = {}
    for i, row in enumerate(rows):
        file = _file(path, i, row)
        out[file] = _boxes(path, i, row)
    return out


def _file(path: Path, i: int, row: Any) -> str:
    if not isinstance(row, dict) or not isinstance(row.get("file"), str) or "boxes" not in row:
        raise DataError(f'{path}: entry {i} lacks "file" or "boxes"')
    return str(row["file"])


def _boxes(path: Path, i: int, row: dict[str, Any]) -> Floats:
    try:
        boxes = np.array(row["boxes"], np.float32).reshape(-1, 4)
    except (TypeError, ValueError) as e:
        raise DataError(f"{path}: entry {i} ({row['file']}): boxes are not lists of four numbers") from e
    if not np.isfinite(boxes).all() or (boxes[:, 2:] <= boxes[:, :2]).any():
        raise DataError(f"{path}: entry {i} ({row['file']}): a box without area, or with what is no number")
    return boxes


def _of_folders(
    found: SampleSet, labels: Sequence[str], classes: Sequence[str], boxes: Mapping[str, Floats], file: str
) -> PictureSet:
    """Class folders: the picture's class is what it holds."""
    renamed = parse_classes(classes).renamed
    number = {name: k for k, name in enumerate(labels)}
    of_class = [number.get(renamed.get(name, name), -1) for name in found.labels]
    samples, holds, located = [], np.zeros((len(found), len(labels)), np.int8), np.zeros(len(found), bool)
    used = 0
    for i, s in enumerate(found):
        k = -1 if s.label is None else of_class[s.label]
        mine = boxes.get("/".join(s.path.parts[-2:]))
        if k >= 0:
            holds[i, k] = HOLDS
        located[i] = k < 0 or mine is not None
        used += mine is not None
        samples.append(replace(s, label=None, truth=_truth(s, mine, k)))
    if boxes and not used:
        raise DataError(f"{file}: none of its files, e.g. {next(iter(boxes))}, is in {found.source}")
    return PictureSet(SampleSet(tuple(samples), tuple(labels), found.source, found.notes, found.reason), holds, located)


def _truth(sample: Sample, boxes: Floats | None, label: int) -> Truth:
    if boxes is None or label < 0:
        return Truth.of([])
    cut = clip(boxes, sample.width, sample.height)
    cut = cut[area(cut) > 0]
    return Truth.of(cut, np.full(len(cut), label))


def _of_boxes(found: SampleSet, labels: Sequence[str]) -> PictureSet:
    """A set with boxes: a picture holds what it has an object of that counts."""
    number = {name: k for k, name in enumerate(labels)}
    columns = [number.get(name, -1) for name in found.labels]
    holds = np.zeros((len(found), len(labels)), np.int8)
    samples = []
    for i, s in enumerate(found):
        mine = np.array([columns[int(k)] for k in s.truth.labels], np.int64)
        hazy = s.truth.difficult | s.truth.ignore
        for k in range(len(labels)):
            of_label = mine == k
            if of_label.any():
                holds[i, k] = HOLDS if (of_label & ~hazy).any() else UNKNOWN
        kept = (mine >= 0) | s.truth.ignore
        truth = s.truth[kept]
        samples.append(replace(s, truth=replace(truth, labels=np.maximum(mine[kept], 0))))
    named = SampleSet(tuple(samples), tuple(labels), found.source, found.notes, found.reason)
    return PictureSet(named, holds, np.ones(len(found), bool))
