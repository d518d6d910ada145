"""Sequences of moving boxes whose identities are known, seen by a detector that errs in a stated way."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from passerby.measure.tracking import Seen
from passerby.records import Detections

Path = Callable[[float], tuple[float, float] | None]  # seconds -> centre, None where nobody is there


def sequence(
    paths: list[Path],
    seconds: float = 8.0,
    rate: float = 10.0,
    size: tuple[float, float] = (20.0, 26.0),
    missed: float = 0.0,
    noise: float = 0.0,
    alarms: float = 0.0,
    weak: float = 0.0,
    seed: int = 0,
) -> tuple[list[Seen], list[Detections], list[float]]:
    """Truth, detections and times.

    missed  share of people whom the detector does not see in a frame; weak  share whom it sees with a low score
    noise   standard deviation of each edge, pixels; alarms  false ones a frame, on average
    """
    rng = np.random.default_rng(seed)
    truth, found, times = [], [], []
    for k in range(round(seconds * rate)):
        time = k / rate
        here = {i + 1: c for i, path in enumerate(paths) if (c := path(time))}
        centres = np.array(list(here.values()), np.float32).reshape(-1, 2)
        half = np.array(size, np.float32) / 2
        boxes = np.concatenate([centres - half, centres + half], axis=1)
        truth.append(Seen(boxes, np.array(list(here), np.int64)))
        shown = boxes[rng.random(len(boxes)) >= missed]
        shown = shown + rng.normal(0, noise, shown.shape).astype(np.float32)
        scores = np.where(rng.random(len(shown)) < weak, 0.2, 0.8)
        false = rng.uniform(0, 400, (rng.poisson(alarms), 2)).astype(np.float32)
        shown = np.concatenate([shown, np.concatenate([false - half, false + half], axis=1)])
        scores = np.concatenate([scores, np.full(len(false), 0.5)]).astype(np.float32)
        order = rng.permutation(len(shown))
        found.append(Detections(shown[order], scores[order], np.zeros(len(shown), np.int64), ("head",)))
        times.append(time)
    return truth, found, times


def walk(start: tuple[float, float], speed: tuple[float, float], begin: float = 0.0, end: float = 1e9) -> Path:
    """Somebody who walks straight on from `start` at `speed` pixels a second, there from `begin` to `end`."""

    def at(time: float) -> tuple[float, float] | None:
        if not begin <= time < end:
            return None
        return start[0] + speed[0] * (time - begin), start[1] + speed[1] * (time - begin)

    return at
