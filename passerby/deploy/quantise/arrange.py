"""A graph put so that INT8 stays INT8 from layer to layer, and back: the same answers, fewer conversions and copies.

ONNX Runtime keeps INT8 maps with their channels last. What wants them first, or in float, costs a copy each time; on
`head`'s large maps those copies took as long as the INT8 convolutions saved.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import helper, numpy_helper

from passerby.deploy.targets.onnx_graph import prune, sort_nodes

LAST, FIRST = [0, 2, 3, 1], [0, 3, 1, 2]  # channels last, channels first
ROWS = "MatMul"  # a predictor as a product over rows of channels, whose sums come out in float


def arrange(proto: Any) -> None:
    """Rewrite a graph whose shapes are inferred, in place; what has another form than our exports stays as it is.

    * A 1 x 1 predictor whose map is then turned to channels last is a product of the turned map: no copy of its output,
      and its offsets and scores are never rounded to eight bits.
    * A map doubled by nearest neighbours is read by index, channels last.
    * The picture's division by a standard deviation goes into the first convolution, whose padding is zeros.
    """
    shapes = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in proto.graph.value_info}
    readers: dict[str, list[Any]] = {}
    for node in proto.graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    constants = {i.name: i for i in proto.graph.initializer}
    for node in list(proto.graph.node):
        if node.op_type == "Conv" and (turned := _turned(node, readers, constants)) is not None:
            _as_rows(proto, node, turned, constants, shapes)
        elif node.op_type == "Resize" and _doubles(node, constants, shapes):
            _by_index(proto, node, shapes[node.input[0]])
        elif node.op_type == "Div":
            _fold(proto, node, readers.get(node.output[0], []), constants)
    sort_nodes(proto)
    prune(proto)


def _turned(node: Any, readers: dict[str, list[Any]], constants: dict[str, Any]) -> Any:
    """The Transpose to channels last that alone reads a 1 x 1 convolution; None where it is no such predictor."""
    if len(node.input) < 3 or any(i not in constants for i in node.input[1:]):
        return None
    facts = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    plain = list(constants[node.input[1]].dims[2:]) == [1, 1] and facts.get("group", 1) == 1
    plain &= len(readers[node.input[1]]) == 1
    plain &= list(facts.get("strides", [1, 1])) == [1, 1] and not any(facts.get("pads", [0]))
    read = readers.get(node.output[0], [])
    turns = len(read) == 1 and read[0].op_type == "Transpose"
    return read[0] if plain and turns and list(helper.get_attribute_value(read[0].attribute[0])) == LAST else None


def _as_rows(proto: Any, node: Any, turned: Any, constants: dict[str, Any], shapes: dict[str, list[int]]) -> None:
    """A predictor over rows of a map: turned, multiplied, and its bias added to whole rows of cells at once.

    Adding a bias of a few numbers to each cell alone would take longer than the product.
    """
    into, weight, bias = node.output[0], node.input[1], f"{node.output[0]}_row"
    outputs, rows, columns = shapes[into][1:]
    values = numpy_helper.to_array(constants[weight])[:, :, 0, 0].T
    constants[weight].CopyFrom(numpy_helper.from_array(np.ascontiguousarray(values), weight))
    whole = np.tile(numpy_helper.to_array(constants[node.input[2]]), columns)
    shape, sides = f"{into}_shape", np.array([1, rows, columns * outputs], np.int64)
    proto.graph.initializer.extend([numpy_helper.from_array(whole, bias), numpy_helper.from_array(sides, shape)])
    proto.graph.node.extend(
        [
            helper.make_node("Transpose", [node.input[0]], [f"{into}_last"], f"{into}_last", perm=LAST),
            helper.make_node(ROWS, [f"{into}_last", weight], [f"{into}_rows"], node.name),
            helper.make_node("Reshape", [f"{into}_rows", shape], [f"{into}_cells"], f"{into}_cells"),
            helper.make_node("Add", [f"{into}_cells", bias], [turned.output[0]], f"{into}_bias"),
        ]
    )
    proto.graph.node.remove(node)
    proto.graph.node.remove(turned)


def _doubles(node: Any, constants: dict[str, Any], shapes: dict[str, list[int]]) -> bool:
    """Whether a Resize repeats every row and column once."""
    facts = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    if facts.get("mode") != b"nearest" or facts.get("coordinate_transformation_mode") != b"asymmetric":
        return False
    factors = constants.get(node.input[2]) if len(node.input) == 3 else None
    known = len(shapes.get(node.input[0], [])) == 4 and all(shapes[node.input[0]])
    return known and factors is not None and numpy_helper.to_array(factors).tolist() == [1, 1, 2, 2]


def _by_index(proto: Any, node: Any, shape: list[int]) -> None:
    out = node.output[0]
    for name, side in (("across", shape[3]), ("down", shape[2])):
        index = np.repeat(np.arange(side, dtype=np.int32), 2)
        proto.graph.initializer.append(numpy_helper.from_array(index, f"{out}_{name}"))
    proto.graph.node.extend(
        [
            helper.make_node("Transpose", [node.input[0]], [f"{out}_last"], f"{out}_last", perm=LAST),
            helper.make_node("Gather", [f"{out}_last", f"{out}_across"], [f"{out}_wide"], f"{out}_wide", axis=2),
            helper.make_node("Gather", [f"{out}_wide", f"{out}_down"], [f"{out}_tall"], f"{out}_tall", axis=1),
            helper.make_node("Transpose", [f"{out}_tall"], [out], node.name, perm=FIRST),
        ]
    )
    proto.graph.node.remove(node)


def _fold(proto: Any, node: Any, read: list[Any], constants: dict[str, Any]) -> None:
    """A division of each channel, read by one convolution alone, put into its weights."""
    by = constants.get(node.input[1])
    if by is None or len(read) != 1 or read[0].op_type != "Conv" or read[0].input[0] != node.output[0]:
        return
    weight = constants.get(read[0].input[1])
    values = numpy_helper.to_array(by).astype(np.float64)
    if weight is None or values.size not in (1, weight.dims[1]):
        return
    scaled = numpy_helper.to_array(weight) / values.reshape(1, -1, 1, 1)
    weight.CopyFrom(numpy_helper.from_array(scaled.astype(np.float32), weight.name))
    read[0].input[0] = node.input[0]
    proto.graph.node.remove(node)


def to_convolutions(proto: Any) -> None:
    """Undo in an INT8 graph what `arrange` did for ONNX Runtime.

    Convolutions with float weights come where products over rows of a map are, and maps are resized that are read by
    index.
    For tools that take eight-bit weights only where the result is rounded too. No answer changes.
    """
    stored = {i.name: numpy_helper.to_array(i) for i in proto.graph.initializer}
    made = {out: node for node in proto.graph.node for out in node.output}
    read = {i: node for node in proto.graph.node for i in node.input}
    for product in [n for n in proto.graph.node if n.op_type == ROWS]:
        turned, weight = _before(product.input[0], made), product.input[1]
        if weight not in stored and made[weight].op_type == "DequantizeLinear":
            values, scale = (stored[name] for name in made[weight].input[:2])  # of columns, around zero
            weight, stored[weight] = f"{weight}_float", values.astype(np.float32) * scale
        added = read[read[product.output[0]].output[0]]
        if turned.op_type != "Transpose" or added.op_type != "Add" or weight not in stored:
            continue
        outputs = stored[weight].shape[1]
        kernel = np.ascontiguousarray(stored[weight].T[:, :, None, None], np.float32)
        parts = {f"{added.name}_kernel": kernel, f"{added.name}_each": stored[added.input[1]][:outputs]}
        proto.graph.initializer.extend(numpy_helper.from_array(v, k) for k, v in parts.items())
        out = f"{added.name}_map"
        first = helper.make_node("Conv", [turned.input[0], *parts], [out], product.name)
        last = helper.make_node("Transpose", [out], [added.output[0]], f"{added.name}_rows", perm=LAST)
        proto.graph.node.extend([first, last])
        proto.graph.node.remove(added)
    for back in [n for n in proto.graph.node if n.op_type == "Transpose"]:
        tall = _before(back.input[0], made)
        wide = _before(tall.input[0], made) if tall is not None and tall.op_type == "Gather" else None
        turned = _before(wide.input[0], made) if wide is not None and wide.op_type == "Gather" else None
        if turned is None or turned.op_type != "Transpose":
            continue
        factors = f"{back.name}_factors"
        proto.graph.initializer.append(numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), factors))
        how = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        proto.graph.node.append(
            helper.make_node("Resize", [turned.input[0], "", factors], [*back.output], back.name, **how)
        )
        proto.graph.node.remove(back)
    sort_nodes(proto)
    prune(proto)


def _before(name: str, made: dict[str, Any]) -> Any:
    """What makes a tensor, seen through its rounding; None for the graph's input."""
    while name in made and made[name].op_type in ("QuantizeLinear", "DequantizeLinear"):
        name = made[name].input[0]
    return made.get(name)
