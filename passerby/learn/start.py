"""Beginning with the weights of another run: at another input size, with other default boxes, in stages."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from passerby.errors import ModelError
from passerby.learn.backbones.base import Places
from passerby.learn.checkpoint import read_checkpoint
from passerby.learn.exported import PICTURES, is_exported, load_exported, settle_statistics
from passerby.learn.network import Detector, Habits, build
from passerby.pictures import read_picture
from passerby.records import Pixels, Sample
from passerby.runtime.model_file import find_model
from passerby.spec import ModelSpec

TRUNK = "backbone."
NAMED = 6  # parts that a start does not have, told by name


@dataclass(frozen=True)
class Start:
    """The weights of a trained network (a checkpoint's average where there is one), and where they come from.

    places  of its trunk's blocks, where a trunk can have fewer than the published one
    habits  how its network treats pixels, which one that begins with its weights has to do as well
    chain   the runs behind these weights, the last one first: recipe, epoch, epochs and validation score of each
    """

    path: Path
    tensors: dict[str, Tensor]
    places: Places
    habits: Habits
    chain: tuple[dict[str, Any], ...]

    def fill(self, network: Detector) -> str:
        """Copy every tensor that the network has under the same name and in the same shape; what was, in words.

        Of a trunk with other blocks it takes those that both have.
        Raises ModelError where none fits.
        """
        mine, fits = network.state_dict(), self._fitting(network)
        if not any(v.ndim > 1 for v in fits.values()):
            raise ModelError(f"{self.path}: none of its weights fits the recipe's network; is it another network?")
        network.load_state_dict(fits, strict=False)
        others = list(dict.fromkeys(".".join(k.split(".")[:3]) for k in mine if k not in fits))
        more = f" and {len(others) - NAMED} more" if len(others) > NAMED else ""
        told = f"; it has no {', '.join(others[:NAMED])}{more}" if others else ""
        return f"{len(fits)} of {len(mine)} tensors{told}"

    def has_trunk(self, network: Detector) -> bool:
        """Whether `fill` leaves nothing of the network's backbone as it was."""
        fits = self._fitting(network)
        return all(k in fits for k in network.state_dict() if k.startswith(TRUNK))

    def _fitting(self, network: Detector) -> dict[str, Tensor]:
        """What `fill` copies: tensors under the network's names."""
        mine, tensors = network.state_dict(), self.tensors
        if self.places and network.backbone.places:
            trunk = {k.removeprefix(TRUNK): v for k, v in tensors.items() if k.startswith(TRUNK)}
            named = {TRUNK + k: v for k, v in network.backbone.own_names(trunk, self.places).items()}
            tensors = {k: v for k, v in tensors.items() if not k.startswith(TRUNK)} | named
        return {k: v for k, v in tensors.items() if k in mine and mine[k].shape == v.shape}


def read_start(model: str, samples: Sequence[Sample] = ()) -> Start:
    """The weights of another run's checkpoint, of an exported .onnx file, or of a shipped model by its name.

    samples  whose pictures settle an exported file's batch norm, which it does not have: `exported.settle_statistics`

    Raises ModelError when the file is missing, cut short, or not one of passerby.
    """
    if Path(model).suffix and not Path(model).is_file():
        raise ModelError(
            f"model.start: {model}: no such file; begin with a model that ships, e.g. --set model.start=head, with "
            "none (--set model.start=), or make it first as the recipe says"
        )
    if is_exported(model):
        return _read_exported(find_model(model), samples)
    path = Path(model)
    tensors, facts = read_checkpoint(path)
    spec = ModelSpec.from_json(facts["spec"], str(path))
    prefix = "average." if any(k.startswith("average.") for k in tensors) else "network."
    state, recipe = json.loads(facts["state"]), json.loads(facts["recipe"])
    run = {"recipe": recipe["name"], "epoch": state["epoch"], "epochs": recipe["run"]["epochs"]}
    tensors = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
    return _start(path, build(spec, str(path)), spec, tensors, run)


def read_some(samples: Sequence[Sample]) -> list[Pixels]:
    """PICTURES of those that train, the same ones every time: for means, variances, and what never changes."""
    chosen = np.random.default_rng(0).permutation(len(samples))[:PICTURES]
    return [read_picture(samples[int(k)].path) for k in chosen]


def _read_exported(path: Path, samples: Sequence[Sample]) -> Start:
    network, spec = load_exported(path)
    if len(samples):
        settle_statistics(network, spec, read_some(samples))
    run = {k: v for k, v in spec.provenance.items() if k in ("recipe", "epoch", "epochs")}
    return _start(path, network, spec, network.state_dict(), run)


def _start(path: Path, network: Detector, spec: ModelSpec, tensors: dict[str, Tensor], run: dict[str, Any]) -> Start:
    before, had = spec.provenance.get("started_from", []), spec.network
    scores = {k: v for k, v in spec.provenance.items() if k.startswith("val_") or k == "trained_on"}
    habits = Habits(had["padding"], tuple(had["mean"]), tuple(had["std"]), had["epsilon"])
    return Start(path, tensors, network.backbone.places, habits, (run | scores, *before))
