"""Miss rate against false positives per image (FPPI), and the numbers at the model's own threshold."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from passerby.measure.matching import HIT, MISS, Doubles, Judged, Matches

REFERENCES = tuple(10 ** (-2 + k / 4) for k in range(9))  # .0100 .0178 .0316 .0562 .1000 .1778 .3162 .5623 1.0000


def miss_curve(matches: Matches) -> tuple[Doubles, Doubles]:
    """FPPI and miss rate at each score threshold, from the highest score down; both (K,)."""
    _, hits, alarms = matches.curve()
    return alarms / max(matches.pictures, 1), 1 - hits / max(matches.objects, 1)


def miss_at(matches: Matches, reference: float) -> float:
    """Miss rate at the first operating point with FPPI >= reference, else at the last; 1 without detections."""
    return float(_read_off(matches, (reference,))[0])


def log_average_miss_rate(matches: Matches) -> float:
    """MR^-2: exp of the mean of the logs of the miss rate at nine FPPI points from 0.01 to 1. NaN without objects.

    Dollar et al. 2012, "Pedestrian detection", section 3.1. A miss rate of 0 counts as 1e-10.
    """
    if matches.objects == 0:
        return math.nan
    return float(np.exp(np.mean(np.log(np.maximum(_read_off(matches, REFERENCES), 1e-10)))))


def mean_log_average(judged: Judged) -> float:
    """MR^-2, mean over the classes that have objects."""
    found = _with_objects(judged)
    return float(np.mean([log_average_miss_rate(m) for m in found])) if found else math.nan


def score(judged: Judged) -> dict[str, float]:
    """`mr2` and `miss_at_1fppi`, means over the classes that have objects."""
    ones = [miss_at(m, 1.0) for m in _with_objects(judged)]
    return {"mr2": mean_log_average(judged), "miss_at_1fppi": float(np.mean(ones)) if ones else math.nan}


def _read_off(matches: Matches, references: Sequence[float]) -> Doubles:
    fppi, miss = miss_curve(matches)
    if len(fppi) == 0:
        return np.ones(len(references))
    at = np.searchsorted(fppi, np.array(references) - 1e-9, side="left")  # 1e-9: a point reached exactly counts
    return miss[np.minimum(at, len(miss) - 1)]


def _with_objects(judged: Judged) -> list[Matches]:
    return [m for k in range(len(judged.labels)) if (m := judged.matches(k, "greedy")).objects]


def at_threshold(judged: Judged) -> dict[str, float]:
    """`precision`, `recall`, `miss_rate` (1 - recall), `f1` and `fppi` at the model's threshold, classes pooled."""
    m, times = judged.undrawn("greedy")
    shown = m.scores >= judged.threshold
    hits, alarms = (int(times[m.picture[shown & (m.outcome == what)]].sum()) for what in (HIT, MISS))
    objects, pictures = int((m.objects_in * times).sum()), int(times.sum())
    precision = hits / (hits + alarms) if hits + alarms else math.nan
    recall = hits / objects if objects else math.nan
    return {
        "precision": precision,
        "recall": recall,
        "miss_rate": 1 - recall,
        "f1": 2 * hits / (hits + alarms + objects) if hits + alarms + objects else math.nan,
        "fppi": alarms / max(pictures, 1),
    }
