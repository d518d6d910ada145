"""Miss rate against false positives per image (FPPI), and the numbers at the model's own threshold."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from passerby.measure.matching import HIT, MISS, Doubles, Judged, Matches, mean_of_known
from passerby.records import Ints

REFERENCES = tuple(10 ** (-2 + k / 4) for k in range(9))  # .0100 .0178 .0316 .0562 .1000 .1778 .3162 .5623 1.0000


def miss_curve(matches: Matches) -> tuple[Doubles, Doubles]:
    """FPPI and miss rate at each score threshold, from the highest score down; both (K,)."""
    _, hits, alarms = matches.curve()
    return alarms / max(matches.pictures, 1), 1 - hits / max(matches.objects, 1)


def drawn_log_average(matches: Matches, times: Ints) -> Doubles:
    """`log_average_miss_rate` of resamples (R,), without building them.

    times  (R, P) how often each picture stands in each

    A score that was not drawn adds a point like the one before it, which no reading off can tell. And none looks past
    1 FPPI: the scores under it, most of them, are left alone where that is reached in every resample.
    """
    judged = matches.counted()
    last, miss = judged.ends(), judged.outcome == MISS
    pictures, objects = times.sum(axis=1), times @ matches.objects_in
    enough = int(np.searchsorted(np.cumsum(miss)[last], 2 * matches.pictures))
    for ends in (last[: enough + 1], last):
        upto = ends[-1] + 1 if len(ends) else 0
        often = times[:, judged.picture[:upto]]
        alarms = np.cumsum(often * miss[:upto], axis=1)[:, ends]
        if len(ends) == len(last) or (alarms[:, -1] >= pictures).all():
            break
    hits = np.cumsum(often * ~miss[:upto], axis=1)[:, ends]
    fppi, missed = alarms / np.maximum(pictures, 1)[:, None], 1 - hits / np.maximum(objects, 1)[:, None]
    values = np.array([_log_average(f, m) for f, m in zip(fppi, missed, strict=True)])
    return np.where(objects > 0, values, math.nan)


def miss_at(matches: Matches, reference: float) -> float:
    """Miss rate at the first operating point with FPPI >= reference, else at the last; 1 without detections."""
    return float(_read_off(*miss_curve(matches), (reference,))[0])


def log_average_miss_rate(matches: Matches) -> float:
    """MR^-2: exp of the mean of the logs of the miss rate at nine FPPI points from 0.01 to 1. NaN without objects.

    Dollar et al. 2012, "Pedestrian detection", section 3.1. A miss rate of 0 counts as 1e-10.
    """
    return _log_average(*miss_curve(matches)) if matches.objects else math.nan


def mean_log_average(judged: Judged) -> float:
    """MR^-2, mean over the classes that have objects."""
    values = [log_average_miss_rate(m) for m in _with_objects(judged)]
    return float(np.mean(values)) if values else math.nan


def drawn_mean_log_average(judged: Judged, times: Ints) -> Doubles:
    """`mean_log_average` of resamples (R,); times (R, P): how often each picture stands in each."""
    values = np.array([drawn_log_average(m, times) for m in _with_objects(judged)])
    return mean_of_known(values.reshape(-1, len(times)))


def score(judged: Judged) -> dict[str, float]:
    """`mr2` and `miss_at_1fppi`, means over the classes that have objects."""
    ones = [miss_at(m, 1.0) for m in _with_objects(judged)]
    return {"mr2": mean_log_average(judged), "miss_at_1fppi": float(np.mean(ones)) if ones else math.nan}


def _log_average(fppi: Doubles, miss: Doubles) -> float:
    return float(np.exp(np.mean(np.log(np.maximum(_read_off(fppi, miss, REFERENCES), 1e-10)))))


def _read_off(fppi: Doubles, miss: Doubles, references: Sequence[float]) -> Doubles:
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
