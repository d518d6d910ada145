"""An .onnx file as a Blueprint: operators and weights read from the file, shapes worked out by ONNX Runtime."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnxruntime

from passerby.errors import ModelError
from passerby.runtime.blueprint import Blueprint, Operator, Tensor, product, times
from passerby.runtime.outputs import first_line
from passerby.runtime.protobuf import (
    A_INT,
    A_NAME,
    A_TENSOR,
    GRAPH,
    INITIALIZER,
    INPUT,
    N_ATTRIBUTE,
    N_INPUT,
    N_KIND,
    N_NAME,
    N_OUTPUT,
    NODE,
    OUTPUT,
    T_DIMS,
    T_NAME,
    T_TYPE,
    V_NAME,
    Field,
    name_of,
    read_fields,
    read_varint,
    text_of,
    write_field,
)

TYPES = {
    1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64", 9: "bool", 10: "float16",
    11: "float64", 12: "uint32", 13: "uint64", 16: "bfloat16", 17: "float8", 18: "float8", 19: "float8", 20: "float8",
    21: "uint4", 22: "int4",
}  # fmt: skip
SAID = {"float": "float32", "double": "float64"}  # ONNX Runtime's words that are not numpy's
WEIGHTS = {"Conv": 1, "FusedConv": 1, "ConvInteger": 1, "QLinearConv": 3}  # which input


class Node(NamedTuple):
    """A node as it is written."""

    name: str
    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    numbers: dict[str, int]
    stored: Tensor | None


def read_onnx(path: Path, size: tuple[int, int] | None = None) -> Blueprint:
    """Operators, tensors and their shapes.

    size  width and height, pixels, for an input that leaves them open

    Raises ModelError for a file that cannot be read or that ONNX Runtime does not load.
    """
    try:
        data = path.read_bytes()
        graph = b"".join(bytes(f.content) for f in read_fields(memoryview(data)) if f.number == GRAPH and f.content)
        nodes, stored, inputs, outputs = _graph(memoryview(graph))
    except OSError as e:
        raise ModelError(f"{path}: cannot be read ({e.strerror or e})") from e
    except (IndexError, ValueError, UnicodeDecodeError) as e:
        raise ModelError(f"{path}: not an ONNX file, or cut short; copy or export it again") from e
    tensors = {t.name: t for t in stored}
    tensors |= {n.outputs[0]: n.stored for n in nodes if n.stored}
    inputs = [name for name in inputs if name not in tensors]  # old files list their weights among the inputs
    made = [o for n in nodes if not n.stored for o in n.outputs if o]
    tensors |= {t.name: t for t in _shapes(path, data, made, size)}
    operators = [
        Operator(n.name or n.outputs[0], n.kind, n.inputs, n.outputs, _macs(n, tensors)) for n in nodes if not n.stored
    ]
    return Blueprint(tuple(operators), tensors, tuple(inputs), tuple(outputs), "the file, shapes by ONNX Runtime")


def _graph(data: memoryview) -> tuple[list[Node], list[Tensor], list[str], list[str]]:
    nodes: list[Node] = []
    stored: list[Tensor] = []
    ports: dict[int, list[str]] = {INPUT: [], OUTPUT: []}
    for field in read_fields(data):
        if field.content is None:
            continue
        if field.number == NODE:
            nodes.append(_node(field.content))
        elif field.number == INITIALIZER:
            stored.append(_tensor(field.content))
        elif field.number in ports:
            ports[field.number].append(name_of(field))
    return nodes, stored, ports[INPUT], ports[OUTPUT]


def _node(data: memoryview) -> Node:
    names: dict[int, list[str]] = {N_INPUT: [], N_OUTPUT: [], N_NAME: [], N_KIND: []}
    numbers: dict[str, int] = {}
    stored = None
    for field in read_fields(data):
        if field.number in names:
            names[field.number].append(text_of(field))
        elif field.number == N_ATTRIBUTE and field.content is not None:
            parts = {f.number: f for f in read_fields(field.content)}
            if A_INT in parts:
                numbers[text_of(parts[A_NAME])] = parts[A_INT].value or 0
            tensor = parts[A_TENSOR].content if A_TENSOR in parts else None
            stored = _tensor(tensor) if tensor is not None else stored
    kind = "".join(names[N_KIND])
    outputs = tuple(names[N_OUTPUT])
    if stored and kind == "Constant":
        stored = Tensor(outputs[0], stored.shape, stored.kind, constant=True)
    elif stored:  # ConstantOfShape has a tensor too, of one element
        stored = None
    return Node("".join(names[N_NAME]), kind, tuple(names[N_INPUT]), outputs, numbers, stored)


def _tensor(data: memoryview) -> Tensor:
    dims: list[int] = []
    kind, name = "", ""
    for field in read_fields(data):
        if field.number == T_DIMS:
            dims += _numbers(field)
        elif field.number == T_TYPE:
            kind = TYPES.get(field.value or 0, "")
        elif field.number == T_NAME:
            name = text_of(field)
    return Tensor(name, tuple(dims), kind, constant=True)


def _numbers(field: Field) -> Iterator[int]:
    """Of a repeated field, packed or not."""
    if field.content is None:
        yield field.value or 0
        return
    at = 0
    while at < len(field.content):
        value, at = read_varint(field.content, at)
        yield value


def _shapes(path: Path, data: bytes, made: list[str], size: tuple[int, int] | None) -> list[Tensor]:
    """Every tensor that operators make and the inputs: each is made an output, and ONNX Runtime says its shape.

    Where it cannot say, the graph is run once on zeros.
    """
    # a message written twice is merged (protobuf.dev, "Last One Wins"): lists grow
    more = write_field(GRAPH, b"".join(write_field(OUTPUT, write_field(V_NAME, n.encode())) for n in made))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(path.parent))
    try:
        session = onnxruntime.InferenceSession(data + more, options, providers=["CPUExecutionProvider"])
        ports = {p.name: p for p in (*session.get_inputs(), *session.get_outputs())}
        tensors = [Tensor(n, _closed(p.shape), _kind(p.type)) for n, p in ports.items()]
        if all(t.shape is not None for t in tensors):
            return tensors
        zeros = {p.name: np.zeros(_filled(p.shape, size), _kind(p.type)) for p in session.get_inputs()}
        names = [p.name for p in session.get_outputs()]
        ran = dict(zip(names, session.run(names, zeros), strict=True)) | zeros
    except Exception as e:  # its errors have no public base class
        raise ModelError(f"{path}: ONNX Runtime cannot work out its shapes ({first_line(e)})") from e
    return [Tensor(t.name, np.shape(ran[t.name]), t.kind) for t in tensors]


def _closed(shape: list[Any]) -> tuple[int, ...] | None:
    return tuple(shape) if all(isinstance(n, int) for n in shape) else None


def _kind(said: str) -> str:
    word = said.removeprefix("tensor(").removesuffix(")")
    return SAID.get(word, word)


def _filled(shape: list[Any], size: tuple[int, int] | None) -> list[int]:
    """A shape without open sides: the longest are the picture's, all others 1."""
    sides = [n if isinstance(n, int) else 0 for n in shape]
    open_ = [k for k, n in enumerate(sides) if not n]
    first = len(sides) == 4 and sides[1] in (1, 3)
    for k in open_:
        width, height = size or (1, 1)
        places = {2: height, 3: width} if first else {1: height, 2: width}
        sides[k] = places.get(k, 1) if len(sides) == 4 else 1
    return sides


def _macs(node: Node, tensors: dict[str, Tensor]) -> int | None:
    """Output elements times the inputs that each is a sum of."""

    def shape(name: str) -> tuple[int, ...] | None:
        return tensors[name].shape if name in tensors else None

    if node.kind in WEIGHTS:
        weights = shape(node.inputs[WEIGHTS[node.kind]])
        return times(product(shape(node.outputs[0])), product(weights[1:] if weights else None))
    if node.kind == "ConvTranspose":  # every input element meets the kernel of every output channel
        weights = shape(node.inputs[1])
        return times(product(shape(node.inputs[0])), product(weights[1:] if weights else None))
    if node.kind in ("MatMul", "Gemm", "MatMulInteger", "QLinearMatMul"):
        first = shape(node.inputs[0])
        last = None if not first else first[0 if node.numbers.get("transA") else -1]
        return times(product(shape(node.outputs[0])), last)
    return 0
