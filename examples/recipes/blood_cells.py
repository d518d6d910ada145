"""Blood cells: three classes, 205 training pictures; the recipe of docs/guides/own-data.md.

passerby train examples/recipes/blood_cells.py --set data.root=DIR    where DIR holds BCCD/ (Pascal VOC layout)
"""

from passerby.recipe import Augment, Data, Model, Optimiser, Recipe, Run

RECIPE = Recipe(
    name="blood-cells",
    model=Model(
        name="blood-cells",
        labels=("RBC", "WBC", "Platelets"),
        sizes=((18, 28), (42, 56), (70, 90), (110, 150)),  # what `passerby data stats` shows at 300 x 300
        ratio=1.15,
        fusion=88,
        weights="weights/mobilenet_v2_w100_sym.safetensors",
    ),
    data=Data(train=("voc:BCCD#train",), val=("voc:BCCD#val",), licence="MIT"),
    augment=Augment(crop=0.3, crop_scale=(0.6, 1.0), expand=0.2),
    optimiser=Optimiser(kind="adamw", rate=1e-3, decay=0.05, quality=True, box_loss="giou", box_weight=2.0, freeze=3),
    run=Run(epochs=80, batch=8, evaluate_every=8),
)
