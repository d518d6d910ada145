"""Average precision by the two VOC rules, and by box size."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from passerby.measure.matching import HIT, Doubles, Judged, Matches, mean_of_known
from passerby.records import Ints

SIZES = ((0.0, 16.0), (16.0, 32.0), (32.0, 64.0), (64.0, math.inf))  # square root of the area, original pixels
_AT_ONCE = 2_000_000  # counts in memory


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


def drawn_area_ap(matches: Matches, times: Ints) -> Doubles:
    """`area_ap` of resamples (R,), without building them.

    times  (R, P) how often each picture stands in each

    Copies of a hit stand side by side (`Matches.untangled`), and precision is highest at the last of them.
    """
    judged, times = matches.counted().untangled(times)
    hit = judged.outcome == HIT
    often = times[:, judged.picture[hit]].astype(np.float64)
    hits = np.cumsum(often, axis=1)
    alarms = _alarms_before(judged, hit, times)
    best = np.maximum.accumulate((hits / np.maximum(hits + alarms, 1))[:, ::-1], axis=1)[:, ::-1]
    objects = times @ judged.objects_in
    return np.where(objects > 0, (often * best).sum(axis=1) / np.maximum(objects, 1), math.nan)


def _alarms_before(judged: Matches, hit: NDArray[np.bool_], times: Ints) -> Doubles:
    """How many false alarms stand before each hit in each resample (R, H)."""
    where = judged.picture[~hit]
    before = np.searchsorted(np.cumsum(hit)[~hit], np.arange(int(hit.sum())), side="right")  # in the data as it is
    often = np.ascontiguousarray(times.T, np.int32)
    out, carry = np.zeros((len(times), len(before))), np.zeros(len(times), np.int64)
    step = max(1, _AT_ONCE // max(len(times), 1))
    for first in range(0, len(where), step):
        alarms = np.cumsum(often[where[first : first + step]], axis=0, dtype=np.int64) + carry
        here = slice(*np.searchsorted(before, [first + 1, first + len(alarms) + 1]))
        out[:, here], carry = alarms[before[here] - first - 1].T, alarms[-1]
    return out


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
    return _mean([area_ap(judged.matches(k, "voc")) for k in range(len(judged.labels))])


def drawn_mean_area_ap(judged: Judged, times: Ints) -> Doubles:
    """`mean_area_ap` of resamples (R,); times (R, P): how often each picture stands in each."""
    found = [judged.matches(k, "voc") for k in range(len(judged.labels))]
    return mean_of_known(np.stack([drawn_area_ap(m, times) for m in found]))


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
        found = [judged.matches(k, "voc", sizes=(low, high)) for k in range(len(judged.labels))]
        objects = sum(m.objects for m in found)
        hits = sum(int(((m.outcome == 1) & (m.scores >= judged.threshold)).sum()) for m in found)
        out[f"objects@{name}"] = float(objects)
        out[f"ap50@{name}"] = _mean([area_ap(m) for m in found])
        out[f"recall@{name}"] = hits / objects if objects else math.nan
    return out


def _mean(values: list[float]) -> float:
    real = [v for v in values if not math.isnan(v)]
    return float(np.mean(real)) if real else math.nan
