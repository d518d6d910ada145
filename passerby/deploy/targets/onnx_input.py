"""How our ONNX graphs begin, put otherwise: floats for bytes, channels first, normalised before they are turned."""

from __future__ import annotations

from typing import Any

import numpy as np

from passerby.deploy.targets.onnx_graph import Proto, prune, sort_nodes
from passerby.errors import ModelError


def take_floats(proto: Proto) -> None:
    """Let a graph take pixels as float32 0..255 instead of bytes, for tools that know no bytes: its Cast is dropped.

    Raises ModelError where its input is not cast.
    """
    from onnx import TensorProto, helper

    port = proto.graph.input[0]
    port.type.tensor_type.elem_type = TensorProto.FLOAT
    casts = [n for n in proto.graph.node if n.op_type == "Cast"]
    if len(casts) != 1 or helper.get_attribute_value(casts[0].attribute[0]) != TensorProto.FLOAT:
        raise ModelError(f"{port.name}: the graph does not cast its input to float32 once; export the model again")
    cast = casts[0]
    for node in proto.graph.node:
        node.input[:] = [cast.input[0] if i == cast.output[0] else i for i in node.input]
    proto.graph.node.remove(cast)
    del proto.graph.value_info[:]


def channels_first(proto: Proto) -> None:
    """Let a graph take (1, 3, H, W) instead of (1, H, W, 3): the Transpose that it begins with is dropped.

    Raises ModelError where it does not begin with one.
    """
    port = proto.graph.input[0]
    first = [n for n in proto.graph.node if port.name in n.input]
    if len(first) != 1 or first[0].op_type != "Transpose":
        raise ModelError(f"{port.name}: the graph does not begin with a Transpose; export the model again")
    for node in proto.graph.node:
        node.input[:] = [port.name if i == first[0].output[0] else i for i in node.input]
    proto.graph.node.remove(first[0])
    sides = port.type.tensor_type.shape.dim
    height, width, channels = (d.dim_value for d in list(sides)[1:])
    for side, length in zip(sides, (1, channels, height, width), strict=True):
        side.dim_value = length
    del proto.graph.value_info[:]


def turn_late(proto: Proto) -> None:
    """Normalise pixels with their channels last: the Transpose that a graph begins with comes after what works on each
    channel alone (Cast, and Sub, Div and the like with a constant). The answers are the same."""
    from onnx import numpy_helper

    stored = {i.name: numpy_helper.to_array(i) for i in proto.graph.initializer}
    turn = next((n for n in proto.graph.node if proto.graph.input[0].name in n.input), None)
    if turn is None or turn.op_type != "Transpose":
        return
    while (node := _plain_reader(proto, turn.output[0], stored)) is not None:
        for k, name in enumerate(node.input):
            if name == turn.output[0]:
                node.input[k] = turn.input[0]
            elif stored[name].ndim == 4:
                node.input[k] = last = f"{name}_last"
                if last not in stored:
                    stored[last] = np.ascontiguousarray(stored[name].transpose(0, 2, 3, 1))
                    proto.graph.initializer.append(numpy_helper.from_array(stored[last], last))
        turn.output[0], node.output[0] = node.output[0], f"{node.output[0]}_last"
        turn.input[0] = node.output[0]
    sort_nodes(proto)
    prune(proto)


def _plain_reader(proto: Proto, name: str, stored: dict[str, Any]) -> Any:
    """What alone reads a map, and works on each of its channels alone; None where something else does."""
    readers = [n for n in proto.graph.node if name in n.input]
    if len(readers) != 1 or readers[0].op_type not in ("Cast", "Sub", "Add", "Mul", "Div"):
        return None
    plain = all(i in stored and stored[i].ndim in (0, 4) for i in readers[0].input if i != name)
    return readers[0] if plain else None
