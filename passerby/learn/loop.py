"""The training loop, from top to bottom."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from passerby.data.cache import Teller
from passerby.errors import SettingError, TrainingError, did_you_mean
from passerby.files import written_whole
from passerby.learn import checkpoint
from passerby.learn.curves import draw_curves
from passerby.learn.heads import HEADS
from passerby.learn.held_out import told_of_both
from passerby.learn.loader import Batch, cache_of, make_loader
from passerby.learn.machine import device_name, keep_memory, seed_everything
from passerby.learn.optimise import rate_at
from passerby.learn.tasks import TASKS, Task
from passerby.learn.trainee import prepare
from passerby.learn.validated import Validated
from passerby.recipe import Recipe
from passerby.records import SampleSet
from passerby.spec import ModelSpec


def train(recipe: Recipe, out: Path, tell: Teller, resume: bool = False) -> Path:
    """Train what a recipe says; returns the path of the best checkpoint.

    out     folder for last.safetensors (to resume), best.safetensors (averaged weights of the best epoch by
            `run.best_by`), history.json and curves.png
    resume  go on from out/last.safetensors: the weights come out as if the run had never stopped

    Raises SettingError, DataError and ModelError before the first step, TrainingError when the loss is not a number.
    """
    run, how, task = recipe.run, recipe.optimiser, task_of(recipe)
    check_settings(recipe)
    seed_everything(run.seed)
    keep_memory()
    if run.threads:
        torch.set_num_threads(run.threads)
    train_set, val_set = task.read(recipe, tell)
    of_sets = (("trained_on", train_set), ("chosen_on", val_set))
    read = {what: f"{samples.source}: {task.told(samples)}" for what, samples in of_sets}
    if both := told_of_both(train_set, val_set):
        read["chosen_on_but_trained_on"] = both
        tell.line(f"warning: {both} pictures of val are in train too: scores tell how it remembers, not how it finds")
    trainee = prepare(recipe, tell, () if resume else train_set)  # a resumed one gets all its weights below
    network, spec, average, device = trainee.network, trainee.spec, trainee.average, trainee.device
    if warning := task.ready(network, spec, train_set, recipe):
        tell.line(warning)
    state = checkpoint.State()
    last, best = out / "last.safetensors", out / "best.safetensors"
    if resume:
        state = checkpoint.restore(last, network, average, trainee.optimiser, recipe)
        tell.line(f"resumed after epoch {state.epoch}, {run.best_by} so far at best {abs(state.best):.4f}")
    elif last.exists():
        raise SettingError(f"{last} is there already; go on with --resume, or name another folder with --out")

    cache = cache_of(train_set, recipe, tell)
    loader, order = make_loader(train_set, spec, recipe, device.type == "cuda", cache)
    if recipe.data.negative_share >= 0:
        tell.line(order.told())
    per_epoch, steps = len(order), len(order) * run.epochs
    warmup = max(1, round(how.warmup * per_epoch))
    tell.line(
        f"{recipe.name}: {len(train_set)} pictures, {run.epochs} epochs of {per_epoch} steps of {run.batch}, "
        f"{'mixed bfloat16' if trainee.mixed else 'float32'} on {device_name(device)}"
    )
    while state.epoch < run.epochs:
        order.epoch = state.epoch
        network.train()
        clock = Clock()
        sums = np.zeros(3)
        for batch in clock.waiting(iter(loader)):
            rate = rate_at(state.step, steps, warmup, how)
            losses = trainee.step(batch, rate, how)
            if losses is None:
                raise TrainingError(why_not_a_number(batch, train_set, state.step, rate))
            state.step += 1
            sums += losses
            done = state.step - state.epoch * per_epoch
            clock.count(run.batch)
            tell.step(
                f"epoch {state.epoch + 1}/{run.epochs} step {done}/{per_epoch} loss {sums[:2].sum() / done:.3f} "
                f"{clock.rate():.1f} pictures/s, {_duration((steps - state.step) * run.batch / clock.rate())} left"
            )
        state.epoch += 1
        row = {
            "epoch": float(state.epoch),
            **dict(zip(task.losses, sums / per_epoch, strict=False)),  # only a classifier has something in the third
            "rate": rate,
            "pictures_a_second": clock.rate(),
            "waited_share": clock.waited / clock.total(),
        }
        state.seconds += clock.total()
        shown = average.network if average else network
        if state.epoch % run.evaluate_every == 0 or state.epoch == run.epochs:
            found = task.validate(shown, spec, val_set, device)
            row |= {k: found.scores[k] for k in task.best_by}
            score = found.scores[run.best_by] * task.best_by[run.best_by]
            if score > state.best:
                state.best, state.best_epoch = score, state.epoch
                chosen = _with_facts(spec, recipe, found, state, device, read)
                checkpoint.save(best, shown, None, None, chosen, recipe, state)
        state.history.append({k: float(v) for k, v in row.items()})
        checkpoint.save(last, network, average, trainee.optimiser, spec, recipe, state)
        with written_whole(out / "history.json") as path:
            path.write_text(json.dumps(state.history, indent=1))
        draw_curves(state.history, out / "curves.png", recipe.name)
        tell.line(
            f"epoch {state.epoch}/{run.epochs}  {row['pictures_a_second']:.1f} pictures/s, waited "
            f"{row['waited_share']:.0%}  {task.row(row)}"
        )
    tell.line(f"best {run.best_by} {abs(state.best):.4f} at epoch {state.best_epoch}: {best}")
    return best


def task_of(recipe: Recipe) -> Task:
    """What the recipe's head is for; an unknown one is refused where the network is built."""
    head = HEADS.get(recipe.model.head)
    return TASKS[head.task if head else "detect"]


def check_settings(recipe: Recipe) -> None:
    """Raises SettingError for settings that no step can be made with, or that would be ignored in silence."""
    run, how, share, task = recipe.run, recipe.optimiser, recipe.data.negative_share, task_of(recipe)
    if run.best_by not in task.best_by:
        raise SettingError(f"run.best_by: no score '{run.best_by}'{did_you_mean(run.best_by, task.best_by)}")
    if run.batch < 2:
        raise SettingError(f"run.batch is {run.batch}; batch norm needs at least 2 pictures")
    for name in ("epochs", "evaluate_every"):
        if getattr(run, name) < 1:
            raise SettingError(f"run.{name} is {getattr(run, name)}, want at least 1")
    if share != -1 and not 0 <= share <= 0.9:
        raise SettingError(f"data.negative_share is {share:g}, want 0 to 0.9, or -1 for each picture once an epoch")
    if recipe.data.cache_side < 0:
        raise SettingError(f"data.cache_side is {recipe.data.cache_side}, want pixels, or 0 for the least that does")
    if how.freeze and how.unfreeze >= 0:
        raise SettingError("optimiser.freeze counts from the start, optimiser.unfreeze from the end; set one of them")
    task.check(recipe)


def why_not_a_number(batch: Batch, samples: SampleSet, step: int, rate: float) -> str:
    """Which file and object made the loss NaN or infinite, in one line with the cure."""
    for row, targets in enumerate(batch.targets.offsets):
        if not torch.isfinite(targets).all():
            sample = samples[int(batch.which[row])]
            bad = [i for i, b in enumerate(sample.truth.boxes) if not np.isfinite(b).all() or (b[2:] <= b[:2]).any()]
            thing = f"object {bad[0]}, box {sample.truth.boxes[bad[0]].tolist()}" if bad else "one of its objects"
            return f"step {step}: the loss is not a number: {sample.path}: {thing}; correct or remove the label"
    names = ", ".join(samples[int(i)].path.name for i in batch.which[:3])
    return (
        f"step {step}: the loss is not a number though all labels of the batch ({names}, ...) are; "
        f"lower optimiser.rate (now {rate:.2g}) or set run.precision=float32"
    )


class Clock:
    """Pictures a second, and the time that training waited for data."""

    def __init__(self) -> None:
        self.started, self.waited, self.pictures = time.perf_counter(), 0.0, 0

    def waiting(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        while True:
            before = time.perf_counter()
            batch = next(batches, None)
            self.waited += time.perf_counter() - before
            if batch is None:
                return
            yield batch

    def count(self, pictures: int) -> None:
        self.pictures += pictures

    def total(self) -> float:
        return max(time.perf_counter() - self.started, 1e-9)

    def rate(self) -> float:
        return self.pictures / self.total()


def _with_facts(
    spec: ModelSpec,
    recipe: Recipe,
    found: Validated,
    state: checkpoint.State,
    device: torch.device,
    read: dict[str, str],
) -> ModelSpec:
    """The spec with its thresholds chosen on the validation set, and where the model comes from; read: its pictures."""
    thresholds, rules = found.settle()
    facts: dict[str, Any] = {
        "recipe": recipe.name,
        "data_licence": recipe.data.licence or "not stated",
        **read,
        "backbone_weights": recipe.model.weights or "none",
        **({"taught_by": recipe.optimiser.teacher} if recipe.optimiser.teacher else {}),
        "epoch": state.epoch,
        "epochs": recipe.run.epochs,
        "hours": round(state.seconds / 3600, 2),
        "machine": device_name(device),
        "val_" + recipe.run.best_by.removeprefix("val_"): round(found.scores[recipe.run.best_by], 4),
    }
    return spec.with_(**thresholds, provenance=spec.provenance | facts | rules)


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {seconds:02d} s"
