"""Trained networks made into others without training: at another input size, or the mean of several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from passerby.errors import ModelError, SettingError
from passerby.geometry.layouts import find_layout
from passerby.learn.exported import fold, load_trained
from passerby.learn.layers import layers_of
from passerby.learn.network import LEAST_SIDE, Detector, build
from passerby.learn.to_onnx import Parity, write_onnx
from passerby.records import Pixels
from passerby.spec import ModelSpec

MEASURED = ("val_", "threshold_", "certificate")  # facts of a card that are of the network as it was
FACTS = ("recipe", "epoch", "epochs", "val_ap50")  # of each of several, kept in the card of their mean


@dataclass(frozen=True)
class Derived:
    """What is made of a trained network.

    size    width and height of another input, pixels; None: its own. A detector's only
    others  trained networks of the same shape, with which its weights are averaged
    name    "": its own, with the size behind it where that is another
    """

    size: tuple[int, int] | None = None
    others: tuple[str, ...] = ()
    name: str = ""


def at_size(network: Detector, spec: ModelSpec, width: int, height: int) -> tuple[Detector, ModelSpec]:
    """A network for another input, its weights a copy; default boxes keep their pixels. In evaluation mode.

    Raises SettingError for a side under LEAST_SIDE.
    """
    if min(width, height) < LEAST_SIDE:
        raise SettingError(f"input {width} x {height}: want at least {LEAST_SIDE} pixels a side")
    cells = find_layout(str(spec.network.get("layout", "f38"))).cells(height, width)
    maps = tuple(replace(m, rows=r, columns=c) for m, (r, c) in zip(spec.anchors, cells, strict=True))
    there = spec.with_(width=width, height=height, anchors=maps)
    fitting = build(there)
    fitting.load_state_dict(network.state_dict())
    return fitting.eval(), there


def take_mean(network: Detector, others: Sequence[Detector]) -> None:
    """Give a network the mean of its weights and the others', in place. All are folded: `exported.fold`.

    Networks that began from the same weights lie in one valley of the loss, and their mean is often better than each
    (Wortsman et al. 2022, "Model soups"). Of networks that did not it is worth nothing.
    """
    states = [n.state_dict() for n in (network, *others)]
    mean = {k: torch.stack([s[k].double() for s in states]).mean(0).to(v.dtype) for k, v in states[0].items()}
    network.load_state_dict(mean)


def export_derived(
    model: str | Path, out: Path, how: Derived, pictures: Sequence[Pixels] = ()
) -> tuple[ModelSpec, Parity]:
    """Write what is made of a trained network as ONNX, proven to be that network.

    model     a checkpoint, a float32 .onnx file of ours, or a shipped model's name
    out       the .onnx file
    pictures  (H, W, 3) uint8 RGB each, put through both

    At another size objects come to the network smaller or larger than those that it learnt. Its threshold is as it was:
    the card says where that was chosen, and keeps no accuracy of the network it was made of.
    Raises as `load_trained`, `at_size` and `write_onnx` do; ModelError for another size of a localiser, or for the mean
    of networks of different shapes.
    """
    network, spec = load_trained(model)
    there, notes = spec, dict[str, Any]()
    if how.size:
        if spec.task != "detect":
            raise ModelError(f"{model}: a localiser keeps the input that it was trained on")
        network, there = at_size(network, spec, *how.size)
        was, now = (f"{s.width} x {s.height}" for s in (spec, there))
        notes |= {"input": f"{now}, set after training at {was}", "threshold_chosen_at": was}
    layers = layers_of(network, there)
    fold(network)
    if how.others:
        others = [_load_alike(other, model, spec) for other in how.others]
        take_mean(network, [n for n, _ in others])
        parts = [(model, spec), *zip(how.others, (s for _, s in others), strict=True)]
        notes["mean_of"] = [
            {"file": Path(file).name} | {k: s.provenance[k] for k in FACTS if k in s.provenance} for file, s in parts
        ]
    kept = {k: v for k, v in spec.provenance.items() if not k.startswith(MEASURED) or k == "threshold_rule"}
    name = how.name or (f"{spec.name}-{there.width}x{there.height}" if how.size else spec.name)
    there = there.with_(name=name, layers=layers, provenance=kept | notes)
    return there, write_onnx(network, there, out, pictures)


def _load_alike(other: str, model: str | Path, spec: ModelSpec) -> tuple[Detector, ModelSpec]:
    """A folded network of the same shape. Raises ModelError for another, and as `load_trained` does."""
    network, theirs = load_trained(other)
    if (theirs.network, theirs.anchors, theirs.labels) != (spec.network, spec.anchors, spec.labels):
        raise ModelError(f"{other}: is another network than {model}, so that the two have no mean")
    fold(network)
    return network, theirs
