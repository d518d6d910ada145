"""head: heads in classrooms and crowds; MobileNetV1 0.5 SSD-Lite, 576 x 384, with a map at stride 4.

The published cost, 618 M multiply-adds, spent where small heads are: docs/decisions/0016 and 0018.
Commands  passerby train head-f38 --set data.root=DIR
          passerby train head --set data.root=DIR      (begins with the first one's runs/head-f38)
          DIR holds scut_head/ (Pascal VOC layout) and weights/mobilenet_v1_w050.safetensors
"""

from dataclasses import replace

from passerby.recipe import Run
from passerby.recipes.head_f38 import RECIPE as F38

RECIPE = replace(
    F38,
    name="head",
    model=replace(
        F38.model,
        name="head",
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
