"""A model's graph as the quantiser sees it: which nodes are layers, what lies between them, and what stays float.

What comes before the first layer (normalising) and after the last ones (decoding: Exp, boxes) is never quantised.
"""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import onnx
from onnxruntime.quantization import quant_pre_process

from passerby.deploy.quantise.arrange import ROWS, arrange
from passerby.errors import ModelError
from passerby.runtime.model_file import read_spec
from passerby.spec import METADATA_KEY, ModelSpec

WEIGHTED = ("Conv", "Gemm", "MatMul")
# Between layers these pass INT8 on; whatever else lies there (a norm, a softmax) is computed in float.
CARRYING = (
    "Clip",
    "Relu",
    "Add",
    "Resize",
    "Gather",
    "Transpose",
    "Slice",
    "MaxPool",
    "AveragePool",
    "GlobalAveragePool",
)
FEW = 16  # channels of a depthwise layer behind the first that INT8 makes slower
ACTIVATIONS = ("Clip", "Relu")  # the range of what comes out of them is the layer's own


@dataclass(frozen=True)
class Layer:
    """One node with weights.

    node        its name in the graph
    name        of its weights in the network, e.g. "head.logits.0.1"
    parameters  of its weights
    macs        multiply-adds
    end         "first": no other layer comes before it. "second": depthwise on at most FEW channels, and reads only
                that one: in ONNX Runtime INT8 takes it twice as long as float (`head`, 288 x 192: 1.5 ms against 0.7).
                "last": only decoding follows, and what it gives would be rounded. "": any other; a product over rows
                (`arrange.ROWS`) gives float sums, and need not stay float
    """

    node: str
    name: str
    parameters: int
    macs: int
    end: str


@dataclass(frozen=True)
class Graph:
    """An ONNX graph with shapes inferred and constants folded.

    proto     the graph; not to be changed
    spec      the model's
    layers    in the order in which they run
    carried   nodes between layers -> the layers whose INT8 they pass on
    tensors   everything that a layer or such a node reads or writes: what calibration has to see
    """

    proto: Any
    spec: ModelSpec
    layers: tuple[Layer, ...]
    carried: dict[str, frozenset[str]]
    tensors: tuple[str, ...]

    @property
    def macs(self) -> int:
        """Multiply-adds of all layers."""
        return sum(x.macs for x in self.layers)

    def ends(self) -> list[Layer]:
        """The layers that stay float whatever they would lose: the first, the one behind it, the last."""
        return [x for x in self.layers if x.end]

    def weights_of(self, nodes: Collection[str]) -> list[str]:
        """The names of the weights that some layers read."""
        stored = {i.name for i in self.proto.graph.initializer}
        found = (n.input[:2] for n in self.proto.graph.node if n.name in nodes)
        return [next(i for i in names if i in stored) for names in found]

    def activation(self, layer: Layer) -> list[str]:
        """The activation that follows a layer, as a list of one node or none."""
        return [
            n.name
            for n in self.proto.graph.node
            if n.op_type in ACTIVATIONS and self.carried.get(n.name) == frozenset([layer.node])
        ]


def read_graph(path: Path) -> Graph:
    """The graph of a model file of ours, ready to be quantised.

    Raises ModelError for a file that is not ours, is quantised already, or has no layer.
    """
    spec = read_spec(path)
    need_float(path, spec)
    with tempfile.TemporaryDirectory(prefix="passerby-") as folder:
        ready = Path(folder) / "ready.onnx"
        quant_pre_process(path, ready, skip_symbolic_shape=True)  # all shapes are stated: plain inference finds them
        proto = onnx.load(ready)
    arrange(proto)
    proto = onnx.shape_inference.infer_shapes(proto, data_prop=True)
    return make_graph(proto, spec, str(path))


def need_float(path: Path, spec: ModelSpec) -> None:
    """Raises ModelError where a model's weights are not float32 any more."""
    if spec.precision != "float32":
        raise ModelError(f"{path}: is {spec.precision} already; quantise the float32 file that it was made from")
    if any(n.op_type in ("QuantizeLinear", "DequantizeLinear") for n in onnx.load(path).graph.node):
        raise ModelError(f"{path}: its graph holds QuantizeLinear nodes already; quantise the float file")


def make_graph(proto: Any, spec: ModelSpec, where: str) -> Graph:
    """As `read_graph`, of a graph whose shapes are inferred. Raises ModelError where it has no layer."""
    nodes = proto.graph.node
    constants = {i.name: tuple(i.dims) for i in proto.graph.initializer}
    layers = [n for n in nodes if n.op_type in WEIGHTED and any(i in constants for i in n.input[:2])]
    if not layers:
        raise ModelError(f"{where}: no {', '.join(WEIGHTED)} with weights in its graph: nothing to quantise")
    onward = _leading_to(nodes, {n.name for n in layers})
    fed: dict[str, frozenset[str]] = {}  # tensor -> the layers whose INT8 it can be
    carried: dict[str, frozenset[str]] = {}
    for n in nodes:
        read = [i for i in n.input if i and i not in constants]
        if n in layers:
            fed |= {o: frozenset([n.name]) for o in n.output}
        elif n.op_type in CARRYING and n.name in onward and read and all(i in fed for i in read):
            carried[n.name] = frozenset().union(*(fed[i] for i in read))
            fed |= dict.fromkeys(n.output, carried[n.name])
    shapes = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in proto.graph.value_info}
    behind = _behind(nodes, layers)
    firsts = {n.name for n in layers if not behind.intersection(n.input)}
    ends = [_end(n, constants, firsts, fed, onward) for n in layers]
    described = tuple(_describe(n, constants, shapes, end) for n, end in zip(layers, ends, strict=True))
    quantisable = [n for n in nodes if n in layers or n.name in carried]
    tensors = dict.fromkeys(t for n in quantisable for t in (*n.input, *n.output) if t and t not in constants)
    return Graph(proto, spec, described, carried, tuple(tensors))


def with_spec(proto: Any, spec: ModelSpec) -> bytes:
    """The file of a graph with a spec inside, and nothing of the tools that changed it."""
    del proto.metadata_props[:]
    del proto.graph.value_info[:]  # engines infer them
    used = {n.domain for n in proto.graph.node}
    kept = [o for o in proto.opset_import if o.domain in used or not o.domain]
    del proto.opset_import[:]
    proto.opset_import.extend(kept)
    proto.producer_name, proto.producer_version = "passerby", ""
    onnx.helper.set_model_props(proto, {METADATA_KEY: spec.to_json()})
    return bytes(proto.SerializeToString())


def _leading_to(nodes: Iterable[Any], layers: set[str]) -> set[str]:
    """The nodes after which a layer comes."""
    wanted: set[str] = set()
    found: set[str] = set()
    for n in reversed(list(nodes)):
        if any(o in wanted for o in n.output):
            found.add(n.name)
        if n.name in layers or n.name in found:
            wanted |= set(n.input)
    return found


def _behind(nodes: Iterable[Any], layers: Sequence[Any]) -> set[str]:
    """The tensors before which a layer comes."""
    out: set[str] = set()
    for n in nodes:
        if n in layers or out.intersection(n.input):
            out |= set(n.output)
    return out


def _describe(node: Any, constants: dict[str, tuple[int, ...]], shapes: dict[str, list[int]], end: str) -> Layer:
    weight = next(i for i in node.input[:2] if i in constants)
    size = prod(constants[weight])
    out = shapes.get(node.output[0], [])
    if node.op_type == "Conv":
        macs = prod(out) * prod(constants[weight][1:])
    else:
        macs = size * (prod(out) // out[-1] if out else 1)
    return Layer(node.name, weight.removeprefix("network.").removesuffix(".weight"), size, macs, end)


def _end(
    node: Any,
    constants: dict[str, tuple[int, ...]],
    firsts: set[str],
    fed: dict[str, frozenset[str]],
    onward: set[str],
) -> str:
    """Which end of the graph a layer is at: `Layer.end`."""
    if node.name in firsts:
        return "first"
    if node.name not in onward and node.op_type != ROWS:
        return "last"
    groups = next((a.i for a in node.attribute if a.name == "group"), 1)
    few = node.op_type == "Conv" and 1 < groups == constants[node.input[1]][0] <= FEW
    return "second" if few and fed.get(node.input[0], {""}) <= firsts else ""
