"""The page of `passerby compare`: the table, curves, times, sizes, and the pictures that the models disagree on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from passerby.errors import SourceError
from passerby.measure.agreement import Look, most_disputed
from passerby.measure.average_precision import SIZES, precision_recall
from passerby.measure.compare import Comparison, Result
from passerby.measure.compare_report import COLUMNS, best_of, cells_of, sentence, settings_lines
from passerby.measure.matching import DROPPED, HIT
from passerby.measure.miss_rate import miss_curve
from passerby.pages import html, plots
from passerby.pictures import read_picture
from passerby.records import Pixels, Truth
from passerby.runtime.predictor import STAGES

Numbers = NDArray[np.floating[Any]]
FOUND, MISSED, ALARM, IGNORED = (70, 215, 110), (255, 205, 30), (255, 60, 85), (150, 150, 150)  # RGB
LEGEND = (("found", FOUND), ("missed: a true box", MISSED), ("false alarm", ALARM), ("not judged", IGNORED))
POINTS = 160  # of a curve: more cannot be seen
MOST_BARS = 12  # scores shown beside a picture
LONGEST = 640  # pixels of a picture's longer side


def compare_page(comparison: Comparison, pictures: int = 6) -> str:
    """The whole document.

    pictures  how many of those on which the models disagree most are shown
    """
    s, results = comparison.settings, comparison.results
    parts = [
        html.text(
            f"{s['data']}: {s['pictures']:,} pictures, {s['objects']:,} objects ({', '.join(s['labels'])}). "
            "Every model saw the same pictures, in turns. The best of each row is marked with *."
        ),
        _summary(results),
        *(html.text(sentence(v) + ".") for v in comparison.verdicts),
        html.heading("Accuracy"),
        html.gallery([html.figure(svg, "") for svg in _accuracy(comparison)]),
        html.heading("Time"),
        html.gallery([html.figure(svg, "") for svg in _times(comparison)]),
        html.heading("Settings and definitions"),
        *(html.text(line.strip()) for line in settings_lines(comparison)),
        *(html.text(line) for line in DEFINITIONS),
    ]
    parts += _disputes(comparison, pictures)
    return html.page("Comparison: " + ", ".join(r.contender.name for r in results), parts)


DEFINITIONS = (
    "AP50: area under the precision-recall curve, a hit from IoU 0.5 (VOC 2010 and later). COCO AP: mean over IoU 0.50 "
    "to 0.95. MR^-2: log-average miss rate from 0.01 to 1 false positives a picture. Jaccard: best over thresholds of "
    "hits / (objects + detections - hits), mean over pictures. Count MAE: mean absolute error of the number of objects "
    "a picture, at each model's own threshold.",
    "A difference is a tie where its 95 % bootstrap interval over pictures, both models on the same resamples, holds "
    "no difference. Time: prepare (resize, lay out), network, settle (decode, suppress); p50 and p95 over pictures. "
    "Memory: most that a process of its own held, and what the model added to it. First: seconds from the start of a "
    "process to its first result.",
)


def _summary(results: Sequence[Result]) -> str:
    """A row a measure, a column a model: as wide as the number of models, also on a phone."""
    cells, best = cells_of(results), best_of(results)
    rows: list[list[html.Cell]] = []
    for k, (heading, unit, _, _) in enumerate(COLUMNS):
        if any(row[k] != "-" for row in cells):
            rows.append(
                [f"{heading}, {unit}", *(row[k] + (" *" if i in best[k] else "") for i, row in enumerate(cells))]
            )
    rows.append(["engine", *(str(r.report.settings["engine"] or "not said") for r in results)])
    return html.table(["", *(r.contender.name for r in results)], rows)


def _accuracy(comparison: Comparison) -> list[str]:
    results, labels = comparison.results, comparison.samples.labels
    out = []
    for k, label in enumerate(labels):
        of = f" of {label}" if len(labels) > 1 else ""
        curves, misses = {}, {}
        for r in results:
            precision, recall = precision_recall(r.report.judged.matches(k, "voc"))
            curves[r.contender.name] = _thinned(recall, np.maximum.accumulate(precision[::-1])[::-1])
            fppi, miss = miss_curve(r.report.judged.matches(k, "greedy"))
            near = (fppi >= 0.005) & (fppi <= 10)
            misses[r.contender.name] = _thinned(fppi[near], miss[near], log=True)
        title = f"Precision over recall{of}, IoU 0.5"
        out.append(plots.lines(curves, "recall", "precision (best from there on)", title, y_range=(0.0, 1.0)))
        title = f"Miss rate over false positives{of}"
        out.append(plots.lines(misses, "false positives a picture", "miss rate", title, log_x=True, log_y=True))
    sizes = [f"{a:.0f}-{b:.0f}" if math.isfinite(b) else f"{a:.0f}+" for a, b in SIZES]
    bars = {r.contender.name: [100 * r.report.scores.get(f"ap50@{s}", math.nan) for s in sizes] for r in results}
    names = [f"{s} px" for s in sizes]
    return [*out, plots.groups(bars, names, "AP50 by size of the object, square root of its area", "AP50, %", 100.0)]


def _times(comparison: Comparison) -> list[str]:
    results = comparison.results
    names = [r.contender.name for r in results]
    out = []
    for which in ("p50", "p95"):
        stages = {s: [r.stages[which][s] for r in results] for s in STAGES}
        out.append(plots.stacks(names, stages, f"Time by stage, {which} of each stage", " ms"))
    spots = {r.contender.name: (r.p50.value, 100 * r.report.scores["ap50"]) for r in results}
    out.append(plots.scatter(spots, "ms a picture, p50", "AP50, %", "Accuracy against time: up and left is better"))
    return out


def _disputes(comparison: Comparison, pictures: int) -> list[str]:
    """The pictures of most disagreement: each model's boxes, and what it says of them in bars."""
    if len(comparison.results) == 1:
        heading, told = "Pictures", "The pictures in which most objects were missed, at the model's threshold."
    else:
        heading = "Where they disagree"
        told = (
            "Pictures in which most objects were found by one model and missed by another, each at its own threshold."
        )
    rows = most_disputed([r.report.judged for r in comparison.results], pictures)
    if not rows:
        return [html.heading(heading), html.text("No picture.")] if pictures else []
    parts = [html.heading(heading), html.text(told), html.legend(LEGEND)]
    for i, score, looks in rows:
        sample = comparison.samples[i]
        unit = "object" if score == 1 else "objects"
        what = "missed" if len(looks) == 1 else "found by one, missed by another"
        parts.append(html.heading(f"{sample.path.name}: {score} {unit} {what}", 3))
        try:
            pixels = read_picture(sample.path)
        except SourceError as e:
            parts.append(html.text(str(e)))
            continue
        names = [r.contender.name for r in comparison.results]
        parts.append(html.gallery([_photo(n, x, sample.truth, pixels) for n, x in zip(names, looks, strict=True)]))
        bars = [_bars(n, x) for n, x in zip(names, looks, strict=True) if len(x.shown)]
        parts.append(html.gallery([html.figure(svg, "") for svg in bars]))
    return parts


def _photo(name: str, look: Look, truth: Truth, pixels: Pixels) -> str:
    lost = look.counts & ~look.found
    hits = look.outcome == HIT
    boxes = [truth.boxes[truth.ignore], look.shown.boxes[look.outcome == DROPPED], truth.boxes[lost]]
    boxes += [look.shown.boxes[~hits & (look.outcome != DROPPED)], look.shown.boxes[hits]]
    colours = [c for part, c in zip(boxes, (IGNORED, IGNORED, MISSED, ALARM, FOUND), strict=True) for _ in part]
    caption = f"{name}: {int(hits.sum())} found, {int(lost.sum())} missed, {look.alarms} "
    caption += "false alarm" if look.alarms == 1 else "false alarms"
    photo = html.photo(pixels, np.concatenate(boxes), alt=caption, longest=LONGEST, colours=colours)
    return html.figure(photo, caption)


def _bars(name: str, look: Look) -> str:
    """How many of each class, and the highest scores."""
    shown, names = look.shown, look.shown.names
    counts = {n: int((shown.labels == k).sum()) for k, n in enumerate(names)}
    told = ", ".join(f"{many} {n}" for n, many in counts.items() if many)
    kept = range(min(MOST_BARS, len(shown)))
    labels = [f"{names[int(shown.labels[d])]} {'' if look.outcome[d] == HIT else '(no object)'}".strip() for d in kept]
    scores = [float(shown.scores[d]) for d in kept]
    return plots.bars(labels, scores, f"{name}: {told}; highest scores", highest=1.0)


def _thinned(x: Numbers, y: Numbers, log: bool = False) -> tuple[Numbers, Numbers]:
    """At most POINTS of a curve, evenly over its rising x (or its logarithm), the ends among them."""
    if len(x) <= POINTS:
        return x, y
    places = np.log(np.maximum(x, 1e-9)) if log else x
    kept = np.unique(np.searchsorted(places, np.linspace(places[0], places[-1], POINTS)).clip(0, len(x) - 1))
    return x[kept], y[kept]
