"""How well people are counted: detections at a threshold against objects, picture by picture."""

from __future__ import annotations

import math

import numpy as np

from passerby.measure.matching import DROPPED, Doubles, Judged, Matches
from passerby.records import Floats, Ints


def count_errors(judged: Judged) -> Ints:
    """Detections at the model's threshold minus objects, of each picture (P,); over 0: too many. Classes pooled.

    What matching drops is not counted: detections that lie more than half in an ignore region, or on a difficult
    object. Difficult objects are not counted either.
    """
    matches, times = judged.undrawn("greedy")
    return np.repeat(_errors(matches, judged.threshold), times)


def drawn_mae(judged: Judged, times: Ints) -> Doubles:
    """`count_mae` of resamples (R,); times (R, P): how often each picture stands in each."""
    errors = np.abs(_errors(judged.pooled("greedy"), judged.threshold))
    pictures = times.sum(axis=1)
    return np.where(pictures > 0, times @ errors / np.maximum(pictures, 1), math.nan)


def score(judged: Judged) -> dict[str, float]:
    """At the model's threshold, people per picture: `count_mae` and `count_rmse`, and `count_bias`, over 0: too many.

    Mean absolute error, root of the mean squared error and mean error of `count_errors`.
    """
    errors = count_errors(judged)
    if not len(errors):
        return dict.fromkeys(("count_mae", "count_rmse", "count_bias"), math.nan)
    return {
        "count_mae": float(np.abs(errors).mean()),
        "count_rmse": float(np.sqrt(np.square(errors).mean())),
        "count_bias": float(errors.mean()),
    }


def _errors(matches: Matches, threshold: float) -> Ints:
    shown = (matches.scores >= threshold) & (matches.outcome != DROPPED)
    return np.bincount(matches.picture[shown], minlength=matches.pictures) - matches.objects_in


def mae_curve(matches: Matches) -> tuple[Floats, Doubles]:
    """`count_mae` at each distinct score, from the highest down: (scores, errors), both (K,)."""
    counted = matches.counted()
    before = rank_in_picture(counted)
    change = np.where(before < counted.objects_in[counted.picture], -1, 1)  # one more: nearer to the truth, or farther
    total = counted.objects + np.cumsum(change)
    last = counted.ends()
    return counted.scores[last], total[last] / max(counted.pictures, 1)


def rank_in_picture(matches: Matches) -> Ints:
    """How many detections of the same picture stand before each (D,)."""
    order = np.argsort(matches.picture, kind="stable")
    sizes = np.bincount(matches.picture, minlength=matches.pictures)
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return rank
