"""The page of `passerby anchors`: what each rule's default boxes can recall, by size, and what none of them fits."""

from __future__ import annotations

import math

import cv2
import numpy as np

from passerby.data.box_rules import fragment
from passerby.data.default_boxes import SIZE_EDGES, Analysis, Answer, Unfitted
from passerby.errors import SourceError
from passerby.pages import html, plots
from passerby.pictures import read_picture
from passerby.records import Floats, SampleSet

AROUND = 6.0  # times the object's longer side that a photo of it shows


def anchors_page(analysis: Analysis, samples: SampleSet) -> str:
    """The whole document: the recommendation, recall by size, maps and shapes, objects that none fits."""
    q, best = analysis.question, analysis.best()
    parts = [
        html.text(
            f"{analysis.pictures:,} pictures, {analysis.objects:,} objects; input {q.width} x {q.height} pixels "
            f"({q.resize}), a match is an overlap over IoU {q.match_iou:g}. Best possible recall: the share of objects "
            "that some default box overlaps by more than that, before any training."
        ),
        html.text(analysis.recommendation() + "."),
        html.gallery([html.figure(recall_plot(analysis), ""), html.figure(_overlap_plot(analysis), "")]),
        html.heading("Recall"),
        html.table(
            ["objects", "how many", *(a.rule for a in analysis.answers)],
            _recalls(analysis),
        ),
        html.table(
            ["", *(a.rule for a in analysis.answers)],
            [
                ["mean best IoU", *(f"{a.mean_iou:.3f}" for a in analysis.answers)],
                ["default boxes", *(f"{a.boxes:,}" for a in analysis.answers)],
                ["that answer for an object, on average", *(f"{a.answers:.2f}" for a in analysis.answers)],
                ["objects with one that answers, or none", *(f"{100 * a.forced:.1f} %" for a in analysis.answers)],
            ],
        ),
        html.heading("Maps and shapes"),
        *(part for a in analysis.answers for part in (html.heading(a.rule, 3), _maps(a))),
        html.heading("For the recipe"),
        html.text("Keywords of Model(...), to be pasted:"),
        html.code(fragment(q, best.maps)),
    ]
    if best.worst:
        parts += [html.heading(f"Objects that none of the boxes of {best.rule} fits"), _photos(best, samples)]
    return html.page(f"{analysis.source}: default boxes", parts)


def recall_plot(analysis: Analysis) -> str:
    """Recall over size, a line a rule."""
    return plots.lines(
        {a.rule: (_middles(a), [b.recall for b in a.by_size]) for a in analysis.answers},
        "size at the input, pixels",
        f"recall at IoU {analysis.question.match_iou:g}",
        "Best possible recall by size",
        log_x=True,
        y_range=(0.0, 1.0),
    )


def _overlap_plot(analysis: Analysis) -> str:
    return plots.lines(
        {a.rule: (_middles(a), [b.mean_iou for b in a.by_size]) for a in analysis.answers},
        "size at the input, pixels",
        "mean best IoU",
        "Mean best overlap by size",
        log_x=True,
        y_range=(0.0, 1.0),
    )


def _middles(answer: Answer) -> list[float]:
    """Where each size bin is drawn: the middle of its edges on a logarithmic axis; open ends at half and double."""
    edges = [SIZE_EDGES[1] / 2, *SIZE_EDGES[1:-1], SIZE_EDGES[-2] * 2]
    return [math.sqrt(edges[b.index] * edges[b.index + 1]) for b in answer.by_size]


def _recalls(analysis: Analysis) -> list[list[html.Cell]]:
    """Rows of recall: all objects, by size, by class where there are several."""
    answers, best = analysis.answers, analysis.best()
    rows: list[list[html.Cell]] = [["all", analysis.objects, *(f"{a.recall:.3f}" for a in answers)]]
    for k, b in enumerate(best.by_size):
        rows.append([f"size {b.name}", b.objects, *(f"{a.by_size[k].recall:.3f}" for a in answers)])
    for k, c in enumerate(best.by_class if len(best.by_class) > 1 else ()):
        rows.append([c.name, c.objects, *("-" if not c.objects else f"{a.by_class[k].recall:.3f}" for a in answers)])
    return rows


def _maps(answer: Answer) -> str:
    return html.table(
        ["cells", "shapes, w x h in input pixels", "recall alone", "fits best"],
        [
            [
                f"{m.columns} x {m.rows}",
                ", ".join(f"{w:.1f} x {h:.1f}" for w, h in m.shapes),
                f"{m.recall:.3f}",
                f"{100 * m.share:.1f} %",
            ]
            for m in answer.by_map
        ],
    )


def _photos(answer: Answer, samples: SampleSet) -> str:
    truths = {str(s.path): s.truth.boxes for s in samples}
    return html.gallery([_photo(u, truths[u.picture]) for u in answer.worst])


def _photo(object_: Unfitted, boxes: Floats) -> str:
    """The object and what is around it, large enough to be seen."""
    name = object_.picture.rsplit("/", 1)[-1]
    caption = (
        f"{name}: {object_.label}, {object_.width:g} x {object_.height:g} px at the input, best IoU {object_.iou:.2f}"
    )
    try:
        pixels = read_picture(object_.picture)
    except SourceError as e:
        return html.figure(html.text(str(e)), caption)
    x0, y0, x1, y1 = object_.box
    height, width = pixels.shape[:2]
    reach = max(40.0, AROUND * max(x1 - x0, y1 - y0)) / 2
    left, right = (int(np.clip((x0 + x1) / 2 + d, 0, width)) for d in (-reach, reach))
    top, bottom = (int(np.clip((y0 + y1) / 2 + d, 0, height)) for d in (-reach, reach))
    zoom = max(1, 480 // max(right - left, bottom - top, 1))
    part = cv2.resize(pixels[top:bottom, left:right], None, fx=zoom, fy=zoom, interpolation=cv2.INTER_CUBIC)
    moved = (boxes - np.array([left, top, left, top], np.float32)) * zoom
    own = np.abs(boxes - np.array(object_.box, np.float32)).max(axis=1).argmin()
    photo = html.photo(np.asarray(part, np.uint8), moved, alt=f"{object_.label} in {name}", highlight=[int(own)])
    return html.figure(photo, caption)
