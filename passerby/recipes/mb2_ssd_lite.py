"""mb2-ssd-lite: the usual SSD-Lite on MobileNetV2 (Sandler et al. 2018, section 6.2): six maps, 300 x 300.

Not trained here: no hours, no score.
Command   passerby train mb2-ssd-lite --set data.root=DIR
          DIR holds scut_head/ (Pascal VOC layout) and weights/mobilenet_v2_w100_sym.safetensors
"""

from passerby.recipe import Data, Model, Optimiser, Recipe, Run

RECIPE = Recipe(
    name="mb2-ssd-lite",
    model=Model(
        name="mb2-ssd-lite",
        labels=("head",),
        layout="six",
        last=True,
        loss="mining",
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
