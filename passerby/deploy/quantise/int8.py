"""INT8 files: the graph with QuantizeLinear and DequantizeLinear around the layers that are not kept in float."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationMethod, QDQQuantizer, QuantType, TensorData, TensorsData

from passerby.deploy.parity_layers import SAID
from passerby.deploy.quantise import four_bits
from passerby.deploy.quantise.arrange import ROWS
from passerby.deploy.quantise.biases import correct_biases
from passerby.deploy.quantise.calibrate import Range
from passerby.deploy.quantise.graph import CARRYING, WEIGHTED, Graph, Layer, with_spec
from passerby.deploy.stated_boxes import state_default_boxes
from passerby.deploy.targets.onnx_graph import sort_nodes

AFTER, ADDED = SAID


def write_int8(graph: Graph, ranges: Mapping[str, Range], kept: Collection[str], packed: Collection[str] = ()) -> bytes:
    """The INT8 file of a graph: an ordinary ONNX file in QDQ form, the spec inside with precision int8.

    ranges  of `find_ranges`
    kept    nodes of the layers that stay float
    packed  nodes of others whose weights are stored in four bits
    """
    layers = {x.node for x in graph.layers} - set(kept)
    carried = [name for name, of in graph.carried.items() if of & layers]
    proto = _quantise(graph, ranges, [*layers, *carried], packed)
    state_default_boxes(proto, graph.spec)  # the optimiser before had laid them out
    return with_spec(proto, graph.spec.with_(precision="int8"))


def write_one(graph: Graph, ranges: Mapping[str, Range], layer: Layer, packed: bool = False) -> bytes:
    """The file with one layer in INT8, its activation with it, and everything else float.

    packed  whether its weights are stored in four bits
    """
    nodes = [layer.node, *graph.activation(layer)]
    return with_spec(_quantise(graph, ranges, nodes, [layer.node] if packed else []), graph.spec)


def _quantise(graph: Graph, ranges: Mapping[str, Range], nodes: list[str], packed: Collection[str]) -> Any:
    """Activations unsigned, weights signed and per channel: the pair that VNNI instructions multiply.

    Biases stay float: engines bring them to the scale of the sums themselves, and a scale and a zero point for each
    would be stored beside it.
    """
    proto = onnx.ModelProto()
    proto.CopyFrom(graph.proto)
    if not nodes:  # the quantiser takes none for all
        return proto
    correct_biases(proto, nodes, {t: r.means for t, r in ranges.items()}, packed)
    data = {t: TensorData(lowest=np.float32(r.low), highest=np.float32(r.high)) for t, r in ranges.items()}
    quantiser = QDQQuantizer(
        proto,
        per_channel=True,
        reduce_range=False,
        weight_qType=QuantType.QInt8,
        activation_qType=QuantType.QUInt8,
        tensors_range=TensorsData(CalibrationMethod.MinMax, data),
        nodes_to_quantize=nodes,
        nodes_to_exclude=[],
        op_types_to_quantize=[*WEIGHTED, *CARRYING],
        extra_options={"QuantizeBias": False, "OpTypesToExcludeOutputQuantization": [ROWS]},
    )
    quantiser.quantize_model()
    shorten(quantiser.model.model)
    four_bits.store(quantiser.model.model, graph.weights_of(packed))
    sort_nodes(quantiser.model.model)
    return quantiser.model.model


def shorten(proto: Any) -> None:
    """Short names for what the quantiser added, and one zero point for all that are alike: a tenth of a small file.

    A weight keeps its own name, and so does what the graph gives; what is read in place of a tensor after its rounding
    has the tensor's name and AFTER.
    """
    graph = proto.graph
    stored, given = {i.name for i in graph.initializer}, {o.name for o in graph.output}
    names: dict[str, str] = {}
    for node in graph.node:
        if node.op_type == "QuantizeLinear":
            names[node.output[0]] = f"q{len(names)}"
        elif node.op_type == "DequantizeLinear":
            of = node.output[0].removesuffix(ADDED)
            if node.output[0] not in given:
                names[node.output[0]] = f"w{len(names)}" if node.input[0] in stored else of + AFTER
            if node.input[0] in stored:
                names[node.input[0]] = of
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            node.name = ""
            names |= {i: f"s{len(names)}{k}" for k, i in enumerate(node.input[1:]) if i not in names}
    alike: dict[bytes, str] = {}
    for constant in list(graph.initializer):
        constant.name = names.get(was := constant.name, was)
        if was.endswith("_zero_point"):
            named, constant.name = constant.name, ""
            names[was] = alike.setdefault(constant.SerializeToString(), named)
            constant.name = named
            if names[was] != named:
                graph.initializer.remove(constant)
    for node in graph.node:
        for ports in (node.input, node.output):
            ports[:] = [names.get(name, name) for name in ports]
