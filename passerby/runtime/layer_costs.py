"""What each layer of a graph costs, counted from its file: parameters, multiply-adds, bytes, and the peak of memory."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from passerby.runtime.blueprint import FLOATS, Blueprint, Operator, Tensor
from passerby.runtime.live_ranges import Peak, Storage, find_peak, lay_storage

WEIGHING = (  # constants that go into these are parameters; roles of `Operator`
    "conv", "fusedconv", "convtranspose", "gemm", "matmul", "convinteger", "matmulinteger",
    "convolution", "groupconvolution", "convolutionbackpropdata", "groupconvolutionbackpropdata",
    "conv2d", "depthwiseconv2d", "transposeconv", "fullyconnected", "batchmatmul", "prelu", "layernormalization",
    "convolutiondepthwise", "innerproduct", "linear", "convtranspose2d", "batchmatrixmultiply", "mm", "bmm", "addmm",
)  # fmt: skip
PLACED = {  # only these inputs are
    "batchnormalization": (1, 2), "batchnorm": (1, 2), "qlinearconv": (3, 8), "qlinearmatmul": (3,),
}  # fmt: skip
SCALING = ("add", "mul", "multiply")  # a constant of one number a channel is a bias or a learnt scale
QUANTISING = ("quantizelinear", "dequantizelinear", "fakequantize")  # engines fold these into the layers beside them
INTEGERS = ("int8", "uint8", "int4", "uint4", "int2")


@dataclass(frozen=True)
class LayerCost:
    """One operator as it runs.

    shape       of its first output; None where the file leaves it open
    parameters  elements of its weights and biases, each counted where it is first read
    macs        multiply-adds of one picture; None where shapes are open
    weights     bytes of its parameters as stored
    memory      bytes of what it makes, as an engine keeps it; 0: it writes over what it reads, or only looks at it anew
    precision   of its arithmetic: that of its weights, "int8 weights" where only they are of it
    """

    name: str
    operator: str
    shape: tuple[int, ...] | None
    parameters: int
    macs: int | None
    weights: int
    memory: int
    precision: str


@dataclass(frozen=True)
class GraphCosts:
    """All layers in the order in which they run.

    stored  bytes of all constants in the file
    peak    of activations
    inputs, outputs  of the graph
    how     it was counted
    """

    layers: tuple[LayerCost, ...]
    stored: int
    peak: Peak
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    how: str

    @property
    def parameters(self) -> int:
        """Of all layers."""
        return sum(x.parameters for x in self.layers)

    @property
    def macs(self) -> int | None:
        """Of all layers; None where a layer's are not known."""
        known = [x.macs for x in self.layers if x.macs is not None]
        return sum(known) if len(known) == len(self.layers) else None

    @property
    def memory(self) -> int:
        """Bytes of all that layers make, added up."""
        return sum(x.memory for x in self.layers)


def count_layers(blueprint: Blueprint) -> GraphCosts:
    """A row for each operator that runs.

    What only reads constants is worked out when a file is loaded and is no row, nor is what quantises or dequantises
    between integer layers. Multiply-adds: of convolutions and matrix products, output elements times the inputs that
    each is a sum of; additions of biases, batch norm, activations and post-processing are not counted. Parameters:
    weights and biases of those and of batch norm and PReLU, and constants of one number a channel that are added or
    multiplied; default boxes and other constants are none.
    """
    roots = constant_roots(blueprint)
    steps = [op for op in blueprint.operators if not (op.outputs and op.outputs[0] in roots)]
    storage = lay_storage(blueprint, steps, roots)
    back = {o for op in steps if op.role in ("dequantizelinear", "fakequantize") for o in op.outputs}
    seen: set[str] = set()
    rows = []
    for op in steps:
        if op.role in QUANTISING:
            continue
        own = [t for t in _weights(op, roots) if t.name not in seen]
        seen |= {t.name for t in own}
        made = blueprint.tensors.get(op.outputs[0]) if op.outputs else None
        rows.append(
            LayerCost(
                op.name,
                op.kind,
                made.shape if made else None,
                sum(t.elements for t in own),
                op.macs,
                sum(t.bytes for t in own),
                sum(s.bytes for s in _made_here(op, storage)),
                _precision(op, _weights(op, roots), blueprint, back),
            )
        )
    stored = sum(t.bytes for t in blueprint.tensors.values() if t.constant)
    ports = [tuple(blueprint.tensors[n] for n in names) for names in (blueprint.inputs, blueprint.outputs)]
    return GraphCosts(tuple(rows), stored, find_peak(steps, storage), ports[0], ports[1], blueprint.how)


def constant_roots(blueprint: Blueprint) -> dict[str, Tensor]:
    """Tensor that depends on no picture -> the stored constant that most of it comes from.

    What is looked up in a stored table is itself such a constant, of the table's type, in as many bits as its places
    take.
    """
    roots = {t.name: t for t in blueprint.tensors.values() if t.constant}
    for op in blueprint.operators:
        read = [i for i in op.inputs if i]
        if read and all(i in roots for i in read):
            most = max((roots[i] for i in read), key=lambda t: t.elements)
            made = blueprint.tensors.get(op.outputs[0])
            if op.role == "gather" and made and made.elements > most.elements:
                most = replace(made, kind=roots[read[0]].kind, constant=True, bits=8 * most.bytes // made.elements)
            roots |= dict.fromkeys(op.outputs, most)
    return roots


def _weights(op: Operator, roots: dict[str, Tensor]) -> list[Tensor]:
    """Stored constants that an operator learnt, or that scale or shift it."""
    if op.role in PLACED:
        places: Iterable[int] = PLACED[op.role]
        return [roots[op.inputs[k]] for k in places if k < len(op.inputs) and op.inputs[k] in roots]
    read = [roots[i] for i in op.inputs if i in roots]
    if op.role in WEIGHING:
        return [t for t in read if t.kind in FLOATS + INTEGERS or (t.kind == "int32" and t is not read[0])]
    if op.role in SCALING:  # int32: a quantised bias
        return [t for t in read if t.kind in (*FLOATS, *INTEGERS) and _is_vector(t)]
    return []


def _is_vector(t: Tensor) -> bool:
    sides = [n for n in t.shape or () if n != 1]
    return len(sides) == 1


def _precision(op: Operator, weights: list[Tensor], blueprint: Blueprint, back: set[str]) -> str:
    """In words; `back`: tensors that come out of what dequantises, so that integers lie in memory."""
    data = next((i for i in op.inputs if i in blueprint.tensors and not blueprint.tensors[i].constant), "")
    kind = blueprint.tensors[data].kind if data else ""
    if not weights or op.role in SCALING:
        made = blueprint.tensors.get(op.outputs[0]) if op.outputs else None
        return "int8" if data in back else (made.kind if made else kind)
    own = weights[0].kind
    fits = (op.rounds or data in back or kind in INTEGERS) if own in INTEGERS else own == kind
    return own if fits else f"{own} weights"


def _made_here(op: Operator, storage: dict[str, Storage]) -> list[Storage]:
    """Memory that an operator is the first to write."""
    return [storage[o] for o in op.outputs if o in storage and storage[o].maker == o]
