"""The Faster R-CNN of docs/study.md: as study_ssd.py, but for the head and its own losses.

passerby train examples/recipes/study_faster_rcnn.py --set data.root=DIR    where DIR holds person_boxes/ and weights/
"""

from dataclasses import replace
from pathlib import Path

from passerby.recipe import load_recipe

SSD = load_recipe(str(Path(__file__).with_name("study_ssd.py")))
RECIPE = replace(
    SSD,
    name="study-faster-rcnn",
    model=replace(SSD.model, name="study-faster-rcnn", head="two_stage", loss="sampled", proposals=100),
    optimiser=replace(SSD.optimiser, match_iou=0.5, quality=False, box_loss="smooth_l1", box_weight=1.0),
)
