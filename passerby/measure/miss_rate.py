"""Miss rate against false positives per image (FPPI), and the numbers at the model's own threshold."""

from __future__ import annotations

import math

import numpy as np

from passerby.geometry.boxes import Floats
from passerby.measure.matching import HIT, MISS, Judged, Matches

REFERENCES = tuple(10 ** (-2 + k / 4) for k in range(9))  # .0100 .0178 .0316 .0562 .1000 .1778 .3162 .5623 1.0000


def miss_curve(matches: Matches) -> tuple[Floats, Floats]:
    """FPPI and miss rate at each score threshold, from the highest score down; both (K,)."""
    _, hits, alarms = matches.curve()
    fppi, miss = alarms / max(matches.pictures, 1), 1 - hits / max(matches.objects, 1)
    return fppi.astype(np.float32), miss.astype(np.float32)


def miss_at(matches: Matches, reference: float) -> float:
    """Miss rate at the first operating point with FPPI >= reference, else at the last; 1 without detections."""
    fppi, miss = miss_curve(matches)
    if len(fppi) == 0:
        return 1.0
    at = int(np.searchsorted(fppi, reference - 1e-9, side="left"))
    return float(miss[min(at, len(miss) - 1)])


def log_average_miss_rate(matches: Matches) -> float:
    """MR^-2: exp of the mean of the logs of the miss rate at nine FPPI points from 0.01 to 1. NaN without objects.

    Dollar et al. 2012, "Pedestrian detection", section 3.1. A miss rate of 0 counts as 1e-10.
    """
    if matches.objects == 0:
        return math.nan
    return float(np.exp(np.mean([math.log(max(miss_at(matches, r), 1e-10)) for r in REFERENCES])))


def score(judged: Judged) -> dict[str, float]:
    """`mr2` and `miss_at_1fppi`, means over the classes that have objects."""
    found = [m for k in range(len(judged.labels)) if (m := judged.matches(k, "greedy")).objects]
    if not found:
        return {"mr2": math.nan, "miss_at_1fppi": math.nan}
    return {
        "mr2": float(np.mean([log_average_miss_rate(m) for m in found])),
        "miss_at_1fppi": float(np.mean([miss_at(m, 1.0) for m in found])),
    }


def at_threshold(judged: Judged) -> dict[str, float]:
    """`precision`, `recall`, `miss_rate` (1 - recall), `f1` and `fppi` at the model's threshold, classes pooled."""
    hits = alarms = objects = 0
    for k in range(len(judged.labels)):
        m = judged.matches(k, "greedy")
        shown = m.scores >= judged.threshold
        hits += int(((m.outcome == HIT) & shown).sum())
        alarms += int(((m.outcome == MISS) & shown).sum())
        objects += m.objects
    precision = hits / (hits + alarms) if hits + alarms else math.nan
    recall = hits / objects if objects else math.nan
    return {
        "precision": precision,
        "recall": recall,
        "miss_rate": 1 - recall,
        "f1": 2 * hits / (hits + alarms + objects) if hits + alarms + objects else math.nan,
        "fppi": alarms / max(len(judged.pairs), 1),
    }
