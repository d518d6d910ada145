"""A training step, and what makes it fast or slow: variants of one network in turns, on one core.

A step: forward, losses, backward, optimiser, moving average, on a batch that is there already (recipe `head-tiny`).
python benchmarks/training_step.py --root DIR [--no-compile]    where DIR holds scut_head; compiling takes a minute
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import torch
from common import Quiet, save

from passerby.learn.detecting import read
from passerby.learn.halving import HalvingDepthwise
from passerby.learn.loader import make_loader
from passerby.learn.machine import keep_memory, seed_everything
from passerby.learn.trainee import Trainee, prepare
from passerby.recipe import Recipe, load_recipe

STEPS, TURNS = 3, 7


def unquicken(trainee: Trainee) -> None:
    """Gradients of halving depthwise convolutions as torch works them out."""
    for m in trainee.network.modules():
        if type(m) is HalvingDepthwise:
            m.__class__ = torch.nn.Conv2d


def compile_it(trainee: Trainee) -> None:
    network = trainee.network
    network.backbone.forward = torch.compile(network.backbone.forward)
    network.head.forward = torch.compile(network.head.forward)


VARIANTS: dict[str, tuple[tuple[str, ...], Callable[[Trainee], None] | None]] = {
    "as it is: bfloat16, channels last": ((), None),
    "torch's own gradient of halving depthwise convolutions": ((), unquicken),
    "float32": (("run.precision=float32",), None),
    "channels first": (("run.channels_last=no",), None),
    "three first entries of the trunk frozen": (("optimiser.freeze=3",), None),
    "taught by `head`": (("optimiser.teacher=head",), None),
    "torch.compile": ((), compile_it),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--no-compile", action="store_true", help="leave torch.compile out")
    given = parser.parse_args()
    base = load_recipe("head-tiny").set(
        f"data.root={given.root}",
        'data.train=["voc:scut_head#train_A,train_B"]',
        "data.negative_share=-1",
        "model.start=head-tiny",
        "optimiser.teacher=",
        "run.threads=1",
        "run.workers=0",
    )
    seed_everything(0)
    keep_memory()
    torch.set_num_threads(1)
    samples, _ = read(base, Quiet())
    made: dict[str, tuple[Trainee, Recipe]] = {}
    for name, (sets, change) in VARIANTS.items():
        if change is compile_it and given.no_compile:
            continue
        recipe = base.set(*sets)
        trainee = prepare(recipe, Quiet(), samples.samples[:16])
        trainee.network.train()
        if change:
            change(trainee)
        made[name] = trainee, recipe
    loader, order = make_loader(samples, next(iter(made.values()))[0].spec, base, pin=False)
    order.epoch = 0
    batches = list(islice(iter(loader), STEPS))
    warming: dict[str, float] = {}
    for name, (trainee, recipe) in made.items():
        begun = time.perf_counter()
        for _ in range(2):
            trainee.step(batches[0], 1e-4, recipe.optimiser)
        warming[name] = time.perf_counter() - begun
    spent: dict[str, list[float]] = {name: [] for name in made}
    for _ in range(TURNS):
        for name, (trainee, recipe) in made.items():
            begun = time.perf_counter()
            for batch in batches:
                trainee.step(batch, 1e-4, recipe.optimiser)
            spent[name].append(1000 * (time.perf_counter() - begun) / (STEPS * base.run.batch))
    first = next(iter(spent))
    rows = [
        {
            "variant": name,
            "ms a picture": f"{statistics.median(times):.1f}",
            "times as long": f"{statistics.median(t / f for t, f in zip(times, spent[first], strict=True)):.2f}",
            "first two steps, s": f"{warming[name]:.1f}",
        }
        for name, times in spent.items()
    ]
    save("training_step", f"A step of recipe head-tiny, batches of {base.run.batch}, one thread, {TURNS} turns", rows)


if __name__ == "__main__":
    main()
