"""What validating a network in training gives, whatever its task."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple


class Validated(NamedTuple):
    """Numbers of one epoch.

    scores  by name; `run.best_by` is one of them
    settle  what the spec gets if this epoch is the best: its thresholds, and in words how they were chosen
    """

    scores: dict[str, float]
    settle: Callable[[], tuple[dict[str, float], dict[str, Any]]]
