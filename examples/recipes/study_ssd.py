"""The SSD of docs/study.md: persons, MobileNetV2, 300 x 300, a dozen epochs.

passerby train examples/recipes/study_ssd.py --set data.root=DIR    where DIR holds person_boxes/ and weights/
"""

from passerby.recipe import Augment, Data, Model, Optimiser, Recipe, Run

RECIPE = Recipe(
    name="study-ssd",
    model=Model(
        name="study-ssd",
        labels=("person",),
        shapes=(  # passerby anchors coco:person_boxes#train --per-map 3 --iou 0.4
            ((9, 15.3), (15.5, 34.9), (23.9, 75.1)),
            ((42.4, 105.7), (43.2, 171.7), (59.4, 226.8)),
            ((86.2, 148.3), (209.8, 61.2), (90.5, 266.6)),
            ((59.9, 287.2), (281, 114.7), (162.2, 283.2)),
        ),
        fusion=88,
        weights="weights/mobilenet_v2_w100_sym.safetensors",
    ),
    data=Data(train=("coco:person_boxes#train",), val=("coco:person_boxes#valid",), licence="CC BY 4.0"),
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
    run=Run(epochs=12, batch=16, evaluate_every=3),
)
