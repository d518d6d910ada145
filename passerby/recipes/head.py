"""head: heads in classrooms and crowds; MobileNetV1 0.5 SSD-Lite, 576 x 384, with a map at stride 4.

The published cost, 618 M multiply-adds, spent where small heads are: docs/decisions/0016, 0018 and 0019.
Commands  passerby train head-f38 --set data.root=DIR
          passerby train head-first --set data.root=DIR      (begins with runs/head-f38)
          passerby train head --set data.root=DIR            (begins with runs/head-first)
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
        start="runs/head-first/best.safetensors",
    ),
    augment=replace(FIRST.augment, crop_scale=(0.3, 1.0), crop_ratio=1.6),
    run=Run(epochs=34, batch=16, evaluate_every=4, best_by="mr2"),  # AP50 has been the same from epoch 16 on
)
