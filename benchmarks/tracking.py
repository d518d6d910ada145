"""How well identities are kept, on made sequences whose identities are known: MOTA and IDF1, many seeds.

Boxes of 20 x 26 pixels move straight on in 400 x 400; a made detector misses some, sees some weakly, shakes its boxes
and gives false alarms, as stated in each row. Whom the detector misses nobody can follow: MOTA cannot pass 1 - missed.
python benchmarks/tracking.py
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from common import save

from passerby.measure.tracking import score
from passerby.track.tracker import Settings, Tracker

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from made_sequences import sequence, walk

SEEDS = 20
ONE_ROUND = Settings(unsure=0.4)  # nothing under `sure` is looked at: what the second round is for


def crowd(seed: int, people: int = 12):
    """People who walk in any direction, each from a place and at a time of his own; many cross."""
    rng = np.random.default_rng(1000 + seed)
    paths = []
    for _ in range(people):
        start, angle, speed = rng.uniform(60, 340, 2), rng.uniform(0, 2 * np.pi), rng.uniform(10, 60)
        begin = rng.uniform(0, 4)
        step = (float(speed * np.cos(angle)), float(speed * np.sin(angle)))
        paths.append(walk((float(start[0]), float(start[1])), step, begin, begin + rng.uniform(3, 6)))
    return paths


def hidden(seed: int):
    """Fewer people, so that who is hidden is not mixed up with who walks there now; `hide` hides them."""
    return crowd(seed, 8)


def hide(truth, found, times, seed: int):
    """Hide everybody for 0.5 to 1 second in the middle of his way: from the detector, and in the truth as well."""
    rng = np.random.default_rng(2000 + seed)
    spans = {}
    for seen, time in zip(truth, times, strict=True):
        for number in seen.ids:
            spans.setdefault(int(number), [time, time])[1] = time
    gaps = {n: ((a + b) / 2, (a + b) / 2 + rng.uniform(0.5, 1.0)) for n, (a, b) in spans.items()}
    for k, (seen, time) in enumerate(zip(truth, times, strict=True)):
        gone = np.array([gaps[int(n)][0] <= time < gaps[int(n)][1] for n in seen.ids], bool)
        away = np.zeros(len(found[k]), bool)
        for box in seen.boxes[gone]:
            away |= np.abs(found[k].boxes - box).max(axis=1, initial=0.0) < 1e-3
        found[k] = found[k][~away]
        truth[k] = type(seen)(seen.boxes[~gone], seen.ids[~gone])
    return truth, found, times


KINDS: dict[str, tuple[Callable[[int], list], dict[str, float], bool]] = {
    "crossing": (crowd, {}, False),
    "crossing, 5 frames a second": (crowd, {"rate": 5.0}, False),
    "crossing, 30 frames a second": (crowd, {"rate": 30.0}, False),
    "gaps of 0.5 to 1 s": (hidden, {}, True),
    "10 % missed": (crowd, {"missed": 0.1}, False),
    "30 % seen weakly": (crowd, {"weak": 0.3}, False),
    "all errors": (crowd, {"missed": 0.1, "weak": 0.2, "noise": 1.0, "alarms": 0.2}, False),
    "all errors, 5 frames a second": (
        crowd,
        {"missed": 0.1, "weak": 0.2, "noise": 1.0, "alarms": 0.2, "rate": 5.0},
        False,
    ),
}


def judged(kind: str, seed: int, settings: Settings | None) -> dict[str, float]:
    paths, errors, gaps = KINDS[kind]
    parts = sequence(paths(seed), seed=seed, **errors)
    truth, found, times = hide(*parts, seed) if gaps else parts
    tracker = Tracker(settings)
    return score(truth, [tracker(d, t) for d, t in zip(found, times, strict=True)])


def spread(values: list[float]) -> str:
    return f"{statistics.mean(values):.3f} ± {statistics.stdev(values):.3f}"


def main() -> None:
    rows: list[dict[str, object]] = []
    for kind in KINDS:
        for name, settings in (("two rounds", None), ("one round", ONE_ROUND)):
            found = [judged(kind, seed, settings) for seed in range(SEEDS)]
            rows.append(
                {
                    "sequence": kind,
                    "tracker": name,
                    "MOTA": spread([f["mota"] for f in found]),
                    "IDF1": spread([f["idf1"] for f in found]),
                    "switches a sequence": f"{statistics.mean(f['switches'] for f in found):.2f}",
                }
            )
    title = f"12 people (8 with gaps) on 8 seconds, {SEEDS} sequences a row, mean ± standard deviation over sequences"
    save("tracking", title, rows)


if __name__ == "__main__":
    main()
