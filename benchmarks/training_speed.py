"""Training speed: pictures a second of the step alone, and of the whole loop with its loader.

Limit of the project: the whole loop at least 0.9 of the step.
python benchmarks/training_speed.py --root DIR    where DIR holds scut_head
"""

from __future__ import annotations

import argparse
import time
from itertools import islice
from pathlib import Path

from common import Quiet, save

from passerby.data import join, load_data
from passerby.learn.loader import make_loader
from passerby.learn.loop import Clock, prepare
from passerby.learn.machine import device_name, keep_memory, seed_everything
from passerby.recipe import load_recipe

STEPS, TURNS = 12, 9


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", type=Path, required=True)
    recipe = load_recipe("head").set(
        f"data.root={parser.parse_args().root}",
        'data.train=["voc:scut_head#train_A,train_B"]',
        "data.negative_share=-1",
        "model.start=head",
    )
    seed_everything(0)
    keep_memory()
    samples = join([load_data(s, recipe.model.labels, recipe.data.root) for s in recipe.data.train])
    trainee = prepare(recipe, Quiet())
    trainee.network.train()
    loader, _ = make_loader(samples, trainee.spec, recipe, pin=trainee.device.type == "cuda")
    batch_size, how = recipe.run.batch, recipe.optimiser
    batches = iter(loader)
    batch = next(batches)
    for _ in range(10):  # memory settles
        trainee.step(batch, 1e-4, how)
    alone, whole, waited = 0.0, 0.0, 0.0
    for _ in range(TURNS):  # step and loop take turns, so that drift of the machine hits both alike
        time.sleep(2)  # the workers fill their queue and rest
        start = time.perf_counter()
        for _ in range(STEPS):
            trainee.step(batch, 1e-4, how)
        alone += time.perf_counter() - start
        clock = Clock()
        for fresh in clock.waiting(islice(batches, STEPS)):
            trainee.step(fresh, 1e-4, how)
        whole += clock.total()
        waited += clock.waited
    pictures = TURNS * STEPS * batch_size
    row = {
        "device": device_name(trainee.device),
        "precision": "mixed bfloat16" if trainee.mixed else "float32",
        "batch": batch_size,
        "loader workers": recipe.run.workers,
        "step alone, pictures/s": f"{pictures / alone:.1f}",
        "whole loop, pictures/s": f"{pictures / whole:.1f}",
        "ratio (limit 0.9)": f"{alone / whole:.3f}",
        "waited for data": f"{waited / whole:.1%}",
    }
    save("training_speed", f"Training of recipe head, {TURNS} turns of {STEPS} steps each", [row])


if __name__ == "__main__":
    main()
