"""The Jaccard index of CrowdHuman: how much of what is shown and of what is there is one and the same."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from passerby.measure.matching import HIT, Doubles, Judged, Matches
from passerby.measure.operating_point import between
from passerby.records import Floats, Ints


def score(judged: Judged) -> dict[str, float]:
    """`jaccard`, the best over all score thresholds, and `jaccard_threshold`, where it is reached.

    At a threshold a picture with n objects, m detections and k pairs of them has k / (m + n - k); the index is the
    mean over pictures (Shao et al. 2018, "CrowdHuman", and the evaluation code of Chu et al. 2020, "Detection in
    crowded scenes"). Pairs are one-to-one, IoU 0.5, as many as can be made (rule "most" of `match`), classes pooled.
    As in that code a picture where nothing is there and nothing is shown is left out of the mean, and counts as 0 once
    something is shown.

    Unlike that code every distinct score is tried, not 0, 0.1, ... 0.9 only: a detector whose scores are all small is
    not worse for it, so ours is equal or a little higher. And objects inside an ignore region count, as by all our
    metrics; difficult objects, and detections that `match` drops, are in none of k, m and n.

    NaN without objects; no threshold where nothing is found.
    """
    matches, times = judged.undrawn("most")
    if not (matches.objects_in * times).any():
        return {"jaccard": math.nan, "jaccard_threshold": math.nan}
    scores, index = jaccard_curve(judged)
    at = int(index.argmax()) if len(index) else 0
    if not len(index) or index[at] <= 0:
        return {"jaccard": 0.0, "jaccard_threshold": math.nan}
    below = scores[at + 1] if at + 1 < len(scores) else judged.floor or 0.0
    return {"jaccard": float(index[at]), "jaccard_threshold": between(scores[at], below)}


def jaccard_curve(judged: Judged) -> tuple[Floats, Doubles]:
    """The index at each distinct score, from the highest down: (scores, index), both (K,).

    Every detection changes the share of its own picture only, so the mean is a running sum of those changes; in a
    resample of pictures each counts as often as its picture was drawn.
    """
    matches, times = judged.undrawn("most")
    scores, picture, last, gain, joins = _changes(matches)
    often = times[picture]
    pictures = int(times[matches.objects_in > 0].sum()) + np.cumsum(joins * often)[last]
    return scores[last], np.cumsum(gain * often)[last] / np.maximum(pictures, 1)


@lru_cache(maxsize=16)
def _changes(matches: Matches) -> tuple[Floats, Ints, NDArray[np.intp], Doubles, NDArray[np.bool_]]:
    """Of each judged detection: score, picture, by how much it changes its picture's k / (m + n - k), and whether it is
    the first in a picture without objects; and where each distinct score ends."""
    matches = matches.counted()
    order = np.argsort(matches.picture, kind="stable")  # picture by picture, highest score first
    picture, hit = matches.picture[order], matches.outcome[order] == HIT
    sizes = np.bincount(picture, minlength=matches.pictures)
    starts = np.repeat(np.cumsum(sizes) - sizes, sizes)
    shown = np.arange(len(order)) - starts + 1
    found = np.cumsum(hit)
    found = found - (found - hit)[starts]
    there = matches.objects_in[picture]
    after = found / (there + shown - found)
    before = (found - hit) / np.maximum(there + shown - 1 - (found - hit), 1)
    gain, joins = np.empty(len(order)), np.empty(len(order), bool)
    gain[order], joins[order] = after - before, (there == 0) & (shown == 1)
    return matches.scores, matches.picture, matches.ends(), gain, joins
