"""person: whole persons in everyday and street pictures; MobileNetV1 0.5 SSD-Lite with a top-down path, 416 x 416.

Two stages: 64 epochs on pictures of people, then seven with crops that show nobody, three pictures in ten
(docs/decisions/0020 and 0024).
Commands  passerby train person --set data.root=DIR --set data.train=coco:person_boxes#train
              --set data.negative_share=-1 --set model.start= --set optimiser.rate=0.001 --set optimiser.warmup=1
              --set run.epochs=64 --set run.evaluate_every=8 --out runs/person-first
          passerby train person --set data.root=DIR            (begins with runs/person-first)
          passerby export runs/person/best.safetensors --mean runs/person/last.safetensors
              --mean runs/person-first/best.safetensors
          DIR holds person_boxes/ (COCO JSON), person_or_not/ and weights/mobilenet_v1_w050.safetensors
"""

from passerby.recipe import Augment, Data, Model, Optimiser, Recipe, Run

RECIPE = Recipe(
    name="person",
    model=Model(
        name="person",
        labels=("person",),
        width=416,  # as the pictures are
        height=416,
        backbone="mobilenet_v1",
        width_multiplier=0.5,
        shapes=(  # passerby anchors coco:person_boxes#train --per-map 3 --iou 0.4, at 300 x 300, times 416 / 300
            ((12.5, 21.3), (21.5, 48.3), (33.1, 104.1)),
            ((58.7, 146.5), (59.9, 238.1), (82.4, 314.5)),
            ((119.5, 205.6), (291.0, 84.9), (125.5, 369.7)),
            ((83.1, 398.3), (389.6, 159.1), (224.9, 392.7)),
        ),
        fusion=80,
        nms="soft",
        weights="weights/mobilenet_v1_w050.safetensors",
        start="runs/person-first/best.safetensors",
    ),
    data=Data(
        train=("coco:person_boxes#train", "folder:person_or_not/train/no_person"),
        val=("coco:person_boxes#valid",),
        licence="CC BY 4.0 (Human Dataset v2 on Roboflow Universe; parts come from COCO)",
        negative_share=0.3,
    ),
    augment=Augment(crop=0.5, crop_scale=(0.4, 1.0), expand=0.3, expand_scale=1.5, mosaic=0.3),
    optimiser=Optimiser(
        kind="adamw",
        rate=4e-4,
        decay=0.05,
        warmup=0.5,
        freeze=3,
        assign="atss",
        match_iou=0.4,
        quality=True,
        box_loss="giou",
        box_weight=2.0,
        average=0.998,
    ),
    run=Run(epochs=7, batch=16, evaluate_every=1),
)
