"""ncnn in INT8: a QDQ graph put in float for pnnx, and its INT8 convolutions put into the files that pnnx wrote.

ncnn multiplies integers where a convolution states it (8=1) and its weights are stored so, with a scale for each
output channel and one for the map that it reads (`Convolution::load_model` of ncnn). Its maps lie evenly around zero,
so that what never falls under zero has 127 steps instead of 255. Depthwise convolutions stay in float: on x86 ncnn's
INT8 ones took longer than its float ones (docs/guides/export.md), and few weights are theirs.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from passerby.deploy.targets.onnx_graph import prune, sort_nodes
from passerby.errors import ModelError
from passerby.geometry.boxes import Floats
from passerby.runtime.blueprint_ncnn import INT8, ParamLayer

STEPS = 127
KEEPING = ("Clip", "Concat", "Gather", "MaxPool", "Reshape", "Resize", "Slice", "Split", "Transpose")  # within a range


@dataclass(frozen=True)
class Rounded:
    """Weights that a convolution stores as int8.

    whole   as floats, (O, I, h, w)
    stored  as int8, of the same shape
    scales  (O,), whole = stored * scales
    reach   most that the map it reads may differ from 0
    """

    whole: Floats
    stored: NDArray[np.int8]
    scales: Floats
    reach: float


def to_float(proto: Any) -> list[Rounded]:
    """Take the rounding out of a QDQ graph, in place, and tell what is rounded of its convolutions, depthwise ones not.

    Weights are floats of the same values. A map is cut where its integers would end, which is what an activation is
    that `deploy.quantise` left to them.
    """
    from onnx import helper, numpy_helper

    stored = {i.name: numpy_helper.to_array(i) for i in proto.graph.initializer}
    made = {out: node for node in proto.graph.node for out in node.output}
    whole: dict[str, tuple[Any, Any, Any]] = {}  # what dequantises a constant -> floats, integers, scales
    reach: dict[str, float] = {}
    names: dict[str, str] = {}
    cuts: dict[str, Any] = {}  # name of a map that is cut -> the node that does it
    for node in [n for n in proto.graph.node if n.op_type == "DequantizeLinear"]:
        source, out, scales, zero = node.input[0], node.output[0], stored[node.input[1]], stored[node.input[2]]
        if source in stored:
            axis = next((a.i for a in node.attribute if a.name == "axis"), 1)
            each = [-1 if k == axis and scales.ndim else 1 for k in range(stored[source].ndim)]
            values = (stored[source].astype(np.float32) - zero.astype(np.float32).reshape(each)) * scales.reshape(each)
            whole[out] = values.astype(np.float32), stored[source], scales
            continue
        before, kind = made[source].input[0], np.iinfo(zero.dtype)
        low, high = ((float(k) - float(zero)) * float(scales) for k in (kind.min, kind.max))
        reach[out], names[out] = max(-low, high), before
        if before in made and made[before].op_type not in KEEPING:
            names[out] = cut = f"{source}_cut"
            ends = {f"{cut}_low": low, f"{cut}_high": high}
            if cut not in cuts:
                arrays = (numpy_helper.from_array(np.array(v, np.float32), k) for k, v in ends.items())
                proto.graph.initializer.extend(arrays)
                cuts[cut] = helper.make_node("Clip", [before, *ends], [cut], cut)
    found = []
    for node in [n for n in proto.graph.node if n.op_type == "Conv"]:
        groups = next((a.i for a in node.attribute if a.name == "group"), 1)
        values, integers, scales = whole.get(node.input[1], (None, None, None))
        if groups == 1 and node.input[0] in reach and integers is not None and integers.dtype == np.int8:
            every = np.broadcast_to(scales, len(integers)).astype(np.float32)
            found.append(Rounded(values, integers, every, reach[node.input[0]]))
    kept = [n for n in proto.graph.node if n.op_type not in ("QuantizeLinear", "DequantizeLinear")]
    for node in (*kept, *cuts.values()):
        while any(i in names for i in node.input):  # what was rounded may be rounded again
            node.input[:] = [names.get(i, i) for i in node.input]
    outputs = [o.name for o in proto.graph.output if o.name in names]
    same = [helper.make_node("Identity", [names[name]], [name], name) for name in outputs]
    del proto.graph.node[:]
    proto.graph.node.extend([*kept, *cuts.values(), *same])
    proto.graph.initializer.extend(numpy_helper.from_array(v[0], k) for k, v in whole.items())
    sort_nodes(proto)
    prune(proto)
    return found


def round_layers(text: str, data: bytes, rounded: list[Rounded], where: str) -> tuple[str, bytes, int]:
    """A .param file's text and a .bin file's bytes, float32 -> the same with INT8 convolutions, and how many there are.

    Layers are known by their weights. Raises ModelError for layers whose weights are not known here, and where no
    layer has weights of `rounded`.
    """
    known: dict[bytes, Rounded] = {}
    for one in rounded:  # where several layers share weights, the scale is that of the map that reaches furthest
        key = one.whole.tobytes()
        if key not in known or known[key].reach < one.reach:
            known[key] = one
    lines, out, at, count = text.splitlines(), bytearray(), 0, 0
    for k, line in enumerate(lines[2:], 2):
        if not line.strip():
            continue
        layer = ParamLayer(line.split())
        sizes = layer.weights()
        length = sum(4 * n for n in sizes)
        flag = 4 if layer.flagged else 0
        piece = data[at : at + flag + length]
        at += flag + length
        if flag and piece[:4] != bytes(4):
            raise ModelError(f"{where}: pnnx stored weights of {layer.name} in another way than as float32")
        found = known.get(piece[flag : flag + 4 * sizes[0]]) if layer.kind == "Convolution" else None
        if found is None:
            out += piece
            continue
        integers = found.stored.tobytes()
        out += struct.pack("<I", INT8) + integers + bytes(-len(integers) % 4) + piece[flag + 4 * sizes[0] :]
        out += (1 / found.scales).astype("<f4").tobytes() + struct.pack("<f", STEPS / found.reach)
        lines[k] = f"{line.rstrip()} 8=1"
        count += 1
    if at != len(data) or not count:
        what = "none of its convolutions is rounded" if at == len(data) else "it has weights of layers not known here"
        raise ModelError(f"{where}: no INT8 for ncnn, {what}; export the float32 file")
    return "\n".join(lines) + "\n", bytes(out), count
