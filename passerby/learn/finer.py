"""A trained classifier with finer maps: the same weights, thresholds chosen anew."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from passerby.data.cache import Teller
from passerby.errors import ModelError
from passerby.learn.checkpoint import load_network, write_spec
from passerby.learn.classifying import read, validate
from passerby.learn.network import build
from passerby.recipe import Recipe
from passerby.spec import ModelSpec


def refine(checkpoint: Path, out: Path, stride: int, tell: Teller, root: str = "", name: str = "") -> ModelSpec:
    """Write a checkpoint whose maps have another stride; every weight stays as it is.

    checkpoint  of a classifier with maps
    out         the new checkpoint
    stride      input pixels a cell, as `model.map_stride`; see `backbones.dilate`
    root        where the data of its recipe lies now; "": where it was
    name        of the model; "": as before

    The average over a finer map is a little different from that over the coarse one, and so is the range of its
    values: both thresholds are chosen anew, on the pictures that its recipe held out.
    Raises ModelError for a file that is no checkpoint of a classifier, SettingError for a stride that cannot be.
    """
    network, spec, facts = load_network(checkpoint)
    if spec.task != "localise":
        raise ModelError(f"{checkpoint}: is a detector, which has no map; name a checkpoint of a model.head=pooled")
    recipe = Recipe.from_dict(json.loads(facts["recipe"]))
    if root:
        recipe = recipe.set(f"data.root={root}")
    spec = spec.with_(name=name or spec.name, network={**spec.network, "map_stride": stride})
    finer = build(spec)
    finer.load_state_dict(network.state_dict())
    _, held_out = read(recipe, tell)
    found = validate(finer, spec, held_out, torch.device("cpu"))
    thresholds, rules = found.settle()
    note = {"map_stride": f"{stride}, set after training", "val_loss": round(found.scores["val_loss"], 4)}
    spec = spec.with_(**thresholds, provenance={**spec.provenance, **rules, **note})
    write_spec(checkpoint, spec, out)
    return spec
