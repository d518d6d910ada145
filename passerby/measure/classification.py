"""Numbers about what is said of whole pictures: accuracy, loss, AUC, precision and recall."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from passerby.measure.picture_labels import HOLDS, UNKNOWN
from passerby.records import Floats

LEAST = 1e-7  # a score is taken for at least this sure and at most that, so that one mistake has no infinite loss


def score_pictures(scores: Floats, holds: NDArray[np.int8], threshold: float) -> dict[str, float]:
    """How well scores tell which pictures hold which labels; each (picture, label) is one claim, unknown ones left out.

    scores     (P, C), 0..1
    holds      (P, C), as in `PictureSet`
    threshold  of `precision`, `recall` and `accuracy_at_threshold`

    returns    `accuracy`: share of claims right at 0.5; `loss`: mean -log of what the truth was given: cross-entropy
               of a softmax over label and background where there is one label; `auc`: area under the ROC curve, the
               chance that a picture that holds the label scores over one that does not (ties count half), mean over
               labels; `positives`, `negatives`: claims. NaN where nothing counts.
    """
    known = holds != UNKNOWN
    p, y = scores[known].astype(np.float64), holds[known] == HOLDS
    said = p >= threshold
    given = np.clip(np.where(y, p, 1 - p), LEAST, 1)
    areas = [auc(scores[known[:, k], k], holds[known[:, k], k] == HOLDS) for k in range(scores.shape[1])]
    return {
        "accuracy": _mean((p >= 0.5) == y),
        "loss": _mean(-np.log(given)),
        "auc": float(np.mean(areas)) if areas else math.nan,
        "accuracy_at_threshold": _mean(said == y),
        "precision": _mean(y[said]),
        "recall": _mean(said[y]),
        "positives": float(y.sum()),
        "negatives": float((~y).sum()),
    }


def auc(scores: Floats, positive: NDArray[np.bool_]) -> float:
    """Area under the ROC curve by ranks, equal scores sharing theirs; NaN where one side is empty.

    scores (N,), positive (N,). Mann and Whitney 1947; Hanley and McNeil 1982.
    """
    n, m = int(positive.sum()), int((~positive).sum())
    if not n or not m:
        return math.nan
    _, which, counts = np.unique(scores, return_inverse=True, return_counts=True)
    rank = np.cumsum(counts) - (counts - 1) / 2
    return float((rank[which][positive].sum() - n * (n + 1) / 2) / (n * m))


def _mean(values: NDArray[np.bool_] | NDArray[np.float64]) -> float:
    return float(values.mean()) if len(values) else math.nan
