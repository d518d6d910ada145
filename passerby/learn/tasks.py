"""Where training a detector and training a classifier with maps differ; all else is in `loop`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch

from passerby.data.cache import Teller
from passerby.learn import classifying, detecting
from passerby.learn.network import Detector
from passerby.learn.validated import Validated
from passerby.recipe import Recipe
from passerby.records import SampleSet
from passerby.spec import ModelSpec


class Task(NamedTuple):
    """What one task has of its own.

    losses    names in the history of what a step gives: its two losses, and the share that was right
    best_by   validation scores that may choose the best epoch; -1: less is better
    check     raises SettingError for settings that cannot work, or that would be ignored in silence
    read      the pictures that train and those that validate; raises DataError where nothing can be learnt of them
    ready     fits the network to its training pictures; a warning, or ""
    validate  the network as it stands on the pictures that validate
    told      how much there is in a set, for the model's provenance
    row       the scores of an epoch, for people
    """

    losses: tuple[str, ...]
    best_by: Mapping[str, int]
    check: Callable[[Recipe], None]
    read: Callable[[Recipe, Teller], tuple[SampleSet, SampleSet]]
    ready: Callable[[Detector, ModelSpec, SampleSet, Recipe], str]
    validate: Callable[[Detector, ModelSpec, SampleSet, torch.device], Validated]
    told: Callable[[SampleSet], str]
    row: Callable[[Mapping[str, Any]], str]


TASKS = {
    "detect": Task(
        ("loss_score", "loss_box"),
        detecting.BEST_BY,
        detecting.check,
        detecting.read,
        detecting.warn_of_recall,
        detecting.validate,
        detecting.count,
        detecting.row_text,
    ),
    "localise": Task(
        ("loss", "penalty", "accuracy"),
        classifying.BEST_BY,
        classifying.check,
        classifying.read,
        classifying.balance,
        classifying.validate,
        classifying.count,
        classifying.row_text,
    ),
}
