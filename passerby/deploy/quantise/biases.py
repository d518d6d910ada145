"""Biases that take back what the rounding of weights adds to a layer's sums on average.

A weight is off by up to half a step. Behind an activation inputs are positive, so the errors of a channel's weights do
not cancel: its sums lie too high or too low on every picture. Nagel et al. 2019, "Data-free quantization through weight
equalization and bias correction", section 4.2, with the means that calibration saw.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np
from onnx import helper, numpy_helper

from passerby.deploy.quantise.arrange import ROWS
from passerby.deploy.quantise.four_bits import END, in_four_bits, steps_of
from passerby.records import Floats


def rounded(weight: Floats, axis: int) -> Any:
    """Weights as INT8 holds them: END steps to either side, each channel along `axis` by its own largest."""
    step = steps_of(weight, axis)
    return np.clip(np.round(weight / step), -END, END) * step


def correct_biases(proto: Any, nodes: Collection[str], means: Mapping[str, Any], packed: Collection[str] = ()) -> None:
    """Change the biases of layers whose weights will be rounded, in place; a layer without a stored bias stays.

    nodes   names of the nodes that become INT8
    means   tensor -> (C,) the mean of each of its channels
    packed  names of those nodes whose weights are stored in four bits
    """
    stored = {i.name: i for i in proto.graph.initializer}
    readers: dict[str, list[Any]] = {}
    for node in proto.graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    for node in proto.graph.node:
        if node.name not in nodes or len(node.input) < 2 or node.input[1] not in stored or node.input[0] not in means:
            continue
        place = _bias_of(node, readers)
        if place is None or place[0].input[place[1]] not in stored:
            continue
        how = in_four_bits if node.name in packed else rounded
        shift = shift_of(node, numpy_helper.to_array(stored[node.input[1]]), means[node.input[0]], how)
        adder, k = place
        bias = numpy_helper.to_array(stored[adder.input[k]])
        if shift is None or bias.size % len(shift):
            continue
        corrected = (bias - np.tile(shift, bias.size // len(shift)).reshape(bias.shape)).astype(np.float32)
        if len(readers[adder.input[k]]) == 1:
            stored[adder.input[k]].CopyFrom(numpy_helper.from_array(corrected, adder.input[k]))
        else:  # equal biases are stored once
            name = f"{adder.input[k]}_of_{node.name}"
            proto.graph.initializer.append(numpy_helper.from_array(corrected, name))
            adder.input[k] = name


def shift_of(node: Any, weight: Floats, mean: Any, how: Callable[[Floats, int], Any] = rounded) -> Any:
    """What rounding a layer's weights adds to each of its sums (O,), where inputs have these means (C,).

    how  weights and the axis of their channels -> what the file holds

    Borders, where a convolution reads zeros, are looked at as if they had the mean. None for a layer of another kind.
    """
    facts = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    if node.op_type == "Conv":
        groups = facts.get("group", 1)
        error = (how(weight, 0) - weight).reshape(*weight.shape[:2], -1).sum(axis=2)  # (O, C / groups)
        parts = error.reshape(groups, -1, error.shape[1])
        return np.einsum("goc,gc->go", parts, np.asarray(mean).reshape(groups, -1)).ravel()
    if weight.ndim != 2:
        return None
    across = bool(facts.get("transB"))  # (O, C) instead of (C, O)
    error = how(weight, 0 if across else 1) - weight
    return (error if across else error.T) @ mean


def _bias_of(node: Any, readers: Mapping[str, list[Any]]) -> tuple[Any, int] | None:
    """Which node adds a layer's bias, and at which of its inputs: the layer itself, or what follows rows."""
    if node.op_type != ROWS:
        return (node, 2) if len(node.input) > 2 else None
    after = readers.get(node.output[0], [])
    if len(after) == 1 and after[0].op_type == "Reshape":
        after = readers.get(after[0].output[0], [])
    return (after[0], 1) if len(after) == 1 and after[0].op_type == "Add" else None
