"""How sure a number is: bootstrap intervals over pictures, and whether two predictors differ by more than chance."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np

from passerby.errors import DataError, SettingError, did_you_mean
from passerby.measure import average_precision, counting, jaccard, miss_rate
from passerby.measure.matching import Doubles, Judged
from passerby.records import Ints


def _part(metric: Callable[[Judged], dict[str, float]], name: str) -> Callable[[Judged], float]:
    return lambda judged: metric(judged)[name]


# Metrics that read matches only, so that a resample of pictures costs no matching.
METRICS_OF_PICTURES: dict[str, Callable[[Judged], float]] = {
    "ap50": average_precision.mean_area_ap,
    "ap50_11pt": average_precision.mean_eleven_point_ap,
    "mr2": miss_rate.mean_log_average,
    "miss_at_1fppi": _part(miss_rate.score, "miss_at_1fppi"),
    "jaccard": _part(jaccard.score, "jaccard"),
    "precision": _part(miss_rate.at_threshold, "precision"),
    "recall": _part(miss_rate.at_threshold, "recall"),
    "miss_rate": _part(miss_rate.at_threshold, "miss_rate"),
    "f1": _part(miss_rate.at_threshold, "f1"),
    "fppi": _part(miss_rate.at_threshold, "fppi"),
    "count_mae": _part(counting.score, "count_mae"),
    "count_rmse": _part(counting.score, "count_rmse"),
    "count_bias": _part(counting.score, "count_bias"),
}

# The same of many resamples at once, times (R, P) -> (R,), for those that are asked for most.
DRAWN: dict[str, Callable[[Judged, Ints], Doubles]] = {
    "ap50": average_precision.drawn_mean_area_ap,
    "mr2": miss_rate.drawn_mean_log_average,
    "count_mae": counting.drawn_mae,
}
_AT_ONCE = 8_000_000  # resamples worked out together, times detections


@dataclass(frozen=True)
class Interval:
    """A metric's value, and where it lies in `level` of the resamples."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Difference:
    """Metric of a minus metric of b, where it lies in `level` of the resamples; a tie when that interval holds 0."""

    value: float
    low: float
    high: float
    tie: bool


def interval(judged: Judged, metric: str = "ap50", rounds: int = 500, seed: int = 0, level: float = 0.95) -> Interval:
    """A percentile bootstrap interval over pictures.

    metric  a key of METRICS_OF_PICTURES
    rounds  resamples: as many pictures as there are, drawn with replacement
    level   share of the resamples that lie inside

    Efron and Tibshirani 1993, "An introduction to the bootstrap", section 13.3. Pictures are drawn, not objects: those
    of one picture are not independent. Resamples in which the metric has no number are left out; NaN where all are.
    Raises SettingError for an unknown metric, rounds under 1, a level out of range.
    """
    low, high = _ends(draws(judged, metric, rounds, seed), level)
    return Interval(METRICS_OF_PICTURES[metric](judged), low, high)


def difference(
    a: Judged, b: Judged, metric: str = "ap50", rounds: int = 500, seed: int = 0, level: float = 0.95
) -> Difference:
    """Metric of a minus metric of b, with a bootstrap interval, paired: both on the same resamples of pictures.

    A tie where the interval holds 0, and where there is no number. Raises SettingError as `interval` does, DataError
    when the two were not judged on the same pictures.
    """
    if [p.name for p in a.pairs] != [p.name for p in b.pairs]:
        raise DataError("the two were judged on other pictures, or in another order: judge both on one data set")
    apart = draws(a, metric, rounds, seed) - draws(b, metric, rounds, seed)
    low, high = _ends(apart, level)
    value = METRICS_OF_PICTURES[metric](a) - METRICS_OF_PICTURES[metric](b)
    return Difference(value, low, high, tie=not (low > 0 or high < 0))


def draws(judged: Judged, metric: str, rounds: int = 500, seed: int = 0) -> Doubles:
    """The metric on each resample (rounds,); worked out once, and the same resamples for every predictor.

    Raises SettingError as `interval` does.
    """
    if metric not in METRICS_OF_PICTURES:
        raise SettingError(f"no interval of '{metric}'{did_you_mean(metric, METRICS_OF_PICTURES)}")
    if rounds < 1:
        raise SettingError(f"rounds is {rounds}, want 1 or more")
    key = (metric, rounds, seed, judged.threshold)
    if key not in judged.draws:
        judged.draws[key] = np.concatenate([_on_each(judged, metric, times) for times in _blocks(judged, rounds, seed)])
    return judged.draws[key]


def _on_each(judged: Judged, metric: str, times: Ints) -> Doubles:
    if metric in DRAWN:
        return DRAWN[metric](judged, times)
    return np.array([METRICS_OF_PICTURES[metric](judged.drawn(t)) for t in times])


def _blocks(judged: Judged, rounds: int, seed: int) -> Iterator[Ints]:
    """`resamples` (R, P), as many at once as memory should bear."""
    drawn = resamples(len(judged.pairs), rounds, seed)
    most = max(len(judged.pairs), sum(len(p.found) for p in judged.pairs), 1)
    while block := list(islice(drawn, max(1, _AT_ONCE // most))):
        yield np.stack(block)


def resamples(pictures: int, rounds: int, seed: int) -> Iterator[Ints]:
    """How often each picture is drawn (P,), once a round."""
    random = np.random.default_rng(seed)
    for _ in range(rounds):
        yield np.bincount(random.integers(0, max(pictures, 1), pictures), minlength=pictures).astype(np.int64)


def _ends(values: Doubles, level: float) -> tuple[float, float]:
    if not 0 < level < 1:
        raise SettingError(f"level is {level}, want a share between 0 and 1, e.g. 0.95")
    real = values[~np.isnan(values)]
    if not len(real):
        return float("nan"), float("nan")
    low, high = np.quantile(real, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
