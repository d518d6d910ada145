"""Several predictors on the same pictures: accuracy, time, memory and size of each, and which differences are real."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from passerby.errors import DataError, SettingError
from passerby.measure.evaluate import METRICS, Report, Run, judge_found, need_boxes, score
from passerby.measure.fresh import Fresh
from passerby.measure.interval import Difference, Interval, difference, interval
from passerby.measure.machine import machine_card
from passerby.measure.speed import Ratio, Turns, latency, ratio, take_turns
from passerby.records import Detections, SampleSet
from passerby.runtime.costs import Costs
from passerby.runtime.predictor import Predictor

HIGHER = ("ap50", "ap50_11pt", "jaccard", "f1", "precision", "recall")  # better when higher; the others when lower
DRAWS = 200  # resamples of pictures behind an interval of an accuracy
TESTED = ("ap50", "mr2", "count_mae")  # differences of these are told from chance
TESTED_QUICK = ("ap50",)


@dataclass(frozen=True)
class Contender:
    """A predictor that is compared.

    name       in tables; one of a kind
    predictor  opened with a low floor, so that every score is measured
    labels     what its labels are called in the data, where that differs: {its name: the data's}
    threshold  its operating point; None: its own
    size       bytes of its files; None where there is no file
    costs      parameters and multiply-adds
    """

    name: str
    predictor: Predictor
    labels: Mapping[str, str] = field(default_factory=dict)
    threshold: float | None = None
    size: int | None = None
    costs: Costs = field(default_factory=lambda: Costs(None, None, "not counted"))

    def point(self) -> float:
        """The threshold that it is judged at."""
        return self.predictor.spec.threshold if self.threshold is None else self.threshold


@dataclass(frozen=True)
class Result:
    """What was measured of one contender.

    report     every number of `evaluate`
    intervals  metric -> its bootstrap interval over pictures
    p50, p95   milliseconds a picture, decoding not counted
    stages     {"p50": {stage: ms}, "p95": {stage: ms}}
    fresh      memory and cold start; None where that was left out
    """

    contender: Contender
    report: Report
    intervals: dict[str, Interval]
    p50: Interval
    p95: Interval
    stages: dict[str, dict[str, float]]
    fresh: Fresh | None = None


@dataclass(frozen=True)
class Verdict:
    """The best of a metric against another: their names, the metric ("ms" for time), and the difference.

    A Ratio is the other's time over the best's.
    """

    metric: str
    best: str
    other: str
    difference: Difference | Ratio


@dataclass(frozen=True)
class Comparison:
    """All of it: results in the order given, verdicts, settings of the whole, and the machine."""

    results: tuple[Result, ...]
    verdicts: tuple[Verdict, ...]
    settings: dict[str, Any]
    machine: dict[str, str]
    samples: SampleSet = field(repr=False)
    turns: Turns = field(repr=False)


def compare(
    contenders: Sequence[Contender],
    samples: SampleSet,
    metrics: tuple[str, ...] = tuple(METRICS),
    rounds: int = 1,
    coco_cap: int = 100,
    tested: tuple[str, ...] = TESTED,
    progress: Callable[[int, int], None] | None = None,
) -> Comparison:
    """Run all contenders in turns over a data set and score them.

    metrics   names from METRICS
    rounds    how often; detections of the first are scored, all are timed
    coco_cap  detections a picture that COCO AP looks at
    tested    metrics whose differences are told from chance
    progress  called with (pictures done, pictures in all rounds)

    Raises SettingError for two of one name or none, DataError for data without boxes or a contender whose labels are
    not the data's, SourceError for a picture that cannot be read, and what predictors raise.
    """
    names = [c.name for c in contenders]
    if not names:
        raise SettingError("nothing to compare; name one model or more")
    if twice := sorted({n for n in names if names.count(n) > 1}):
        raise SettingError(f"two models are called '{twice[0]}'; call one of them otherwise: NAME={twice[0]}")
    need_boxes(samples)
    if not samples.objects():
        raise DataError(f"{samples.source}: has no object of {list(samples.labels)}; there is nothing to measure")
    turns = take_turns([c.predictor for c in contenders], samples, [c.point() for c in contenders], rounds, progress)
    results = tuple(_result(c, k, turns, samples, metrics, coco_cap, tested) for k, c in enumerate(contenders))
    first = results[0].report.settings
    settings = {
        **{k: first[k] for k in ("data", "pictures", "objects", "match_iou", "coco_cap")},
        "labels": list(samples.labels),
        "rounds": rounds,
        "decode_ms": float(latency(turns.decode.mean(axis=0)).value),
    }
    return Comparison(results, tuple(verdicts(results, turns, tested)), settings, machine_card(), samples, turns)


def with_fresh(comparison: Comparison, fresh: Sequence[Fresh]) -> Comparison:
    """The same with memory and cold start of each contender, in their order."""
    results = tuple(replace(r, fresh=f) for r, f in zip(comparison.results, fresh, strict=True))
    return replace(comparison, results=results)


def verdicts(results: Sequence[Result], turns: Turns, tested: Sequence[str]) -> list[Verdict]:
    """The best against each other, metric by metric and in time; a contender without a number is left out."""
    out = []
    for metric in tested:
        real = [r for r in results if not math.isnan(r.report.scores.get(metric, math.nan))]
        if len(real) < 2:
            continue
        sign = -1 if metric in HIGHER else 1
        best, *others = sorted(real, key=lambda r: sign * r.report.scores[metric])
        for other in others:
            apart = difference(best.report.judged, other.report.judged, metric, DRAWS)
            out.append(Verdict(metric, best.contender.name, other.contender.name, apart))
    order = sorted(range(len(results)), key=lambda k: results[k].p50.value)
    for k in order[1:]:
        times = ratio(turns.totals(k), turns.totals(order[0]))
        out.append(Verdict("ms", results[order[0]].contender.name, results[k].contender.name, times))
    return out


def _result(
    contender: Contender,
    k: int,
    turns: Turns,
    samples: SampleSet,
    metrics: tuple[str, ...],
    coco_cap: int,
    tested: Sequence[str],
) -> Result:
    totals = turns.totals(k)
    seconds = float(turns.stages[k, 0].sum()) / 1000
    found = [_renamed(f, contender.labels) for f in turns.found[k]]
    run = judge_found(contender.predictor, samples, found, coco_cap, seconds, seconds)
    run = Run(run.judged.at(contender.point()), run.settings | {"threshold": contender.point()})
    report = score(run, metrics)
    return Result(
        contender,
        report,
        {m: interval(run.judged, m, DRAWS) for m in tested},
        latency(totals, 0.5),
        latency(totals, 0.95),
        {"p50": turns.by_stage(k, 0.5), "p95": turns.by_stage(k, 0.95)},
    )


def _renamed(found: Detections, names: Mapping[str, str]) -> Detections:
    """Detections whose labels are called as in the data; two that become one are one."""
    if not names:
        return found
    called = [names.get(n, n) for n in found.names]
    unique = tuple(dict.fromkeys(called))
    if len(unique) == len(called):
        return replace(found, names=unique)
    numbers = [unique.index(n) for n in called]
    labels = found.labels.copy()
    labels[:] = [numbers[int(n)] for n in found.labels]
    return replace(found, labels=labels, names=unique)
