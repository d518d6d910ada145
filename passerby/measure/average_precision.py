"""Average precision by the two VOC rules, and by box size."""

from __future__ import annotations

import math

import numpy as np

from passerby.geometry.boxes import Floats
from passerby.measure.matching import Judged, Matches, match

SIZES = ((0.0, 16.0), (16.0, 32.0), (32.0, 64.0), (64.0, math.inf))  # square root of the area, original pixels


def precision_recall(matches: Matches) -> tuple[Floats, Floats]:
    """Precision and recall after each judged detection, highest score first; both (K,)."""
    outcome = matches.outcome[matches.outcome >= 0]
    hits = np.cumsum(outcome, dtype=np.float64)
    precision = hits / np.arange(1, len(hits) + 1)
    recall = hits / max(matches.objects, 1)
    return precision.astype(np.float32), recall.astype(np.float32)


def area_ap(matches: Matches) -> float:
    """Area under the precision-recall curve, precision made monotone (VOC 2010 and later). NaN without objects."""
    if matches.objects == 0:
        return math.nan
    precision, recall = precision_recall(matches)
    p = np.concatenate([[0.0], precision.astype(np.float64), [0.0]])
    r = np.concatenate([[0.0], recall.astype(np.float64), [1.0]])
    p = np.maximum.accumulate(p[::-1])[::-1]
    steps = np.flatnonzero(r[1:] != r[:-1])
    return float(((r[steps + 1] - r[steps]) * p[steps + 1]).sum())


def eleven_point_ap(matches: Matches) -> float:
    """Mean of the highest precision at recall >= 0, 0.1, ..., 1 (VOC 2007). NaN without objects."""
    if matches.objects == 0:
        return math.nan
    precision, recall = precision_recall(matches)
    tops = [precision[recall >= t - 1e-6].max(initial=0.0) for t in np.arange(11) / 10]
    return float(np.mean(tops))


def score(judged: Judged) -> dict[str, float]:
    """`ap50` (area) and `ap50_11pt`: means over the classes that have objects; `ap50/<label>` where several."""
    found = [judged.matches(k, "voc") for k in range(len(judged.labels))]
    areas = [area_ap(m) for m in found]
    out = {"ap50": _mean(areas), "ap50_11pt": _mean([eleven_point_ap(m) for m in found])}
    if len(judged.labels) > 1:
        out.update({f"ap50/{name}": value for name, value in zip(judged.labels, areas, strict=True)})
    return out


def by_size(judged: Judged) -> dict[str, float]:
    """A size class: `objects@a-b`, `ap50@a-b`, and `recall@a-b` at the model's threshold."""
    out: dict[str, float] = {}
    for low, high in SIZES:
        name = f"{low:.0f}-{high:.0f}" if math.isfinite(high) else f"{low:.0f}+"
        found = [match(judged.pairs, k, "voc", sizes=(low, high)) for k in range(len(judged.labels))]
        objects = sum(m.objects for m in found)
        hits = sum(int(((m.outcome == 1) & (m.scores >= judged.threshold)).sum()) for m in found)
        out[f"objects@{name}"] = float(objects)
        out[f"ap50@{name}"] = _mean([area_ap(m) for m in found])
        out[f"recall@{name}"] = hits / objects if objects else math.nan
    return out


def _mean(values: list[float]) -> float:
    real = [v for v in values if not math.isnan(v)]
    return float(np.mean(real)) if real else math.nan
