"""Operators that Qualcomm's tools take from an ONNX graph, and the newest opset: a written list to check against.

Operators: "Supported ONNX operators" of ONNX Runtime's QNN execution provider, which maps each of them to one of
Qualcomm AI Engine Direct. Opset: "Current ONNX Conversion supports upto ONNX Opset 22", Qualcomm AI Runtime SDK 2.39,
snpe-onnx-to-dlc and qairt-converter. Qualcomm's converter may take more; it was not at hand.
"""

from __future__ import annotations

from typing import Any

from passerby.errors import ModelError

NEWEST_OPSET = 22
DOMAINS = ("", "ai.onnx")  # operators of other domains are somebody's own
TAKEN = frozenset(
    {
        "Abs",
        "Add",
        "And",
        "ArgMax",
        "ArgMin",
        "Asin",
        "Atan",
        "AveragePool",
        "BatchNormalization",
        "Cast",
        "Ceil",
        "Clip",
        "Concat",
        "Conv",
        "ConvTranspose",
        "Cos",
        "DepthToSpace",
        "DequantizeLinear",
        "Div",
        "Elu",
        "Equal",
        "Exp",
        "Expand",
        "Flatten",
        "Floor",
        "Gather",
        "Gelu",
        "Gemm",
        "GlobalAveragePool",
        "Greater",
        "GreaterOrEqual",
        "GridSample",
        "HardSigmoid",
        "HardSwish",
        "InstanceNormalization",
        "LRN",
        "LayerNormalization",
        "LeakyRelu",
        "Less",
        "LessOrEqual",
        "Log",
        "LogSoftmax",
        "LpNormalization",
        "MatMul",
        "Max",
        "MaxPool",
        "Mean",
        "Min",
        "Mul",
        "Neg",
        "Not",
        "Or",
        "PRelu",
        "Pad",
        "Pow",
        "QuantizeLinear",
        "ReduceMax",
        "ReduceMean",
        "ReduceMin",
        "ReduceProd",
        "ReduceSum",
        "Relu",
        "Reshape",
        "Resize",
        "Round",
        "Sigmoid",
        "Sign",
        "Sin",
        "Slice",
        "Softmax",
        "SpaceToDepth",
        "Split",
        "Sqrt",
        "Squeeze",
        "Sub",
        "Tanh",
        "Tile",
        "TopK",
        "Transpose",
        "Unsqueeze",
        "Upsample",
        "Where",
    }
)


def need_taken(proto: Any, where: str) -> None:
    """Raises ModelError naming the operators, and the first node of each, that Qualcomm's tools do not take.

    proto  an onnx.ModelProto; where: its file, for the error
    """
    opset = max((o.version for o in proto.opset_import if o.domain in DOMAINS), default=0)
    if opset > NEWEST_OPSET:
        raise ModelError(
            f"{where}: its opset is {opset}, and Qualcomm's converter takes up to {NEWEST_OPSET}; export again"
        )
    lacking: dict[str, str] = {}
    for node in proto.graph.node:
        if node.op_type not in TAKEN or node.domain not in DOMAINS:
            lacking.setdefault(node.op_type, node.name or node.output[0])
    if lacking:
        named = ", ".join(f"{kind} (first at {name})" for kind, name in sorted(lacking.items()))
        raise ModelError(
            f"{where}: Qualcomm's tools take no {named}; a one-stage network exported with raw outputs has none of them"
        )
