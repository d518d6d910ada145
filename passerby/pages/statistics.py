"""The page of `passerby data stats`: what a data set looks like at the network's input."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from passerby.data.at_input import objects_at_input
from passerby.data.statistics import QUANTILES, UNDER, Part, Statistics
from passerby.errors import SourceError
from passerby.files import written_whole
from passerby.pages import html, plots
from passerby.pictures import read_picture
from passerby.records import SampleSet

PERCENT = [f"{q} %" for q in QUANTILES]


def statistics_page(stats: Statistics, samples: SampleSet) -> str:
    """The whole document: tables, plots, and the fullest picture."""
    every = [stats.all]
    every += stats.classes if len(stats.classes) > 1 else ()
    every += stats.splits if len(stats.splits) > 1 else ()
    charts = [html.figure(svg, "") for svg in statistics_plots(stats, samples).values()]
    parts = [
        html.text(
            f"{stats.all.pictures:,} pictures, {stats.all.negatives:,} of them without objects; "
            f"{stats.all.objects:,} objects of {len(stats.labels)} "
            f"{'class' if len(stats.labels) == 1 else 'classes'} ({', '.join(stats.labels)}). "
            f"Sizes at an input of {stats.width} x {stats.height} pixels, {stats.resize}; "
            "a size is the square root of a box's area."
        ),
        html.gallery(charts),
        html.heading("How many"),
        html.table(
            ["part", "pictures", "without", "objects", "a picture, median", "at most", "difficult", "ignored"],
            [
                [p.name, p.pictures, p.negatives, p.objects, p.a_picture[2], p.most, p.difficult, p.ignored]
                for p in every
            ],
        ),
        html.heading("Sizes at the input, pixels"),
        html.table(
            ["part", *PERCENT, *(f"under {u}" for u in UNDER)],
            [[p.name, *(_short(v) for v in p.size), *(_share(v) for v in p.under)] for p in every],
        ),
        html.heading("Height / width at the input"),
        html.table(["part", *PERCENT], [[p.name, *(_short(v, 2) for v in p.ratio)] for p in every]),
        html.heading("Where, and how close together"),
        html.table(
            ["part", "touch the border", "suppression cannot tell apart"],
            [[p.name, _share(p.at_border), _share(p.crowded)] for p in every],
        ),
        html.text(
            "Suppression cannot tell apart: objects that overlap another of their class by more than IoU 0.45; a "
            "detector that suppresses there shows one of the two."
        ),
        html.heading("Pictures, pixels"),
        html.table(
            ["", *PERCENT],
            [
                [name, *(_short(v, 0) for v in q)]
                for name, q in zip(("width", "height"), stats.picture_size, strict=True)
            ],
        ),
        *_fullest(samples),
    ]
    return html.page(f"{stats.source}: statistics", parts)


def statistics_plots(stats: Statistics, samples: SampleSet) -> dict[str, str]:
    """Name -> SVG: sizes, ratios, objects a picture, places, and objects by class and split where there are several."""
    objects = objects_at_input(samples, stats.height, stats.width, stats.resize).with_area()
    counts = np.bincount(objects.picture, minlength=len(samples))
    ratios = objects.sides[:, 1] / objects.sides[:, 0]
    sizes, per_class, per_split = objects.sizes, _counts(stats.classes), _counts(stats.splits)
    most = max(10, int(np.percentile(counts, 99)) + 1 if len(counts) else 0)
    edges = np.arange(0, most + 2, max(1, math.ceil(most / 30)))
    out = {
        "sizes": plots.histogram(
            sizes, np.geomspace(2, 512, 33), "size at the input, pixels", "objects", "Sizes of objects"
        ),
        "ratios": plots.histogram(ratios, np.geomspace(0.2, 8, 31), "height / width", "objects", "Shapes of objects"),
        "a_picture": plots.histogram(
            counts,
            edges,
            f"objects (the last bar: {edges[-2]} and more)",
            "pictures",
            "Objects a picture",
        ),
        "places": plots.heat(
            100 * np.array(stats.all.places), "across the picture", "down", "Where centres lie, % of objects"
        ),
    }
    if len(per_class) > 1:
        out["classes"] = plots.bars(list(per_class), list(per_class.values()), "Objects by class")
    if len(per_split) > 1:
        out["splits"] = plots.bars(list(per_split), list(per_split.values()), "Objects by split")
    return out


def save_plots(folder: Path, charts: dict[str, str]) -> None:
    """Write each plot as folder/NAME.svg. Raises OutputError where a file cannot be written."""
    for name, svg in charts.items():
        with written_whole(folder / f"{name}.svg") as temporary:
            temporary.write_text(svg, encoding="utf-8")


def _counts(parts: Sequence[Part]) -> dict[str, float]:
    return {p.name: float(p.objects) for p in parts}


def _fullest(samples: SampleSet) -> list[str]:
    best = max(samples.samples, key=lambda s: len(s.truth), default=None)
    if best is None or len(best.truth) == 0:
        return []
    try:
        pixels = read_picture(best.path)
    except SourceError as e:
        return [html.text(str(e))]
    boxes = best.truth.boxes
    photo = html.photo(pixels, boxes, alt=f"{best.path.name} with {len(boxes)} labelled boxes", longest=960)
    return [html.heading("The fullest picture"), html.figure(photo, f"{best.path.name}: {len(boxes)} boxes")]


def _short(value: float, digits: int = 1) -> str:
    return "-" if math.isnan(value) else f"{value:,.{digits}f}"


def _share(value: float) -> str:
    return "-" if math.isnan(value) else f"{100 * value:.1f} %"
