"""Which threshold to use: chosen on a validation set, not guessed."""

from __future__ import annotations

import numpy as np

from passerby.measure.matching import DROPPED, HIT, MISS, Judged


def best_f1(judged: Judged) -> float:
    """The score threshold of the highest F1 = 2 TP / (2 TP + FP + FN) at IoU 0.5, all classes pooled.

    It lies halfway between the last score let in and the next one, rounded to the fewest digits
    (3 or more) that still lie between the two; 0.5 without any hit.
    """
    found = [judged.matches(k, "greedy") for k in range(len(judged.labels))]
    scores = np.concatenate([m.scores for m in found]) if found else np.zeros(0)
    outcome = np.concatenate([m.outcome for m in found]) if found else np.zeros(0)
    objects = sum(m.objects for m in found)
    scores, outcome = scores[outcome != DROPPED], outcome[outcome != DROPPED]  # the others must not move it either
    order = np.argsort(-scores, kind="stable")
    scores, outcome = scores[order], outcome[order]
    hits, alarms = np.cumsum(outcome == HIT), np.cumsum(outcome == MISS)
    if objects == 0 or len(scores) == 0 or hits[-1] == 0:
        return 0.5
    ends = np.append(scores[1:] != scores[:-1], True)
    f1 = np.where(ends, 2 * hits / (hits + alarms + objects), -1.0)
    at = int(f1.argmax())
    below = scores[at + 1] if at + 1 < len(scores) else 0.0
    middle = (float(scores[at]) + float(below)) / 2
    for digits in range(3, 9):
        if below < round(middle, digits) <= scores[at]:
            return round(middle, digits)
    return middle
