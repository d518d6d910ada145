"""Training speed: pictures a second of the step alone, and of the whole loop with its loader.

Limit of the project: the whole loop at least 0.9 of the step.
python benchmarks/training_speed.py --root DIR    where DIR holds data/scut_head and weights/
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from common import median, save

from passerby.data import join, load_data
from passerby.learn.loader import make_loader
from passerby.learn.loop import Clock, prepare
from passerby.learn.machine import device_name, keep_memory, seed_everything
from passerby.recipe import load_recipe

STEPS, ROUNDS = 20, 5


class Quiet:
    def line(self, text: str) -> None: ...

    def step(self, text: str) -> None: ...


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", type=Path, required=True)
    recipe = load_recipe("head").set(f"data.root={parser.parse_args().root}")
    seed_everything(0)
    keep_memory()
    samples = join([load_data(s, recipe.model.labels, recipe.data.root) for s in recipe.data.train])
    trainee = prepare(recipe, Quiet())
    trainee.network.train()
    loader, order = make_loader(samples, trainee.spec, recipe, pin=trainee.device.type == "cuda")
    batch_size, how = recipe.run.batch, recipe.optimiser
    batch = next(iter(loader))
    for _ in range(10):  # memory settles
        trainee.step(batch, 1e-4, how)
    alone, whole, waits = [], [], []
    for turn in range(ROUNDS):  # step and loop take turns, so that drift of the machine hits both alike
        start = time.perf_counter()
        for _ in range(STEPS):
            trainee.step(batch, 1e-4, how)
        alone.append(STEPS * batch_size / (time.perf_counter() - start))
        order.epoch = turn
        clock = Clock()
        for i, fresh in enumerate(clock.waiting(iter(loader))):
            if i == 0:  # the loader's start is paid once an epoch, not here
                clock = Clock()
                first = time.perf_counter()
                continue
            trainee.step(fresh, 1e-4, how)
            clock.count(batch_size)
            if i == STEPS * 2:
                break
        whole.append(clock.pictures / (time.perf_counter() - first))
        waits.append(clock.waited)
    ratio = median(whole) / median(alone)
    row = {
        "device": device_name(trainee.device),
        "precision": "mixed bfloat16" if trainee.mixed else "float32",
        "batch": batch_size,
        "loader workers": recipe.run.workers,
        "step alone, pictures/s": f"{median(alone):.1f}",
        "whole loop, pictures/s": f"{median(whole):.1f}",
        "ratio (limit 0.9)": f"{ratio:.3f}",
    }
    save("training_speed", f"Training of recipe head, median of {ROUNDS} turns", [row])


if __name__ == "__main__":
    main()
