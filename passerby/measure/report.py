"""A Report as a table for people and as JSON for programs."""

from __future__ import annotations

import json
import math
from typing import Any

from passerby.measure.average_precision import SIZES
from passerby.measure.evaluate import Report
from passerby.measure.rules import Rules

MEANING = {
    "ap50": "AP50, VOC area (2010+)",
    "ap50_11pt": "AP50, VOC 11-point (2007)",
    "coco_ap": "COCO AP, IoU 0.50:0.95",
    "coco_ap50": "COCO AP at IoU 0.50",
    "coco_ap75": "COCO AP at IoU 0.75",
    "coco_ap_small": "COCO AP, area under 32^2",
    "coco_ap_medium": "COCO AP, area 32^2 to 96^2",
    "coco_ap_large": "COCO AP, area over 96^2",
    "mr2": "MR^-2, log-average miss rate",
    "miss_at_1fppi": "miss rate at 1 FPPI",
    "jaccard": "Jaccard index, best threshold",
    "jaccard_threshold": "  that threshold",
    "precision": "precision",
    "recall": "recall",
    "miss_rate": "miss rate, 1 - recall",
    "f1": "F1",
    "fppi": "false positives per image",
    "count_mae": "count error a picture, MAE",
    "count_rmse": "count error a picture, RMSE",
    "count_bias": "counted too many (+) or few (-)",
}
AT_THRESHOLD = ("precision", "recall", "miss_rate", "f1", "fppi", "count_mae", "count_rmse", "count_bias")


def to_json(report: Report, rules: Rules | None = None) -> str:
    """One JSON document: {"scores": {...}, "settings": {...}}, "rules" where they are given; no number is null."""
    scores = {k: None if math.isnan(v) else round(v, 6) for k, v in report.scores.items()}
    document = {"scores": scores, "settings": report.settings}
    return json.dumps(document | ({"rules": rules.to_dict()} if rules else {}), indent=1)


def suppression_of(settings: dict[str, Any]) -> str:
    """How boxes on each other were suppressed, in words."""
    method = "" if settings.get("nms") in (None, "hard") else f" ({settings['nms']})"
    return f"suppression{method} at IoU {_shown(settings['nms_iou'])}"


def to_text(report: Report) -> str:
    """Tables for people, settings first."""
    s, scores = report.settings, report.scores
    lines = [
        f"{s['data']}: {s['pictures']} pictures, {s['objects']} objects",
        f"settings: IoU {s['match_iou']} for a hit; scores from {_shown(s['score_floor'])}; {suppression_of(s)}; "
        f"at most {_shown(s['max_detections'])} detections a picture",
        f"engine: {s['engine'] or 'not said'}, {s['ms_per_picture']:.1f} ms a picture, decoding not counted",
        "",
    ]
    lines += [_line(k, scores) for k in MEANING if k in scores and k not in AT_THRESHOLD]
    for k in scores:
        if k.startswith("ap50/"):
            lines.append(f"  {'AP50 of ' + k[5:]:<34}{_number(scores[k])}")
    if scores.get("coco_capped"):
        lines.append(
            f"  note: COCO AP looks at the {s['coco_cap']} best detections a picture, which left some out in "
            f"{scores['coco_capped']:.0f} pictures; raise --coco-cap for crowds"
        )
    if "precision" in scores:
        lines += ["", f"at the model's threshold, {s['threshold']:g}"]
        lines += [_line(k, scores) for k in AT_THRESHOLD if k in scores]
    if any(k.startswith("objects@") for k in scores):
        lines += ["", "by size (square root of the box's area, original pixels)"]
        lines.append(f"  {'size':<10}{'objects':>9}{'AP50':>9}{'recall at threshold':>22}")
        for low, high in SIZES:
            name = f"{low:.0f}-{high:.0f}" if math.isfinite(high) else f"{low:.0f}+"
            lines.append(
                f"  {name:<10}{scores['objects@' + name]:>9.0f}{_number(scores['ap50@' + name]):>9}"
                f"{_number(scores['recall@' + name]):>22}"
            )
    return "\n".join(lines)


def _line(key: str, scores: dict[str, float]) -> str:
    return f"  {MEANING[key]:<34}{_number(scores[key])}"


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.4f}"


def _shown(value: object) -> str:
    return "not said" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
