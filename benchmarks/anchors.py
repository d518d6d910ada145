"""What default boxes can recall on SCUT-HEAD at 300 x 300: published, by rule, and fitted on `train`, shown on `val`.

python benchmarks/anchors.py --root DIR    where DIR holds scut_head
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from common import save

from passerby.data import join, load_data
from passerby.data.at_input import objects_at_input
from passerby.data.box_rules import RULES, Question
from passerby.data.default_boxes import SIZE_EDGES, Answer, answer
from passerby.data.statistics import describe
from passerby.geometry.layouts import stated_maps
from passerby.recipe import load_recipe
from passerby.records import SampleSet
from passerby.spec import AnchorMap

QUESTION = Question()
FINER = replace(QUESTION, per_map=(4, 2, 2, 2))
SPEC = {  # the published figures, of the full set: median height/width, median size, shares under 6.8 and 12 px
    "trainval_B": ("1.69", "16.7", "5 %", "28 %"),
    "trainval_A": ("-", "7.4", "-", "-"),
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", type=Path, required=True)
    root = parser.parse_args().root
    sets = {f"{s}_{p}": load_data(f"voc:scut_head#{s}_{p}", ("head",), root) for p in "BA" for s in ("train", "val")}
    rows: list[dict[str, object]] = []
    for part in "BA":
        train = sets[f"train_{part}"]
        for name in (f"train_{part}", f"val_{part}"):
            for rule, maps in choices(train).items():
                rows.append(row(name, rule, sets[name], maps))
    save("anchors", "Best possible recall of default boxes on SCUT-HEAD, stretched to 300 x 300", rows)
    sizes = []
    for part in "BA":
        both = join([sets[f"train_{part}"], sets[f"val_{part}"]])
        sizes += figures(f"trainval_{part}", both)
    save("statistics", "Sizes and shapes of SCUT-HEAD, stretched to 300 x 300, beside the published figures", sizes)


def choices(train: SampleSet) -> dict[str, tuple[AnchorMap, ...]]:
    """Name -> default boxes; those that follow from data follow from `train`."""
    objects = objects_at_input(train, QUESTION.height, QUESTION.width, QUESTION.resize).with_area()
    model = load_recipe("head").model
    return {
        **{rule: make(QUESTION, objects) for rule, make in RULES.items()},
        "recipe head": stated_maps(model.layout, model.shapes, model.sizes, model.ratio, *model.input_size()),
        "fitted, 4 on the finest map": FINER.fitted(objects),
    }


def row(name: str, rule: str, samples: SampleSet, maps: tuple[AnchorMap, ...]) -> dict[str, object]:
    objects = objects_at_input(samples, QUESTION.height, QUESTION.width, QUESTION.resize).with_area()
    at_half = answer(rule, maps, samples, objects, QUESTION)
    looser = answer(rule, maps, samples, objects, replace(QUESTION, match_iou=0.4))
    return {
        "pictures": name,
        "default boxes": rule,
        "how many": at_half.boxes,
        "recall@0.5": f"{at_half.recall:.3f}",
        "recall@0.4": f"{looser.recall:.3f}",
        "mean best IoU": f"{at_half.mean_iou:.3f}",
        "answer for an object": f"{at_half.answers:.2f}",
        **by_size(at_half),
    }


def by_size(found: Answer) -> dict[str, object]:
    """Recall at 0.5 in each range of sizes; "-" where there is no object."""
    known = {b.index: f"{b.recall:.3f}" for b in found.by_size}
    edges = [f"{e:g}" for e in SIZE_EDGES[1:-1]]
    names = [f"<{edges[0]} px", *(f"{a}-{b}" for a, b in pairwise(edges)), f">={edges[-1]}"]
    return {n: known.get(k, "-") for k, n in enumerate(names)}


def figures(name: str, samples: SampleSet) -> list[dict[str, object]]:
    whole = describe(samples, QUESTION.height, QUESTION.width, QUESTION.resize).all
    sizes = objects_at_input(samples, QUESTION.height, QUESTION.width, QUESTION.resize).sizes
    ratio, size, under7, under12 = SPEC[name]
    return [
        {"what": f"{name}, published (full set)", "pictures": "-", "objects": "-", "median h/w": ratio,
         "median size, px": size, "under 6.8 px": under7, "under 12 px": under12},
        {"what": f"{name}, measured", "pictures": whole.pictures, "objects": whole.objects,
         "median h/w": f"{whole.ratio[2]:.2f}", "median size, px": f"{whole.size[2]:.1f}",
         "under 6.8 px": f"{100 * (sizes < 6.8).mean():.1f} %", "under 12 px": f"{100 * whole.under[1]:.1f} %"},
    ]  # fmt: skip


if __name__ == "__main__":
    main()
