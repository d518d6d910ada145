"""What one core multiplies at most: a large matrix product of constants' kind, by each engine in each precision."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass

import numpy as np
import onnx
from common import blocks
from onnx import TensorProto, helper, numpy_helper

SIDE = 1024  # of the matrices: 1.07 G multiply-adds
ROUNDS = 30


@dataclass(frozen=True)
class Product:
    """Who multiplies, in what."""

    engine: str
    precision: str


def measure_peaks() -> dict[Product, float]:
    """Multiply-adds a second of one thread; the fastest run of each, since anything slower was disturbed."""
    calls = {Product("onnxruntime", p): _onnxruntime(p) for p in ("float32", "int8")}
    if importlib.util.find_spec("openvino"):
        calls |= {Product("openvino", p): _openvino(p) for p in ("float32", "bfloat16", "int8")}
    times = blocks(list(calls.values()), ROUNDS, block=15, settle=5)
    return {product: SIDE**3 / (min(row) / 1000) for product, row in zip(calls, times, strict=True)}


def _graph(precision: str) -> bytes:
    """X times a constant; for INT8 in QDQ form, bytes in and bytes out."""
    random = np.random.default_rng(0)
    whole = precision == "int8"
    kind = TensorProto.UINT8 if whole else TensorProto.FLOAT
    weight = random.integers(-127, 128, (SIDE, SIDE)).astype(np.int8 if whole else np.float32)
    ends = [helper.make_tensor_value_info(n, kind, [SIDE, SIDE]) for n in ("x", "y")]
    constants = [numpy_helper.from_array(weight, "w")]
    if whole:
        values = {"s": np.float32(0.01), "t": np.float32(50), "zx": np.uint8(128), "zw": np.int8(0)}
        constants += [numpy_helper.from_array(np.asarray(v), k) for k, v in values.items()]
        nodes = [
            helper.make_node("DequantizeLinear", ["x", "s", "zx"], ["xf"]),
            helper.make_node("DequantizeLinear", ["w", "s", "zw"], ["wf"]),
            helper.make_node("MatMul", ["xf", "wf"], ["yf"]),
            helper.make_node("QuantizeLinear", ["yf", "t", "zx"], ["y"]),
        ]
    else:
        nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    graph = helper.make_graph(nodes, "product", [ends[0]], [ends[1]], constants)
    return onnx.helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10).SerializeToString()


def _input(precision: str) -> np.ndarray:
    random = np.random.default_rng(1)
    if precision == "int8":
        return random.integers(0, 256, (SIDE, SIDE), dtype=np.uint8)
    return random.standard_normal((SIDE, SIDE)).astype(np.float32)


def _onnxruntime(precision: str):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(_graph(precision), options, providers=["CPUExecutionProvider"])
    x = _input(precision)
    return lambda: session.run(None, {"x": x})


def _openvino(precision: str):
    import openvino

    hint = {"float32": "f32", "bfloat16": "bf16"}.get(precision, "bf16")
    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": "1", "INFERENCE_PRECISION_HINT": hint}
    core = openvino.Core()
    request = core.compile_model(core.read_model(_graph(precision)), "CPU", settings).create_infer_request()
    x = _input(precision)
    return lambda: request.infer([x], share_inputs=True, share_outputs=True)


if __name__ == "__main__":
    for product, rate in measure_peaks().items():
        print(f"{product.engine:<12} {product.precision:<9} {rate / 1e9:8.1f} G multiply-adds/s")
