"""A trained detector at another input size: the same weights over more cells or fewer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from passerby.errors import ModelError, SettingError
from passerby.geometry.layouts import find_layout
from passerby.learn.exported import fold, load_trained
from passerby.learn.layers import layers_of
from passerby.learn.network import LEAST_SIDE, Detector, build
from passerby.learn.to_onnx import Parity, write_onnx
from passerby.records import Pixels
from passerby.spec import ModelSpec


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


def export_resized(
    model: str | Path, out: Path, width: int, height: int, pictures: Sequence[Pixels], name: str = ""
) -> tuple[ModelSpec, Parity]:
    """Write a trained detector as ONNX for another input size, proven to be the network at that size.

    model     a checkpoint, a float32 .onnx file of ours, or a shipped model's name
    out       the .onnx file
    pictures  (H, W, 3) uint8 RGB each, put through both
    name      of the model; "": its own with the size behind it

    Objects come to the network smaller or larger than those that it learnt; its threshold is as it was. The card says
    both, and keeps no accuracy that was measured at the old size.
    Raises as `load_trained`, `at_size` and `write_onnx` do; ModelError for a localiser.
    """
    network, spec = load_trained(model)
    if spec.task != "detect":
        raise ModelError(f"{model}: a localiser keeps the input that it was trained on")
    fitting, there = at_size(network, spec, width, height)
    kept = {
        k: v
        for k, v in spec.provenance.items()
        if k != "certificate" and not k.startswith("val_") and (not k.startswith("threshold_") or k == "threshold_rule")
    }
    was = f"{spec.width} x {spec.height}"
    kept |= {"input": f"{width} x {height}, set after training at {was}", "threshold_chosen_at": was}
    there = there.with_(name=name or f"{spec.name}-{width}x{height}", layers=layers_of(fitting, there), provenance=kept)
    fold(fitting)
    return there, write_onnx(fitting, there, out, pictures)
