"""Peak memory of activations by live ranges: which tensors are alive while each operator runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Sequence
from dataclasses import dataclass

from passerby.runtime.blueprint import Blueprint, Operator

VIEWS = (  # the same bytes
    "reshape", "flatten", "squeeze", "unsqueeze", "identity", "expanddims", "dropout", "staticreshape", "view",
)  # fmt: skip
IN_PLACE = (  # each element from the one in its place: engines write over what nobody else reads
    "relu", "relu6", "clip", "clamp", "sigmoid", "logistic", "hardsigmoid", "hardswish", "swish", "leakyrelu", "prelu",
    "tanh", "elu", "exp", "abs", "neg", "sqrt", "add", "sub", "subtract", "mul", "multiply", "div", "divide",
    "batchnormalization",
)  # fmt: skip


@dataclass
class Storage:
    """A piece of memory that one tensor, or several in turn, lie in.

    maker  the first tensor in it
    bytes  as engines keep it: in integers, where it is quantised right after it is made
    first, last  numbers of the operators that write it first and read it last
    """

    maker: str
    bytes: int
    first: int
    last: int


@dataclass(frozen=True)
class Peak:
    """The moment when most is alive.

    bytes    of activations, what goes in and comes out of the operator included
    at       the operator that runs then; "" where there is none
    tensors  how many are alive
    """

    bytes: int
    at: str
    tensors: int


def lay_storage(blueprint: Blueprint, steps: Sequence[Operator], constants: Container[str]) -> dict[str, Storage]:
    """Tensor -> the memory it lies in; constants have none.

    steps      the operators that run, in order
    constants  names of tensors that do not depend on the picture

    A view lies where its tensor does. What works element by element writes over its input where nobody else reads it.
    A tensor that is quantised right after it is made is kept in integers only, and dequantising copies nothing: that
    is how engines run such graphs. Inputs are alive from the start to their last reader, outputs to the end.
    """
    readers = Counter(i for op in steps for i in op.inputs)
    fixed = {*blueprint.inputs, *blueprint.outputs}
    storage: dict[str, Storage] = {}
    for name in blueprint.inputs:
        storage[name] = Storage(name, blueprint.tensors[name].bytes, 0, 0)
    for k, op in enumerate(steps):
        for name in op.inputs:
            if name in storage:
                storage[name].last = k
        for place, name in enumerate(op.outputs):
            if not name or name in constants or name not in blueprint.tensors:
                continue
            made = blueprint.tensors[name]
            source = op.inputs[0] if op.inputs and place == 0 else ""
            alone = source in storage and readers[source] == 1 and source not in fixed
            if source in storage and _shares(op, alone and blueprint.tensors[source].elements == made.elements):
                shared = storage[name] = storage[source]
                if op.role == "quantizelinear":
                    shared.bytes = min(shared.bytes, made.bytes)
                elif op.role == "fakequantize":  # to 256 levels, in the types of the file
                    shared.bytes = min(shared.bytes, made.elements)
            else:
                storage[name] = Storage(name, made.bytes, k, k)
    for name in blueprint.outputs:
        if name in storage:
            storage[name].last = len(steps)
    return storage


def find_peak(steps: Sequence[Operator], storage: dict[str, Storage]) -> Peak:
    """The operator at which the sum over all that is alive is largest; the first of equal ones."""
    pieces = list({id(s): s for s in storage.values()}.values())
    best = Peak(0, "", 0)
    for k, op in enumerate(steps):
        alive = [s.bytes for s in pieces if s.first <= k <= s.last]
        if sum(alive) > best.bytes:
            best = Peak(sum(alive), op.name, len(alive))
    return best


def _shares(op: Operator, alone: bool) -> bool:
    """Whether an operator's output lies where its first input does."""
    if op.role in VIEWS or op.role == "dequantizelinear":
        return True
    return alone and op.role in (*IN_PLACE, "quantizelinear", "fakequantize")
