"""The training loop, from top to bottom."""

from __future__ import annotations

import ctypes
import json
import math
import platform
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from passerby.data import join, load_data
from passerby.errors import SettingError, TrainingError
from passerby.files import written_whole
from passerby.learn import checkpoint
from passerby.learn.curves import draw_curves
from passerby.learn.engine import TorchEngine
from passerby.learn.loader import Batch, make_loader
from passerby.learn.losses import detection_loss
from passerby.learn.network import Detector, Habits, build, spec_of
from passerby.learn.optimise import Average, make_optimiser, rate_at
from passerby.learn.weights import habits_of, load_backbone
from passerby.measure.evaluate import Report, evaluate
from passerby.measure.operating_point import best_f1
from passerby.recipe import Recipe
from passerby.records import SampleSet
from passerby.runtime.detector import Detector as Predictor
from passerby.spec import ModelSpec

FLOOR = 0.01  # scores under this are dropped when measuring: Liu et al. 2016, "SSD", section 3
METRICS = ("average_precision", "miss_rate", "at_threshold")


class Teller(Protocol):
    """Where progress goes: `line` stays, `step` may be overwritten by the next."""

    def line(self, text: str) -> None: ...

    def step(self, text: str) -> None: ...


def train(recipe: Recipe, out: Path, tell: Teller, resume: bool = False) -> Path:
    """Train what a recipe says; returns the path of the best checkpoint.

    out     folder for last.safetensors (to resume), best.safetensors (averaged weights of the best epoch by
            `run.best_by`), history.json and curves.png
    resume  go on from out/last.safetensors: the weights come out as if the run had never stopped

    Raises SettingError, DataError and ModelError before the first step, TrainingError when the loss is not a number.
    """
    run, how = recipe.run, recipe.optimiser
    device, mixed = choose_device(run.device), False
    mixed = choose_precision(run.precision, device)
    seed_everything(run.seed)
    keep_memory()
    if run.threads:
        torch.set_num_threads(run.threads)

    train_set = _read(recipe.data.train, recipe, "train", tell)
    val_set = _read(recipe.data.val, recipe, "val", tell)
    if run.limit:
        train_set = SampleSet(train_set.samples[: run.limit], train_set.labels, train_set.source, train_set.notes)

    network, spec = make_network(recipe, tell)
    network.to(device)
    if run.channels_last:
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    network.backbone.freeze(how.freeze)
    optimiser = make_optimiser(network, how)
    average = Average(network, how.average) if how.average else None
    loader, order = make_loader(train_set, spec, recipe, pin=device.type == "cuda")
    state = checkpoint.State()
    last, best = out / "last.safetensors", out / "best.safetensors"
    if resume:
        state = checkpoint.restore(last, network, average, optimiser, recipe)
        tell.line(f"resumed after epoch {state.epoch}, {run.best_by} so far at best {state.best:.4f}")
    elif last.exists():
        raise SettingError(f"{last} is there already; go on with --resume, or name another folder with --out")

    per_epoch, steps = len(order), len(order) * run.epochs
    warmup = max(1, round(how.warmup * per_epoch))
    tell.line(
        f"{recipe.name}: {len(train_set)} pictures, {run.epochs} epochs of {per_epoch} steps of {run.batch}, "
        f"{'mixed bfloat16' if mixed else 'float32'} on {device_name(device)}"
    )
    while state.epoch < run.epochs:
        order.epoch = state.epoch
        network.train()
        clock = Clock()
        sums = np.zeros(2)
        for batch in clock.waiting(iter(loader)):
            rate = rate_at(state.step, steps, warmup, how)
            for group in optimiser.param_groups:
                group["lr"] = rate
            pixels, labels, targets = (t.to(device, non_blocking=True) for t in batch[:3])
            with torch.autocast(device.type, torch.bfloat16, enabled=mixed):
                logits, offsets = network(pixels)
            losses = detection_loss(logits, offsets, labels, targets, spec.scoring, how)
            loss = losses.score + losses.box
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            norm = nn.utils.clip_grad_norm_(network.parameters(), how.clip or math.inf)
            if not math.isfinite(loss.item()) or not math.isfinite(norm.item()):
                raise TrainingError(why_not_a_number(batch, train_set, state.step, rate))
            optimiser.step()
            if average:
                average.update(network)
            state.step += 1
            sums += [losses.score.item(), losses.box.item()]
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
        shown = average.network if average else network
        if state.epoch % run.evaluate_every == 0 or state.epoch == run.epochs:
            report = validate(shown, spec, val_set, device)
            row |= {k: report.scores[k] for k in ("ap50", "mr2", "miss_at_1fppi") if k in report.scores}
            if run.best_by not in report.scores:
                raise SettingError(f"run.best_by: no score '{run.best_by}' (known: {', '.join(report.scores)})")
            score = report.scores[run.best_by] * (-1 if run.best_by.startswith("m") else 1)
            state.seconds += clock.total()
            if score > state.best:
                state.best, state.best_epoch = score, state.epoch
                chosen = _with_facts(spec, recipe, report, state, device, train_set, val_set)
                checkpoint.save(best, shown, None, None, chosen, recipe, state)
        else:
            state.seconds += clock.total()
        state.history.append({k: float(v) for k, v in row.items()})
        checkpoint.save(last, network, average, optimiser, spec, recipe, state)
        with written_whole(out / "history.json") as path:
            path.write_text(json.dumps(state.history, indent=1))
        draw_curves(state.history, out / "curves.png", recipe.name)
        tell.line(_row_text(row, run.epochs))
    tell.line(f"best {run.best_by} {abs(state.best):.4f} at epoch {state.best_epoch}: {best}")
    return best


def make_network(recipe: Recipe, tell: Teller) -> tuple[Detector, ModelSpec]:
    """The recipe's network, its backbone filled from `model.weights`."""
    weights = Path(recipe.data.root) / recipe.model.weights if recipe.model.weights else None
    spec = spec_of(recipe.model, habits_of(weights) if weights else Habits())
    network = build(spec)
    if weights:
        taken = load_backbone(network.backbone, weights)
        tell.line(f"backbone: {taken} tensors from {weights.name}")
    return network, spec


def validate(network: nn.Module, spec: ModelSpec, samples: SampleSet, device: torch.device) -> Report:
    """The same `evaluate` as everywhere, on the network as it stands, in float32."""
    network.eval()
    return evaluate(Predictor.of(spec, TorchEngine(network, spec, device), FLOOR), samples, METRICS)


def choose_device(name: str) -> torch.device:
    """"auto" takes CUDA where there is one. Raises SettingError for a device that is not there."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as e:
        raise SettingError(f"run.device: '{name}' is no device (auto, cpu, cuda, cuda:1, ...)") from e
    if device.type == "cuda" and not torch.cuda.is_available():
        raise SettingError(f"run.device: {name}, but torch sees no CUDA device here; set run.device=cpu")
    return device


def choose_precision(name: str, device: torch.device) -> bool:
    """Whether to train in mixed bfloat16; "auto" does so where the machine multiplies in it."""
    if name not in ("auto", "float32", "bfloat16"):
        raise SettingError(f"run.precision: '{name}' is unknown (known: auto, bfloat16, float32)")
    if name != "auto":
        return name == "bfloat16"
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.cpu._is_avx512_bf16_supported()


def seed_everything(seed: int) -> None:
    """Python, numpy and torch; pictures draw from their own seeds (see `loader`)."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def keep_memory() -> None:
    """Let glibc keep freed memory instead of returning it: activations of tens of MB come and go every step.

    Measured on 2 cores (batch 32, 300 x 300): 24 -> 33 pictures a second. Elsewhere than on glibc: nothing is done.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    trim_threshold, mmap_max, arena_max = -1, -4, -8  # mallopt(3)
    libc = ctypes.CDLL("libc.so.6")
    for option, value in ((trim_threshold, 2**31 - 1), (mmap_max, 0), (arena_max, 1)):
        libc.mallopt(option, value)


def device_name(device: torch.device) -> str:
    """A device as a person would call it, with its thread count on a CPU."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU, {torch.get_num_threads()} threads"


def why_not_a_number(batch: Batch, samples: SampleSet, step: int, rate: float) -> str:
    """Which file and object made the loss NaN or infinite, in one line with the cure."""
    for row, targets in enumerate(batch.offsets):
        if not torch.isfinite(targets).all():
            sample = samples[int(batch.index[row])]
            bad = [i for i, b in enumerate(sample.truth.boxes) if not np.isfinite(b).all() or (b[2:] <= b[:2]).any()]
            thing = f"object {bad[0]}, box {sample.truth.boxes[bad[0]].tolist()}" if bad else "one of its objects"
            return f"step {step}: the loss is not a number: {sample.path}: {thing}; correct or remove the label"
    names = ", ".join(samples[int(i)].path.name for i in batch.index[:3])
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
    samples = join([load_data(s, recipe.model.labels, recipe.data.root) for s in sources])
    notes = ", ".join(f"{n} {kind}" for kind, n in samples.note_counts().items())
    tell.line(f"{field}: {len(samples)} pictures, {samples.objects()} objects" + (f" ({notes})" if notes else ""))
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
