"""head-first: what `head` begins with; a map at stride 4 and half of MobileNetV1's blocks at strides 16 and 32.

It shipped as `head` for a while: val_B AP50 0.8975 after 28 epochs; docs/decisions/0018.
Commands  passerby train head-f38 --set data.root=DIR
          passerby train head-first --set data.root=DIR      (begins with runs/head-f38)
"""

from dataclasses import replace

from passerby.recipe import Run
from passerby.recipes.head_f38 import RECIPE as F38

RECIPE = replace(
    F38,
    name="head-first",
    model=replace(
        F38.model,
        name="head-first",
        width=576,
        height=384,
        blocks=(1, 2, 2, 3, 1),  # half of those at strides 16 and 32: what they cost pays for the map at stride 4
        layout="f75",
        shapes=(
            ((8.5, 10), (14, 16.5)),
            ((20.5, 24), (30, 34)),
            ((46, 50), (64, 70)),
            ((88, 97), (121, 134)),
            ((165, 182), (235, 265)),
        ),
        fusion=64,
        start="runs/head-f38/best.safetensors",
    ),
    optimiser=replace(F38.optimiser, assign="atss"),
    run=Run(epochs=32, batch=16, evaluate_every=4),
)
