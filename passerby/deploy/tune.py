"""Which engine and how many threads run a model file fastest on this machine, measured in turns."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from passerby.cores import cores
from passerby.deploy.parity import FLOOR, METRICS
from passerby.errors import SettingError, did_you_mean
from passerby.measure.evaluate import evaluate
from passerby.measure.matching import Doubles
from passerby.measure.speed import Ratio, ratio
from passerby.records import Pixels, SampleSet
from passerby.runtime.detector import Detector, Engine, as_input
from passerby.runtime.session import BY_FORMAT, ENGINES, open_engine
from passerby.runtime.tuned import GOALS, default_engine
from passerby.spec import ModelSpec

SETTLE = 3  # runs of a turn that are not counted: the threads of the engine before keep spinning for a while
BLOCK = 8  # runs of a turn that are; their median is one measurement
AGAIN = 2  # times as many rounds in which the fastest and the default are measured once more, alone
Tell = Callable[[int, int], None]
Inputs = Sequence[Pixels]  # (1, H, W, 3) uint8 each, as a model's input


@dataclass(frozen=True)
class Candidate:
    """A way to run a file.

    engine   a name from ENGINES or BY_FORMAT; threads: 0 for as many as it likes
    rival    whether it may be chosen: the same file. Another file is measured for comparison only
    """

    path: Path
    spec: ModelSpec
    engine: str
    threads: int
    rival: bool = True


@dataclass(frozen=True)
class Timed:
    """A candidate measured.

    name   its engine with version and precision
    ms     (R,) milliseconds a picture: the median of each round's block
    share  how many times longer the default takes
    """

    candidate: Candidate
    name: str
    ms: Doubles
    share: Ratio

    @property
    def typical(self) -> float:
        """Milliseconds a picture: the median over rounds."""
        return float(np.median(self.ms))


@dataclass(frozen=True)
class Tuning:
    """All candidates, the default first; the fastest that may be chosen, and how it did against the default again.

    best   the default itself where nothing else was faster
    again  how many times longer the default takes than `best`, measured anew: the fastest of many looks faster than it
           is. A tie: the default stays
    """

    rows: tuple[Timed, ...]
    best: Timed
    again: Ratio

    @property
    def chosen(self) -> Timed | None:
        """What wins by more than noise; None: the default stays."""
        return None if self.again.tie or self.again.value <= 1 or self.best is self.rows[0] else self.best


def list_candidates(
    path: Path, spec: ModelSpec, goal: str, beside: Sequence[tuple[Path, ModelSpec]]
) -> list[Candidate]:
    """The default first, then each engine that is installed and runs the file, by threads; then other files.

    goal    one of GOALS; threads are of use for latency only: streams of throughput bring one each
    beside  other files of the model, e.g. its int8 form

    Raises SettingError for an unknown goal.
    """
    if goal not in GOALS:
        raise SettingError(f"no goal '{goal}'{did_you_mean(goal, GOALS)}")
    many = sorted({1, 2, cores()} | {2**k for k in range(8)}) if goal == "latency" else []
    threads = [0, *(n for n in many if n <= cores())]
    rows = [Candidate(path, spec, e, n) for e in _engines_of(path) for n in threads]
    rows += [Candidate(p, s, e, 0, rival=False) for p, s in beside for e in _engines_of(p)]
    return rows


def tune(
    candidates: Sequence[Candidate], pictures: Sequence[Pixels], goal: str, rounds: int, tell: Tell | None = None
) -> Tuning:
    """Measure all candidates in turns, and the fastest against the default, the first, once more.

    pictures  (H, W, 3) uint8 RGB each; every candidate is given them at its own input size
    goal      "latency": one picture at a time; "throughput": as many at once as there are cores
    rounds    turns of each candidate
    tell      called with (turns done, turns in all)

    What is timed is the graph alone: preparing and suppression are the same for all.
    Raises SettingError for under 3 rounds or no picture, and what engines raise.
    """
    if rounds < 3:
        raise SettingError(f"rounds is {rounds}, want at least 3: less cannot be told from noise")
    if not pictures:
        raise SettingError("no picture to measure on")
    streams = cores() if goal == "throughput" else 1
    engines = [open_engine(c.path, str(c.path), c.engine, c.threads, streams, c.spec) for c in candidates]
    files = {c.path: c.spec for c in candidates}
    prepared = {path: [as_input(p, spec)[0] for p in pictures] for path, spec in files.items()}
    inputs = [prepared[c.path] for c in candidates]
    whole = (len(engines) + 2 * AGAIN) * rounds
    ms = _take_turns(engines, inputs, streams, rounds, lambda n: tell(n, whole) if tell else None)
    rows = tuple(Timed(c, e.name, row, ratio(ms[0], row)) for c, e, row in zip(candidates, engines, ms, strict=True))
    best = min((r for r in rows if r.candidate.rival), key=lambda r: r.typical)
    if best is rows[0]:
        return Tuning(rows, best, Ratio(1.0, 1.0, 1.0, tie=True))
    pair, same = [engines[0], engines[rows.index(best)]], [inputs[0], inputs[0]]
    done = len(engines) * rounds
    again = _take_turns(pair, same, streams, AGAIN * rounds, lambda n: tell(done + n, whole) if tell else None)
    return Tuning(rows, best, ratio(again[0], again[1]))


@dataclass(frozen=True)
class Judged:
    """What a file finds.

    ap50, mr2  0..1, scores from FLOOR on, by the engine that is its default
    """

    path: Path
    spec: ModelSpec
    ap50: float
    mr2: float


def judge_files(files: Sequence[tuple[Path, ModelSpec]], samples: SampleSet, tell: Tell | None = None) -> list[Judged]:
    """Accuracy of detectors' files on one labelled set: what another input size or precision gives and takes.

    tell  called with (pictures done, pictures in all)

    Raises as `evaluate` does.
    """
    rows: list[Judged] = []
    whole = len(files) * len(samples)
    for path, spec in files:
        before = len(rows) * len(samples)

        def step(n: int, _: int, before: int = before) -> None:
            if tell:
                tell(before + n, whole)

        found = evaluate(Detector(path, FLOOR), samples, METRICS, progress=step).scores
        rows.append(Judged(path, spec, found["ap50"], found["mr2"]))
    return rows


def _engines_of(path: Path) -> list[str]:
    """Engines that run a file and are installed, the default first."""
    own = BY_FORMAT.get(path.suffix.lower())
    if own:
        return [own[0]]
    first = default_engine()
    there = [e for e in ENGINES if importlib.util.find_spec(e.partition("-")[0])]
    return [first, *(e for e in there if e != first)]


def _take_turns(
    engines: Sequence[Engine], inputs: Sequence[Inputs], streams: int, rounds: int, tell: Callable[[int], None]
) -> Doubles:
    """(E, R) milliseconds a picture: A, B, C in the first round, B, C, A in the next."""
    ms = np.zeros((len(engines), rounds))
    with ThreadPoolExecutor(streams) as pool:
        for r in range(rounds):
            for turn in range(len(engines)):
                k = (r + turn) % len(engines)
                ms[k, r] = _measure(engines[k], inputs[k], streams, pool)
                tell(r * len(engines) + turn + 1)
    return ms


def _measure(engine: Engine, pictures: Inputs, streams: int, pool: ThreadPoolExecutor) -> float:
    """One turn, milliseconds a picture."""
    if streams == 1:
        times = []
        for k in range(SETTLE + BLOCK):
            start = time.perf_counter()
            engine.run(pictures[k % len(pictures)])
            times.append(time.perf_counter() - start)
        return 1000 * float(np.median(times[SETTLE:]))
    shown = [pictures[k % len(pictures)] for k in range(BLOCK * streams)]
    list(pool.map(engine.run, shown[: SETTLE * streams]))
    start = time.perf_counter()
    list(pool.map(engine.run, shown))
    return 1000 * (time.perf_counter() - start) / len(shown)
