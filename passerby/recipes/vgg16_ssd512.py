"""vgg16-ssd512: SSD512 on VGG16 (Liu et al. 2016): maps of 64, 32, 16, 8, 4, 2 and 1 cells.

Not trained here: no hours, no score. It starts at random, which takes much longer than from ImageNet weights:
--set model.weights=weights/vgg16.safetensors --set optimiser.freeze=10 (docs/guides/networks.md: where to get them)
Command   passerby train vgg16-ssd512 --set data.root=DIR
          DIR holds scut_head/ (Pascal VOC layout)
"""

from passerby.recipe import Data, Model, Optimiser, Recipe, Run

RECIPE = Recipe(
    name="vgg16-ssd512",
    model=Model(
        name="vgg16-ssd512",
        labels=("head",),
        height=512,
        width=512,
        backbone="vgg16",
        head="plain_ssd",
        layout="ssd512",
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
