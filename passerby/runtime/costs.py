"""What a graph of any maker costs: parameters and multiply-adds, counted by OpenVINO where it is installed."""

from __future__ import annotations

import importlib.util
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from passerby.runtime.graph import OPEN, Port
from passerby.spec import ModelSpec

FLOATS = ("f32", "f16", "bf16", "f64")
CONVOLUTIONS = ("Convolution", "GroupConvolution", "ConvolutionBackpropData", "GroupConvolutionBackpropData")


@dataclass(frozen=True)
class Costs:
    """parameters and multiply-adds of one picture (None: not counted), and how they were counted, or why not."""

    parameters: int | None
    macs: int | None
    how: str


def costs_of_spec(spec: ModelSpec) -> Costs:
    """Sums over the layers in a model's own spec, counted when it was exported."""
    if not spec.layers:
        return Costs(None, None, "its spec lists no layers")
    return Costs(sum(x.parameters for x in spec.layers), sum(x.macs for x in spec.layers), "layers in its spec")


def costs_of_file(path: Path, port: Port, size: tuple[int, int, bool]) -> Costs:
    """Counted from the graph, for one picture.

    port  its input; size: width, height, channels first, for sides that the file leaves open

    Multiply-adds are those of convolutions and matrix products: output elements times kernel area times input channels
    a group; additions of biases, batch norm, activations and post-processing are not counted. Parameters are elements
    of constants of floating point that weigh, add or scale (a constant of default boxes is one as well).
    """
    if importlib.util.find_spec("openvino") is None:
        return Costs(None, None, "needs OpenVINO, which is not installed")
    import openvino

    try:
        model = openvino.Core().read_model(path)
        if OPEN in port.shape:
            width, height, first = size
            model.reshape([1, 3, height, width] if first else [1, height, width, 3])
    except RuntimeError:
        return Costs(None, None, "OpenVINO cannot read the file")
    parameters = macs = 0
    for op in model.get_ordered_ops():
        kind = op.get_type_name()
        if kind == "Constant" and op.get_element_type().get_type_name() in FLOATS and _weighs(op):
            parameters += math.prod(op.get_output_shape(0))
        elif kind in CONVOLUTIONS or kind == "MatMul":
            if op.get_output_partial_shape(0).is_dynamic:
                return Costs(None, None, "its shapes depend on the picture")
            macs += _macs(op, kind)
    return Costs(parameters, macs, "OpenVINO's graph")


def _weighs(constant: Any) -> bool:
    """Whether a constant goes into a layer that learns, through conversions and reshapes."""
    ahead, seen = [constant], 0
    while ahead and seen < 16:
        op = ahead.pop()
        seen += 1
        for target in op.output(0).get_target_inputs():
            kind = target.get_node().get_type_name()
            if kind in CONVOLUTIONS or kind in ("MatMul", "Add", "Multiply", "PRelu"):
                return True
            if kind in ("Convert", "Reshape", "Transpose", "Unsqueeze"):
                ahead.append(target.get_node())
    return False


def _macs(op: Any, kind: str) -> int:
    out = math.prod(op.get_output_shape(0))
    if kind == "MatMul":
        shape, attributes = op.get_input_shape(0), op.get_attributes()
        return int(out * shape[-2 if attributes.get("transpose_a") and len(shape) > 1 else -1])
    weights = op.get_input_shape(1)
    if "Backprop" in kind:  # every input element meets the kernel of every output channel
        grouped = kind.startswith("Group")
        return int(math.prod(op.get_input_shape(0)) * math.prod(weights[2 if grouped else 1 :]))
    return int(out * math.prod(weights[2 if kind == "GroupConvolution" else 1 :]))
