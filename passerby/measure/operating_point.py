"""Which threshold to use: chosen on a validation set by a rule, not guessed."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from passerby.errors import SettingError, did_you_mean
from passerby.measure import counting, miss_rate
from passerby.measure.matching import Doubles, Judged
from passerby.records import Floats

NUMBERS = ("precision", "recall", "f1", "fppi", "count_mae", "count_bias")  # what `numbers_at` gives


@dataclass(frozen=True)
class Curve:
    """What is reached at each distinct score as the threshold, from the highest down, IoU 0.5, classes pooled.

    scores, hits, alarms, count_mae  (K,)
    objects, pictures                numbers of them
    floor                            no score under it was measured
    """

    scores: Floats
    hits: Doubles
    alarms: Doubles
    count_mae: Doubles
    objects: int
    pictures: int
    floor: float

    @classmethod
    def of(cls, judged: Judged) -> Curve:
        """Of a predictor's detections."""
        matches = judged.pooled("greedy")
        _, errors = counting.mae_curve(matches)
        return cls(*matches.curve(), errors, matches.objects, matches.pictures, judged.floor or 0.0)

    @property
    def precision(self) -> Doubles:
        return self.hits / (self.hits + self.alarms)

    @property
    def recall(self) -> Doubles:
        return self.hits / max(self.objects, 1)

    @property
    def f1(self) -> Doubles:
        return 2 * self.hits / (self.hits + self.alarms + self.objects)

    @property
    def fppi(self) -> Doubles:
        return self.alarms / max(self.pictures, 1)

    def threshold(self, at: int) -> float:
        """A threshold that lets the score number `at` in and the next one not, never under the floor."""
        return between(self.scores[at], self.scores[at + 1] if at + 1 < len(self.scores) else self.floor)


@dataclass(frozen=True)
class Rule:
    """One way to choose.

    words   what is chosen; {goal} stands for the number
    choose  (curve, goal) -> number of the score; raises SettingError where the goal cannot be reached
    high    the highest goal that makes sense; None: the rule takes no number
    """

    words: str
    choose: Callable[[Curve, float], int]
    high: float | None = None


def _by_f1(curve: Curve, goal: float) -> int:
    if curve.hits[-1] == 0:
        raise SettingError(f"f1: no object is found at any score from {curve.floor:g} on")
    return int(curve.f1.argmax())


def _by_count(curve: Curve, goal: float) -> int:
    return int(curve.count_mae.argmin())


def _by_fppi(curve: Curve, goal: float) -> int:
    reached = np.flatnonzero(curve.fppi <= goal)  # FPPI only grows as the threshold falls
    if not len(reached):
        raise SettingError(
            f"fppi={goal:g}: not reachable: the highest score alone, {curve.scores[0]:.4g}, has {curve.fppi[0]:.4g} "
            f"false positives a picture; ask for that or more"
        )
    return int(reached[-1])


def _by_precision(curve: Curve, goal: float) -> int:
    reached = np.flatnonzero(curve.precision >= goal)
    if not len(reached):
        best = int(curve.precision.argmax())
        raise SettingError(
            f"precision={goal:g}: not reachable: the best is {_down(curve.precision[best])}, at threshold "
            f"{curve.threshold(best):g}; ask for that or less"
        )
    return int(reached[-1])


def _by_recall(curve: Curve, goal: float) -> int:
    reached = np.flatnonzero(curve.recall >= goal)
    if not len(reached):
        raise SettingError(
            f"recall={goal:g}: not reachable: all scores from {curve.floor:g} on give {_down(curve.recall[-1])}; "
            f"ask for that or less"
        )
    return int(reached[0])


RULES: dict[str, Rule] = {
    "f1": Rule("highest F1", _by_f1),
    "count": Rule("least mean error of the number of objects a picture; of equal ones the highest", _by_count),
    "fppi": Rule("lowest threshold with at most {goal:g} false positives a picture", _by_fppi, math.inf),
    "precision": Rule("lowest threshold at which precision is still {goal:g} or more", _by_precision, 1.0),
    "recall": Rule("highest threshold at which recall is {goal:g} or more", _by_recall, 1.0),
}


@dataclass(frozen=True)
class Choice:
    """A threshold, and the rule that chose it in words."""

    threshold: float
    words: str


def choose(judged: Judged, by: str) -> Choice:
    """The threshold that a rule chooses on these pictures.

    by  a key of RULES, with a goal where the rule takes one: "f1", "count", "fppi=0.1", "precision=0.9", "recall=0.9"

    Precision need not fall evenly with the threshold: of all thresholds that reach the goal the lowest is taken, the
    one of highest recall. The numbers at the threshold that comes back are those it was chosen for: it lies between
    two scores, compared as float32, and never under the floor that the detections were made with.

    Raises SettingError for an unknown rule, a goal that is no number or out of range, pictures without objects, no
    detections, and a goal that no threshold reaches (naming the best that one does).
    """
    name, goal = parse_rule(by)
    curve = Curve.of(judged)
    if not curve.objects:
        raise SettingError(f"{by}: no object in these pictures; a threshold is chosen on labelled ones")
    if not len(curve.scores):
        raise SettingError(f"{by}: the model finds nothing with a score of {curve.floor:g} or more in these pictures")
    at = RULES[name].choose(curve, goal)
    return Choice(curve.threshold(at), RULES[name].words.format(goal=goal))


def parse_rule(by: str) -> tuple[str, float]:
    """The rule's name and its goal (0 where it takes none). Raises SettingError as `choose` does."""
    name, equals, text = by.partition("=")
    if name not in RULES:
        raise SettingError(f"no rule '{name}'{did_you_mean(name, RULES)}")
    high = RULES[name].high
    if high is None:
        if equals:
            raise SettingError(f"{by}: '{name}' takes no number; write {name}")
        return name, 0.0
    try:
        goal = float(text)
    except ValueError:
        goal = math.nan
    if not 0 <= goal <= high or math.isinf(goal):  # so written that NaN fails
        wanted = "a number of 0 or more" if math.isinf(high) else f"a number from 0 to {high:g}"
        raise SettingError(f"{by}: want {name}= and {wanted}, e.g. {name}={'0.1' if math.isinf(high) else '0.9'}")
    return name, goal


def best_f1(judged: Judged) -> float:
    """The score threshold of the highest F1 = 2 TP / (2 TP + FP + FN) at IoU 0.5, all classes pooled.

    Of equal ones the highest; 0.5 without any hit. See `between` for how it lies between two scores.
    """
    curve = Curve.of(judged)
    return curve.threshold(int(curve.f1.argmax())) if curve.hits.any() else 0.5


def numbers_at(judged: Judged, threshold: float) -> dict[str, float]:
    """NUMBERS at a threshold, as METRICS has them."""
    there = judged.at(threshold)
    scores = miss_rate.at_threshold(there) | counting.score(there)
    return {name: scores[name] for name in NUMBERS}


def between(above: np.float32, below: float | np.float32) -> float:
    """A threshold that lets the score `above` in and `below` not, of the fewest digits (3 or more) that do.

    Halfway, rounded; `above` itself where the two are too near. Compared as float32, as scores are, so that a saved
    and loaded threshold draws the same line.
    """
    middle = (float(above) + float(below)) / 2
    for digits in range(3, 9):
        if np.float32(below) < np.float32(round(middle, digits)) <= above:
            return round(middle, digits)
    return float(above)


def _down(share: float) -> str:
    """Rounded down, so that asking for what is printed succeeds."""
    return f"{math.floor(share * 10000) / 10000:g}"
