"""What benchmarks/experiments.py changes one thing of: MobileNetV2 SSD-Lite with a top-down path, 300 x 300.

It was the recipe of `head` up to version 0.1.0; the experiments narrow it so that a row trains in minutes.
"""

from passerby.recipe import Augment, Data, Model, Optimiser, Recipe, Run

RECIPE = Recipe(
    name="head",
    model=Model(
        name="head",
        labels=("head",),
        sizes=((10, 17), (27, 42), (64, 95), (135, 190)),  # fitted to train_A and train_B, stretched to 300 x 300
        ratio=1.7,
        fusion=88,  # the widest that stays under 618 M multiply-adds
        weights="weights/mobilenet_v2_w100_sym.safetensors",
    ),
    data=Data(
        train=("voc:scut_head#train_A,train_B",),
        val=("voc:scut_head#val_B",),
        licence="SCUT-HEAD: free to the academic community for research purpose only",
    ),
    augment=Augment(crop=0.5, crop_scale=(0.4, 1.0), expand=0.3, expand_scale=1.5),
    optimiser=Optimiser(
        kind="adamw",
        rate=1e-3,
        decay=0.05,
        freeze=3,  # the first blocks cost a third of the step on a CPU
        match_iou=0.4,
        quality=True,
        box_loss="giou",
        box_weight=2.0,
        average=0.998,
    ),
    run=Run(epochs=40, batch=16, evaluate_every=2),
)
