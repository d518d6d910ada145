"""faster-rcnn-mb2-fpn: the two-stage rival on a feature pyramid; MobileNetV2 Faster R-CNN, 300 x 300. Not trained here.

Command   passerby train faster-rcnn-mb2-fpn --set data.root=DIR
          DIR holds scut_head/ (Pascal VOC layout) and weights/mobilenet_v2_w100_sym.safetensors
"""

from passerby.recipe import Augment, Data, Model, Optimiser, Recipe, Run

RECIPE = Recipe(
    name="faster-rcnn-mb2-fpn",
    model=Model(
        name="faster-rcnn-mb2-fpn",
        labels=("head",),
        head="two_stage",
        layout="f38",
        fusion=88,  # as in the recipe `head`, so that both heads read the same maps
        sizes=((10, 17), (27, 42), (64, 95), (135, 190)),  # as in the recipe `head`
        proposals=200,  # val_B has up to 98 heads a picture
        loss="sampled",
        weights="weights/mobilenet_v2_w100_sym.safetensors",
    ),
    data=Data(
        train=("voc:scut_head#train_A,train_B",),
        val=("voc:scut_head#val_B",),
        licence="SCUT-HEAD: free to the academic community for research purpose only",
    ),
    augment=Augment(crop=0.5, crop_scale=(0.4, 1.0), expand=0.3, expand_scale=1.5),
    optimiser=Optimiser(kind="adamw", rate=1e-3, decay=0.05, freeze=3, match_iou=0.5, average=0.998),
    run=Run(epochs=40, batch=16, evaluate_every=2),
)
