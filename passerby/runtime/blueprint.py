"""What a graph's file states, whatever its format: operators in order, and the tensors between them."""

from __future__ import annotations

import math
from dataclasses import dataclass

BITS = {  # of one number
    "float64": 64, "int64": 64, "uint64": 64, "float32": 32, "int32": 32, "uint32": 32, "float16": 16, "bfloat16": 16,
    "int16": 16, "uint16": 16, "int8": 8, "uint8": 8, "bool": 8, "float8": 8, "int4": 4, "uint4": 4, "int2": 2,
}  # fmt: skip
FLOATS = ("float32", "float16", "bfloat16", "float64")


@dataclass(frozen=True)
class Tensor:
    """A tensor: its shape (None: left open by the file), its type as numpy has it, and whether the file stores it.

    bits  that one number takes in the file; 0: as many as its type has
    """

    name: str
    shape: tuple[int, ...] | None
    kind: str
    constant: bool = False
    bits: int = 0

    @property
    def elements(self) -> int:
        """Of one picture; 0 where the shape is open."""
        return math.prod(self.shape) if self.shape is not None else 0

    @property
    def bytes(self) -> int:
        """Of one picture, rounded up; 0 where the shape is open."""
        return -(-self.elements * (self.bits or BITS.get(self.kind, 0)) // 8)


@dataclass(frozen=True)
class Operator:
    """One step of a graph.

    kind             as its format calls it, e.g. "Conv", "GroupConvolution", "CONV_2D"
    inputs, outputs  names of tensors; "" for one that is left out
    macs             multiply-adds of one picture; None where shapes are open
    rounds           whether it rounds what it reads to integers itself, before it multiplies
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    macs: int | None = 0
    rounds: bool = False

    @property
    def role(self) -> str:
        """The kind in lower case without dashes: formats write one thing differently."""
        return self.kind.lower().replace("_", "")


@dataclass(frozen=True)
class Blueprint:
    """A whole graph: operators in an order in which they can run, tensors by name, inputs and outputs by name."""

    operators: tuple[Operator, ...]
    tensors: dict[str, Tensor]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    how: str


def product(shape: tuple[int, ...] | None) -> int | None:
    """Elements of a shape; None where it is open."""
    return None if shape is None else math.prod(shape)


def times(*factors: int | None) -> int | None:
    """Their product; None where one is not known."""
    known = [f for f in factors if f is not None]
    return math.prod(known) if len(known) == len(factors) else None
