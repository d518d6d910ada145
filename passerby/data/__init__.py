"""Data sets on disk -> SampleSet. A format is one file here and one line in READERS."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from passerby.data import (
    brainwash,
    class_folders,
    coco,
    crowdhuman,
    csv_file,
    folder,
    inria,
    voc,
    wider_face,
    yolo,
)
from passerby.data.classes import parse_classes
from passerby.data.clean import Size, settle
from passerby.data.listing import Listing
from passerby.errors import DataError, did_you_mean
from passerby.pictures import picture_size
from passerby.records import SampleSet


@dataclass(frozen=True)
class Reader:
    """One format.

    read   path and splits -> what the files state
    signs  path -> why it looks like this format, "" where it does not
    about  what it is, for the list of formats
    """

    read: Callable[[Path, Sequence[str]], Listing]
    signs: Callable[[Path], str]
    about: str


READERS: dict[str, Reader] = {  # in the order in which a path is looked at; the first that knows it reads it
    "voc": Reader(voc.read, voc.signs, "Pascal VOC: Annotations/*.xml, JPEGImages/, ImageSets/Main/*.txt"),
    "coco": Reader(coco.read, coco.signs, "COCO JSON: images, annotations, categories"),
    "crowdhuman": Reader(crowdhuman.read, crowdhuman.signs, "CrowdHuman: annotation_*.odgt, Images/"),
    "wider_face": Reader(wider_face.read, wider_face.signs, "WIDER FACE: wider_face_*_bbx_gt.txt, WIDER_*/images/"),
    "brainwash": Reader(brainwash.read, brainwash.signs, "Brainwash: .idl files, or TensorBox .json files"),
    "inria": Reader(inria.read, inria.signs, "INRIA Person: Train/annotations, Train/pos, Train/neg, Test/..."),
    "yolo": Reader(yolo.read, yolo.signs, "YOLO: data.yaml, or images/ and labels/, or .txt files beside pictures"),
    "csv": Reader(csv_file.read, csv_file.signs, "CSV with a header, or RetinaNet's path,x1,y1,x2,y2,class"),
    "classes": Reader(class_folders.read, class_folders.signs, "a folder of pictures for each class, without boxes"),
    "folder": Reader(folder.read, folder.signs, "a folder of pictures without labels, known to hold no object"),
}


@dataclass(frozen=True)
class Source:
    """A data set as it was named: format, path and splits, and why that format where it was found out."""

    format: str
    path: Path
    splits: tuple[str, ...]
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.format}:{self.path.name}" + (f"#{','.join(self.splits)}" if self.splits else "")


def find_source(text: str, root: str | Path = ".") -> Source:
    """What `format:path#split` means; the format may be left out, and is then found out by looking.

    text   e.g. "voc:scut_head#train_A,train_B", or only "scut_head"
    root   relative paths start here

    Raises DataError for an unknown format, a missing path, and a path that looks like none of the formats.
    """
    head, colon, rest = text.partition(":")
    named = head in READERS and bool(colon)
    name, _, split = (rest if named else text).partition("#")
    path = Path(root) / name
    if not path.exists():
        if not named and colon and len(head) > 1:
            raise DataError(f"data '{text}': no format '{head}'{did_you_mean(head, READERS)}")
        raise DataError(f"data '{text}': no such file or folder: {path}")
    splits = tuple(s.strip() for s in split.split(",") if s.strip())
    if named:
        return Source(head, path, splits)
    for kind, reader in READERS.items():
        if reason := reader.signs(path):
            return Source(kind, path, splits, reason)
    raise DataError(
        f"data '{text}': {path} looks like none of the formats {', '.join(READERS)}; say which: FORMAT:PATH"
    )


def load_data(
    source: str,
    labels: Sequence[str] = (),
    root: str | Path = ".",
    size_of: Callable[[Path], Size] = picture_size,
) -> SampleSet:
    """Read a data set named as `format:path#split`, e.g. "voc:scut_head#train_A,train_B".

    source   the format may be left out: it is then found out by looking, and `reason` says why
    labels   class names wanted, in order; empty: those the data has. "person=pedestrian+rider" merges and renames,
             "ignore=crowd" makes regions in which nothing is judged
    root     relative paths start here
    size_of  picture -> width and height when upright, where the caller knows a faster way

    Raises DataError for an unknown format, a missing path or split, and labels that cannot be read at all;
    SettingError for `labels` that contradict themselves.
    """
    classes = parse_classes(labels)
    found = find_source(source, root)
    listing = READERS[found.format].read(found.path, found.splits)
    return replace(settle(listing, classes, str(found), size_of), reason=found.reason)


def join(sets: Sequence[SampleSet]) -> SampleSet:
    """Several sets of the same labels as one. Raises DataError when their labels differ or there is none."""
    if not sets:
        raise DataError("no data set given; name one, e.g. --set data.train=voc:scut_head#train_B")
    first = sets[0]
    for other in sets[1:]:
        if other.labels != first.labels:
            raise DataError(f"{other.source} has labels {list(other.labels)}, {first.source} has {list(first.labels)}")
    return SampleSet(
        tuple(s for part in sets for s in part.samples),
        first.labels,
        ", ".join(part.source for part in sets),
        tuple(n for part in sets for n in part.notes),
    )
