"""Weights stored in half precision: half the file, computed in what the engine computes in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from passerby.deploy.quantise.graph import WEIGHTED, need_float, with_spec
from passerby.errors import ModelError
from passerby.records import Floats
from passerby.runtime.model_file import read_spec
from passerby.spec import ModelSpec


def write_half(path: Path, precision: str) -> tuple[bytes, ModelSpec]:
    """The file of a model with the weights of its layers in float16 or bfloat16, a Cast to float32 behind each.

    Engines do the Cast once, when they load the file. A graph that computed in half precision would run with casts
    around every layer in ONNX Runtime on a CPU, or not at all: it has no kernels for it.
    precision  "float16" or "bfloat16"

    Raises ModelError for a file that is not ours, is not float32, or has a weight over what float16 can hold.
    """
    spec = read_spec(path)
    need_float(path, spec)
    proto = onnx.load(path)
    weights = {n.input[1] for n in proto.graph.node if n.op_type in WEIGHTED}
    store = STORES[precision]
    casts = []
    for tensor in proto.graph.initializer:
        if tensor.name not in weights or tensor.data_type != onnx.TensorProto.FLOAT:
            continue
        name, values = tensor.name, np.asarray(onnx.numpy_helper.to_array(tensor), np.float32)
        if precision == "float16" and np.abs(values).max() > np.finfo(np.float16).max:
            raise ModelError(f"{path}: {name} holds {np.abs(values).max():g}, more than float16 can; take bfloat16")
        tensor.CopyFrom(store(values, f"{name}_stored"))
        casts.append(
            onnx.helper.make_node("Cast", [tensor.name], [name], name=f"{name}_cast", to=onnx.TensorProto.FLOAT)
        )
    nodes = [*casts, *proto.graph.node]
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)
    spec = spec.with_(precision=precision)
    return with_spec(proto, spec), spec


def _as_float16(values: Floats, name: str) -> Any:
    return onnx.numpy_helper.from_array(values.astype(np.float16), name)


def _as_bfloat16(values: Floats, name: str) -> Any:
    """Rounded to the nearest, ties to even: the upper 16 bits of a float32."""
    bits = values.view(np.uint32)
    upper = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2")
    kind = onnx.TensorProto.BFLOAT16
    return onnx.TensorProto(name=name, data_type=kind, dims=values.shape, raw_data=upper.tobytes())


STORES: dict[str, Callable[[Floats, str], Any]] = {"float16": _as_float16, "bfloat16": _as_bfloat16}
