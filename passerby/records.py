"""The records that flow through passerby: Frame, Truth, Sample, SampleSet, Detections."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from passerby.errors import ShapeError

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Frame:
    """One picture on its way through.

    pixels  (H, W, 3) uint8, RGB, upright (EXIF orientation already applied)
    source  where it came from: a file's path, or a video's
    index   0 for a picture, the number of the frame in a video
    time    seconds since the video's start; None for a picture
    """

    pixels: Pixels
    source: str
    index: int = 0
    time: float | None = None

    @property
    def width(self) -> int:
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        return int(self.pixels.shape[0])


@dataclass(frozen=True)
class Detections:
    """What was found in one picture: columns of one length N, highest score first.

    boxes   (N, 4) float32, x0 y0 x1 y1, pixels of the original picture
    scores  (N,) float32, 0..1
    labels  (N,) int64, index into `names`
    names   the model's labels
    ids     (N,) int64, who is who from frame to frame; None where nobody tracked

    A mask, a slice or an index array gives Detections back: `found[found.scores > 0.5]`.
    Raises ShapeError when the columns differ in length.
    """

    boxes: Floats
    scores: Floats
    labels: Ints
    names: tuple[str, ...]
    ids: Ints | None = None

    def __post_init__(self) -> None:
        n = len(self.scores)
        if self.boxes.shape != (n, 4) or len(self.labels) != n or (self.ids is not None and len(self.ids) != n):
            raise ShapeError(
                f"detections: boxes {self.boxes.shape}, scores {self.scores.shape}, labels {self.labels.shape}; "
                "want (N, 4), (N,), (N,)"
            )

    @classmethod
    def none(cls, names: Sequence[str] = ()) -> Detections:
        """Detections of an empty picture."""
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64), tuple(names))

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, index: Any) -> Detections:
        if isinstance(index, (int, np.integer)):
            index = [index]
        ids = None if self.ids is None else self.ids[index]
        return replace(self, boxes=self.boxes[index], scores=self.scores[index], labels=self.labels[index], ids=ids)

    def to_list(self) -> list[dict[str, Any]]:
        """As plain Python: [{"box": [x0, y0, x1, y1], "score": s, "label": "head"}, ...]; boxes to 0.01 px.

        Tracked detections have their "id" too.
        """
        rows: list[dict[str, Any]] = [
            {
                "box": [round(float(v), 2) for v in box],
                "score": round(float(score), 4),
                "label": self.names[int(label)],
            }
            for box, score, label in zip(self.boxes, self.scores, self.labels, strict=True)
        ]
        if self.ids is not None:
            for row, number in zip(rows, self.ids, strict=True):
                row["id"] = int(number)
        return rows


@dataclass(frozen=True)
class Truth:
    """What is really in one picture: columns of one length N.

    boxes      (N, 4) float32, x0 y0 x1 y1, pixels of the upright picture
    labels     (N,) int64, index into the data set's labels
    difficult  (N,) bool; neither counts nor punishes (VOC)
    ignore     (N,) bool; a region whose content is unknown (crowds): nothing inside it is judged
    """

    boxes: Floats
    labels: Ints
    difficult: NDArray[np.bool_]
    ignore: NDArray[np.bool_]

    @classmethod
    def of(cls, boxes: Any, labels: Any = None, difficult: Any = None, ignore: Any = None) -> Truth:
        """From array-likes; missing columns are zeros. Raises ShapeError when lengths differ."""
        b = np.asarray(boxes, np.float32)
        if b.size == 0:
            b = b.reshape(0, 4)
        if b.ndim != 2 or b.shape[1] != 4:
            raise ShapeError(f"truth: boxes have shape {b.shape}, want (N, 4)")
        n = len(b)
        truth = cls(
            b,
            np.zeros(n, np.int64) if labels is None else np.asarray(labels, np.int64),
            np.zeros(n, bool) if difficult is None else np.asarray(difficult, bool),
            np.zeros(n, bool) if ignore is None else np.asarray(ignore, bool),
        )
        if not len(truth.labels) == len(truth.difficult) == len(truth.ignore) == n:
            raise ShapeError("truth: boxes, labels, difficult and ignore must have one length")
        return truth

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: Any) -> Truth:
        return Truth(self.boxes[index], self.labels[index], self.difficult[index], self.ignore[index])


@dataclass(frozen=True)
class Sample:
    """One labelled picture on disk.

    path    of the picture file
    width, height  when upright, pixels
    truth   what is in it
    label   of the whole picture, index into the data set's labels; None where only boxes were given
    split   the part of the data set that it belongs to ("train"), "" where none is named
    """

    path: Path
    width: int
    height: int
    truth: Truth
    label: int | None = None
    split: str = ""

    @property
    def name(self) -> str:
        return self.path.stem


@dataclass(frozen=True)
class Note:
    """Something that a data set has wrong, or that a reader changed or left out.

    kind     a key of `passerby.data.kinds.KINDS`, e.g. "clipped"
    file     where: the label file or the picture
    item     number of the object in that file, from 0; -1: the file or the picture as a whole
    text     what is wrong, with the numbers
    line     of the file, from 1; 0: not known
    count    how many things one note stands for
    picture  the picture it is about, where there is one
    box      x0 y0 x1 y1 as written, pixels, where it is about a box
    other    the picture that this one is like, where it is about two
    """

    kind: str
    file: str
    item: int
    text: str
    line: int = 0
    count: int = 1
    picture: Path | None = None
    box: tuple[float, ...] = ()
    other: Path | None = None


@dataclass(frozen=True)
class SampleSet(Sequence[Sample]):
    """A data set as read: its samples, its labels, and a note for each thing the reader changed.

    source  "format:name#split"
    reason  why that format, where it was found out by looking; "" where it was said
    """

    samples: tuple[Sample, ...]
    labels: tuple[str, ...]
    source: str = ""
    notes: tuple[Note, ...] = field(default=(), repr=False)
    reason: str = ""

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: Any) -> Any:
        return self.samples[index]

    def __iter__(self) -> Iterator[Sample]:
        return iter(self.samples)

    def objects(self) -> int:
        """How many labelled objects there are, ignore regions not counted."""
        return int(sum(int((~s.truth.ignore).sum()) for s in self.samples))

    def note_counts(self) -> dict[str, int]:
        """How many things of each kind the notes tell of, the most frequent first."""
        kinds: dict[str, int] = {}
        for note in self.notes:
            kinds[note.kind] = kinds.get(note.kind, 0) + note.count
        return dict(sorted(kinds.items(), key=lambda kv: -kv[1]))
