"""Class names that several makers' files go by and do not state themselves."""

from __future__ import annotations

from passerby.runtime.graph import Graph

_COCO = (
    "person,bicycle,car,motorcycle,airplane,bus,train,truck,boat,traffic light,fire hydrant,stop sign,parking meter,"
    "bench,bird,cat,dog,horse,sheep,cow,elephant,bear,zebra,giraffe,backpack,umbrella,handbag,tie,suitcase,frisbee,"
    "skis,snowboard,sports ball,kite,baseball bat,baseball glove,skateboard,surfboard,tennis racket,bottle,wine glass,"
    "cup,fork,knife,spoon,bowl,banana,apple,sandwich,orange,broccoli,carrot,hot dog,pizza,donut,cake,chair,couch,"
    "potted plant,bed,dining table,toilet,tv,laptop,mouse,remote,keyboard,cell phone,microwave,oven,toaster,sink,"
    "refrigerator,book,clock,vase,scissors,teddy bear,hair drier,toothbrush"
)
COCO = tuple(_COCO.split(","))
COCO_GAPS = (12, 26, 29, 30, 45, 66, 68, 69, 71, 83)  # of the numbers 1 to 90 in COCO's files; no object has them


def coco_by_number() -> tuple[str, ...]:
    """The 90 places of COCO's own numbers, from number 1; gaps are named "class 12" and so on."""
    names = iter(COCO)
    return tuple(f"class {n}" if n in COCO_GAPS else next(names) for n in range(1, 91))


def coco_if_80(_: Graph, classes: int) -> tuple[str, ...]:
    """COCO's names for a graph of 80 classes; nobody knows those of another."""
    return COCO if classes == len(COCO) else ()
