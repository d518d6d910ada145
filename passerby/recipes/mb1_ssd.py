"""mb1-ssd: SSD on MobileNetV1 (Howard et al. 2017, section 4.6): six maps, plain 3 x 3 predictors, 300 x 300.

Not trained here: no hours, no score. It starts at random; alpha 0.5 has ImageNet weights:
--set model.width_multiplier=0.5 --set model.weights=weights/mobilenet_v1_w050.safetensors
Command   passerby train mb1-ssd --set data.root=DIR
          DIR holds scut_head/ (Pascal VOC layout)
"""

from passerby.recipe import Data, Model, Optimiser, Recipe, Run

RECIPE = Recipe(
    name="mb1-ssd",
    model=Model(
        name="mb1-ssd",
        labels=("head",),
        backbone="mobilenet_v1",
        head="plain_ssd",
        layout="six",
        loss="mining",
    ),
    data=Data(
        train=("voc:scut_head#train_A,train_B",),
        val=("voc:scut_head#val_B",),
        licence="SCUT-HEAD: free to the academic community for research purpose only",
    ),
    optimiser=Optimiser(kind="sgd", momentum=0.9, decay=5e-4),
    run=Run(epochs=150, batch=32),
)
