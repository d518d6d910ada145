"""SampleSet -> disk as Pascal VOC, COCO or YOLO. A format is one class here and one line in WRITERS."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from xml.sax.saxutils import escape

import cv2
import numpy as np

from passerby.errors import DataError, OutputError, SettingError, did_you_mean
from passerby.files import made_whole
from passerby.pictures import decode_picture, orientation, read_bytes
from passerby.records import Floats, Pixels, Sample

QUALITY = 95  # of a JPEG that has to be encoded again


@dataclass(frozen=True)
class Item:
    """One picture on its way to disk: its sample, the pixels where they are not the file's own, scores where a model
    found the objects: (N,), 0..1.
    """

    sample: Sample
    name: str
    pixels: Callable[[], Pixels] | None = None
    scores: Floats | None = None


@dataclass(frozen=True)
class Written:
    """What was written, and what the format could not hold: text -> how many."""

    pictures: int
    objects: int
    lost: dict[str, int]


class Writer(Protocol):
    """One format: where a picture goes, what is written of it, and what ends the set."""

    lost: Counter[str]

    def picture(self, name: str, split: str) -> Path: ...

    def add(self, sample: Sample, picture: Path, split: str, scores: Floats | None = None) -> None: ...

    def close(self) -> None: ...


class Voc:
    """Annotations/*.xml, JPEGImages/*, ImageSets/Main/<split>.txt; a score is <score>, which readers pass over."""

    def __init__(self, root: Path, labels: Sequence[str]) -> None:
        self.root, self.labels, self.lost = root, labels, Counter[str]()
        self.splits: dict[str, list[str]] = {}
        for folder in ("Annotations", "JPEGImages", "ImageSets/Main"):
            (root / folder).mkdir(parents=True)

    def picture(self, name: str, split: str) -> Path:
        return self.root / "JPEGImages" / name

    def add(self, sample: Sample, picture: Path, split: str, scores: Floats | None = None) -> None:
        size = f"<width>{sample.width}</width><height>{sample.height}</height><depth>3</depth>"
        lines = ["<annotation>", f"  <filename>{_xml(picture.name)}</filename>", f"  <size>{size}</size>"]
        for i, (box, name, difficult, ignore) in enumerate(_rows(sample, self.labels)):
            corners = "".join(
                f"<{key}>{value}</{key}>" for key, value in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
            )
            lines += [
                "  <object>",
                f"    <name>{_xml(name)}</name>",
                f"    <difficult>{difficult or ignore:d}</difficult>",
            ]
            if ignore:
                self.lost[
                    "ignore regions: written as difficult objects, marked <ignore>, which passerby reads back"
                ] += 1
                lines.append("    <ignore>1</ignore>")
            if scores is not None:
                lines.append(f"    <score>{scores[i]:.4f}</score>")
            lines += [f"    <bndbox>{corners}</bndbox>", "  </object>"]
        lines.append("</annotation>\n")
        (self.root / "Annotations" / f"{picture.stem}.xml").write_text("\n".join(lines), encoding="utf-8")
        if split:
            self.splits.setdefault(split, []).append(picture.stem)

    def close(self) -> None:
        for split, names in self.splits.items():
            text = "".join(f"{n}\n" for n in names)
            (self.root / "ImageSets" / "Main" / f"{split}.txt").write_text(text, encoding="utf-8")


class Coco:
    """<split>.json beside images/; a score is "score", as in COCO's own format of results."""

    def __init__(self, root: Path, labels: Sequence[str]) -> None:
        self.root, self.labels, self.lost = root, labels, Counter[str]()
        self.images: dict[str, list[str]] = {}
        self.objects: dict[str, list[str]] = {}
        (root / "images").mkdir(parents=True)

    def picture(self, name: str, split: str) -> Path:
        return self.root / "images" / name

    def add(self, sample: Sample, picture: Path, split: str, scores: Floats | None = None) -> None:
        images = self.images.setdefault(split or "all", [])
        objects = self.objects.setdefault(split or "all", [])
        number = len(images) + 1
        row: dict[str, Any] = {"id": number, "file_name": picture.name, "width": sample.width, "height": sample.height}
        images.append(json.dumps(row))
        for i, ((x0, y0, x1, y1), name, difficult, ignore) in enumerate(_rows(sample, self.labels)):
            w, h = round(x1 - x0, 9), round(y1 - y0, 9)
            category = self.labels.index(name) + 1
            row = {"id": len(objects) + 1, "image_id": number, "category_id": category, "bbox": [x0, y0, w, h]}
            row |= {"area": round(w * h, 4), "iscrowd": int(ignore)}
            if scores is not None:
                row["score"] = round(float(scores[i]), 4)
            if difficult:
                self.lost[
                    'difficult objects: marked "difficult", which passerby reads back, others do not look at'
                ] += 1
                row["difficult"] = 1
            objects.append(json.dumps(row))

    def close(self) -> None:
        categories = [json.dumps({"id": k + 1, "name": name}) for k, name in enumerate(self.labels)]
        for split, images in self.images.items():
            parts = {"categories": categories, "images": images, "annotations": self.objects[split]}
            with (self.root / f"{split}.json").open("w", encoding="utf-8") as f:
                f.write("{")
                for i, (key, rows) in enumerate(parts.items()):
                    f.write(f'{"," if i else ""}\n"{key}": [\n' + ",\n".join(rows) + "\n]")
                f.write("\n}\n")


class Yolo:
    """images/<split>, labels/<split>, data.yaml; scores in scores/<split>, a line an object.

    Not as a sixth column of the labels: trainers take a file with one for damaged, and its picture for empty.
    """

    def __init__(self, root: Path, labels: Sequence[str]) -> None:
        self.root, self.labels, self.lost = root, labels, Counter[str]()
        self.splits: dict[str, None] = {}

    def picture(self, name: str, split: str) -> Path:
        return self.root / "images" / (split or "train") / name

    def add(self, sample: Sample, picture: Path, split: str, scores: Floats | None = None) -> None:
        if not split:
            self.lost["pictures of no split: written as train"] += 1
        self.splits[split or "train"] = None
        lines = []
        for (x0, y0, x1, y1), name, difficult, ignore in _rows(sample, self.labels):
            if difficult or ignore:
                self.lost["ignore regions: left out" if ignore else "difficult objects: left out"] += 1
                continue
            w, h = sample.width, sample.height
            values = ((x0 + x1) / 2 / w, (y0 + y1) / 2 / h, (x1 - x0) / w, (y1 - y0) / h)
            lines.append(f"{self.labels.index(name)} " + " ".join(f"{v:.10g}" for v in values) + "\n")
        target = self.root / "labels" / (split or "train") / f"{picture.stem}.txt"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text("".join(lines), encoding="utf-8")
        if scores is not None:
            kept = scores[~(sample.truth.difficult | sample.truth.ignore)]
            beside = self.root / "scores" / (split or "train") / target.name
            beside.parent.mkdir(parents=True, exist_ok=True)
            beside.write_text("".join(f"{s:.4f}\n" for s in kept), encoding="utf-8")

    def close(self) -> None:
        lines = [f"{json.dumps(s)}: {json.dumps('images/' + s)}\n" for s in self.splits]
        lines += ["names:\n", *(f"  {k}: {json.dumps(name)}\n" for k, name in enumerate(self.labels))]
        (self.root / "data.yaml").write_text("".join(lines), encoding="utf-8")


WRITERS: dict[str, Callable[[Path, Sequence[str]], Writer]] = {"voc": Voc, "coco": Coco, "yolo": Yolo}


def write_set(
    items: Iterable[Item],
    labels: Sequence[str],
    folder: Path,
    kind: str,
    link: bool = False,
    step: Callable[[str], None] | None = None,
    extra: Callable[[Path], None] | None = None,
) -> Written:
    """Write pictures and labels; the folder appears when everything is in it, or not at all.

    items   pictures with their samples; a name that occurs twice gets a number
    folder  must not exist, or be empty
    kind    a key of WRITERS
    link    hard links instead of copies of the pictures that stay as they are
    extra   called with the unfinished folder at the end, to put more into it

    Pictures that EXIF turns are written upright, encoded again. Raises OutputError where the folder is taken or
    cannot be written, SettingError for an unknown format, DataError for samples with labels of whole pictures.
    """
    need_target(folder, kind)
    pictures = objects = 0
    turned: Counter[str] = Counter()
    taken: set[str] = set()
    with made_whole(folder) as root:
        writer = WRITERS[kind](root, labels)
        for item in items:
            sample = item.sample
            if sample.label is not None:
                raise DataError(
                    f"{sample.path.name} has a label of the whole picture and no boxes: {kind} cannot hold it"
                )
            name = _free(item.name, taken)
            target = writer.picture(name, sample.split)
            target.parent.mkdir(parents=True, exist_ok=True)
            _put(item, target, link, turned)
            writer.add(sample, target, sample.split, item.scores)
            pictures, objects = pictures + 1, objects + len(sample.truth)
            if step:
                step(f"{pictures} pictures written")
        writer.close()
        if extra:
            extra(root)
    return Written(pictures, objects, dict(writer.lost + turned))


def need_target(folder: Path, kind: str) -> None:
    """Raises SettingError for an unknown format, OutputError for a folder that holds something."""
    if kind not in WRITERS:
        raise SettingError(f"no format '{kind}' to write{did_you_mean(kind, WRITERS)}")
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise OutputError(f"{folder}: is there already, and is not written over; name another folder")
    except OSError as e:
        raise OutputError(f"{folder}: cannot be made ({e.strerror or e})") from e


def _put(item: Item, target: Path, link: bool, turned: Counter[str]) -> None:
    if item.pixels:
        target.write_bytes(_encode(item.pixels(), target.suffix))
        return
    data = read_bytes(item.sample.path)
    if orientation(data) != 1:
        target.write_bytes(_encode(decode_picture(data, str(item.sample.path)), target.suffix))
        turned["pictures that EXIF turned: written upright, encoded again"] += 1
    elif link:
        os.link(item.sample.path.resolve(), target)
    else:
        target.write_bytes(data)


def _encode(pixels: Pixels, suffix: str) -> bytes:
    options = [cv2.IMWRITE_JPEG_QUALITY, QUALITY] if suffix.lower() in (".jpg", ".jpeg") else []
    _, data = cv2.imencode(suffix, cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), options)
    return np.asarray(data).tobytes()


def _free(name: str, taken: set[str]) -> str:
    """A file name that no list of names can misread and no other picture has, whatever the extension."""
    stem, dot, suffix = name.rpartition(".")
    stem = re.sub(r"[\s/\\]+", "_", stem) or "picture"
    free, number = stem, 2
    while free.lower() in taken:
        free, number = f"{stem}-{number}", number + 1
    taken.add(free.lower())
    return f"{free}{dot}{suffix}"


def _rows(sample: Sample, labels: Sequence[str]) -> Iterator[tuple[tuple[float, ...], str, bool, bool]]:
    """Box, label, difficult, ignore of each object; the shortest decimals that give the same float32 back."""
    t = sample.truth
    for box, label, difficult, ignore in zip(t.boxes, t.labels, t.difficult, t.ignore, strict=True):
        yield tuple(float(str(v)) for v in box), labels[int(label)], bool(difficult), bool(ignore)


def _xml(text: str) -> str:
    return escape(re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f]", "", text))
