"""An INT8 graph put as torch's quantised programs are (PT2E), which converters from torch know: the same answers.

ONNX Runtime takes the file as `deploy.quantise` writes it; what stands here is for the others.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from passerby.deploy.targets.onnx_graph import prune, sort_nodes


def to_signed(proto: Any, whole_weights: bool) -> None:
    """Rewrite a graph, in place.

    * Maps are rounded to signed numbers: each 128 less than it was, and so is zero.
    * Whatever reads a rounded map has a DequantizeLinear of its own.
    * A padding that differs from side to side is a Pad, whose result is rounded as its input is.
    * whole_weights: weights are stored in float and rounded in the graph, where a converter stores the rounded ones.
    """
    stored = {i.name: numpy_helper.to_array(i) for i in proto.graph.initializer}
    _shift_zeros(proto, stored)
    _pad_apart(proto, stored)
    _own_readers(proto)
    if whole_weights:
        _round_weights(proto, stored)
    sort_nodes(proto)
    prune(proto)


def _shift_zeros(proto: Any, stored: dict[str, Any]) -> None:
    for node in proto.graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear") and stored[node.input[2]].dtype == np.uint8:
            name = f"{node.input[2]}_signed"
            if name not in stored:
                stored[name] = (stored[node.input[2]].astype(np.int16) - 128).astype(np.int8)
                proto.graph.initializer.append(numpy_helper.from_array(stored[name], name))
            node.input[2] = name


def _pad_apart(proto: Any, stored: dict[str, Any]) -> None:
    made = {out: node for node in proto.graph.node for out in node.output}
    for node in [n for n in proto.graph.node if n.op_type == "Conv"]:
        facts = {a.name: a for a in node.attribute}
        top, left, bottom, right = facts["pads"].ints if "pads" in facts else (0, 0, 0, 0)
        before = made.get(node.input[0])
        if (top, left) == (bottom, right) or before is None or before.op_type != "DequantizeLinear":
            continue
        sides, name = f"{node.name}_sides", f"{node.name}_padded"
        around = np.array([0, 0, top, left, 0, 0, bottom, right], np.int64)
        proto.graph.initializer.append(numpy_helper.from_array(around, sides))
        how = list(before.input[1:])
        proto.graph.node.extend(
            [
                helper.make_node("Pad", [node.input[0], sides], [name], name),
                helper.make_node("QuantizeLinear", [name, *how], [f"{name}_q"], f"{name}_q"),
                helper.make_node("DequantizeLinear", [f"{name}_q", *how], [f"{name}_d"], f"{name}_d"),
            ]
        )
        node.input[0] = f"{name}_d"
        facts["pads"].ints[:] = [0, 0, 0, 0]


def _own_readers(proto: Any) -> None:
    """The first reader of a DequantizeLinear keeps it; every other gets a copy."""
    made = {node.output[0]: node for node in proto.graph.node if node.op_type == "DequantizeLinear"}
    read: set[str] = set()
    for node in list(proto.graph.node):
        for k, name in enumerate(node.input):
            if name not in made:
                continue
            if name in read:
                copy = onnx.NodeProto()
                copy.CopyFrom(made[name])
                copy.name = copy.output[0] = node.input[k] = f"{name}_for_{node.output[0]}_{k}"
                proto.graph.node.append(copy)
            read.add(name)


def _round_weights(proto: Any, stored: dict[str, Any]) -> None:
    for node in list(proto.graph.node):
        if node.op_type != "DequantizeLinear" or node.input[0] not in stored:
            continue
        axis = next(a.i for a in node.attribute if a.name == "axis")
        weight, scale = stored[node.input[0]].astype(np.float32), stored[node.input[1]]
        shape = [-1 if k == axis else 1 for k in range(weight.ndim)]
        whole = f"{node.output[0]}_whole"
        proto.graph.initializer.append(numpy_helper.from_array(weight * scale.reshape(shape), whole))
        rounded = helper.make_node("QuantizeLinear", [whole, *node.input[1:]], [f"{whole}_q"], f"{whole}_q", axis=axis)
        proto.graph.node.append(rounded)
        node.input[0] = f"{whole}_q"
