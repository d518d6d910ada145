"""A .tflite file as a Blueprint: a flatbuffer, read by its published schema; LiteRT is not needed."""

from __future__ import annotations

import struct
from pathlib import Path

from passerby.errors import ModelError
from passerby.runtime.blueprint import Blueprint, Operator, Tensor, product, times
from passerby.runtime.flatbuffer import Table, root

# Fields of tables, TensorType and BuiltinOperator: schema.fbs of TensorFlow Lite, version 3.
CODES, GRAPHS, BUFFERS = 1, 2, 4
TENSORS, INPUTS, OUTPUTS, OPERATORS = 0, 1, 2, 3
KINDS = {
    0: "float32", 1: "float16", 2: "int32", 3: "uint8", 4: "int64", 6: "bool", 7: "int16", 9: "int8", 10: "float64",
    12: "uint64", 15: "uint32", 16: "uint16", 17: "int4", 18: "bfloat16",
}  # fmt: skip
NAMES = {
    0: "ADD", 1: "AVERAGE_POOL_2D", 2: "CONCATENATION", 3: "CONV_2D", 4: "DEPTHWISE_CONV_2D", 6: "DEQUANTIZE",
    9: "FULLY_CONNECTED", 14: "LOGISTIC", 17: "MAX_POOL_2D", 18: "MUL", 19: "RELU", 21: "RELU6", 22: "RESHAPE",
    23: "RESIZE_BILINEAR", 25: "SOFTMAX", 28: "TANH", 32: "CUSTOM", 34: "PAD", 36: "GATHER", 39: "TRANSPOSE",
    40: "MEAN", 41: "SUB", 42: "DIV", 43: "SQUEEZE", 45: "STRIDED_SLICE", 47: "EXP", 48: "TOPK_V2", 49: "SPLIT",
    53: "CAST", 54: "PRELU", 55: "MAXIMUM", 57: "MINIMUM", 60: "PADV2", 65: "SLICE", 67: "TRANSPOSE_CONV",
    70: "EXPAND_DIMS", 74: "SUM", 77: "SHAPE", 82: "REDUCE_MAX", 83: "PACK", 88: "UNPACK",
    97: "RESIZE_NEAREST_NEIGHBOR", 98: "LEAKY_RELU", 114: "QUANTIZE", 117: "HARD_SWISH", 126: "BATCH_MATMUL",
}  # fmt: skip


def read_tflite(path: Path) -> Blueprint:
    """Operators and tensors of the first subgraph. Raises ModelError for a file that cannot be read or is no TFLite."""
    try:
        data = path.read_bytes()
        if data[4:8] != b"TFL3":
            raise ValueError("it does not begin as one")
        return _model(root(data))
    except OSError as e:
        raise ModelError(f"{path}: cannot be read ({e.strerror or e})") from e
    except (struct.error, ValueError, IndexError, StopIteration, UnicodeDecodeError) as e:
        raise ModelError(f"{path}: not a TFLite file, or cut short ({e}); copy or export it again") from e


def _model(model: Table) -> Blueprint:
    kinds = [_kind(code) for code in model.tables(CODES)]
    stored = [b.vector(0)[1] > 0 or b.number(1, "<Q") > 1 for b in model.tables(BUFFERS)]
    graph = next(model.tables(GRAPHS))
    tensors = [_tensor(t, k, stored) for k, t in enumerate(graph.tables(TENSORS))]
    names = [t.name for t in tensors]
    operators = []
    for row in graph.tables(OPERATORS):
        ins, outs = (tuple(names[k] if k >= 0 else "" for k in row.numbers(n)) for n in (1, 2))
        kind = kinds[row.number(0, "<I")]
        shapes = [tensors[k].shape if k >= 0 else None for k in row.numbers(1)]
        macs = _macs(kind, shapes, tensors[row.numbers(2)[0]].shape) if outs else 0
        operators.append(Operator(outs[0] if outs else kind, kind, ins, outs, macs))
    ports = [tuple(names[k] for k in graph.numbers(n)) for n in (INPUTS, OUTPUTS)]
    return Blueprint(tuple(operators), {t.name: t for t in tensors}, ports[0], ports[1], "the file")


def _kind(code: Table) -> str:
    old, new = code.number(0, "<b"), code.number(3, "<i")
    number = max(old, new)  # the old field has room up to 127
    return code.text(1) or NAMES[32] if number == 32 else NAMES.get(number, f"OPERATOR_{number}")


def _tensor(table: Table, number: int, stored: list[bool]) -> Tensor:
    kind = KINDS.get(table.number(1, "<b"), "")
    name = f"{table.text(3) or 'tensor'}#{number}"  # names may occur twice
    return Tensor(name, table.numbers(0), kind, constant=stored[table.number(2, "<I")])


def _macs(kind: str, shapes: list[tuple[int, ...] | None], out: tuple[int, ...] | None) -> int | None:
    """Output elements times the inputs that each is a sum of; weights (O, h, w, I), depthwise (1, h, w, C)."""
    if kind == "TRANSPOSE_CONV":  # its inputs are the output's shape, weights, data
        weights = shapes[1]
        return times(product(shapes[2]), product(weights[:3]) if weights else None)
    if kind not in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "BATCH_MATMUL"):
        return 0
    weights = shapes[1]
    if not weights:
        return None
    if kind == "BATCH_MATMUL":
        return times(product(out), shapes[0][-1] if shapes[0] else None)
    return times(product(out), product(weights[1:3] if kind == "DEPTHWISE_CONV_2D" else weights[1:]))
