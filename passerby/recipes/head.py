"""head: heads in classrooms and crowds; MobileNetV1 0.5 SSD-Lite, 576 x 384, with a map at stride 4.

The published cost, 618 M multiply-adds, spent where small heads are: docs/decisions/0016, 0018, 0019 and 0021.
Commands  passerby train head-f38 --set data.root=DIR
          passerby train head-first --set data.root=DIR      (begins with runs/head-f38)
          passerby train head --set data.root=DIR --set model.start=runs/head-first/best.safetensors
              --set optimiser.freeze=3 --set optimiser.rate=0.001 --set optimiser.box_weight=2 --set augment.crop=0.5
              --set run.epochs=34 --set run.evaluate_every=4 --out runs/head-second      (the last epoch)
          passerby train head --set data.root=DIR            (begins with runs/head-second)
          passerby export runs/head/best.safetensors --mean runs/head/last.safetensors
              --mean runs/head-second/last.safetensors --name head
          DIR holds scut_head/ (Pascal VOC layout) and weights/mobilenet_v1_w050.safetensors
"""

from dataclasses import replace

from passerby.recipe import Run
from passerby.recipes.head_first import RECIPE as FIRST

RECIPE = replace(
    FIRST,
    name="head",
    model=replace(
        FIRST.model,
        name="head",
        resize="bounded",  # upright pictures are padded, not pressed flat
        blocks=(1, 2, 2, 2, 2),  # one more at stride 32, for near heads; that one begins with ImageNet's weights
        nms="soft",
        nms_iou=0.4,
        start="runs/head-second/last.safetensors",
    ),
    augment=replace(FIRST.augment, crop=0.35, crop_scale=(0.3, 1.0), crop_ratio=1.6),
    optimiser=replace(FIRST.optimiser, freeze=0, rate=7e-4, box_weight=3.0),  # boxes of small heads lie a pixel beside
    run=Run(epochs=20, batch=16, evaluate_every=2, best_by="mr2"),
)
