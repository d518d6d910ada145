"""head-f38: what `head` begins from; MobileNetV1 0.5 SSD-Lite with a top-down path, 512 x 336, maps from stride 8 on.

The published cost, 618 M multiply-adds, spent on pixels of the shape that pictures have: docs/decisions/0016. It
shipped as `head` before `head` had a map at stride 4; val_B AP50 0.869 after 40 epochs.
Command   passerby train head-f38 --set data.root=DIR
          DIR holds scut_head/ (Pascal VOC layout) and weights/mobilenet_v1_w050.safetensors
"""

from passerby.recipe import Augment, Data, Model, Optimiser, Recipe, Run

RECIPE = Recipe(
    name="head-f38",
    model=Model(
        name="head-f38",
        labels=("head",),
        width=512,  # most pictures are 3:2 or wider: 300 x 300 and 416 x 416 would press them together
        height=336,
        backbone="mobilenet_v1",
        width_multiplier=0.5,
        shapes=(  # the finest: passerby anchors --input 512x336 --per-map 4,2,2,2 --iou 0.4; then steps of about 1.35
            ((10.2, 12.1), (16.1, 18.0), (24.0, 26.1), (35.5, 38.9)),
            ((46, 50), (62, 68)),
            ((84, 93), (115, 127)),
            ((155, 171), (220, 250)),
        ),
        fusion=78,  # the widest that stays under 618 M multiply-adds
        weights="weights/mobilenet_v1_w050.safetensors",
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
    run=Run(epochs=40, batch=16, evaluate_every=5),
)
