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
    * A padding that differs from side to side, which torch lacks, becomes one that does not: the kernel gets
      rows and columns of zeros before it. With whole_weights it is a Pad, whose result is rounded as its input is.
    * whole_weights: weights are stored in float and rounded in the graph, where a converter stores the rounded ones.

    ExecuTorch knows no Pad of integers: around one it would convert the largest maps to floats and back.
    """
    stored = {i.name: numpy_helper.to_array(i) for i in proto.graph.initializer}
    _shift_zeros(proto, stored)
    for node, before in _uneven(proto):
        (_pad_apart if whole_weights else _widen)(proto, stored, node, before)
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


def _uneven(proto: Any) -> list[tuple[Any, Any]]:
    """Convolutions of rounded maps whose padding differs from side to side, and what dequantises their maps."""
    made = {out: node for node in proto.graph.node for out in node.output}
    found = []
    for node in [n for n in proto.graph.node if n.op_type == "Conv"]:
        top, left, bottom, right = _attribute(node, "pads") or (0, 0, 0, 0)
        before = made.get(node.input[0])
        if (top, left) != (bottom, right) and before is not None and before.op_type == "DequantizeLinear":
            found.append((node, before))
    return found


def _attribute(node: Any, name: str) -> Any:
    """A list of whole numbers, which may be changed in place; None where it is not stated."""
    return next((a.ints for a in node.attribute if a.name == name), None)


def _pad_apart(proto: Any, stored: dict[str, Any], node: Any, before: Any) -> None:
    del stored
    pads = _attribute(node, "pads")
    top, left, bottom, right = pads
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
    pads[:] = [0, 0, 0, 0]


def _widen(proto: Any, stored: dict[str, Any], node: Any, before: Any) -> None:
    """Output k of a kernel of n rows, `top` of them over the map, begins at row k * stride - top; of one with d rows of
    zeros before, and bottom = top + d over the map, as well, and as many outputs fit."""
    pads, kernel = _attribute(node, "pads"), _attribute(node, "kernel_shape")
    top, left, bottom, right = pads
    down, across = bottom - top, right - left
    weights = next((n for n in proto.graph.node if node.input[1] in n.output), None)
    even = min(down, across) >= 0 and all(d == 1 for d in _attribute(node, "dilations") or ())
    if weights is None or weights.op_type != "DequantizeLinear" or not even:  # else as a Pad
        _pad_apart(proto, stored, node, before)
        return
    name = f"{node.name}_wide"
    stored[name] = np.pad(stored[weights.input[0]], ((0, 0), (0, 0), (down, 0), (across, 0)))
    proto.graph.initializer.append(numpy_helper.from_array(stored[name], name))
    back = helper.make_node("DequantizeLinear", [name, *weights.input[1:]], [f"{name}_d"], f"{name}_d")
    back.attribute.extend(weights.attribute)
    proto.graph.node.append(back)
    node.input[1] = f"{name}_d"
    pads[:] = [bottom, right, bottom, right]
    if kernel is not None:
        kernel[:] = stored[name].shape[2:]


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
