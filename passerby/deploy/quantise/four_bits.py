"""Weights of INT8 layers stored in four bits each: sixteen values of INT8, and for each weight which of them it is.

The layer still multiplies in INT8: engines look the values up once, when they load the file, so that it is as fast as
before and half as large. Han et al. 2016, "Deep Compression", section 3, with values fitted as by Lloyd 1982, "Least
squares quantization in PCM". Plain operators of any opset do it: ONNX Runtime reads ONNX's own INT4 weights in
convolutions from 1.23 on only.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from passerby.records import Floats

VALUES = 16
END = 127  # of a weight in INT8, to either side
ROUNDS = 100  # of fitting, at most
PACKED, TABLE, PAIRS, SHAPE = "_4", "_t", "_p", "_s"  # after a weight's name


def fit_values(weights: Any, steps: Any) -> Any:
    """The sixteen values, (16,) int8 ascending, that a layer's weights are nearest to in least squares.

    weights  as INT8 holds them, -127..127, of any shape
    steps    what one is worth, of a shape that fits: an error in a channel of large weights counts for more
    """
    ends = np.arange(-END, END + 1)
    worth = np.broadcast_to(np.asarray(steps, np.float64) ** 2, weights.shape).ravel()
    counted = np.bincount(np.rint(weights).astype(np.int64).ravel() + END, worth, len(ends))
    shares = np.cumsum(counted) / counted.sum()
    values = np.interp((np.arange(VALUES) + 0.5) / VALUES, shares, ends)
    for _ in range(ROUNDS):
        nearest = np.searchsorted((values[1:] + values[:-1]) / 2, ends)
        total = np.bincount(nearest, counted, VALUES)
        moved = np.where(total > 0, np.bincount(nearest, counted * ends, VALUES) / np.maximum(total, 1e-300), values)
        if np.allclose(moved, values, atol=1e-3):
            break
        values = moved
    return np.rint(values).astype(np.int8)


def nearest_of(weights: Any, values: Any) -> Any:
    """Which of the ascending `values` each weight is nearest to, uint8 of the weights' shape."""
    borders = (values[1:].astype(np.float64) + values[:-1]) / 2
    return np.searchsorted(borders, weights).astype(np.uint8)


def steps_of(weight: Floats, axis: int) -> Any:
    """What one of INT8 is worth in each channel along `axis`, float64, of a shape that fits: its largest is END."""
    others = tuple(k for k in range(weight.ndim) if k != axis)
    step = np.abs(weight).max(axis=others, keepdims=True).astype(np.float64) / END
    step[step == 0] = 1.0
    return step


def in_four_bits(weight: Floats, axis: int) -> Any:
    """Weights as a file with four bits holds them, float64: each channel along `axis` by its own largest."""
    step = steps_of(weight, axis)
    whole = np.rint(weight / step)
    values = fit_values(whole, step)
    return values[nearest_of(whole, values)] * step


def store(proto: Any, names: Collection[str]) -> None:
    """Put INT8 weights of a QDQ graph into four bits each, in place.

    names  of the weights; each an even number of them, since two share a byte
    """
    stored = {i.name: i for i in proto.graph.initializer}
    readers = {n.input[0]: n for n in proto.graph.node if n.op_type == "DequantizeLinear" and n.input[0] in names}
    lookups = []
    for name, node in readers.items():
        scale = numpy_helper.to_array(stored[node.input[1]])
        weights = numpy_helper.to_array(stored[name])
        axis = next((a.i for a in node.attribute if a.name == "axis"), 1)
        sides = [-1 if k == axis else 1 for k in range(weights.ndim)] if scale.ndim else [1] * weights.ndim
        values = fit_values(weights, scale.reshape(sides))
        which = nearest_of(weights, values).ravel()
        pairs = np.arange(256)
        parts = {
            name + PACKED: which[0::2] | (which[1::2] << 4),
            name + TABLE: np.stack([values[pairs & 15], values[pairs >> 4]], axis=1),
            name + SHAPE: np.array([-1, *weights.shape[1:]], np.int64),
        }
        proto.graph.initializer.remove(stored[name])
        proto.graph.initializer.extend(numpy_helper.from_array(v, k) for k, v in parts.items())
        lookups += [
            helper.make_node("Cast", [name + PACKED], [name + PAIRS], to=TensorProto.INT32),
            helper.make_node("Gather", [name + TABLE, name + PAIRS], [f"{name}{PAIRS}2"]),
            helper.make_node("Reshape", [f"{name}{PAIRS}2", name + SHAPE], [name]),
        ]
    nodes = [*lookups, *proto.graph.node]
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)


def spell_out(proto: Any) -> None:
    """Undo `store`, in place: the same weights as plain INT8, for tools that read them from the file."""
    stored = {i.name: i for i in proto.graph.initializer}
    for node in [n for n in proto.graph.node if n.op_type == "Reshape" and n.output[0] + TABLE in stored]:
        name = node.output[0]
        table, packed, shape = (numpy_helper.to_array(stored[name + end]) for end in (TABLE, PACKED, SHAPE))
        weights = np.ascontiguousarray(table[packed].reshape(shape))
        gone = {name, name + PAIRS, f"{name}{PAIRS}2"}
        kept = [n for n in proto.graph.node if not gone.intersection(n.output)]
        del proto.graph.node[:]
        proto.graph.node.extend(kept)
        for end in (TABLE, PACKED, SHAPE):
            proto.graph.initializer.remove(stored[name + end])
        proto.graph.initializer.append(numpy_helper.from_array(weights, name))
