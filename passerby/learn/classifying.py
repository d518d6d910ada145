"""Training a classifier with maps: what is read, what is validated, what is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from passerby.data import find_source, join
from passerby.data.cache import Teller
from passerby.errors import DataError, SettingError
from passerby.learn.backbones import BACKBONES
from passerby.learn.crops import cut_out, output_of
from passerby.learn.detecting import OF_DETECTORS, classes_of
from passerby.learn.engine import TorchEngine
from passerby.learn.heads.pooled import Pooled
from passerby.learn.held_out import choose_map_threshold, choose_threshold, hold_out, picture_set
from passerby.learn.network import Detector
from passerby.learn.validated import Validated
from passerby.measure.classification import score_pictures
from passerby.measure.picture_labels import HOLDS, HOLDS_NOT, UNKNOWN, PictureSet, read_pictures
from passerby.pictures import read_picture
from passerby.recipe import Recipe
from passerby.records import Floats, Sample, SampleSet
from passerby.runtime.localiser import Localiser
from passerby.spec import ModelSpec

BEST_BY = {"val_loss": -1, "val_accuracy": 1, "val_auc": 1}


def check(recipe: Recipe) -> None:
    """Raises SettingError for settings that no step can be made with, or that would be ignored in silence."""
    data = recipe.data
    if not data.val and not 0 < data.val_share < 1:
        raise SettingError(f"data.val_share is {data.val_share:g}, want over 0 and under 1, or name data.val")
    if data.crops and data.cache:
        raise SettingError("data.crops takes several parts of a picture, data.cache keeps pictures once; set one")
    plain = Recipe()
    for section, name in OF_DETECTORS:
        if getattr(getattr(recipe, section), name) != getattr(getattr(plain, section), name):
            raise SettingError(f"{section}.{name} is for detectors, not model.head=pooled; leave it out")
    if not recipe.optimiser.l2 >= 0:
        raise SettingError(f"optimiser.l2 is {recipe.optimiser.l2:g}, want 0 or more")


def read(recipe: Recipe, tell: Teller) -> tuple[SampleSet, SampleSet]:
    """The labelled pictures that train, and those that validate: `data.val`, else a share of `data.train`.

    `Sample.label` is the class that a picture holds, None where it holds none. Boxes of `data.boxes` are only in what
    validates. Raises DataError where a class is missing, or has too few pictures to be divided.
    """
    data = recipe.data
    train_set = _read("train", recipe, tell)
    boxes = Path(data.root) / data.boxes if data.boxes else None
    if data.val:
        val_set = _read("val", recipe, tell, boxes)
    else:
        outputs = _outputs(train_set)
        _need_all(outputs, recipe, f"data.train ({train_set.source})", 2)
        held = hold_out(train_set, outputs, data.val_share, recipe.run.seed, tell)
        with_boxes = _read("train", recipe, None, boxes) if boxes else train_set
        val_set = _pick(with_boxes, held)
        train_set = _pick(train_set, ~held)
        tell.line(f"val: {count(val_set)}, {data.val_share:.0%} held out of train by seed {recipe.run.seed}")
    if recipe.run.limit:
        train_set = _pick(train_set, np.arange(len(train_set)) % max(1, len(train_set) // recipe.run.limit) == 0)
    _need_all(_outputs(train_set), recipe, f"data.train ({train_set.source})", 1)
    _need_all(_outputs(val_set), recipe, f"data.val ({val_set.source})", 1)
    return train_set, val_set


def _read(field: str, recipe: Recipe, tell: Teller | None, boxes: Path | None = None) -> SampleSet:
    sources = recipe.data.sources(field, "classes:pictures#train")
    classes, root = classes_of(recipe), recipe.data.root
    least = BACKBONES[recipe.model.backbone].strides[-1] if recipe.model.backbone in BACKBONES else 0
    parts = []
    for source in sources:
        known = boxes if boxes and find_source(source, root).format == "classes" else None
        found = _labelled(read_pictures(source, recipe.model.labels, classes, root, known), source, tell)
        boxed = any(len(s.truth) for s in found) and known is None
        parts.append(cut_out(found, least, recipe.run.seed) if recipe.data.crops and boxed else found)
    samples = join(parts)
    small = [s for s in samples if min(s.width, s.height) < least]
    if tell:
        tell.line(f"{field}: {count(samples)}")
        if small:
            tell.line(
                f"{field}: {len(small)} pictures are left out, smaller than the network's stride of {least} pixels: "
                f"{small[0].path.name} ({small[0].width} x {small[0].height})"
            )
    return replace(samples, samples=tuple(s for s in samples if min(s.width, s.height) >= least))


def _labelled(pictures: PictureSet, source: str, tell: Teller | None) -> SampleSet:
    """Pictures that hold one class or none; a softmax has no answer for two, and what is unknown is not judged."""
    kept: list[Sample] = []
    several = unknown = 0
    for sample, holds in zip(pictures.samples, pictures.holds, strict=True):
        found = np.flatnonzero(holds == HOLDS).tolist()
        several += len(found) > 1
        unknown += not found and bool((holds == UNKNOWN).any())
        if len(found) == 1 or bool((holds == HOLDS_NOT).all()):
            kept.append(replace(sample, label=found[0] if found else None))
    if tell and (several or unknown):
        tell.line(f"{source}: left out are {several} pictures of several classes, {unknown} of ignored objects only")
    return replace(pictures.samples, samples=tuple(kept))


def _pick(samples: SampleSet, which: np.ndarray[Any, np.dtype[np.bool_]]) -> SampleSet:
    return replace(samples, samples=tuple(s for s, kept in zip(samples, which.tolist(), strict=True) if kept))


def _outputs(samples: SampleSet) -> list[int]:
    return [output_of(s) for s in samples]


def _need_all(outputs: Sequence[int], recipe: Recipe, where: str, least: int) -> None:
    names = ("pictures without " + "/".join(recipe.model.labels), *(f"pictures of {n}" for n in recipe.model.labels))
    for k, name in enumerate(names):
        there = outputs.count(k)
        if there == 0:
            raise DataError(
                f"{where}: has no {name} among {len(outputs)}; a classifier needs both kinds: name more data"
            )
        if there < least:
            raise DataError(f"{where}: {name}: there is one; add some (one validates), or name data.val")


def balance(network: Detector, spec: ModelSpec, samples: SampleSet, recipe: Recipe) -> str:
    """Weigh the classes against each other where `optimiser.balance` asks for it."""
    head = network.head
    if recipe.optimiser.balance and isinstance(head, Pooled):
        outputs = _outputs(samples)
        head.balance([outputs.count(k) for k in range(len(spec.labels) + 1)])
    return ""


def validate(network: Detector, spec: ModelSpec, samples: SampleSet, device: torch.device) -> Validated:
    """Loss, accuracy and AUC on whole pictures, as `evaluate_localiser` has them, in float32."""
    network.eval()
    localiser = Localiser.of(spec, TorchEngine(network, device))
    pictures = picture_set(samples)
    scores: Floats = np.stack([localiser.run(localiser.prepare(read_picture(s.path))[0])[0] for s in samples])
    found = score_pictures(scores, pictures.holds, 0.5)

    def settle() -> tuple[dict[str, float], dict[str, Any]]:
        threshold = choose_threshold(scores, pictures.holds)
        rules = {"threshold_rule": "best accuracy on the pictures it was chosen on, nearest 0.5 of the best"}
        share, rule = choose_map_threshold(localiser, pictures)
        return {"threshold": threshold, **share}, {**rules, **rule}

    return Validated({name: found[name.removeprefix("val_")] for name in BEST_BY}, settle)


def count(samples: SampleSet) -> str:
    """As a model's provenance states it."""
    positive = sum(s.label is not None for s in samples)
    return f"{len(samples)} pictures, {positive} with {'/'.join(samples.labels)}, {len(samples) - positive} without"


def row_text(row: Mapping[str, Any]) -> str:
    """Losses and scores of an epoch."""
    text = f"loss {row['loss']:.3f} + {row['penalty']:.3f}, accuracy {row['accuracy']:.4f}"
    if "val_loss" in row:
        text += f"  val loss {row['val_loss']:.4f}, accuracy {row['val_accuracy']:.4f}, AUC {row['val_auc']:.4f}"
    return text
