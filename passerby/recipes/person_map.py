"""person-map: person or not, with a 14 x 14 map; MobileNetV1, alpha 0.5, 224 x 224.

As person-map-reference, but for a map that is twice as fine from the start, mild changes of colour, a learning rate
that falls, and the moving average of the weights. The model that ships under this name is not from this recipe: the
reference's weights with a map made finer afterwards have the lower validation loss (0.2003; this one, stopped in its
12th epoch of 14, 0.2209). The card passerby/models/person-map.md has both, and what else was tried.
Command   passerby train person-map --set data.root=DIR
          DIR holds person_or_not/ (class folders, train_boxes.json) and weights/mobilenet_v1_w050.safetensors
"""

from passerby.recipe import Augment, Data, Model, Optimiser, Recipe, Run

RECIPE = Recipe(
    name="person-map",
    model=Model(
        name="person-map",
        height=224,
        width=224,
        backbone="mobilenet_v1",
        width_multiplier=0.5,
        head="pooled",
        loss="cross_entropy",
        map_stride=16,
        weights="weights/mobilenet_v1_w050.safetensors",
        labels=("person",),
    ),
    data=Data(
        train=("classes:person_or_not#train",),
        boxes="person_or_not/train_boxes.json",
        licence="CC BY 4.0 (Human Dataset v2 on Roboflow Universe; parts come from COCO)",
    ),
    augment=Augment(flip=0.5, crop=0, expand=0, colour=0.3, grey=0, blur=0, shift=0.2, zoom=0.2, shear=11.5),
    optimiser=Optimiser(
        kind="adam",
        rate=1e-3,
        decay=0.0,
        warmup=0.0,
        final=0.02,
        clip=0.0,
        unfreeze=2,
        l2=0.1,
        balance=True,
        average=0.99,
    ),
    run=Run(epochs=14, batch=32, best_by="val_loss"),
)
