"""How long predictors take, stage by stage: the same pictures in turns, so that drift of the machine hits all alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from passerby.errors import SettingError
from passerby.measure.interval import Interval
from passerby.measure.matching import Doubles
from passerby.pictures import read_picture
from passerby.records import Detections, SampleSet
from passerby.runtime.predictor import STAGES, Predictor

BLOCK = 25  # pictures of a turn: an engine that has just run keeps its threads spinning, in the way of the next one's
WARM_UP = 3  # runs of each predictor on the first picture that are not counted
DRAWS = 500  # resamples of pictures behind an interval
LEVEL = 0.95


@dataclass(frozen=True)
class Turns:
    """What came of it when predictors took turns.

    found   one list a predictor: Detections of each picture, in the first round
    decode  (R, P) milliseconds to read each picture, once for all predictors
    stages  (M, R, P, 3) milliseconds of each predictor's STAGES
    """

    found: list[list[Detections]]
    decode: Doubles
    stages: Doubles

    def totals(self, k: int) -> Doubles:
        """Milliseconds a picture (P,) of one predictor, all stages; the median over rounds."""
        return np.asarray(np.median(self.stages[k].sum(axis=2), axis=0))

    def by_stage(self, k: int, share: float) -> dict[str, float]:
        """The quantile of each stage of one predictor over all pictures and rounds, milliseconds."""
        return {s: quantile(self.stages[k, :, :, i].ravel(), share) for i, s in enumerate(STAGES)}


@dataclass(frozen=True)
class Ratio:
    """How many times longer a takes than b: the median over pictures, its interval; a tie where that holds 1."""

    value: float
    low: float
    high: float
    tie: bool


def take_turns(
    predictors: Sequence[Predictor],
    samples: SampleSet,
    thresholds: Sequence[float],
    rounds: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Turns:
    """Run every predictor on every picture: A, B, C on the first BLOCK, B, C, A on the next, and so on.

    thresholds  of each predictor; the last stage is timed with it, as in use. What every score down to the floor gives
                is worked out beside that, from the same answer of the network
    rounds      how often all pictures are gone through
    progress    called with (pictures done, pictures in all rounds)

    Raises SettingError for no round, SourceError for a picture that cannot be read, and what predictors raise.
    """
    if rounds < 1:
        raise SettingError(f"rounds is {rounds}, want 1 or more")
    many, pictures = len(predictors), len(samples)
    decode, stages = np.zeros((rounds, pictures)), np.zeros((many, rounds, pictures, len(STAGES)))
    found: list[list[Detections]] = [[] for _ in predictors]
    if pictures:
        first = read_picture(samples[0].path)
        for predictor in predictors:
            for _ in range(WARM_UP):
                predictor(first)
    for r in range(rounds):
        for number, first_of in enumerate(range(0, pictures, BLOCK)):
            block = range(first_of, min(first_of + BLOCK, pictures))
            decoded = []
            for i in block:
                start = time.perf_counter()
                decoded.append(read_picture(samples[i].path))
                decode[r, i] = time.perf_counter() - start
            for turn in range(many):
                k = (number + r + turn) % many
                for i, pixels in zip(block, decoded, strict=True):
                    a = time.perf_counter()
                    ready, placement = predictors[k].prepare(pixels)
                    b = time.perf_counter()
                    answer = predictors[k].run(ready)
                    c = time.perf_counter()
                    predictors[k].finish(answer, placement, thresholds[k])
                    stages[k, r, i] = b - a, c - b, time.perf_counter() - c
                    if r == 0:
                        found[k].append(predictors[k].finish(answer, placement))
            if progress:
                progress(r * pictures + block.stop, rounds * pictures)
    return Turns(found, 1000 * decode, 1000 * stages)


def latency(totals: Doubles, share: float = 0.5, seed: int = 0) -> Interval:
    """A quantile of milliseconds a picture (P,), with a bootstrap interval over pictures."""
    low, high = _ends(np.quantile(totals[_draw(len(totals), seed)], share, axis=1)) if len(totals) else (np.nan,) * 2
    return Interval(quantile(totals, share), low, high)


def ratio(a: Doubles, b: Doubles, seed: int = 0) -> Ratio:
    """How many times longer a takes than b, both (P,) milliseconds on the same pictures; paired picture by picture."""
    shares = a / b
    if not len(shares):
        return Ratio(np.nan, np.nan, np.nan, True)
    low, high = _ends(np.median(shares[_draw(len(shares), seed)], axis=1))
    return Ratio(float(np.median(shares)), low, high, tie=low <= 1 <= high)


def quantile(values: Doubles, share: float) -> float:
    """The quantile, linear between the two nearest values; NaN of nothing."""
    return float(np.quantile(values, share)) if len(values) else float("nan")


def _draw(pictures: int, seed: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    return np.random.default_rng(seed).integers(0, pictures, (DRAWS, pictures))


def _ends(values: Doubles) -> tuple[float, float]:
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
