"""Training a detector: what is read, what is validated, what is told."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch

from passerby.data import join
from passerby.data.cache import Teller
from passerby.data.classes import parse_classes
from passerby.data.default_boxes import cap_warning
from passerby.data.kinds import summary
from passerby.errors import DataError, SettingError
from passerby.learn.engine import TorchEngine
from passerby.learn.network import Detector
from passerby.learn.validated import Validated
from passerby.measure.evaluate import evaluate, labels_apart, load_boxes
from passerby.measure.operating_point import best_f1
from passerby.recipe import Augment, Data, Optimiser, Recipe
from passerby.records import SampleSet
from passerby.runtime.detector import Detector as Predictor
from passerby.spec import ModelSpec

EXAMPLE = "voc:scut_head#train_B"  # of a data set with boxes
FLOOR = 0.01  # scores under this are dropped when measuring: Liu et al. 2016, "SSD", section 3
METRICS = ("average_precision", "miss_rate", "at_threshold")
BEST_BY = {"ap50": 1, "ap50_11pt": 1, "f1": 1, "mr2": -1, "miss_at_1fppi": -1}
OF_DETECTORS = (("augment", "paste"), ("augment", "mosaic"), ("augment", "object_side"), ("optimiser", "teacher"))
OF_CLASSIFIERS = (("data", "crops"), ("data", "boxes"), ("optimiser", "balance"), ("optimiser", "l2"))


def check(recipe: Recipe) -> None:
    """Raises SettingError for settings that no step can be made with, or that would be ignored in silence."""
    how = recipe.optimiser
    check_mixing(recipe.augment)
    if how.quality_loss != "quality_focal" and not how.quality:
        raise SettingError(f"optimiser.quality_loss={how.quality_loss} needs optimiser.quality=yes")
    if how.assign == "task_aligned" and (recipe.model.loss != "focal" or recipe.model.head == "two_stage"):
        raise SettingError("optimiser.assign=task_aligned is for model.head=ssd or plain_ssd with model.loss=focal")
    if how.teacher_weight < 0:
        raise SettingError(f"optimiser.teacher_weight is {how.teacher_weight:g}, want 0 or more")
    if how.quality and recipe.model.loss != "focal":
        raise SettingError("optimiser.quality belongs to model.loss=focal; set one or the other")
    if how.rois < 4:
        raise SettingError(f"optimiser.rois is {how.rois}, want at least 4: a quarter may be positive")
    if how.focal_gamma < 1:
        raise SettingError(f"optimiser.focal_gamma is {how.focal_gamma}, want at least 1")
    plain: dict[str, Data | Optimiser] = {"data": Data(), "optimiser": Optimiser()}
    for section, name in OF_CLASSIFIERS:
        if getattr(getattr(recipe, section), name) != getattr(plain[section], name):
            raise SettingError(f"{section}.{name} is for model.head=pooled, not {recipe.model.head}; leave it out")


def check_mixing(how: Augment) -> None:
    """Raises SettingError for settings of `learn.mixing` and `augment.zoom` that are out of range."""
    for name in ("paste", "mosaic"):
        if not 0 <= getattr(how, name) <= 1:
            raise SettingError(f"augment.{name} is {getattr(how, name):g}, a probability: want 0 to 1")
    if how.paste_most < 1:
        raise SettingError(f"augment.paste_most is {how.paste_most}, want at least 1")
    low, high = how.mosaic_scale
    if not 0 < low <= high <= 4:
        raise SettingError(f"augment.mosaic_scale is {low:g}, {high:g}; want two numbers, the smaller first, 0 to 4")
    low, high = how.object_side
    if (low, high) != (0, 0) and not 0 < low <= high:
        raise SettingError(f"augment.object_side is {low:g}, {high:g}; want input pixels, the smaller first, or 0,0")


def read(recipe: Recipe, tell: Teller) -> tuple[SampleSet, SampleSet]:
    """The pictures with boxes that train, and those that validate. Raises DataError where none of them counts."""
    train_set = read_boxes(recipe.data.sources("train", EXAMPLE), recipe, "train", tell)
    val_set = read_boxes(recipe.data.sources("val", EXAMPLE), recipe, "val", tell)
    if recipe.run.limit:
        train_set = SampleSet(
            train_set.samples[: recipe.run.limit], train_set.labels, train_set.source, train_set.notes
        )
    for field, part, so in (("train", train_set, "nothing can be learnt"), ("val", val_set, "no score can choose")):
        if not any((~s.truth.ignore & ~s.truth.difficult).any() for s in part):
            need_label_in_common(recipe, field)
            raise DataError(f"data.{field} ({part.source}) holds no object that counts, so {so}; name labelled data")
    return train_set, val_set


def need_label_in_common(recipe: Recipe, field: str) -> None:
    """Raises DataError where the data sets of a field hold other labels than the recipe asks for."""
    classes = parse_classes(classes_of(recipe))
    wanted = {*classes.labels, *classes.renamed}
    for source in recipe.data.sources(field, EXAMPLE):
        if own := labels_apart(source, wanted, recipe.data.root):
            raise DataError(
                f"data.{field} ({source}) has {list(own)}, the model is to find {list(recipe.model.labels)}: no label "
                f"in common; say what stands for it, e.g. --set data.classes={recipe.model.labels[0]}={own[0]}"
            )


def read_boxes(sources: tuple[str, ...], recipe: Recipe, field: str, tell: Teller) -> SampleSet:
    """The data sets of one field of `recipe.data`, read and joined. Raises SettingError and DataError."""
    classes = classes_of(recipe)
    parts = [load_boxes(s, classes, recipe.data.root) for s in sources]
    for part in parts:
        if part.reason:
            tell.line(f"{field}: read as {part.source}: {part.reason}")
    samples = join(parts)
    empty = sum(bool(s.truth.ignore.all()) for s in samples)
    notes = summary(samples.note_counts())
    told = f"{field}: {len(samples)} pictures, {samples.objects()} objects"
    tell.line(told + (f", {empty} pictures without" if empty else "") + (f" ({notes})" if notes else ""))
    return samples


def classes_of(recipe: Recipe) -> tuple[str, ...]:
    """Which names of the data stand for the model's labels. Raises SettingError where they make others."""
    classes = recipe.data.classes or recipe.model.labels
    if (made := parse_classes(classes).labels) != recipe.model.labels:
        raise SettingError(f"data.classes make {list(made)}, model.labels is {list(recipe.model.labels)}")
    return classes


def warn_of_recall(network: Detector, spec: ModelSpec, samples: SampleSet, recipe: Recipe) -> str:
    """A warning where default boxes cannot match many objects of the training pictures."""
    del network  # it is as it is
    named = f"{' '.join(recipe.data.train)} --root {recipe.data.root}"
    return cap_warning(samples, spec, recipe.optimiser.match_iou, recipe.run.recall_warning, named)


def validate(network: Detector, spec: ModelSpec, samples: SampleSet, device: torch.device) -> Validated:
    """The same `evaluate` as everywhere, on the network as it stands, in float32."""
    network.eval()
    report = evaluate(Predictor.of(spec, TorchEngine(network, device), FLOOR), samples, METRICS)

    def settle() -> tuple[dict[str, float], dict[str, Any]]:
        rule = "best F1 at IoU 0.5 on the pictures it was chosen on"
        return {"threshold": best_f1(report.judged)}, {"threshold_rule": rule}

    return Validated(report.scores, settle)


def count(samples: SampleSet) -> str:
    """As a model's provenance states it."""
    return f"{len(samples)} pictures, {samples.objects()} objects"


def row_text(row: Mapping[str, Any]) -> str:
    """Losses and scores of an epoch."""
    text = f"loss {row['loss_score']:.3f} + {row['loss_box']:.3f}"
    if "ap50" in row:
        text += f"  val AP50 {row['ap50']:.4f}  MR^-2 {row.get('mr2', math.nan):.4f}"
    return text
