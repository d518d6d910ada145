"""person-map-reference: person or not, with a 7 x 7 map; the published configuration.

MobileNetV1, alpha 0.5, 224 x 224: 830,562 parameters (those of batch norm's statistics counted, as Keras does). The
last two convolutions (depthwise and pointwise of block 13) and the dense layer train; L2 0.1 is taken for what Keras'
kernel_regularizer=l2(0.1) on the dense layer adds to the loss: 0.1 times the sum of its squared weights.
Command   passerby train person-map-reference --set data.root=DIR
          DIR holds person_or_not/ (class folders, train_boxes.json) and weights/mobilenet_v1_w050.safetensors
Reached   validation loss 0.1996, accuracy 0.9362 on the held-out fifth, in epoch 22; stopped in the 33rd of 50,
          0.2 h on one busy thread. On person_or_not valid: accuracy 0.9524
"""

from passerby.recipe import Augment, Data, Model, Optimiser, Recipe, Run

RECIPE = Recipe(
    name="person-map-reference",
    model=Model(
        name="person-map-reference",
        height=224,
        width=224,
        backbone="mobilenet_v1",
        width_multiplier=0.5,
        head="pooled",
        loss="cross_entropy",
        weights="weights/mobilenet_v1_w050.safetensors",
        labels=("person",),
    ),
    data=Data(
        train=("classes:person_or_not#train",),
        boxes="person_or_not/train_boxes.json",
        licence="CC BY 4.0 (Human Dataset v2 on Roboflow Universe; parts come from COCO)",
    ),
    augment=Augment(
        flip=0.5,
        crop=0,
        expand=0,
        colour=0,
        grey=0,
        blur=0,
        shift=0.2,
        zoom=0.2,
        shear=11.5,  # Keras: 0.2 radians
    ),
    optimiser=Optimiser(
        kind="adam",
        rate=1e-3,
        decay=0.0,
        warmup=0.0,
        final=1.0,
        clip=0.0,
        unfreeze=2,
        l2=0.1,
        balance=True,
        average=0.0,
    ),
    run=Run(epochs=50, batch=32, best_by="val_loss"),
)
