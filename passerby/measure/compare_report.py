"""A Comparison as a table for people and as JSON for programs."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from passerby.measure.compare import Comparison, Result, Verdict
from passerby.measure.speed import Ratio
from passerby.runtime.predictor import STAGES

SHOWN = {  # metric: what it is called in words, and how many of its units make 1
    "ap50": ("AP50", 100),
    "mr2": ("MR^-2", 100),
    "count_mae": ("the count error", 1),
    "jaccard": ("the Jaccard index", 100),
    "f1": ("F1", 100),
}
COLUMNS: tuple[tuple[str, str, int, Callable[[Result], float]], ...] = (  # heading, unit, digits, value
    ("AP50", "%", 1, lambda r: 100 * _score(r, "ap50")),
    ("COCO AP", "%", 1, lambda r: 100 * _score(r, "coco_ap")),
    ("MR^-2", "%", 1, lambda r: 100 * _score(r, "mr2")),
    ("Jaccard", "%", 1, lambda r: 100 * _score(r, "jaccard")),
    ("count MAE", "each", 2, lambda r: _score(r, "count_mae")),
    ("p50", "ms", 1, lambda r: r.p50.value),
    ("p95", "ms", 1, lambda r: r.p95.value),
    ("memory", "MiB", 0, lambda r: r.fresh.peak if r.fresh else math.nan),
    ("added", "MiB", 0, lambda r: r.fresh.increment if r.fresh else math.nan),
    ("first", "s", 2, lambda r: r.fresh.cold_start if r.fresh else math.nan),
    ("file", "MB", 2, lambda r: math.nan if r.contender.size is None else r.contender.size / 1e6),
    ("params", "M", 3, lambda r: _million(r.contender.costs.parameters)),
    ("mult-adds", "M", 0, lambda r: _million(r.contender.costs.macs)),
)
LOWER = ("MR^-2", "count MAE", "p50", "p95", "memory", "added", "first", "file", "params", "mult-adds")


def to_json(comparison: Comparison) -> str:
    """One JSON document: {"settings", "machine", "models", "verdicts"}; what cannot be computed is null."""
    document = {
        "settings": comparison.settings,
        "machine": comparison.machine,
        "models": [_as_dict(r) for r in comparison.results],
        "verdicts": [
            {"metric": v.metric, "best": v.best, "other": v.other, **asdict(v.difference)} for v in comparison.verdicts
        ],
    }
    return json.dumps(_plain(document), indent=1)


def to_text(comparison: Comparison) -> str:
    """A row a model, then settings, stages, and which differences are ties."""
    s, results = comparison.settings, comparison.results
    wide = max(len(r.contender.name) for r in results)
    cells = cells_of(results)
    shown = [k for k in range(len(COLUMNS)) if any(row[k] != "-" for row in cells)]  # what --quick leaves out
    widths = [max(len(COLUMNS[k][0]), len(COLUMNS[k][1]), *(len(row[k]) for row in cells)) + 2 for k in shown]
    lines = [
        f"{s['data']}: {s['pictures']} pictures, {s['objects']} objects ({', '.join(s['labels'])})",
        "",
        f"{'':<{wide}}" + "".join(f"{COLUMNS[k][0]:>{w}}" for k, w in zip(shown, widths, strict=True)),
        f"{'':<{wide}}" + "".join(f"{COLUMNS[k][1]:>{w}}" for k, w in zip(shown, widths, strict=True)),
    ]
    for r, row in zip(results, cells, strict=True):
        lines.append(
            f"{r.contender.name:<{wide}}" + "".join(f"{row[k]:>{w}}" for k, w in zip(shown, widths, strict=True))
        )
    lines += ["", f"ms a picture, p50; decoding, {s['decode_ms']:.1f} ms, is done once for all"]
    for r in results:
        parts = ", ".join(f"{stage} {r.stages['p50'][stage]:.1f}" for stage in STAGES)
        lines.append(f"{r.contender.name:<{wide}}  {parts}; {r.report.settings['engine']}")
    lines += ["", *settings_lines(comparison), ""]
    lines += [sentence(v) for v in comparison.verdicts]
    return "\n".join(lines).rstrip()


def settings_lines(comparison: Comparison) -> list[str]:
    """Definitions and settings, one sentence a line."""
    s = comparison.settings
    lines = [
        f"settings: IoU {s['match_iou']} for a hit; COCO AP looks at {s['coco_cap']} detections a picture and class; "
        f"{s['rounds']} round{'' if s['rounds'] == 1 else 's'} in turns; times are with scores from each "
        "model's threshold on, as in use"
    ]
    for r in comparison.results:
        own = r.report.settings
        lines.append(
            f"  {r.contender.name}: scores from {_said(own['score_floor'])}, suppression "
            f"{_suppression(r)}, at most {_said(own['max_detections'])} detections a picture; "
            f"threshold {own['threshold']:g}; cost: {r.contender.costs.how}"
        )
    engines = {str(r.report.settings["engine"]) for r in comparison.results}
    if len(engines) > 1:
        lines.append(f"  engines or precisions differ ({', '.join(sorted(engines))}): times are of both, not of models")
    machine = comparison.machine
    lines.append("machine: " + ", ".join(f"{v} cores" if k == "cores" else v for k, v in machine.items()))
    return lines


def sentence(verdict: Verdict) -> str:
    """A verdict in words: who is better by how much, or that it is a tie."""
    d, best, other = verdict.difference, verdict.best, verdict.other
    if isinstance(d, Ratio):
        if math.isnan(d.value):
            return f"{best} and {other}: no times to compare"
        spread = f"{d.value:.2f} times ({d.low:.2f} to {d.high:.2f})"
        if d.tie:
            return f"{best} and {other}: time a picture differs by {spread}, inside the noise: a tie"
        return f"{other} takes {spread} the time of {best}"
    name, scale = SHOWN.get(verdict.metric, (verdict.metric, 1))
    unit = " points" if scale == 100 else ""
    value, low, high = (scale * x for x in (d.value, d.low, d.high))
    if value < 0:  # said as a size, whichever way is better
        value, low, high = -value, -high, -low
    digits = 1 if scale == 100 else 2
    spread = f"{value:.{digits}f}{unit}"
    ends = f"({low:.{digits}f} to {high:.{digits}f})"
    if d.tie:
        return f"{best} and {other}: {name} differs by {spread}, inside the noise {ends}: a tie"
    return f"{best} is better than {other}: {name} differs by {spread} {ends}"


def cells_of(results: Sequence[Result]) -> list[list[str]]:
    """The table's cells, a row a result, in the order of COLUMNS; "-" for what was not measured."""
    return [[number(value(r), digits) for _, _, digits, value in COLUMNS] for r in results]


def best_of(results: Sequence[Result]) -> list[set[int]]:
    """For each of COLUMNS the results with the best value; none where there is one result, or no number."""
    out = []
    for heading, _, digits, value in COLUMNS:
        values = [round(value(r), digits) for r in results]
        real = [v for v in values if not math.isnan(v)]
        best = (min if heading in LOWER else max)(real) if len(real) > 1 else math.nan
        out.append({k for k, v in enumerate(values) if v == best})
    return out


def number(value: float, digits: int) -> str:
    """With thousands marked; "-" for NaN."""
    return "-" if math.isnan(value) else f"{value:,.{digits}f}"


def _as_dict(r: Result) -> dict[str, Any]:
    c = r.contender
    return {
        "name": c.name,
        "scores": r.report.scores,
        "settings": r.report.settings,
        "intervals": {m: asdict(i) for m, i in r.intervals.items()},
        "ms": {"p50": asdict(r.p50), "p95": asdict(r.p95), "stages": r.stages},
        "process": None if r.fresh is None else {**asdict(r.fresh), "increment": r.fresh.increment},
        "bytes": c.size,
        "costs": asdict(c.costs),
    }


def _plain(thing: Any) -> Any:
    """NaN as null, numbers to six digits after the point."""
    if isinstance(thing, dict):
        return {k: _plain(v) for k, v in thing.items()}
    if isinstance(thing, (list, tuple)):
        return [_plain(v) for v in thing]
    if isinstance(thing, float):
        return round(thing, 6) if math.isfinite(thing) else None
    return thing


def _score(r: Result, name: str) -> float:
    return r.report.scores.get(name, math.nan)


def _million(count: int | None) -> float:
    return math.nan if count is None else count / 1e6


def _suppression(r: Result) -> str:
    s = r.report.settings
    soft = "soft " if s.get("nms") == "soft" else ""
    return "its own" if s["nms_iou"] is None else f"{soft}at IoU {s['nms_iou']:g}"


def _said(value: object) -> str:
    return "not said" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
