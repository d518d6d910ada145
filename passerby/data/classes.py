"""Which class names a data set has, which of them are wanted, and what they are called here."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from passerby.errors import SettingError

RARE = 20  # a name that starts with one at least this many times as frequent is taken for a slip of it
IGNORED = "ignore"  # the label whose objects become ignore regions
NEAR = 0.8  # likeness from which a name is said to look like a slip (difflib's ratio)


@dataclass(frozen=True)
class Classes:
    """labels, in order; renamed {name as written: label}; ignored: names whose objects become ignore regions."""

    labels: tuple[str, ...]
    renamed: dict[str, str]
    ignored: frozenset[str]


def parse_classes(texts: Sequence[str]) -> Classes:
    """What "--classes" says: "head" chooses, "person=pedestrian+rider" merges or renames, "ignore=crowd" ignores.

    texts  one a label, in the wanted order; empty: all classes that the data has

    Raises SettingError for a label given twice, an empty name, or a name that is to become two things.
    """
    labels: list[str] = []
    renamed: dict[str, str] = {}
    ignored: set[str] = set()
    for text in texts:
        label, sep, rest = (part.strip() for part in text.partition("="))
        names = [n.strip() for n in rest.split("+")] if sep else [label]
        if not label or not all(names):
            raise SettingError(f"class '{text}': want NAME or NAME=OLD+OLD, e.g. person=pedestrian+rider")
        if label in labels:
            raise SettingError(f"class '{label}' is named twice; join what it stands for with +")
        if not (sep and label == IGNORED):
            labels.append(label)
        for name in names:
            if name in renamed or name in ignored:
                raise SettingError(f"class '{name}' is to become two things")
            if sep and label == IGNORED:
                ignored.add(name)
            elif sep:
                renamed[name] = label
    return Classes(tuple(labels), renamed, frozenset(ignored))


def settle_names(
    counts: Counter[str], classes: Classes, own: Sequence[str] = ()
) -> tuple[tuple[str, ...], dict[str, str]]:
    """The labels of a data set, and which label each name as written stands for.

    counts   how often each name occurs
    classes  what is wanted
    own      the data set's own list of classes, where it has one; used when nothing is wanted
    returns  (labels, {name: label}); a name missing from the dict is not wanted

    A name is a slip when it starts with a known label ("headddd" for "head") or differs from one only in case or
    spaces; without a list of labels, only when the label is RARE times as frequent. A label given as NAME=OLD stands
    for the OLD names alone.
    """
    counts = Counter({name: n for name, n in counts.items() if name.strip()})  # a class needs a name
    fixed = set(classes.renamed.values())
    if classes.labels or own:
        labels = classes.labels or tuple(dict.fromkeys(n for n in own if n.strip() and n not in classes.ignored))
    else:
        left = {n: k for n, k in counts.items() if n not in classes.ignored}
        known = _by_lower_case(left)
        slips = {n for n in left for m in _slips_of(n, known) if m != n and left[m] >= RARE * left[n]}
        labels = tuple(sorted(set(left) - slips))
    own_names = set(labels) - fixed
    known = _by_lower_case(m for m in labels if m not in fixed)
    names = {}
    for name in counts:
        if name in classes.ignored:
            continue
        if name in classes.renamed:
            names[name] = classes.renamed[name]
        elif name in own_names:
            names[name] = name
        elif near := _slips_of(name, known):
            names[name] = max(near, key=len)
    return labels, names


def _by_lower_case(labels: Iterable[str]) -> dict[str, list[str]]:
    known: dict[str, list[str]] = {}
    for label in labels:
        known.setdefault(label.lower(), []).append(label)
    return known


def _slips_of(name: str, known: dict[str, list[str]]) -> list[str]:
    """The labels of which a name is a slip: one with more letters, in another case, or between spaces."""
    text = name.strip().lower()
    return [label for k in range(1, len(text) + 1) for label in known.get(text[:k], ())]


def looks_like(name: str, labels: Sequence[str]) -> str:
    """The label that a name may be a slip of, or "": "persom" for "person", "haed" (the same letters) for "head"."""
    text = name.strip().lower()
    swapped = next((x for x in labels if sorted(x.lower()) == sorted(text)), "")
    near = difflib.get_close_matches(text, [x.lower() for x in labels], n=1, cutoff=NEAR)
    return swapped or next((x for x in labels if near and x.lower() == near[0]), "")
