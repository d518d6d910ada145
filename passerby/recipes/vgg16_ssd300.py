"""vgg16-ssd300: SSD300 on VGG16 (Liu et al. 2016): maps of 38, 19, 10, 5, 3 and 1 cells.

Not trained here: no hours, no score. It starts at random, which takes much longer than from ImageNet weights:
--set model.weights=weights/vgg16.safetensors --set optimiser.freeze=10 (docs/guides/networks.md: where to get them)
Command   passerby train vgg16-ssd300 --set data.root=DIR
          DIR holds scut_head/ (Pascal VOC layout)
"""

from passerby.recipe import Data, Model, Optimiser, Recipe, Run

RECIPE = Recipe(
    name="vgg16-ssd300",
    model=Model(
        name="vgg16-ssd300",
        labels=("head",),
        backbone="vgg16",
        head="plain_ssd",
        layout="ssd300",
        loss="mining",
    ),
    data=Data(
        train=("voc:scut_head#train_A,train_B",),
        val=("voc:scut_head#val_B",),
        licence="SCUT-HEAD: free to the academic community for research purpose only",
    ),
    optimiser=Optimiser(kind="sgd", rate=1e-3, momentum=0.9, nesterov=False, decay=5e-4),
    run=Run(epochs=150, batch=32),
)
