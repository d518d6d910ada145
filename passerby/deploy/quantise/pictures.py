"""Which pictures calibrate and which judge: never the same, and where they are, that is said."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from passerby.errors import DataError, SettingError
from passerby.records import Sample, SampleSet

CALIBRATING = 128  # pictures by default
JUDGING = 300


@dataclass(frozen=True)
class Split:
    """The two sets of pictures.

    calibrate  files whose content sets ranges
    judge      labelled pictures on which accuracy is measured
    source     of the calibration pictures
    proof      whether no picture is in both: only then do the judge's numbers prove anything
    told       what was done about pictures in both, one sentence each
    """

    calibrate: tuple[Path, ...]
    judge: SampleSet
    source: str
    proof: bool
    told: tuple[str, ...]


def split_pictures(
    data: SampleSet, check: SampleSet | None, calibrating: int = CALIBRATING, judging: int = JUDGING
) -> Split:
    """Choose pictures, spread evenly over each set.

    data   for calibration; without `check`, pictures of it that do not calibrate judge
    check  to judge on; files with the content of a calibration picture are left out where others remain

    Raises DataError where a set has no picture; SettingError for numbers under 1.
    """
    if min(calibrating, judging) < 1:
        raise SettingError(f"{calibrating} calibration pictures and {judging} that judge: want at least 1 of each")
    for part in (data, check):
        if part is not None and not len(part):
            raise DataError(f"{part.source}: has no picture; name pictures such as the model will see in use")
    chosen = spread(data.samples, calibrating)
    paths = tuple(s.path for s in chosen)
    told: list[str] = []
    seen = {digest(p) for p in paths if p.is_file()}
    pool = data if check is None else check
    others = [s for s in pool.samples if not (s.path.is_file() and digest(s.path) in seen)]
    both = len(pool) - len(others)
    proof = len(others) > 0
    if not proof:
        told.append(
            f"the pictures that judge are those that calibrated ({both} of {both}): their numbers prove nothing about "
            "others; name other labelled pictures with --check"
        )
    elif check is not None and both:
        told.append(f"{pool.source}: {both} of {len(pool)} pictures calibrated: left out of judging")
    judge = replace(pool, samples=tuple(spread(others or pool.samples, judging)))
    return Split(paths, judge, data.source, proof, tuple(told))


def spread(samples: Sequence[Sample], many: int) -> list[Sample]:
    """At most so many of a sequence, at even distances."""
    step = max(len(samples) / many, 1)
    return [samples[int(k * step)] for k in range(min(many, len(samples)))]


def digest(path: Path) -> bytes:
    """Of a file's content, whatever it is called."""
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").digest()
