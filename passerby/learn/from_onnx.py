"""Our .onnx file -> a torch module that computes the same, for converters that start from torch.

It knows the operators that our own exports use. A graph with another is refused by name. Rounding to eight bits is
written in the operators that torch's quantised programs have (PT2E), where values are signed:
`learn.targets.signed` puts a graph so.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from onnx import helper, numpy_helper
from torch import Tensor, nn

from passerby.errors import ModelError

ROUNDING = ("QuantizeLinear", "DequantizeLinear")
Values = list[Any]  # tensors, constants as nested Python numbers, None where an optional input is left out
KINDS = {
    onnx.TensorProto.FLOAT: torch.float32,
    onnx.TensorProto.INT64: torch.int64,
    onnx.TensorProto.UINT8: torch.uint8,
}


class GraphModule(nn.Module):
    """An ONNX graph, node by node: the graph's input in, a tuple of its outputs out.

    Constants of floating point and INT8 weights are buffers; integers (shapes, axes), bounds and factors of scale are
    Python numbers, so that `torch.export` sees nothing that depends on data.
    """

    def __init__(self, proto: Any, where: str) -> None:
        super().__init__()
        graph = proto.graph
        self.input, self.ends = graph.input[0].name, [o.name for o in graph.output]
        self.numbers: dict[str, Any] = {}
        self.places: dict[str, str] = {}
        scales = {name for node in graph.node if node.op_type == "Resize" for name in node.input[1:]}
        zeros = {node.input[2] for node in graph.node if node.op_type in ROUNDING and len(node.input) > 2}
        for k, constant in enumerate(graph.initializer):
            array = numpy_helper.to_array(constant)
            if array.ndim and (array.dtype.kind == "f" or array.dtype == np.int8) and constant.name not in scales:
                self.places[constant.name] = f"constant_{k}"
                kept = array.astype(np.int64) if constant.name in zeros else array.copy()
                self.register_buffer(f"constant_{k}", torch.from_numpy(kept))
            else:
                self.numbers[constant.name] = array.tolist()
        self.steps = [_step(node, where) for node in graph.node]

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        known: dict[str, Any] = {self.input: pixels, "": None, **self.numbers}
        known |= {name: getattr(self, place) for name, place in self.places.items()}
        for compute, takes, gives, facts in self.steps:
            known[gives] = compute([known[name] for name in takes], facts)
        return tuple(known[name] for name in self.ends)


def load_module(path: Path) -> GraphModule:
    """A file's graph as a module in eval mode. Raises ModelError naming the operators that it does not know."""
    try:
        proto = onnx.load(str(path))
    except (ValueError, OSError) as e:
        raise ModelError(f"{path}: onnx cannot read it ({str(e).splitlines()[0]}); copy or export it again") from e
    if unknown := sorted({n.op_type for n in proto.graph.node} - set(OPERATORS)):
        raise ModelError(
            f"{path}: no torch module can be made of it: its operators {', '.join(unknown)} are not known; start from "
            "the float32 file of a one-stage network or a localiser"
        )
    return GraphModule(proto, str(path)).eval()


Step = tuple[Callable[[Values, dict[str, Any]], Any], list[str], str, dict[str, Any]]


def _step(node: Any, where: str) -> Step:
    facts = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    if len([o for o in node.output if o]) != 1:
        raise ModelError(f"{where}: {node.op_type} {node.name} has several outputs, which no torch module is made of")
    return OPERATORS[node.op_type], list(node.input), node.output[0], facts


def _convolve(v: Values, facts: dict[str, Any]) -> Tensor:
    picture, weight, bias = (*v, None)[:3]
    top, left, bottom, right = facts.get("pads", (0, 0, 0, 0))
    if (top, left) != (bottom, right):  # torch pads both sides alike
        picture, top, left = F.pad(picture, (left, right, top, bottom)), 0, 0
    strides, dilations = facts.get("strides", (1, 1)), facts.get("dilations", (1, 1))
    return F.conv2d(picture, weight, bias, tuple(strides), (top, left), tuple(dilations), facts.get("group", 1))


def _resize(v: Values, facts: dict[str, Any]) -> Tensor:
    """Nearest neighbours as torch's own export writes them, whole factors up."""
    if facts.get("mode") != b"nearest" or facts.get("coordinate_transformation_mode") != b"asymmetric":
        raise ModelError(f"Resize: mode {facts.get('mode')} is not known; only nearest, asymmetric is")
    picture, factors, sizes = v[0], v[2], (*v, None)[3]
    if sizes is not None:
        return F.interpolate(picture, size=tuple(sizes[2:]), mode="nearest")
    height, width = (int(side * scale) for side, scale in zip(picture.shape[2:], factors[2:], strict=True))
    return F.interpolate(picture, size=(height, width), mode="nearest")


def _slice(v: Values, _: dict[str, Any]) -> Any:
    out, starts, ends = v[0], v[1], v[2]
    axes = v[3] if len(v) > 3 and v[3] is not None else list(range(len(starts)))
    steps = v[4] if len(v) > 4 and v[4] is not None else [1] * len(starts)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        length = out.shape[axis]
        first, last = (min(max(k + length if k < 0 else k, 0), length) for k in (start, end))
        out = out.narrow(axis, first, max(last - first, 0)) if step == 1 else out[_along(out, axis, first, last, step)]
    return out


def _along(tensor: Tensor, axis: int, first: int, last: int, step: int) -> tuple[slice, ...]:
    cut = [slice(None)] * tensor.dim()
    cut[axis] = slice(first, last, step)
    return tuple(cut)


def _clip(v: Values, _: dict[str, Any]) -> Tensor:
    low, high = (*v[1:], None, None)[:2]
    if (low, high) == (0.0, 6.0):
        return F.relu6(v[0])  # converters fuse it into the convolution before it
    return torch.clamp(v[0], low, high)


def _average(v: Values, facts: dict[str, Any]) -> Tensor:
    axes = v[1] if len(v) > 1 else facts["axes"]
    return torch.mean(v[0], tuple(axes), keepdim=bool(facts.get("keepdims", 1)))


def _reshape(v: Values, _: dict[str, Any]) -> Tensor:
    return torch.reshape(v[0], [v[0].shape[k] if side == 0 else side for k, side in enumerate(v[1])])


def _gemm(v: Values, facts: dict[str, Any]) -> Tensor:
    a, b, bias = (*v, None)[:3]
    if facts.get("transA") or facts.get("alpha", 1.0) != 1.0 or facts.get("beta", 1.0) != 1.0:
        raise ModelError("Gemm: only x W^T + b is known")
    return F.linear(a, b if facts.get("transB") else b.T, bias)


def _pool(v: Values, facts: dict[str, Any]) -> Tensor:
    top, left, bottom, right = facts.get("pads", (0, 0, 0, 0))
    picture = F.pad(v[0], (left, right, top, bottom), value=float("-inf"))
    ceil = bool(facts.get("ceil_mode", 0))
    return F.max_pool2d(picture, tuple(facts["kernel_shape"]), tuple(facts.get("strides", (1, 1))), ceil_mode=ceil)


def _pad(v: Values, facts: dict[str, Any]) -> Tensor:
    if facts.get("mode", b"constant") != b"constant" or any(v[1][side] for side in (0, 1, 4, 5)):
        raise ModelError("Pad: only zeros around a map's rows and columns are known")
    _, _, top, left, _, _, bottom, right = v[1]
    return F.pad(v[0], (left, right, top, bottom))


def _rounding(name: str) -> Callable[[Values, dict[str, Any]], Tensor]:
    def round_it(v: Values, facts: dict[str, Any]) -> Tensor:
        import torch.ao.quantization.fx._decomposed

        value, scale, zero = v
        if isinstance(scale, Tensor):
            each = getattr(torch.ops.quantized_decomposed, f"{name}_per_channel")
            rounded: Tensor = each(value, scale, zero, facts.get("axis", 1), -127, 127, torch.int8)
        else:
            whole = getattr(torch.ops.quantized_decomposed, f"{name}_per_tensor")
            rounded = whole(value, scale, zero, -128, 127, torch.int8)
        return rounded

    return round_it


def _norm(v: Values, facts: dict[str, Any]) -> Tensor:
    axes = v[1] if len(v) > 1 else facts["axes"]
    norm: Tensor = torch.linalg.vector_norm(v[0], dim=tuple(axes), keepdim=bool(facts.get("keepdims", 1)))
    return norm


OPERATORS: dict[str, Callable[[Values, dict[str, Any]], Any]] = {
    "Add": lambda v, _: v[0] + v[1],
    "Cast": lambda v, facts: v[0].to(KINDS[facts["to"]]),
    "Clip": _clip,
    "Concat": lambda v, facts: torch.cat(v, facts["axis"]),
    "Conv": _convolve,
    "DequantizeLinear": _rounding("dequantize"),
    "Div": lambda v, _: v[0] / v[1],
    "Exp": lambda v, _: torch.exp(v[0]),
    "Expand": lambda v, _: v[0].expand([-1 if side == 1 else side for side in v[1]]),
    "Gemm": _gemm,
    "Identity": lambda v, _: v[0],
    "MaxPool": _pool,
    "Mul": lambda v, _: v[0] * v[1],
    "Pad": _pad,
    "QuantizeLinear": _rounding("quantize"),
    "ReduceL2": _norm,
    "ReduceMean": _average,
    "Relu": lambda v, _: F.relu(v[0]),
    "Reshape": _reshape,
    "Resize": _resize,
    "Sigmoid": lambda v, _: torch.sigmoid(v[0]),
    "Slice": _slice,
    "Softmax": lambda v, facts: torch.softmax(v[0], facts.get("axis", -1)),
    "Sub": lambda v, _: v[0] - v[1],
    "Transpose": lambda v, facts: v[0].permute(facts["perm"]),
}
