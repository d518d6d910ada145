"""Data sets on disk -> SampleSet. A format is one file here and one line in READERS."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from passerby.data import coco, folder, voc
from passerby.errors import DataError, did_you_mean
from passerby.records import SampleSet

Reader = Callable[[Path, str, Sequence[str]], SampleSet]

READERS: dict[str, Reader] = {
    "voc": voc.read,
    "coco": coco.read,
    "folder": folder.read,
}


def load_data(source: str, labels: Sequence[str] = (), root: str | Path = ".") -> SampleSet:
    """Read a data set named as `format:path#split`, e.g. "voc:scut_head#train_A,train_B".

    source   the format may be left out: a folder with Annotations is voc, a .json file coco, else a plain folder
    labels   class names wanted, in order; empty: those the data has
    root     relative paths start here

    Raises DataError for an unknown format, a missing path or split, and labels that cannot be read at all.
    """
    kind, _, rest = source.partition(":") if source.split(":", 1)[0] in READERS else ("", "", source)
    text, _, split = rest.partition("#")
    path = Path(root) / text
    head, colon, _ = source.partition(":")
    if not kind and colon and len(head) > 1 and not path.exists():
        raise DataError(f"data '{source}': no format '{head}'{did_you_mean(head, READERS)}")
    if not path.exists():
        raise DataError(f"data '{source}': no such file or folder: {path}")
    return READERS[kind or _guess(path)](path, split, tuple(labels))


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


def _guess(path: Path) -> str:
    if path.is_file() and path.suffix == ".json":
        return "coco"
    return "voc" if (path / "Annotations").is_dir() else "folder"
