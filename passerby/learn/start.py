"""Beginning with the weights of another run: at another input size, with other default boxes, in stages."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from passerby.errors import ModelError
from passerby.learn.checkpoint import read_checkpoint
from passerby.learn.network import Detector, Habits
from passerby.spec import ModelSpec

TRUNK = "backbone."
NAMED = 6  # parts that start fresh, told by name


@dataclass(frozen=True)
class Start:
    """The weights of a checkpoint (the average where there is one), and where they come from.

    full    its trunk has every published block
    habits  how its network treats pixels, which one that begins with its weights has to do as well
    chain   the runs behind these weights, the last one first: recipe, epoch, epochs and validation score of each
    """

    path: Path
    tensors: dict[str, Tensor]
    full: bool
    habits: Habits
    chain: tuple[dict[str, Any], ...]

    def fill(self, network: Detector, fewer: bool) -> str:
        """Copy every tensor that the network has under the same name and in the same shape; what was, in words.

        fewer  the network has not every published block: of a full trunk it takes those that it has
        Raises ModelError where none fits.
        """
        mine, tensors = network.state_dict(), self.tensors
        if fewer and self.full:
            trunk = {k.removeprefix(TRUNK): v for k, v in tensors.items() if k.startswith(TRUNK)}
            named = {TRUNK + k: v for k, v in network.backbone.own_names(trunk).items()}
            tensors = {k: v for k, v in tensors.items() if not k.startswith(TRUNK)} | named
        fits = {k: v for k, v in tensors.items() if k in mine and mine[k].shape == v.shape}
        if not any(v.ndim > 1 for v in fits.values()):
            raise ModelError(f"{self.path}: none of its weights fits the recipe's network; is it another network?")
        network.load_state_dict(fits, strict=False)
        fresh = list(dict.fromkeys(".".join(k.split(".")[:3]) for k in mine if k not in fits))
        more = f" and {len(fresh) - NAMED} more" if len(fresh) > NAMED else ""
        told = f"; {', '.join(fresh[:NAMED])}{more} start fresh" if fresh else ""
        return f"{len(fits)} of {len(mine)} tensors{told}"


def read_start(path: Path) -> Start:
    """A checkpoint of another run. Raises ModelError when it is missing, cut short, or not one of passerby."""
    tensors, facts = read_checkpoint(path)
    spec = ModelSpec.from_json(facts["spec"], str(path))
    prefix = "average." if any(k.startswith("average.") for k in tensors) else "network."
    state, recipe = json.loads(facts["state"]), json.loads(facts["recipe"])
    before = spec.provenance.get("started_from", [])
    run = {"recipe": recipe["name"], "epoch": state["epoch"], "epochs": recipe["run"]["epochs"]}
    scores = {k: v for k, v in spec.provenance.items() if k.startswith("val_") or k == "trained_on"}
    had = spec.network
    return Start(
        path,
        {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)},
        not had.get("blocks"),
        Habits(had["padding"], tuple(had["mean"]), tuple(had["std"]), had["epsilon"]),
        (run | scores, *before),
    )
