"""What default boxes can recall of a data set: rules for making them, set side by side on its objects."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from passerby.data.at_input import Objects, objects_at_input, truth_at_input
from passerby.data.box_rules import RULES, Question, fragment
from passerby.data.statistics import without_nan
from passerby.errors import DataError
from passerby.geometry.anchors import default_boxes
from passerby.geometry.assign import match
from passerby.geometry.recall import best_overlaps, recall
from passerby.records import Floats, Ints, SampleSet
from passerby.spec import AnchorMap, ModelSpec

SIZE_EDGES = (0.0, 8.0, 12.0, 16.0, 24.0, 32.0, 64.0, 128.0, math.inf)  # of size bins, input pixels
LIMIT = 0.95  # best possible recall under which the default boxes are said to hold the network back
NEAR = 0.005  # recalls that differ by less are taken for equal, and the rule with fewer default boxes is recommended
COUNTED = 300  # pictures, evenly spaced, on which default boxes that answer are counted
EXAMPLES = 12


@dataclass(frozen=True)
class Bin:
    """Objects of one kind (number `index` of SIZE_EDGES or of the labels): how many, their recall and mean best IoU."""

    index: int
    name: str
    objects: int
    recall: float
    mean_iou: float


@dataclass(frozen=True)
class MapShare:
    """One map: cells, shapes, the recall it has alone, and the share of objects that it fits better than the others."""

    rows: int
    columns: int
    shapes: tuple[tuple[float, float], ...]
    recall: float
    share: float


@dataclass(frozen=True)
class Unfitted:
    """An object that no default box fits: where it is (box in picture pixels), its size at the input, best IoU."""

    picture: str
    box: tuple[float, ...]
    label: str
    width: float
    height: float
    iou: float


@dataclass(frozen=True)
class Answer:
    """What one set of default boxes can do.

    boxes    how many there are
    recall   share of objects that one of them overlaps by more than the IoU of a match
    answers  how many answer for an object on average, by the rule that trains
    forced   share of objects for which only their best one answers, too far off for a match
    worst    objects that none fits, worst first, at most one a picture
    """

    rule: str
    maps: tuple[AnchorMap, ...]
    boxes: int
    recall: float
    mean_iou: float
    by_size: tuple[Bin, ...]
    by_class: tuple[Bin, ...]
    by_map: tuple[MapShare, ...]
    answers: float
    forced: float
    worst: tuple[Unfitted, ...]


@dataclass(frozen=True)
class Analysis:
    """Rules side by side on one data set; `recommended` names the one to use, `helps` what would recall more."""

    source: str
    pictures: int
    objects: int
    question: Question
    answers: tuple[Answer, ...]
    recommended: str
    helps: tuple[tuple[str, float, int], ...]  # what, recall, default boxes

    def best(self) -> Answer:
        return next(a for a in self.answers if a.rule == self.recommended)

    def to_dict(self) -> dict[str, Any]:
        """Plain nested dicts, for JSON; None for NaN."""
        raw: dict[str, Any] = without_nan(asdict(self))
        return raw | {"recommendation": self.recommendation(), "fragment": fragment(self.question, self.best().maps)}

    def recommendation(self) -> str:
        """Which rule to use and what it gains, in one line."""
        best, q = self.best(), self.question
        others = ", ".join(f"{a.rule} {a.recall:.3f}" for a in self.answers if a is not best)
        text = (
            f"use {best.rule}: it can recall {best.recall:.3f} at IoU {q.match_iou:g} with {best.boxes:,} default boxes"
        )
        text += f" ({others})" if others else ""
        if best.recall < LIMIT and self.helps:
            text += f"; under {LIMIT}, what would help: "
            text += ", ".join(f"{what} {recall:.3f} ({boxes:,} boxes)" for what, recall, boxes in self.helps)
        return text


def analyse(
    samples: SampleSet,
    question: Question,
    rules: Sequence[str] = tuple(RULES),
    given: Mapping[str, tuple[AnchorMap, ...]] | None = None,
) -> Analysis:
    """Default boxes by each rule, and what they can recall of the objects of a data set.

    rules  names from RULES
    given  name -> default boxes that are there already: a model's, a recipe's

    Objects that are difficult, in no class, or without area are left out. Raises DataError without objects,
    SettingError for strides or counts that cannot be.
    """
    objects = objects_at_input(samples, question.height, question.width, question.resize).with_area()
    if len(objects) == 0:
        raise DataError(f"{samples.source}: holds no object to fit default boxes to")
    sets = dict(given or {}) | {rule: RULES[rule](question, objects) for rule in rules}
    answers = tuple(answer(rule, maps, samples, objects, question) for rule, maps in sets.items())
    top = max(a.recall for a in answers)
    chosen = min((a for a in answers if a.recall >= top - NEAR), key=lambda a: (a.boxes, -a.mean_iou))
    helps = what_helps(samples, question, objects) if top < LIMIT and "fitted" in sets else ()
    return Analysis(samples.source, len(samples), len(objects), question, answers, chosen.rule, helps)


def answer(rule: str, maps: tuple[AnchorMap, ...], samples: SampleSet, objects: Objects, question: Question) -> Answer:
    """What one set of default boxes can do for the objects of a data set."""
    table = best_overlaps(objects.boxes, maps, question.height, question.width)
    best = table.max(axis=1)
    first = table.argmax(axis=1)
    mean, forced = _answering(samples, maps, question)
    iou = question.match_iou
    return Answer(
        rule,
        maps,
        sum(map(len, maps)),
        recall(best, iou),
        float(best.mean(dtype=np.float64)),
        recall_by_size(objects.sizes, best, iou),
        tuple(_bin(k, name, best[objects.labels == k], iou) for k, name in enumerate(samples.labels)),
        tuple(
            MapShare(m.rows, m.columns, m.sizes, recall(table[:, k], iou), float((first == k).mean()))
            for k, m in enumerate(maps)
        ),
        mean,
        forced,
        _worst(samples, objects, best, iou),
    )


def cap_warning(samples: SampleSet, spec: ModelSpec, match_iou: float, limit: float, data: str = "DATA") -> str:
    """One line where the best possible recall of a model's default boxes on a data set is under `limit`, or "".

    data  how the command line names the data set, for the cure
    Pictures are taken as they are: what random crops and canvases change is not counted.
    """
    objects = objects_at_input(samples, spec.height, spec.width, spec.resize).with_area()
    best = best_overlaps(objects.boxes, spec.anchors, spec.height, spec.width).max(axis=1)
    share = recall(best, match_iou)
    if not share < limit:
        return ""
    low = [b for b in recall_by_size(objects.sizes, best, match_iou) if b.recall < limit]
    sizes = ", ".join(f"{b.name}: {b.recall:.2f} of {b.objects:,}" for b in low)
    layout = str(spec.network.get("layout", "f38"))
    return (
        f"warning: the default boxes can match only {share:.3f} of {len(objects):,} objects at IoU {match_iou:g} "
        f"(by size in input pixels, {sizes}); fit them: passerby anchors {data} --input {spec.width}x{spec.height} "
        f"--resize {spec.resize}{'' if layout == 'f38' else f' --layout {layout}'} --iou {match_iou:g}, "
        "or set run.recall_warning=0"
    )


def recall_by_size(sizes: Floats, best: Floats, match_iou: float) -> tuple[Bin, ...]:
    """Recall in each range of SIZE_EDGES that holds an object; sizes (N,) and best IoUs (N,) of the objects."""
    which = np.digitize(sizes, SIZE_EDGES[1:-1])
    names = ["under 8 px", *(f"{a:g} to {b:g}" for a, b in pairwise(SIZE_EDGES[1:-1]))]
    names.append("128 and over")
    return tuple(_bin(k, n, best[which == k], match_iou) for k, n in enumerate(names) if (which == k).any())


def what_helps(samples: SampleSet, question: Question, objects: Objects) -> tuple[tuple[str, float, int], ...]:
    """Fitted default boxes under other settings, for those whose recall is capped: (what, recall, default boxes)."""
    finest, *others = question.per_map
    height, width = (round(v * 1.5 / 32) * 32 for v in (question.height, question.width))
    trials = {
        f"--per-map {','.join(map(str, (2 * finest, *others)))}": replace(question, per_map=(2 * finest, *others)),
        f"--input {width}x{height}": replace(question, height=height, width=width),
    }
    if question.match_iou > 0.4:
        trials["--iou 0.4"] = replace(question, match_iou=0.4)
    out = []
    for what, other in trials.items():
        at = objects_at_input(samples, other.height, other.width, other.resize).with_area()
        maps = other.fitted(at)
        best = best_overlaps(at.boxes, maps, other.height, other.width).max(axis=1)
        out.append((what, recall(best, other.match_iou), sum(map(len, maps))))
    return tuple(out)


def _bin(index: int, name: str, best: Floats, match_iou: float) -> Bin:
    mean = float(best.mean(dtype=np.float64)) if len(best) else math.nan
    return Bin(index, name, len(best), recall(best, match_iou), mean)


def _answering(samples: SampleSet, maps: tuple[AnchorMap, ...], question: Question) -> tuple[float, float]:
    """Default boxes that answer for an object, on average, and the share of objects with only a forced one."""
    anchors = default_boxes(maps, question.height, question.width)
    with_objects = [s for s in samples if (~(s.truth.ignore | s.truth.difficult)).any()]
    picked = np.linspace(0, len(with_objects) - 1, min(COUNTED, len(with_objects))).astype(int)
    counts: list[Ints] = []
    for i in picked:
        truth = truth_at_input(with_objects[i], question.height, question.width, question.resize)
        owner = match(truth, anchors, question.match_iou)
        asked = ~(truth.ignore | truth.difficult)
        counts.append(np.bincount(owner[owner >= 0], minlength=len(truth))[asked])
    every = np.concatenate(counts)
    return float(every.mean()), float((every <= 1).mean())


def _worst(samples: SampleSet, objects: Objects, best: Floats, match_iou: float) -> tuple[Unfitted, ...]:
    out: list[Unfitted] = []
    seen: set[int] = set()
    for i in np.argsort(best, kind="stable").tolist():
        if best[i] > match_iou or len(out) == EXAMPLES:
            break
        if (picture := int(objects.picture[i])) in seen:
            continue
        seen.add(picture)
        sample = samples.samples[picture]
        box = tuple(round(float(v), 1) for v in sample.truth.boxes[objects.row[i]])
        w, h = (round(float(v), 1) for v in objects.sides[i])
        label = samples.labels[int(objects.labels[i])]
        out.append(Unfitted(str(sample.path), box, label, w, h, round(float(best[i]), 3)))
    return tuple(out)
