"""mb2-tiny-ssd-lite: a tenth of the reference design: MobileNetV2 of a third of the channels and half of the blocks.

Width 0.35 is the narrowest with ImageNet weights at hand; depth 0.5 keeps the first blocks of each stage.
Not trained here: no hours, no score.
Command   passerby train mb2-tiny-ssd-lite --set data.root=DIR
          DIR holds scut_head/ (Pascal VOC layout) and weights/mobilenet_v2_w035.safetensors
"""

from passerby.recipe import Data, Model, Optimiser, Recipe, Run

RECIPE = Recipe(
    name="mb2-tiny-ssd-lite",
    model=Model(
        name="mb2-tiny-ssd-lite",
        labels=("head",),
        width_multiplier=0.35,
        depth_multiplier=0.5,
        weights="weights/mobilenet_v2_w035.safetensors",
    ),
    data=Data(
        train=("voc:scut_head#train_A,train_B",),
        val=("voc:scut_head#val_B",),
        licence="SCUT-HEAD: free to the academic community for research purpose only",
    ),
    optimiser=Optimiser(kind="sgd", momentum=0.9, decay=5e-4),
    run=Run(epochs=150, batch=32),
)
