"""Why do two mAPs differ? The same detections under every rule: four definitions, three score floors, three caps."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

from passerby.measure import average_precision, coco
from passerby.measure.matching import Judged

FLOORS = (0.01, 0.05, 0.25)  # SSD's papers measure from 0.01; 0.05 and 0.25 are usual in tools that show boxes
CAPS = (100, 300, None)  # COCO's own, a usual one of tools, none
DEFINITIONS = {
    "ap50_11pt": "VOC 11-point (2007), IoU 0.5",
    "ap50": "VOC area (2010+), IoU 0.5",
    "coco_ap50": "COCO 101-point, IoU 0.5",
    "coco_ap": "COCO 101-point, IoU 0.50:0.95",
}
AT_ONE_IOU = ("ap50_11pt", "ap50", "coco_ap50")  # these differ in how they count, not in what a hit is
CAP_OF_VOC = "a picture"
CAP_OF_COCO = "a picture and class"


@dataclass(frozen=True)
class Row:
    """AP under one rule.

    definition  a key of DEFINITIONS
    floor       scores under it are dropped
    cap         detections kept of `cap_of`; None: all
    value       NaN where it cannot be known; `why` says why
    """

    definition: str
    floor: float
    cap: int | None
    cap_of: str
    value: float
    why: str


@dataclass(frozen=True)
class Rules:
    """The table, and the settings that all its rows share.

    most       detections in the picture that has most
    predictor's own `score_floor`, `max_detections`, `nms_iou`; None where it does not say
    """

    rows: tuple[Row, ...]
    most: int
    score_floor: float | None
    max_detections: int | None
    nms_iou: float | None

    def to_dict(self) -> dict[str, Any]:
        """For JSON: rows with their definitions in words, settings, and what moves AP most."""
        shared = {k: v for k, v in vars(self).items() if k != "rows"}
        rows = [
            {**asdict(r), "meaning": DEFINITIONS[r.definition], "value": None if math.isnan(r.value) else r.value}
            for r in self.rows
        ]
        return {"rows": rows, **shared, "explained": self.explain()}

    def to_text(self) -> str:
        """The table for people: a line a definition and floor, a column a cap; under it what moves AP most."""
        heads = ["no cap" if c is None else f"cap {c}" for c in CAPS]
        lines = [
            "the same detections under every rule",
            f"suppression at IoU {_said(self.nms_iou)}; at most {self.most} detections in a picture; cap: of "
            f"{CAP_OF_VOC}, with COCO of {CAP_OF_COCO}",
            f"  {'AP':<32}{'scores from':<12}" + "".join(f"{h:>9}" for h in heads),
        ]
        notes: list[str] = []
        for definition, floor in dict.fromkeys((r.definition, r.floor) for r in self.rows):
            cells = []
            for r in self.rows:
                if (r.definition, r.floor) == (definition, floor):
                    if r.why and r.why not in notes:
                        notes.append(r.why)
                    mark = f" [{notes.index(r.why) + 1}]" if r.why else ""
                    cells.append("-" + mark if math.isnan(r.value) else f"{r.value:.4f}")
            lines.append(f"  {DEFINITIONS[definition]:<32}{floor:<12g}" + "".join(f"{c:>9}" for c in cells))
        lines += [f"  [{k}] {note}" for k, note in enumerate(notes, 1)]
        if not any(r.cap_of == CAP_OF_COCO for r in self.rows):
            lines.append("  COCO's rows are left out: pip install 'passerby[measure]'")
        return "\n".join([*lines, *self.explain()])

    def explain(self) -> list[str]:
        """What moves AP most, in words: score floor, definition or cap, each with its largest step."""
        steps = {
            "the score floor": _widest(self.rows, lambda r: (r.definition, r.cap), lambda r: f"from {r.floor:g} on"),
            "the definition": _widest(
                [r for r in self.rows if r.definition in AT_ONE_IOU],
                lambda r: (r.floor, r.cap),
                lambda r: DEFINITIONS[r.definition].rsplit(",", 1)[0],
            ),
            "the cap": _widest(
                self.rows, lambda r: (r.definition, r.floor), lambda r: "no cap" if r.cap is None else f"cap {r.cap}"
            ),
        }
        told = sorted(((name, *s) for name, s in steps.items() if s), key=lambda s: -s[1])
        if not told:
            return []
        name, by, how = told[0]
        if by < 5e-5:
            return ["No rule moves AP at IoU 0.5 by 0.0001 or more."]
        lines = [f"Most is moved by {name}: {by:.4f} ({how})."]
        lines += [f"Then {n}: {b:.4f} ({h})." if b >= 5e-5 else f"Not moved by {n}." for n, b, h in told[1:]]
        strict = {(r.floor, r.cap): r.value for r in self.rows if r.definition == "coco_ap"}
        plain = {(r.floor, r.cap): r.value for r in self.rows if r.definition == "coco_ap50"}
        known = [k for k, v in strict.items() if not math.isnan(v)][:1]
        lines += [
            f"COCO AP at IoU 0.50:0.95, {strict[k]:.4f}, is another quantity than AP at IoU 0.5, {plain[k]:.4f}: "
            "it asks for tighter boxes."
            for k in known
        ]
        return lines


def ap_under_every_rule(judged: Judged) -> Rules:
    """AP of the same detections under every definition, score floor and cap; the network does not run again.

    judged  detections with every score from a low floor, made with no cap that bites: where the predictor's own floor
            or cap has already cut below what a row asks for, the row has no number and says so

    A cap keeps the highest scores: by VOC's definitions of a picture, as detectors do; by COCO's of a picture and
    class, as its evaluation does. COCO's rows are left out where hotcoco is not installed.
    """
    definitions = [d for d in DEFINITIONS if not d.startswith("coco") or importlib.util.find_spec("hotcoco")]
    most = max((len(p.found) for p in judged.pairs), default=0)
    rows = []
    for floor in FLOORS:
        values = _values(judged, floor, definitions, most)
        for definition in definitions:
            of_coco = definition.startswith("coco")
            for cap in CAPS:
                classes = len(judged.labels) if of_coco else 1
                why = _why_not(judged, floor, None if cap is None else cap * classes)
                value = math.nan if why else values[definition, cap]
                rows.append(Row(definition, floor, cap, CAP_OF_COCO if of_coco else CAP_OF_VOC, value, why))
    rows.sort(key=lambda r: definitions.index(r.definition))  # stable: floors and caps keep their order
    return Rules(tuple(rows), most, judged.floor, judged.cap, judged.nms_iou)


def _values(judged: Judged, floor: float, definitions: Iterable[str], most: int) -> dict[tuple[str, int | None], float]:
    out: dict[tuple[str, int | None], float] = {}
    above = judged.cut(floor)
    for cap in CAPS:
        out.update({(k, cap): v for k, v in average_precision.score(above.cut(0.0, cap)).items()})
    if "coco_ap" in definitions:
        whole = max(most, 1)  # a cap that leaves nothing out
        for cap, scores in zip(CAPS, coco.score_capped(above, [whole if c is None else c for c in CAPS]), strict=True):
            out.update({(k, cap): v for k, v in scores.items()})
    return out


def _why_not(judged: Judged, floor: float, cap: int | None) -> str:
    """Why the predictor's detections cannot tell; "" where they can."""
    if judged.floor is not None and judged.floor > floor:
        return f"not known: the model gave no scores under {judged.floor:g}"
    if judged.cap is None or (cap is not None and cap <= judged.cap):
        return ""
    full = sum(len(p.found) >= judged.cap and float(p.found.scores.min()) >= floor for p in judged.pairs)
    return f"not known: the model's own cap of {judged.cap} was reached in {full} pictures" if full else ""


def _widest(rows: Iterable[Row], same: Callable[[Row], Any], name: Callable[[Row], str]) -> tuple[float, str] | None:
    """The largest step of AP between rows that are the same but for one setting, and that step in words."""
    groups: dict[Any, list[Row]] = {}
    for r in rows:
        if not math.isnan(r.value):
            groups.setdefault(same(r), []).append(r)
    steps = [(max(g, key=lambda r: r.value), min(g, key=lambda r: r.value)) for g in groups.values() if len(g) > 1]
    if not steps:
        return None
    high, low = max(steps, key=lambda s: s[0].value - s[1].value)
    rest = [DEFINITIONS[high.definition]] if high.definition == low.definition else []
    rest += [f"scores from {high.floor:g}"] if high.floor == low.floor else []
    rest += ["no cap" if high.cap is None else f"cap {high.cap}"] if high.cap == low.cap else []
    words = f"{high.value:.4f} {name(high)}, {low.value:.4f} {name(low)}; {', '.join(rest)}"
    return high.value - low.value, words


def _said(value: object) -> str:
    return "not said" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
