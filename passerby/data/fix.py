"""A corrected copy of what was checked, and the list of what was changed."""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from passerby.data import join
from passerby.data.check import Checked
from passerby.data.duplicates import same_pairs
from passerby.data.kinds import KINDS
from passerby.data.write import Item
from passerby.errors import DataError
from passerby.records import Note, SampleSet

LIST = "changes.csv"
SAME = ("same-picture", "across-splits")


@dataclass(frozen=True)
class Fixed:
    """The corrected pictures, and each flaw that was put right: the note, and what was done about it."""

    samples: SampleSet
    changes: tuple[tuple[Note, str], ...]

    def items(self) -> Iterator[Item]:
        """For `write_set`."""
        return (Item(s, s.path.name) for s in self.samples)

    def counts(self) -> dict[str, int]:
        """How many of each kind were put right."""
        found: Counter[str] = Counter()
        for note, _ in self.changes:
            found[note.kind] += note.count
        return dict(found.most_common())

    def write_list(self, folder: Path) -> None:
        """changes.csv in a folder: one line a change."""
        with (folder / LIST).open("w", encoding="utf-8", newline="") as f:
            rows = csv.writer(f)
            rows.writerow(["kind", "file", "line", "object", "what was wrong", "what was done"])
            for note, done in self.changes:
                rows.writerow(
                    [note.kind, note.file, note.line or "", note.item if note.item >= 0 else "", note.text, done]
                )


def fix(checked: Checked) -> Fixed:
    """Put right what can be put right without a person looking: the rules are those of `kinds.KINDS`.

    What the readers change is changed in the copy; a box given twice stays once; a picture that is damaged inside, or
    the same as another, goes. Of two splits that share a picture the smaller keeps it. What only looks suspicious
    (tiny, huge, alike, nearly the same) stays as it is. Raises DataError when nothing is left.
    """
    parts = [part.samples for part in checked.parts]
    changes = [(n, KINDS[n.kind].fixed or KINDS[n.kind].done) for n in checked.notes if _is_changed(n)]
    gone, dropped = _pictures_to_drop(checked)
    changes += dropped
    doubles = defaultdict(set)
    for note in checked.notes:
        if note.kind == "duplicate":
            doubles[note.picture, note.file].add(note.item)
    kept: list[SampleSet] = []
    for k, (part, samples) in enumerate(zip(checked.parts, parts, strict=True)):
        rows = []
        for i, (sample, origin) in enumerate(zip(samples, part.origins, strict=True)):
            if (k, i) in gone:
                continue
            if twice := doubles.get((sample.path, origin.picture.file)):
                sample = replace(sample, truth=sample.truth[~np.isin(origin.item, list(twice))])
            rows.append(sample)
        kept.append(replace(samples, samples=tuple(rows)))
    whole = join(kept)
    if not whole.samples:
        raise DataError("nothing is left after the corrections")
    return Fixed(whole, tuple(changes))


def _is_changed(note: Note) -> bool:
    kind = KINDS[note.kind]
    return bool(kind.fixed or kind.done) and kind.severity != "info" and note.kind not in SAME


def _pictures_to_drop(checked: Checked) -> tuple[set[tuple[int, int]], list[tuple[Note, str]]]:
    """Numbers (part, sample) of pictures that are damaged or the same as one that stays; changes of the latter."""
    entries = [(k, i, part, s) for k, part in enumerate(checked.parts) for i, s in enumerate(part.samples)]
    splits = [part.split_of(s) for _, _, part, s in entries]
    size = Counter(splits)
    looks = [checked.looks[s.path] for *_, s in entries]
    gone = {(k, i) for (k, i, _, _), seen in zip(entries, looks, strict=True) if seen.damaged}
    changes = []
    for group in same_pairs(looks):
        stays = min(group, key=lambda g: (size[splits[g]], g))
        where, name = splits[stays], entries[stays][3].path.name
        for g in group:
            if g == stays:
                continue
            k, i, _, sample = entries[g]
            gone.add((k, i))
            kind = SAME[splits[g] != where]
            text = f"in {splits[g]}: the same file as {name} of {where}"
            changes.append((Note(kind, sample.path.name, -1, text, picture=sample.path), f"left out; {name} stays"))
    return gone, changes
