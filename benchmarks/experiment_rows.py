"""The rows of benchmarks/experiments.py: a name, one change of the base, and what it says to `passerby train`."""

from __future__ import annotations

from dataclasses import dataclass

EPOCHS = 6
BASE = "benchmarks/experiments_base.py"
WHERE = (
    'data.train=["voc:data/scut_head#train_A,train_B"]',
    "data.val=voc:data/scut_head#val_B",
    "data.cache=runs/experiments/cache",
    "data.cache_side=400",
)
ONE_CORE = ("run.threads=1", "run.workers=0")
SHORT = (f"run.epochs={EPOCHS}", f"run.evaluate_every={EPOCHS}")
NARROW = ("model.name=quick", "model.weights=weights/mobilenet_v2_w035.safetensors", "model.width_multiplier=0.35")
QUICK = (*NARROW, "model.fusion=32", *SHORT)


@dataclass(frozen=True)
class Row:
    """One experiment: what it changes in the base, in words and as settings.

    recipe, base  what is changed: the quick base where nothing else is said
    group         rows that answer one question
    """

    name: str
    group: str
    change: str
    changes: tuple[str, ...] = ()
    seeds: tuple[int, ...] = (0,)
    recipe: str = BASE
    base: tuple[str, ...] = QUICK

    @property
    def sets(self) -> tuple[str, ...]:
        """All settings, the machine's own among them."""
        return (*self.base, *self.changes, *WHERE, *ONE_CORE)

    def shown(self) -> tuple[str, ...]:
        """The settings that decide what is learnt."""
        return (*self.base, *self.changes)


SGD = ("optimiser.kind=sgd", "optimiser.rate=0.02", "optimiser.decay=5e-4")
OBJECT_SIDE = ("augment.object_side=12,40", "augment.crop_scale=0.2,1", "augment.expand_scale=2")
FITTED = "[[[9,13.8],[16.5,26.7]],[[11.7,21.9],[31,50.3]],[[25.2,42.3],[45.1,81.5]],[[47.2,86.7],[63.5,139.3]]]"
AS_PUBLISHED = (
    "model.sizes=",
    "model.fusion=0",
    "optimiser.kind=sgd",
    "optimiser.rate=0.01",
    "optimiser.decay=5e-4",
    "optimiser.quality=no",
    "optimiser.box_loss=smooth_l1",
    "optimiser.box_weight=1",
    "optimiser.match_iou=0.5",
    "optimiser.freeze=0",
    "run.batch=32",
)
# 300 x 300 pixels on a whole trunk, or more pixels on fewer blocks: each within 5 % of the base's multiply-adds.
TALL = ("model.height=384", "model.width=384", "model.blocks=1,1,2,2,2,1,0")
# The base's boxes, which look the same in pictures of 3:2, and as many pixels.
SAME_BOXES = "[[[9.0,11.1],[15.3,18.9]],[[24.3,30.0],[37.8,46.7]],[[57.6,71.2],[85.5,105.7]],[[122,150],[171,211]]]"
RECTANGLE = ("model.height=256", "model.width=352", f"model.shapes={SAME_BOXES}")
V1 = (
    "model.backbone=mobilenet_v1",
    "model.width_multiplier=0.25",
    "model.weights=weights/mobilenet_v1_w025.safetensors",
)
WIDE = ("model.height=256", "model.width=352", "model.resize=letterbox")
ROWS: tuple[Row, ...] = (
    Row("base", "noise", "300 x 300, 0.35 of the width, boxes and losses of `head`", seeds=(0, 1)),
    Row("published", "reference", "boxes, losses, SGD and batch of the reference, no top-down path", AS_PUBLISHED),
    Row("boxes-published", "default boxes", "the published ones, 16 to 256 px", ("model.sizes=",)),
    Row("boxes-fitted", "default boxes", "fitted map by map (`passerby anchors`)", (f"model.shapes={FITTED}",)),
    Row("atss", "assignment", "ATSS", ("optimiser.assign=atss",)),
    Row("task-aligned", "assignment", "task-aligned", ("optimiser.assign=task_aligned",)),
    Row("object-side", "augmentation", "crops zoomed to heads of 12 to 40 px", OBJECT_SIDE),
    Row("paste", "augmentation", "heads pasted into half of the pictures", ("augment.paste=0.5",)),
    Row("mosaic", "augmentation", "a quarter of the pictures mosaics", ("augment.mosaic=0.25",)),
    Row("box-smooth-l1", "losses", "smooth L1 instead of generalised IoU", ("optimiser.box_loss=smooth_l1",)),
    Row("box-ciou", "losses", "complete IoU", ("optimiser.box_loss=ciou",)),
    Row("focal", "losses", "focal instead of quality focal", ("optimiser.quality=no",)),
    Row("varifocal", "losses", "varifocal instead of quality focal", ("optimiser.quality_loss=varifocal",)),
    Row("tall", "pixels", "384 x 384 on fewer blocks, for the same multiply-adds", TALL),
    Row("rectangle", "pixels", "352 x 256, stretched: the shape that most pictures have", RECTANGLE),
    Row("letterbox", "pixels", "letterbox instead of stretch", ("model.resize=letterbox",)),
    Row("wide", "pixels", "352 x 256, letterbox", WIDE),
    Row("mobilenet-v1", "network", "MobileNetV1 0.25 instead of MobileNetV2 0.35", V1),
    Row("short", "network", "stride 32 without its last stage", ("model.blocks=1,2,3,4,3,3,0",)),
    Row("shorter", "network", "stride 32 of one block", ("model.blocks=1,2,3,4,3,1,0",)),
    Row("expand-3", "network", "blocks three times as wide inside instead of six", ("model.expand=3",)),
    Row("plain", "network", "no top-down path: plain SSD-Lite", ("model.fusion=0",)),
    Row("teacher", "distillation", "taught by `head` (runs/head)", ("optimiser.teacher=runs/head/best.safetensors",)),
    Row("sgd", "optimiser", "SGD 0.02 instead of AdamW 0.001", SGD),
    Row("thaw", "optimiser", "no block frozen", ("optimiser.freeze=0",)),
    Row("no-average", "optimiser", "no moving average of the weights", ("optimiser.average=0",)),
    Row("no-crop", "augmentation", "no part cut out, no larger canvas", ("augment.crop=0", "augment.expand=0")),
    Row("box-diou", "losses", "distance IoU", ("optimiser.box_loss=diou",)),
    Row(
        "mb2-ssd-lite-f38",
        "reference",
        "the whole reference with its own recipe: SGD, focal, smooth L1, published boxes",
        recipe="mb2-ssd-lite-f38",
        base=SHORT,
    ),
)

# Runs of whole recipes that are told of in docs/decisions, by their folder under runs/.
RECORDS = {
    "head": "MobileNetV2, 300 x 300, 614.6 M multiply-adds (decision 0003): `head` of version 0.1.0",
    "head384": "384 x 384 on a shortened trunk, 586.4 M multiply-adds (decision 0007)",
    "head416": "MobileNetV1 0.5, 416 x 416, 617.9 M multiply-adds; stopped in epoch 7 of 35 (decision 0016)",
    "head512": "MobileNetV1 0.5, 512 x 336, 617.2 M multiply-adds (decision 0016): recipe `head-f38`",
    "head_tiny": "MobileNetV1 0.25, 464 x 304, 140.7 M multiply-adds: recipe `head-tiny-f38`",
    "head512_atss": "recipe `head-f38` gone on with: 15 epochs at 0.0005, positives by ATSS (`optimiser.assign`)",
    "h960": "MobileNetV1 0.25, 960 x 640, 606.1 M multiply-adds, begun from `head_tiny` (decision 0016)",
    "h576": "MobileNetV1 0.5, 576 x 384, a map at stride 4, 592.6 M multiply-adds, begun from `head512` (decision "
    "0018): recipe `head-first`",
    "h576d": "the same cost with one more block at stride 32 and one fewer at 16, begun from `h576` (decision "
    "0019): recipe `head`",
    "tiny512": "MobileNetV1 0.25, 512 x 336, a map at stride 4, 150.0 M multiply-adds, begun from `head_tiny`; "
    "stopped in epoch 26 of 40 (decision 0019)",
    "tiny512b": "gone on with `tiny512`, no block frozen, soft suppression (decision 0019): recipe `head-tiny`",
    "tiny_taught": "gone on with `tiny512b`, taught by `head` (decision 0020)",
    "head_thawed": "gone on with `h576d`: nothing frozen, boxes weigh 3 (decision 0021): recipe `head`, which "
    "ships as the mean of its best and last epoch and `h576d`",
    "tiny_again": "gone on with `tiny_taught` in the same way, taught by `head_thawed` (decision 0021): recipe "
    "`head-tiny`",
    "head_revived": "begun from `head` with its constant channels revived (decision 0022); it does not ship",
    "tiny_revived": "begun from `tiny_again` with its constant channels revived (decisions 0022, 0023): `head-tiny` "
    "before, the mean of its best and last epoch",
    "aware": "begun from `head`, rounded as INT8 does; stopped in epoch 5 of 5 (decision 0022); it does not ship",
    "head_wide": "begun from `head` as it was, with 1,000 street pictures labelled by two detectors and crops that "
    "show nobody, epochs of 3,079 (decision 0024): recipe `head`",
    "tiny_wide": "begun from `head-tiny`, with the same pictures, epochs of 3,079, taught by the second epoch of "
    "`head_wide` (decision 0024): recipe `head-tiny`",
    "head_close": "six epochs more of the same pictures with fewer crops, begun with the mean of `head` as it was "
    "and `head_wide` (decision 0025): recipe `head`",
    "wide_close": "the same, begun with `head_wide` (decision 0025); it does not ship",
    "near_zoom": "begun from `head`: parts and canvases in which the median head takes 20 to 250 input pixels "
    "(decision 0027); it does not ship",
    "near_crop": "begun from `head`: more parts, down to 0.15 of the side (decision 0027); it does not ship",
}


def known(name: str) -> Row:
    """The row of a name. Raises SystemExit naming all of them."""
    rows = {row.name: row for row in ROWS}
    if name not in rows:
        raise SystemExit(f"no experiment '{name}'; known: {', '.join(rows)}")
    return rows[name]
