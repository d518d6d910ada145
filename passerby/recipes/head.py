"""head: heads in classrooms and crowds; MobileNetV1 0.5 SSD-Lite, 576 x 384, with a map at stride 4.

The published cost, 618 M multiply-adds, spent where small heads are: docs/decisions/0016, 0018, 0019 and 0021; then
everyday and street pictures, labelled by two detectors that agree: 0024 and 0025. What is below is the last stage.
Commands  passerby train head-f38 --set data.root=DIR
          passerby train head-first --set data.root=DIR      (begins with runs/head-f38)
          passerby train head --set data.root=DIR --set model.start=runs/head-first/best.safetensors
              --set optimiser.freeze=3 --set optimiser.rate=0.001 --set optimiser.box_weight=2 --set augment.crop=0.5
              --set run.epochs=34 --set run.evaluate_every=4 --out runs/head-second      (the last epoch)
          passerby train head --set data.root=DIR --set model.start=runs/head-second/last.safetensors
              --set run.epochs=20 --set run.evaluate_every=2 --out runs/head-third
          Both of head so far with --set 'data.train=["voc:scut_head#train_A,train_B"]' --set data.negative_share=-1
              --set data.licence=, and all of head but the last with --set optimiser.rate=7e-4 where none is named,
              --set optimiser.warmup=1, --set augment.crop=0.35 where none is named, --set augment.expand=0.3
          passerby export runs/head-third/best.safetensors --mean runs/head-third/last.safetensors
              --mean runs/head-second/last.safetensors --name head --to runs/head-third.onnx
          passerby prelabel runs/head-third.onnx "DIR/person_boxes/images/train_*.jpg" --to DIR/heads_of_people
              --format coco --confirm yolox_n_body_head_hand_post_256x320_float16.tflite
              --owners coco:DIR/person_boxes#train --engine onnxruntime
          passerby train head --set data.root=DIR --set model.start=runs/head-third.onnx --set run.epochs=12
              --out runs/head-wide
          passerby export runs/head-third.onnx --mean runs/head-wide/last.safetensors --to runs/head-between.onnx
          passerby train head --set data.root=DIR            (begins with runs/head-between.onnx)
          passerby export runs/head-wide/last.safetensors --mean runs/head/last.safetensors --name head
          DIR holds scut_head/ (Pascal VOC layout), person_boxes/ (COCO JSON), person_or_not/ and
          weights/mobilenet_v1_w050.safetensors; the .tflite is of PINTO0309's model zoo (426, Apache-2.0)
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
        start="runs/head-between.onnx",
    ),
    data=replace(
        FIRST.data,
        train=(
            "voc:scut_head#train_A,train_B",
            "coco:heads_of_people#train",
            "folder:person_or_not/train/no_person",
        ),
        licence="SCUT-HEAD: free to the academic community for research purpose only; person_boxes: CC BY 4.0",
        negative_share=0.1,
    ),
    augment=replace(FIRST.augment, crop=0.15, crop_scale=(0.3, 1.0), crop_ratio=1.6, expand=0.05),
    optimiser=replace(  # boxes of small heads lie a pixel beside, so they weigh more
        FIRST.optimiser, freeze=0, rate=4e-4, warmup=0.3, box_weight=3.0
    ),
    run=Run(epochs=6, batch=16, evaluate_every=1, best_by="mr2"),
)
