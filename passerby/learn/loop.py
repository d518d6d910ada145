"""The training loop, from top to bottom."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from passerby.data import join
from passerby.data.cache import Teller
from passerby.data.classes import parse_classes
from passerby.data.default_boxes import cap_warning
from passerby.data.kinds import summary
from passerby.errors import DataError, SettingError, TrainingError, did_you_mean
from passerby.files import written_whole
from passerby.learn import checkpoint
from passerby.learn.curves import draw_curves
from passerby.learn.engine import TorchEngine
from passerby.learn.heads.base import Targets
from passerby.learn.loader import Batch, cache_of, make_loader
from passerby.learn.machine import choose_device, choose_precision, device_name, keep_memory, seed_everything
from passerby.learn.network import Detector, Habits, build, spec_of
from passerby.learn.optimise import Average, make_optimiser, rate_at
from passerby.learn.weights import habits_of, load_backbone
from passerby.measure.evaluate import Report, evaluate, load_boxes
from passerby.measure.operating_point import best_f1
from passerby.recipe import Optimiser, Recipe
from passerby.records import SampleSet
from passerby.runtime.detector import Detector as Predictor
from passerby.spec import ModelSpec

FLOOR = 0.01  # scores under this are dropped when measuring: Liu et al. 2016, "SSD", section 3
METRICS = ("average_precision", "miss_rate", "at_threshold")
BEST_BY = {"ap50": 1, "ap50_11pt": 1, "f1": 1, "mr2": -1, "miss_at_1fppi": -1}  # what may choose; -1: less is better


def train(recipe: Recipe, out: Path, tell: Teller, resume: bool = False) -> Path:
    """Train what a recipe says; returns the path of the best checkpoint.

    out     folder for last.safetensors (to resume), best.safetensors (averaged weights of the best epoch by
            `run.best_by`), history.json and curves.png
    resume  go on from out/last.safetensors: the weights come out as if the run had never stopped

    Raises SettingError, DataError and ModelError before the first step, TrainingError when the loss is not a number.
    """
    run, how = recipe.run, recipe.optimiser
    check_settings(recipe)
    seed_everything(run.seed)
    keep_memory()
    if run.threads:
        torch.set_num_threads(run.threads)
    train_set = _read(recipe.data.train, recipe, "train", tell)
    val_set = _read(recipe.data.val, recipe, "val", tell)
    if run.limit:
        train_set = SampleSet(train_set.samples[: run.limit], train_set.labels, train_set.source, train_set.notes)
    for field, part, so in (("train", train_set, "nothing can be learnt"), ("val", val_set, "no score can choose")):
        if not any((~s.truth.ignore & ~s.truth.difficult).any() for s in part):
            raise DataError(f"data.{field} ({part.source}) holds no object that counts, so {so}; name labelled data")

    trainee = prepare(recipe, tell)
    network, spec, average, device = trainee.network, trainee.spec, trainee.average, trainee.device
    named = f"{' '.join(recipe.data.train)} --root {recipe.data.root}"
    if warning := cap_warning(train_set, spec, how.match_iou, run.recall_warning, named):
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
        sums = np.zeros(2)
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
                f"epoch {state.epoch + 1}/{run.epochs} step {done}/{per_epoch} loss {sums.sum() / done:.3f} "
                f"{clock.rate():.1f} pictures/s, {_duration((steps - state.step) * run.batch / clock.rate())} left"
            )
        state.epoch += 1
        row = {
            "epoch": float(state.epoch),
            "loss_score": sums[0] / per_epoch,
            "loss_box": sums[1] / per_epoch,
            "rate": rate,
            "pictures_a_second": clock.rate(),
            "waited_share": clock.waited / clock.total(),
        }
        state.seconds += clock.total()
        shown = average.network if average else network
        if state.epoch % run.evaluate_every == 0 or state.epoch == run.epochs:
            report = validate(shown, spec, val_set, device)
            row |= {k: report.scores[k] for k in BEST_BY}
            score = report.scores[run.best_by] * BEST_BY[run.best_by]
            if score > state.best:
                state.best, state.best_epoch = score, state.epoch
                chosen = _with_facts(spec, recipe, report, state, device, train_set, val_set)
                checkpoint.save(best, shown, None, None, chosen, recipe, state)
        state.history.append({k: float(v) for k, v in row.items()})
        checkpoint.save(last, network, average, trainee.optimiser, spec, recipe, state)
        with written_whole(out / "history.json") as path:
            path.write_text(json.dumps(state.history, indent=1))
        draw_curves(state.history, out / "curves.png", recipe.name)
        tell.line(_row_text(row, run.epochs))
    tell.line(f"best {run.best_by} {abs(state.best):.4f} at epoch {state.best_epoch}: {best}")
    return best


def check_settings(recipe: Recipe) -> None:
    """Raises SettingError for settings that no step can be made with, or that would be ignored in silence."""
    run, how, share = recipe.run, recipe.optimiser, recipe.data.negative_share
    if run.best_by not in BEST_BY:
        raise SettingError(f"run.best_by: no score '{run.best_by}'{did_you_mean(run.best_by, BEST_BY)}")
    if run.batch < 2:
        raise SettingError(f"run.batch is {run.batch}; batch norm needs at least 2 pictures")
    for name in ("epochs", "evaluate_every"):
        if getattr(run, name) < 1:
            raise SettingError(f"run.{name} is {getattr(run, name)}, want at least 1")
    if share != -1 and not 0 <= share <= 0.9:
        raise SettingError(f"data.negative_share is {share:g}, want 0 to 0.9, or -1 for each picture once an epoch")
    if recipe.data.cache_side < 0:
        raise SettingError(f"data.cache_side is {recipe.data.cache_side}, want pixels, or 0 for the least that does")
    if how.quality and recipe.model.loss != "focal":
        raise SettingError("optimiser.quality belongs to model.loss=focal; set one or the other")
    if how.focal_gamma < 1:
        raise SettingError(f"optimiser.focal_gamma is {how.focal_gamma}, want at least 1")


@dataclass
class Trainee:
    """What a step changes: the network, its optimiser, its moving average."""

    network: Detector
    spec: ModelSpec
    optimiser: torch.optim.Optimizer
    average: Average | None
    device: torch.device
    mixed: bool

    def step(self, batch: Batch, rate: float, how: Optimiser) -> tuple[float, float] | None:
        """One step on one batch: score loss and box loss; None, and nothing changed, when one is not a number."""
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        pixels, *targets = (t.to(self.device, non_blocking=True) for t in (batch.pixels, *batch.targets))
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.mixed):
            losses = self.network.losses(pixels, Targets(*targets), how)
        self.optimiser.zero_grad(set_to_none=True)
        (losses.score + losses.box).backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), how.clip or math.inf)
        score, box = losses.score.item(), losses.box.item()
        if not math.isfinite(score + box) or not math.isfinite(norm.item()):
            return None
        self.optimiser.step()
        if self.average:
            self.average.update(self.network)
        return score, box


def prepare(recipe: Recipe, tell: Teller) -> Trainee:
    """The recipe's network on its device, its backbone filled from `model.weights` and frozen as asked."""
    device = choose_device(recipe.run.device)
    weights = Path(recipe.data.root) / recipe.model.weights if recipe.model.weights else None
    spec = spec_of(recipe.model, habits_of(weights) if weights else Habits())
    network = build(spec)
    if weights:
        taken = load_backbone(network.backbone, weights)
        tell.line(f"backbone: {taken} tensors from {weights.name}")
    network.to(device)
    if recipe.run.channels_last:
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    network.backbone.freeze(recipe.optimiser.freeze)
    average = Average(network, recipe.optimiser.average) if recipe.optimiser.average else None
    mixed = choose_precision(recipe.run.precision, device)
    return Trainee(network, spec, make_optimiser(network, recipe.optimiser), average, device, mixed)


def validate(network: Detector, spec: ModelSpec, samples: SampleSet, device: torch.device) -> Report:
    """The same `evaluate` as everywhere, on the network as it stands, in float32."""
    network.eval()
    return evaluate(Predictor.of(spec, TorchEngine(network, device), FLOOR), samples, METRICS)


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


def _read(sources: tuple[str, ...], recipe: Recipe, field: str, tell: Teller) -> SampleSet:
    if not sources:
        raise SettingError(f"data.{field} is empty; name a data set, e.g. --set data.{field}=voc:scut_head#train_B")
    classes = recipe.data.classes or recipe.model.labels
    if (made := parse_classes(classes).labels) != recipe.model.labels:
        raise SettingError(f"data.classes make {list(made)}, model.labels is {list(recipe.model.labels)}")
    parts = [load_boxes(s, classes, recipe.data.root) for s in sources]
    for part in parts:
        if part.reason:
            tell.line(f"{field}: read as {part.source}: {part.reason}")
    samples = join(parts)
    empty = sum(bool(s.truth.ignore.all()) for s in samples)
    notes = summary(samples.note_counts())
    told = f"{field}: {len(samples)} pictures, {samples.objects()} objects"
    tell.line(told + (f", {empty} pictures without" if empty else "") + (f" ({notes})" if notes else ""))
    return samples


def _with_facts(
    spec: ModelSpec,
    recipe: Recipe,
    report: Report,
    state: checkpoint.State,
    device: torch.device,
    train_set: SampleSet,
    val_set: SampleSet,
) -> ModelSpec:
    """The spec with its threshold chosen on the validation set, and where the model comes from."""
    threshold = best_f1(report.judged)
    facts: dict[str, Any] = {
        "recipe": recipe.name,
        "trained_on": f"{train_set.source}: {len(train_set)} pictures, {train_set.objects()} objects",
        "data_licence": recipe.data.licence or "not stated",
        "chosen_on": f"{val_set.source}: {len(val_set)} pictures, {val_set.objects()} objects",
        "backbone_weights": recipe.model.weights or "none",
        "epoch": state.epoch,
        "epochs": recipe.run.epochs,
        "hours": round(state.seconds / 3600, 2),
        "machine": device_name(device),
        "val_" + recipe.run.best_by: round(report.scores[recipe.run.best_by], 4),
        "threshold_rule": "best F1 at IoU 0.5 on the pictures it was chosen on",
    }
    return spec.with_(threshold=threshold, provenance=facts)


def _row_text(row: dict[str, float], epochs: int) -> str:
    text = (
        f"epoch {row['epoch']:.0f}/{epochs}  loss {row['loss_score']:.3f} + {row['loss_box']:.3f}  "
        f"{row['pictures_a_second']:.1f} pictures/s, waited {row['waited_share']:.0%}"
    )
    if "ap50" in row:
        text += f"  val AP50 {row['ap50']:.4f}  MR^-2 {row.get('mr2', math.nan):.4f}"
    return text


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {seconds:02d} s"
