"""What a training step changes, and how it is made ready: weights, frozen parts, teacher."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from passerby.data.cache import Teller
from passerby.learn.halving import quicken
from passerby.learn.heads.base import Targets
from passerby.learn.loader import Batch
from passerby.learn.machine import choose_device, choose_precision
from passerby.learn.network import Detector, Habits, build, spec_of
from passerby.learn.optimise import Average, make_optimiser
from passerby.learn.quantise_aware import make_aware
from passerby.learn.revive import revive
from passerby.learn.start import Start, read_some, read_start
from passerby.learn.teaching import Teacher, load_teacher
from passerby.learn.weights import habits_of, load_backbone
from passerby.recipe import Optimiser, Recipe
from passerby.records import Sample
from passerby.spec import ModelSpec


@dataclass
class Trainee:
    """What a step changes: the network, its optimiser, its moving average; and who teaches it, who stays the same."""

    network: Detector
    spec: ModelSpec
    optimiser: torch.optim.Optimizer
    average: Average | None
    device: torch.device
    mixed: bool
    teacher: Teacher | None = None

    def step(self, batch: Batch, rate: float, how: Optimiser) -> tuple[float, float, float] | None:
        """One step on one batch: its two losses and the share that was right; see `losses.Losses`.

        None, and nothing changed, when a loss is not a number.
        """
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        pixels, labels, offsets, objects, classes = (
            t.to(self.device, non_blocking=True) for t in (batch.pixels, *batch.targets[:4])
        )
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.mixed):
            taught = self.teacher.ask(pixels) if self.teacher else None
            losses = self.network.losses(pixels, Targets(labels, offsets, objects, classes, taught), how)
        self.optimiser.zero_grad(set_to_none=True)
        (losses.score + losses.box).backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), how.clip or math.inf)
        score, box = losses.score.item(), losses.box.item()
        if not math.isfinite(score + box) or not math.isfinite(norm.item()):
            return None
        self.optimiser.step()
        if self.average:
            self.average.update(self.network)
        return score, box, 0.0 if losses.right is None else losses.right.item()


def prepare(recipe: Recipe, tell: Teller, samples: Sequence[Sample] = ()) -> Trainee:
    """The recipe's network on its device, filled from `model.weights` or `model.start`, and frozen as asked.

    samples  that train; some of their pictures are looked at where `model.start` is an exported file, or channels are
             to be revived

    Raises SettingError and ModelError where one of the files named cannot be used.
    """
    device = choose_device(recipe.run.device)
    start = read_start(recipe.model.start, samples) if recipe.model.start else None
    spec = spec_of(recipe.model, _habits(recipe, start))
    network = build(spec)
    if recipe.model.weights and not (start and start.has_trunk(network)):
        weights = Path(recipe.data.root) / recipe.model.weights
        tell.line(f"backbone, from {weights.name}: {load_backbone(network.backbone, weights).told()}")
    if start:
        tell.line(f"start, from {start.path}: {start.fill(network)}")
        spec = spec.with_(provenance={"started_from": start.chain})
    if recipe.model.revive and len(samples):
        tell.line(f"{revive(network, spec, read_some(samples))} channels of the backbone were constant and begin anew")
    teacher = load_teacher(recipe.optimiser.teacher, spec) if recipe.optimiser.teacher else None
    for each in (network, teacher.network) if teacher else (network,):
        each.to(device)
        if recipe.run.channels_last:
            each.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if recipe.optimiser.unfreeze >= 0:
        network.backbone.unfreeze(recipe.optimiser.unfreeze, recipe.model.backbone)
    else:
        network.backbone.freeze(recipe.optimiser.freeze)
    if recipe.optimiser.quantise_aware:
        tell.line(f"{make_aware(network)} convolutions round as INT8 does")
    average = Average(network, recipe.optimiser.average) if recipe.optimiser.average else None
    mixed = choose_precision(recipe.run.precision, device)
    if mixed and device.type == "cpu":
        quicken(network)
    optimiser = make_optimiser(network, recipe.optimiser)
    return Trainee(network, spec, optimiser, average, device, mixed, teacher)


def _habits(recipe: Recipe, start: Start | None) -> Habits:
    """Those of the weights that the network begins with."""
    if start:
        return start.habits
    return habits_of(Path(recipe.data.root) / recipe.model.weights) if recipe.model.weights else Habits()
