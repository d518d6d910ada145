"""person: whole persons in everyday and street pictures; MobileNetV1 0.5 SSD-Lite with a top-down path, 352 x 352.

Command   passerby train person --set data.root=DIR
          DIR holds person_boxes/ (COCO JSON) and weights/mobilenet_v1_w050.safetensors
"""

from passerby.recipe import Augment, Data, Model, Optimiser, Recipe, Run

RECIPE = Recipe(
    name="person",
    model=Model(
        name="person",
        labels=("person",),
        width=352,
        height=352,
        backbone="mobilenet_v1",
        width_multiplier=0.5,
        shapes=(  # passerby anchors coco:person_boxes#train --per-map 3 --iou 0.4, at 300 x 300, times 352 / 300
            ((10.6, 18.0), (18.2, 40.9), (28.0, 88.1)),
            ((49.7, 124.0), (50.7, 201.5), (69.7, 266.1)),
            ((101.1, 174.0), (246.2, 71.8), (106.2, 312.8)),
            ((70.3, 337.0), (329.7, 134.6), (190.3, 332.3)),
        ),
        fusion=80,
        weights="weights/mobilenet_v1_w050.safetensors",
    ),
    data=Data(
        train=("coco:person_boxes#train",),
        val=("coco:person_boxes#valid",),
        licence="CC BY 4.0 (Human Dataset v2 on Roboflow Universe; parts come from COCO)",
    ),
    augment=Augment(crop=0.5, crop_scale=(0.4, 1.0), expand=0.3, expand_scale=1.5),
    optimiser=Optimiser(
        kind="adamw",
        rate=1e-3,
        decay=0.05,
        freeze=3,
        match_iou=0.4,
        quality=True,
        box_loss="giou",
        box_weight=2.0,
        average=0.998,
    ),
    run=Run(epochs=28, batch=16, evaluate_every=7),
)
