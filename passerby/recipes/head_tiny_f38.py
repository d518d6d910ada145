"""head-tiny-f38: what `head-tiny` begins from; MobileNetV1 0.25 SSD-Lite, 464 x 304, maps from stride 8 on.

It shipped as `head-tiny` before that had a map at stride 4; val_B AP50 0.794 after 40 epochs.
Command   passerby train head-tiny-f38 --set data.root=DIR
          DIR holds scut_head/ (Pascal VOC layout) and weights/mobilenet_v1_w025.safetensors
"""

from passerby.recipe import Augment, Data, Model, Optimiser, Recipe, Run

RECIPE = Recipe(
    name="head-tiny-f38",
    model=Model(
        name="head-tiny-f38",
        labels=("head",),
        width=464,
        height=304,
        backbone="mobilenet_v1",
        width_multiplier=0.25,
        shapes=(  # those of `head-f38`, in this input
            ((9.2, 11.0), (14.6, 16.3), (21.8, 23.7), (32.2, 35.3)),
            ((41.7, 45.3), (56.2, 61.6)),
            ((76.1, 84.3), (104.2, 115.1)),
            ((140.5, 155.0), (199.4, 226.6)),
        ),
        fusion=40,
        weights="weights/mobilenet_v1_w025.safetensors",
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
