"""mb2-ssd-lite-f38: the reference design of SPEC 1: MobileNetV2 SSD-Lite on maps of 38, 19, 10 and 5 cells, 300 x 300.

Not trained here: no hours, no score. The shipped model is the recipe `head`.
Command   passerby train mb2-ssd-lite-f38 --set data.root=DIR
          DIR holds scut_head/ (Pascal VOC layout) and weights/mobilenet_v2_w100_sym.safetensors
"""

from passerby.recipe import Data, Model, Optimiser, Recipe, Run

RECIPE = Recipe(
    name="mb2-ssd-lite-f38",
    model=Model(
        name="mb2-ssd-lite-f38",
        labels=("head",),
        layout="f38_wide",  # with the last convolution what 2,750,864 parameters were counted of: passerby info
        last=True,
        weights="weights/mobilenet_v2_w100_sym.safetensors",
    ),
    data=Data(
        train=("voc:scut_head#train_A,train_B",),
        val=("voc:scut_head#val_B",),
        licence="SCUT-HEAD: free to the academic community for research purpose only",
    ),
    optimiser=Optimiser(kind="sgd", momentum=0.9, decay=5e-4),
    run=Run(epochs=150, batch=32),
)
