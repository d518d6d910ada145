"""Average precision by the two VOC rules, and by box size."""

from __future__ import annotations

import math

import numpy as np

from passerby.measure.matching import HIT, Doubles, Judged, Matches, match
from passerby.records import Ints

SIZES = ((0.0, 16.0), (16.0, 32.0), (32.0, 64.0), (64.0, math.inf))  # square root of the area, original pixels


def precision_recall(matches: Matches) -> tuple[Doubles, Doubles]:
    """Precision and recall after each judged detection, highest score first; both (K,)."""
    hits = np.cumsum(matches.counted().outcome == HIT, dtype=np.float64)
    return hits / np.arange(1, len(hits) + 1), hits / max(matches.objects, 1)


def area_ap(matches: Matches) -> float:
    """Area under the precision-recall curve, precision made monotone (VOC 2010 and later). NaN without objects."""
    if matches.objects == 0:
        return math.nan
    precision, recall = precision_recall(matches)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    return float((np.diff(recall, prepend=0.0) * best).sum())


def drawn_area_ap(matches: Matches, times: Ints) -> float:
    """`area_ap` of a data set in which each picture stands as often as drawn (P,), without building it.

    matches  without twins: copies of a detection stand side by side then, and precision is highest at the last hit
    """
    objects = int((matches.objects_in * times).sum())
    if objects == 0:
        return math.nan
    hit_in, alarm_in, before = matches.by_hit
    often = times[hit_in]
    hits = np.cumsum(often, dtype=np.float64)
    alarms = np.append(0, np.cumsum(times[alarm_in]))[before]
    best = np.maximum.accumulate((hits / np.maximum(hits + alarms, 1))[::-1])[::-1]
    return float((often * best).sum() / objects)


def eleven_point_ap(matches: Matches) -> float:
    """Mean of the highest precision at recall >= 0, 0.1, ..., 1 (VOC 2007). NaN without objects."""
    if matches.objects == 0:
        return math.nan
    precision, recall = precision_recall(matches)
    best = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0.0)
    # A tenth that is reached exactly is not lost to rounding: equal quotients of whole numbers are equal doubles.
    return float(best[np.searchsorted(recall, np.arange(11) / 10)].mean())


def mean_area_ap(judged: Judged) -> float:
    """`area_ap`, mean over the classes that have objects."""
    return _mean([_area_of(judged, k) for k in range(len(judged.labels))])


def mean_eleven_point_ap(judged: Judged) -> float:
    """`eleven_point_ap`, mean over the classes that have objects."""
    return _mean([eleven_point_ap(judged.matches(k, "voc")) for k in range(len(judged.labels))])


def score(judged: Judged) -> dict[str, float]:
    """`ap50` (area) and `ap50_11pt`: means over the classes that have objects; `ap50/<label>` where several."""
    out = {"ap50": mean_area_ap(judged), "ap50_11pt": mean_eleven_point_ap(judged)}
    if len(judged.labels) > 1:
        out |= {f"ap50/{name}": area_ap(judged.matches(k, "voc")) for k, name in enumerate(judged.labels)}
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


def _area_of(judged: Judged, label: int) -> float:
    if judged.drawn_of is not None:
        whole, times = judged.drawn_of
        if (matches := whole.matches(label, "voc")).twins is None:
            return drawn_area_ap(matches, times)
    return area_ap(judged.matches(label, "voc"))


def _mean(values: list[float]) -> float:
    real = [v for v in values if not math.isnan(v)]
    return float(np.mean(real)) if real else math.nan
