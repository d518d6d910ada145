"""The SSD of docs/study.md on boxes that nobody drew: `passerby prelabel` with person-map made them from labels alone.

passerby prelabel person-map TRAIN_PICTURES --to DIR/first_boxes --format coco
passerby train examples/recipes/study_free_boxes.py --set data.root=DIR
"""

from dataclasses import replace
from pathlib import Path

from passerby.recipe import load_recipe

SSD = load_recipe(str(Path(__file__).with_name("study_ssd.py")))
RECIPE = replace(
    SSD,
    name="study-free-boxes",
    model=replace(SSD.model, name="study-free-boxes"),
    data=replace(SSD.data, train=("coco:first_boxes#train",)),
)
