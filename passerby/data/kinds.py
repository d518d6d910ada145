"""Everything that can be wrong with a data set: how bad it is, what it is, and what is done about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

SEVERITIES = ("error", "warning", "info")  # worst first


@dataclass(frozen=True)
class Kind:
    """One kind of flaw.

    severity   error: something is lost or wrong as it stands; warning: look at it; info: good to know
    meaning    what it is
    done       what every reader does about it, in training and measuring as well; "": nothing
    fixed      what `check --fix` does in the copy, where that is more
    """

    severity: str
    meaning: str
    done: str = ""
    fixed: str = ""


KINDS: dict[str, Kind] = {
    # pictures
    "unreadable": Kind("error", "picture missing its end, damaged, empty or no picture", "the picture is left out"),
    "damaged": Kind("error", "JPEG damaged in the middle: it decodes, wrongly", "", "the picture is left out"),
    "no-picture": Kind("error", "labels whose picture is not there", "they are left out"),
    "no-labels": Kind("warning", "picture that no label file speaks of", "it is not part of the set"),
    "other-split": Kind("info", "picture beside the labelled ones that belongs to no split looked at"),
    "size": Kind("warning", "stated size disagrees with the picture", "the picture's own size counts"),
    "turned": Kind(
        "error",
        "EXIF turns the picture, and the labels were made on the unturned one",
        "the boxes are turned with it",
        "the copy's pixels are upright",
    ),
    "exif": Kind(
        "warning",
        "EXIF turns the picture: tools that do not look see it lying",
        "the picture is turned upright",
        "the copy's pixels are upright",
    ),
    "same-picture": Kind("warning", "the same picture twice in one split", "", "one stays"),
    "across-splits": Kind(
        "error", "the same picture in two splits: what trains also judges", "", "it stays in the smaller split"
    ),
    "near-picture": Kind("info", "nearly the same picture twice in one split"),
    "near-across": Kind("warning", "nearly the same picture in two splits: what trains also judges"),
    "empty": Kind("info", "picture without objects", "it counts as a negative"),
    # label files
    "bad-labels": Kind("error", "label file that cannot be read", "its picture is left out"),
    "bad-object": Kind("error", "object that cannot be read", "it is left out"),
    "bad-class": Kind("error", "class number or category that the data set does not define", "the object is left out"),
    "too-many": Kind("error", "more objects in a picture than any photograph holds", "the picture is left out"),
    "listed-twice": Kind("warning", "picture listed more than once", "the first counts"),
    # boxes
    "not-a-number": Kind("error", "coordinate that is not a finite number", "the box is dropped"),
    "no-area": Kind("error", "box without width or height", "the box is dropped"),
    "outside": Kind("error", "box wholly outside the picture", "the box is dropped"),
    "swapped": Kind("warning", "corners in the wrong order", "they are put right"),
    "clipped": Kind("warning", "box past the border", "it is cut at the border"),
    "duplicate": Kind("warning", "the same box and class twice in a picture", "", "one stays"),
    "alike": Kind("warning", "two boxes of a class that nearly coincide"),
    "tiny": Kind("warning", "box of very few pixels once in the network's input"),
    "huge": Kind("warning", "box that covers nearly the whole picture"),
    # classes
    "renamed": Kind("warning", "mistyped class name", "it is put right"),
    "unknown-class": Kind("warning", "class name that looks like a slip of a wanted one", "the object is left out"),
    "rare-class": Kind("warning", "class with very few objects"),
    "not-chosen": Kind("info", "objects of classes that were not asked for", "they are left out"),
    "not-held": Kind("info", "kept in the files, and not read by passerby"),
}


def severity(kind: str) -> str:
    """Of a kind; raises KeyError for one that is not in the table."""
    return KINDS[kind].severity


def summary(counts: Mapping[str, int]) -> str:
    """What a data set's notes count to, in one line, "49 size, 30 clipped"; what is only good to know is left out."""
    return ", ".join(f"{n:,} {kind}" for kind, n in counts.items() if severity(kind) != "info")
