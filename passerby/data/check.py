"""Everything that is wrong with a data set: what readers note, what pictures tell, and what boxes look like."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from passerby.data import READERS, Source, find_source
from passerby.data.classes import parse_classes
from passerby.data.clean import Origin, Size, settle_rows
from passerby.data.duplicates import near_pairs, same_pairs
from passerby.data.kinds import KINDS, SEVERITIES
from passerby.data.look import Look, look_at_all
from passerby.errors import DataError, SettingError, SourceError
from passerby.geometry.boxes import iou
from passerby.geometry.resize import place
from passerby.pictures import is_picture_name
from passerby.records import Floats, Ints, Note, Sample, SampleSet

Step = Callable[[str], None]
ROUNDING = 1e-4  # pixels that float32 may take from a side
WHOLE = ("voc", "yolo", "folder", "classes", "inria")  # formats whose reader sees every picture of the folder itself


@dataclass(frozen=True)
class Limits:
    """What counts as tiny, huge, alike and rare.

    height, width, rule  the network's input, pixels, and how a picture is put into it
    tiny   shorter side of a box in the input, pixels, under which it is tiny
    huge   share of the picture's area from which a box is huge
    alike  IoU of two boxes of a class from which they are alike
    rare   objects under which a class is rare, where it also has under a hundredth of all
    """

    height: int = 300
    width: int = 300
    rule: str = "stretch"
    tiny: float = 4.0
    huge: float = 0.9
    alike: float = 0.9
    rare: int = 20


@dataclass(frozen=True)
class Part:
    """One of the data sets looked at: its samples, where each comes from, and its format."""

    source: Source
    samples: SampleSet
    origins: list[Origin]

    def split_of(self, sample: Sample) -> str:
        """The split that a sample belongs to, so named that no other data set has the same."""
        name = f"{self.source.format}:{self.source.path.name}"
        return f"{name}#{sample.split}" if sample.split else name


@dataclass(frozen=True)
class Checked:
    """What was looked at, and everything that is wrong with it."""

    parts: tuple[Part, ...]
    notes: tuple[Note, ...]
    looks: dict[Path, Look] = field(repr=False)
    limits: Limits

    def counts(self) -> dict[str, int]:
        """How many of each kind, worst severity first, then in the order of the table of kinds."""
        found: Counter[str] = Counter()
        for note in self.notes:
            found[note.kind] += note.count
        order = sorted(KINDS, key=lambda k: SEVERITIES.index(KINDS[k].severity))
        return {kind: found[kind] for kind in order if found[kind]}

    def errors(self) -> int:
        """How many things of severity "error"."""
        return sum(n for kind, n in self.counts().items() if KINDS[kind].severity == "error")


def check(
    sources: Sequence[str],
    root: str | Path = ".",
    classes: Sequence[str] = (),
    limits: Limits | None = None,
    step: Step | None = None,
) -> Checked:
    """Look at everything in some data sets: labels, every byte of every picture, and pictures against each other.

    sources  as `load_data` takes them; give what trains and what judges together, so that pictures in both are found
    classes  as `load_data` takes them
    step     called now and then with a line of progress

    Raises DataError where a data set cannot be read at all, SettingError for limits that make no sense.
    """
    limits = limits or Limits()
    if limits.height < 1 or limits.width < 1 or not 0 < limits.alike <= 1 or not 0 < limits.huge <= 1:
        raise SettingError("check: input sides must be over 0, alike and huge between 0 and 1")
    place(1, 1, limits.width, limits.height, limits.rule)  # says what is wrong with an unknown rule
    tell = step or (lambda text: None)
    wanted = parse_classes(classes)
    found = [find_source(text, root) for text in sources]
    if len(set(map(str, found))) < len(found):
        raise DataError("a data set is named twice; name each once")
    listings = []
    for source in found:
        tell(f"reading {source}")
        listings.append(READERS[source.format].read(source.path, source.splits))
    paths = [p.path for listing in listings for p in listing.pictures]
    looks = look_at_all(paths, lambda done, n: tell(f"{done}/{n} pictures"))
    parts = []
    for source, listing in zip(found, listings, strict=True):
        samples, origins = settle_rows(listing, wanted, str(source), lambda path: _size(looks[path]))
        parts.append(Part(source, replace(samples, reason=source.reason), origins))
    tell("comparing pictures")
    notes = [note for part in parts for note in part.samples.notes]
    notes += [note for part in parts for note in _pictures(part, looks)]
    notes += [note for part in parts for note in _boxes(part, limits)]
    notes += [note for part in parts for note in _classes(part, limits)]
    notes += _unlabelled(parts, notes)
    notes += _twice(parts, looks)
    order = {kind: i for i, kind in enumerate(KINDS)}
    notes.sort(key=lambda n: (SEVERITIES.index(KINDS[n.kind].severity), order[n.kind]))
    return Checked(tuple(parts), tuple(notes), looks, limits)


def _size(seen: Look) -> Size:
    if seen.wrong:
        raise SourceError(f"{seen.path}: {seen.wrong}")
    return seen.width, seen.height


def _pictures(part: Part, looks: dict[Path, Look]) -> list[Note]:
    """Damage inside, EXIF rotation, pictures without objects."""
    said = {(n.kind, n.picture) for n in part.samples.notes}
    out = []
    for sample in part.samples:
        seen, name = looks[sample.path], sample.path.name
        if seen.damaged:
            out.append(Note("damaged", name, -1, seen.damaged, picture=sample.path))
        if seen.turned != 1 and ("turned", sample.path) not in said:
            text = f"EXIF orientation {seen.turned}; upright it is {seen.width} x {seen.height}"
            out.append(Note("exif", name, -1, text, picture=sample.path))
        if len(sample.truth) == 0 and sample.label is None and part.source.format != "folder":
            out.append(Note("empty", name, -1, "no object", picture=sample.path))
    return out


def _boxes(part: Part, limits: Limits) -> list[Note]:
    """Boxes that are tiny in the input, huge, given twice, or nearly so."""
    out: list[Note] = []

    def tell(kind: str, k: int, i: int, text: str) -> None:
        sample, origin = part.samples[k], part.origins[k]
        box = tuple(round(float(v), 2) for v in sample.truth.boxes[i])
        item, line = int(origin.item[i]), int(origin.line[i])
        out.append(Note(kind, origin.picture.file, item, f"{text}: {list(box)}", line, 1, sample.path, box))

    samples = part.samples.samples
    counts = [len(s.truth) for s in samples]
    if not sum(counts):
        return out
    which = np.repeat(np.arange(len(samples)), counts)
    first = np.repeat(np.cumsum([0, *counts[:-1]]), counts)
    boxes = np.concatenate([s.truth.boxes for s in samples])
    judged = ~np.concatenate([s.truth.ignore for s in samples])
    placed = [place(s.width, s.height, limits.width, limits.height, limits.rule) for s in samples]
    sides = boxes[:, 2:] - boxes[:, :2]
    small = sides * np.array([(p.scale_x, p.scale_y) for p in placed], np.float32)[which]
    for i in np.flatnonzero(judged & (small.min(axis=1) < limits.tiny - ROUNDING)).tolist():
        text = f"{small[i, 0]:.1f} x {small[i, 1]:.1f} px in the {limits.width} x {limits.height} input"
        tell("tiny", int(which[i]), int(i - first[i]), text)
    share = sides.prod(axis=1) / np.array([s.width * s.height for s in samples], np.float32)[which]
    for i in np.flatnonzero(judged & (share >= limits.huge)).tolist():
        tell("huge", int(which[i]), int(i - first[i]), f"covers {share[i]:.0%} of the picture")
    for k, sample in enumerate(samples):
        truth = sample.truth
        for i, j, overlap in alike_boxes(truth.boxes, truth.labels, limits.alike) if len(truth) > 1 else ():
            if bool(truth.ignore[i]) == bool(truth.ignore[j]):
                same = bool((truth.boxes[i] == truth.boxes[j]).all())
                what = "the same box as" if same else f"IoU {overlap:.2f} with"
                tell("duplicate" if same else "alike", k, j, f"{what} object {int(part.origins[k].item[i])}")
    return out


def alike_boxes(boxes: Floats, labels: Ints, least: float) -> list[tuple[int, int, float]]:
    """Pairs i < j of boxes of one class that overlap by at least `least`: i, j, IoU; for each j only the best i.

    boxes (N, 4), labels (N,)
    """
    out = []
    for start in range(0, len(boxes), 512):  # so that many thousands of boxes fit into memory
        rows = slice(start, start + 512)
        overlap = iou(boxes[rows], boxes)
        overlap[labels[rows, None] != labels[None, :]] = 0
        overlap[np.arange(len(boxes))[None, :] >= np.arange(start, start + len(overlap))[:, None]] = 0
        best = overlap.argmax(axis=1)
        for j in np.flatnonzero(overlap[np.arange(len(overlap)), best] >= least).tolist():
            out.append((int(best[j]), start + j, float(overlap[j, best[j]])))
    return out


def _classes(part: Part, limits: Limits) -> list[Note]:
    counts: Counter[int] = Counter()
    for sample in part.samples:
        counts.update(sample.truth.labels[~sample.truth.ignore].tolist())
        counts.update([] if sample.label is None else [sample.label])
    total = sum(counts.values())
    source = part.samples.source
    return [
        Note("rare-class", source, -1, f"class '{name}' has {counts[k]} of {total} objects")
        for k, name in enumerate(part.samples.labels)
        if counts[k] < min(limits.rare, max(1, total / 100))
    ]


def _unlabelled(parts: Sequence[Part], notes: Sequence[Note]) -> list[Note]:
    """Pictures beside the labelled ones that no label speaks of."""
    known = {s.path for part in parts for s in part.samples} | {n.picture for n in notes if n.picture}
    told = {n.file for n in notes if n.kind == "no-labels"}
    out, seen = [], set()
    for part in parts:
        if part.source.format in WHOLE:
            continue
        for folder in sorted({s.path.parent for s in part.samples}):
            if folder in seen:
                continue
            seen.add(folder)
            rest = [p for p in sorted(folder.iterdir()) if is_picture_name(p) and p not in known and p.name not in told]
            if part.source.splits and rest:
                text = f"{len(rest)} pictures in {folder.name}/ are not in the splits looked at, e.g. {rest[0].name}"
                out.append(Note("other-split", part.samples.source, -1, text, count=len(rest)))
            else:
                out += [Note("no-labels", p.name, -1, "no label speaks of it", picture=p) for p in rest]
    return out


def _twice(parts: Sequence[Part], looks: dict[Path, Look]) -> list[Note]:
    """The same picture, or nearly, twice in a split or in two."""
    entries = [(part.split_of(s), s) for part in parts for s in part.samples]
    seen = [looks[s.path] for _, s in entries]
    out: list[Note] = []
    told: set[tuple[int, int]] = set()
    for group in same_pairs(seen):
        for k, i in enumerate(group[1:], 1):
            mine = entries[i][0]
            others = [j for j in group[:k] if entries[j][0] != mine] or group[:k]
            j = others[0]
            kind = "same-picture" if entries[j][0] == mine else "across-splits"
            if kind == "same-picture" and entries[i][1].path == entries[j][1].path:
                continue  # noted as listed twice
            out.append(_pair(kind, entries[i], entries[j], "the same file as"))
        told.update((a, b) for a in group for b in group)
    best: dict[tuple[int, bool], tuple[int, float]] = {}
    more: dict[tuple[int, bool], int] = defaultdict(int)
    for a, b, likeness in near_pairs(seen):
        if (a, b) in told:
            continue
        key = (b, entries[a][0] != entries[b][0])
        best.setdefault(key, (a, likeness))
        more[key] += 1
    for (i, across), (j, likeness) in best.items():
        rest = f" and {more[i, across] - 1} more like it" if more[i, across] > 1 else ""
        kind = "near-across" if across else "near-picture"
        out.append(_pair(kind, entries[i], entries[j], f"likeness {likeness:.3f} with", rest))
    return out


def _pair(kind: str, one: tuple[str, Sample], other: tuple[str, Sample], words: str, more: str = "") -> Note:
    where = f" of {other[0]}" if one[0] != other[0] else ""
    text = f"{words} {other[1].path.name}{where}{more}"
    text += f" ({one[0]})" if where else ""
    return Note(kind, one[1].path.name, -1, text, picture=one[1].path, other=other[1].path)
