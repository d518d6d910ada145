"""How much two files of one model may differ: limits by precision."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace

from passerby.errors import SettingError, did_you_mean
from passerby.runtime.predictor import Predictor

PRECISIONS = ("float32", "float16", "bfloat16", "int8")  # the finest first


@dataclass(frozen=True)
class Limits:
    """How much may differ; None: as much as it likes. The defaults of each kind of change are in LIMITS.

    box_p99    pixels of the picture that 1 in 100 paired boxes may move further than
    score_p99  that 1 in 100 pairs' scores may differ by more than, 0..1
    changed    detections lost or gained, as a share of those shown
    ap50       points of AP50 that may be lost (1 point: 0.01)
    mr2        points of MR^-2 that may be added
    maps_p99   a localiser's maps, likewise, as shares of a map's largest value
    """

    box_p99: float | None = None
    score_p99: float | None = None
    changed: float | None = None
    ap50: float | None = None
    mr2: float | None = None
    maps_p99: float | None = None

    def with_(self, **changes: float | None) -> Limits:
        """A copy with some limits changed. Raises SettingError for an unknown one, or a number under 0."""
        known = [f.name for f in fields(self)]
        for name, value in changes.items():
            if name not in known:
                raise SettingError(f"no limit '{name}'{did_you_mean(name, known)}")
            if value is not None and not 0 <= value < math.inf:
                raise SettingError(f"limit {name} is {value}, want a number from 0 on")
        return replace(self, **changes)


LIMITS: dict[str, Limits] = {  # by the coarser precision of the two
    "float32": Limits(box_p99=0.5, score_p99=0.01, changed=0.005, ap50=0.1, mr2=0.3, maps_p99=0.001),
    "float16": Limits(box_p99=1.0, score_p99=0.02, changed=0.01, ap50=0.2, mr2=0.5, maps_p99=0.02),
    "bfloat16": Limits(box_p99=4.0, score_p99=0.05, changed=0.04, ap50=0.3, mr2=1.0, maps_p99=0.05),
    "int8": Limits(box_p99=8.0, score_p99=0.1, changed=0.08, ap50=0.3, mr2=1.0, maps_p99=0.1),
}


def set_limits(limits: Limits, texts: Iterable[str]) -> Limits:
    """A copy with limits changed as words say: "ap50=0.1", "box_p99=none". Raises SettingError as `with_` does."""
    values: dict[str, float | None] = {}
    for text in texts:
        name, _, value = text.partition("=")
        try:
            values[name.strip()] = None if value.strip() == "none" else float(value)
        except ValueError:
            raise SettingError(f"--limit {text}: want NAME=NUMBER or NAME=none, e.g. ap50=0.1") from None
    return limits.with_(**values)


def change_of(before: Predictor, after: Predictor) -> str:
    """The coarser precision of the two, a key of LIMITS."""
    return max((precision_of(p) for p in (before, after)), key=PRECISIONS.index)


def precision_of(predictor: Predictor) -> str:
    """What a predictor computes in, a word of PRECISIONS: its spec's, else its engine's; float32 where neither says."""
    stated = getattr(predictor.spec, "precision", "float32")
    if stated in PRECISIONS[1:]:
        return str(stated)
    return next((w for w in predictor.engine_name.replace(",", " ").split() if w in PRECISIONS), "float32")
