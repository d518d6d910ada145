"""head-small-objects: the cost of `head` spent on 960 x 640 pixels; MobileNetV1 0.25 SSD-Lite, begun from `head-tiny`.

For heads of few pixels in pictures wider than tall, where 1.6 times the time is to be had: docs/decisions/0016.
Commands  passerby train head-tiny --set data.root=DIR
          passerby train head-small-objects --set data.root=DIR      (takes the first one's runs/head-tiny)
          DIR holds scut_head/ (Pascal VOC layout) and weights/mobilenet_v1_w025.safetensors
"""

from dataclasses import replace

from passerby.recipe import Run
from passerby.recipes.head_tiny import RECIPE as TINY

RECIPE = replace(
    TINY,
    name="head-small-objects",
    model=replace(
        TINY.model,
        name="head-small-objects",
        width=960,
        height=640,
        shapes=(  # those of `head-tiny`, in this input
            ((19.0, 23.2), (30.2, 34.3), (45.1, 49.9), (66.6, 74.3)),
            ((86.3, 95.4), (116.3, 129.7)),
            ((157.4, 177.5), (215.6, 242.3)),
            ((290.7, 326.3), (412.6, 477.1)),
        ),
        start="runs/head-tiny/best.safetensors",
    ),
    optimiser=replace(TINY.optimiser, rate=7e-4),
    run=Run(epochs=18, batch=16, evaluate_every=3),
)
