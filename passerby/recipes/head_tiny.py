"""head-tiny: heads at a quarter of the cost of `head`; MobileNetV1 0.25 SSD-Lite, 512 x 336, with a map at stride 4.

As `head` is to `head-f38` (docs/decisions/0018 and 0019), at 150 M multiply-adds; taught by `head` (0020, 0021); in the
fifth stage channels that were constant since ImageNet begin anew (0022, 0023); the last one sees everyday and street
pictures (0024).
Commands  passerby train head-tiny-f38 --set data.root=DIR
          passerby train head-tiny --set data.root=DIR --set model.start=runs/head-tiny-f38/best.safetensors
              --set optimiser.teacher= --set optimiser.freeze=3 --set run.epochs=40 --out runs/head-tiny-first
              (stopped after epoch 24)
          passerby train head-tiny --set data.root=DIR --set model.start=runs/head-tiny-first/best.safetensors
              --set optimiser.teacher= --set run.epochs=30 --out runs/head-tiny-second
          passerby train head-tiny --set data.root=DIR --set model.start=runs/head-tiny-second/best.safetensors
              --set run.epochs=24 --out runs/head-tiny-third
          The three of head-tiny so far with --set optimiser.box_weight=2 --set augment.crop=0.5
              --set run.evaluate_every=4
          passerby train head-tiny --set data.root=DIR --set model.start=runs/head-tiny-third/best.safetensors
              --set optimiser.rate=7e-4 --set run.epochs=20 --set run.evaluate_every=2 --out runs/head-tiny-fourth
          The four of head-tiny so far with --set model.revive=false
          passerby train head-tiny --set data.root=DIR --set model.start=runs/head-tiny-fourth/best.safetensors
              --set run.epochs=16 --set run.evaluate_every=2 --set run.best_by=mr2 --out runs/head-tiny-fifth
          The five so far with --set 'data.train=["voc:scut_head#train_A,train_B"]' --set data.negative_share=-1
          passerby export runs/head-tiny-fifth/best.safetensors --mean runs/head-tiny-fifth/last.safetensors
              --to runs/head-tiny-fifth.onnx
          passerby prelabel runs/head-third.onnx "DIR/person_boxes/images/train_*.jpg" --to DIR/heads_of_people
              --format coco --confirm yolox_n_body_head_hand_post_256x320_float16.tflite
              --owners coco:DIR/person_boxes#train --engine onnxruntime
          The first wide stage of recipe `head`, --out runs/head-wide: its last.safetensors after two epochs is the
              teacher; the teacher of the stages before was what shipped as head then
          passerby train head-tiny --set data.root=DIR --set optimiser.teacher=TEACHER
          passerby export runs/head-tiny/best.safetensors
          DIR holds scut_head/ (Pascal VOC layout), person_boxes/ (COCO JSON), person_or_not/ and
          weights/mobilenet_v1_w025.safetensors; the .tflite is of PINTO0309's model zoo (426, Apache-2.0)
"""

from dataclasses import replace

from passerby.recipe import Run
from passerby.recipes.head import RECIPE as HEAD
from passerby.recipes.head_tiny_f38 import RECIPE as F38

RECIPE = replace(
    F38,
    name="head-tiny",
    model=replace(
        F38.model,
        name="head-tiny",
        width=512,
        height=336,
        resize="bounded",
        blocks=(1, 2, 2, 2, 2),
        layout="f75",
        shapes=(  # those of `head`, in this input
            ((7.6, 8.9), (12.4, 14.7)),
            ((18.2, 21.3), (26.7, 30.2)),
            ((40.9, 44.4), (56.9, 62.2)),
            ((78.2, 86.2), (107.6, 119.1)),
            ((146.7, 161.8), (208.9, 235.6)),
        ),
        fusion=44,  # the widest that stays under 150 M multiply-adds
        nms="soft",
        nms_iou=0.4,
        start="runs/head-tiny-fifth.onnx",
        revive=True,
    ),
    data=HEAD.data,
    augment=replace(F38.augment, crop=0.35),
    optimiser=replace(
        F38.optimiser, assign="atss", freeze=0, rate=1e-3, box_weight=3.0, teacher="head", teacher_weight=2.0
    ),
    run=Run(epochs=10, batch=16, evaluate_every=1),
)
