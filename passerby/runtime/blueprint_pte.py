"""A .pte file of ExecuTorch as a Blueprint: flatbuffers, read by their published schemas; ExecuTorch is not needed."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from passerby.errors import ModelError
from passerby.runtime.blueprint import Blueprint, Operator, Tensor, product, times
from passerby.runtime.flatbuffer import Table, root

# Fields of tables and members of unions: ExecuTorch's program.fbs (file identifier ET12).
PLANS, INLINE, SEGMENTS = 1, 3, 4
VALUES, INPUTS, OUTPUTS, CHAINS, OPERATORS, DELEGATES = 2, 3, 4, 5, 6, 7
TENSOR, TENSOR_LISTS = 5, (10, 11)
KERNEL_CALL, DELEGATE_CALL = 1, 2
KINDS = {
    0: "uint8", 1: "int8", 2: "int16", 3: "int32", 4: "int64", 5: "float16", 6: "float32", 7: "float64", 11: "bool",
    15: "bfloat16", 27: "uint16", 28: "uint32", 29: "uint64",
}  # fmt: skip

# The same of XNNPACK's part: schema.fbs of ExecuTorch's XNNPACK backend (file identifier XN01).
XNNPACK = "XnnpackBackend"
NO_VALUE = 0xFFFFFFFF
STORED = {
    1: "float32", 2: "float16", 3: "int8", 4: "uint8", 5: "int32", 6: "int8", 7: "int32", 8: "int4", 9: "int8",
    10: "int4", 11: "int8", 12: "int32", 13: "float32", 14: "bfloat16",
}  # fmt: skip
Sides = tuple[int, ...] | None
Places = tuple[tuple[int, ...], tuple[int, ...]]  # fields that name inputs, and outputs
ONE: Places = (0,), (1,)
TWO: Places = (0, 1), (2,)
AFTER_ONE: Places = (1,), (2,)
AFTER_TWO: Places = (2,), (3,)
AFTER_THREE: Places = (3,), (4,)
CONV: Places = (15, 16, 17), (18,)
POOL: Places = (10,), (11,)
NODES: tuple[tuple[str, Places], ...] = (  # in the union's order, from 1
    ("Add", TWO), ("FullyConnected", ((0, 1, 2), (3,))), ("Softmax", ONE), ("Sigmoid", ONE),
    ("StaticTranspose", AFTER_TWO), ("Clamp", ONE), ("Conv2d", CONV), ("Div", TWO),
    ("StaticResizeBilinear2D", AFTER_TWO), ("StaticConstantPad", AFTER_THREE), ("AvgPooling2d", POOL),
    ("Minimum", TWO), ("DepthwiseConv2d", CONV), ("MaxPooling2d", POOL), ("Multiply", TWO), ("Subtract", TWO),
    ("Floor", ONE), ("Convert", ONE), ("GlobalAvgPooling2d", ONE), ("StaticReshape", AFTER_TWO),
    ("ArgMaxPooling2d", ((6,), (7, 8))), ("SquareRoot", ONE), ("Ceiling", ONE), ("Hardswish", ONE),
    ("LeakyReLU", AFTER_ONE), ("Maximum", TWO), ("Negate", ONE), ("Square", ONE), ("ELU", AFTER_ONE), ("Abs", ONE),
    ("PReLU", TWO), ("Concatenate2", ((1, 2), (5,))), ("Concatenate3", ((1, 2, 3), (5,))),
    ("Concatenate4", ((1, 2, 3, 4), (5,))), ("StaticSlice", AFTER_THREE),
    ("ScaledDotProductAttention", ((0, 1, 2, 3, 4), (5,))), ("BatchMatrixMultiply", TWO),
    ("Concatenate5", ((1, 2, 3, 4, 7), (5,))), ("ConvTranspose2d", CONV), ("ReciprocalSquareRoot", ONE), ("Log", ONE),
    ("Gelu", ONE), ("Tanh", ONE), ("Exp", ONE), ("Sin", ONE), ("Copy", ONE), ("Cos", ONE),
)  # fmt: skip


def read_pte(path: Path) -> Blueprint:
    """Operators and tensors of a program's first method; what it hands to XNNPACK is unfolded.

    Raises ModelError for a file that cannot be read or is none of ExecuTorch's, and for one that hands work to
    another backend than XNNPACK: their formats are not known here.
    """
    try:
        data = path.read_bytes()
        if data[4:8] != b"ET12":
            raise ValueError("it does not begin as one")
        return _Program(data).read()
    except OSError as e:
        raise ModelError(f"{path}: cannot be read ({e.strerror or e})") from e
    except _OtherBackendError as e:
        raise ModelError(f"{path}: layers are counted of what XNNPACK runs, and this hands work to {e}") from e
    except (struct.error, ValueError, IndexError, KeyError, StopIteration, UnicodeDecodeError) as e:
        raise ModelError(f"{path}: not an ExecuTorch file, or cut short ({e}); copy or export it again") from e


class _OtherBackendError(Exception):
    """Work is handed to a backend whose format is not known here; its name."""


@dataclass(frozen=True)
class _Delegate:
    """A backend's part: its number, whose it is, and its bytes."""

    number: int
    backend: str
    data: bytes


class _Program:
    """Gathers operators and tensors, instruction by instruction."""

    def __init__(self, data: bytes) -> None:
        self.data, self.program = data, root(data)
        self.plan = next(self.program.tables(PLANS))
        self.values = [value.union(0) for value in self.plan.tables(VALUES)]
        self.tensors: dict[str, Tensor] = {}
        self.places: dict[str, tuple[int, ...]] = {}  # where ExecuTorch lays a value
        self.operators: list[Operator] = []

    def read(self) -> Blueprint:
        kernels = [o.text(0) for o in self.plan.tables(OPERATORS)]
        delegates = [_Delegate(k, d.text(0), self._bytes_of(d)) for k, d in enumerate(self.plan.tables(DELEGATES))]
        ins, outs = (tuple(self._tensor(k) for k in self.plan.numbers(n)) for n in (INPUTS, OUTPUTS))
        for instruction in next(self.plan.tables(CHAINS)).tables(2):
            kind, call = instruction.union(0)
            if kind == KERNEL_CALL:
                self._kernel(kernels[call.number(0, "<i")], call.numbers(1))
            elif kind == DELEGATE_CALL:
                self._delegate(delegates[call.number(0, "<i")], call.numbers(1))
        return Blueprint(tuple(self._with_views(ins)), self.tensors, ins, outs, "the file")

    def _with_views(self, ins: tuple[str, ...]) -> Iterator[Operator]:
        """All operators in order. A view is no instruction, only a value in the place of another: put in where read."""
        known, last = set(ins), dict[tuple[int, ...], str]()
        for op in self.operators:
            for name in op.inputs:
                place = self.places.get(name)
                if place in last and name not in known and not self.tensors[name].constant:
                    yield Operator(name, "view", (last[place],), (name,))
                    known.add(name)
            yield op
            known.update(op.outputs)
            last |= {self.places[o]: o for o in op.outputs if o in self.places}

    def _bytes_of(self, delegate: Table) -> bytes:
        where = delegate.table(1)
        assert where is not None
        location, index = where.number(0, "<b"), where.number(1, "<I")
        if location == 0:
            return list(self.program.tables(INLINE))[index].content(0)
        if self.data[8:12] != b"eh00":
            raise ValueError("segments, and no header that says where")
        segment = list(self.program.tables(SEGMENTS))[index]
        start = struct.unpack_from("<Q", self.data, 24)[0] + segment.number(0, "<Q")
        return self.data[start : start + segment.number(1, "<Q")]

    def _tensor(self, number: int) -> str:
        """A value's name, noted as a tensor."""
        kind, value = self.values[number]
        if kind != TENSOR:
            raise ValueError(f"value {number} is no tensor")
        name = f"value{number}"
        where = value.table(6)
        constant = value.number(5, "<I") > 0 and where is None
        if where is not None:
            self.places[name] = tuple(where.number(k, "<I") for k in range(3))
        self.tensors[name] = Tensor(name, value.numbers(2), KINDS.get(value.number(0, "<b"), ""), constant)
        return name

    def _kernel(self, kind: str, args: tuple[int, ...]) -> None:
        """A kernel of ExecuTorch's own: what it reads, what it makes, and the same once more, as it gives it back."""
        named = []
        for k in args:
            which, value = self.values[k]
            if which == TENSOR:
                named.append(self._tensor(k))
            elif which in TENSOR_LISTS:
                named += [self._tensor(i) for i in value.numbers(0) if i >= 0]
        many = next((n for n in range(len(named) // 2, 0, -1) if named[-n:] == named[-2 * n : -n]), 1)
        outs, kind = tuple(named[-many:]), kind.removeprefix("aten::")
        ins = tuple(n for n in named if n not in outs)
        shapes = [self.tensors[n].shape for n in ins]
        turned = kind == "convolution" and self.values[args[6]][1].number(0, "<?")
        macs = _macs_of_kernel("transposed" if turned else kind, shapes, self.tensors[outs[0]].shape)
        self.operators.append(Operator(outs[0], kind, ins, outs, macs))

    def _delegate(self, delegate: _Delegate, args: tuple[int, ...]) -> None:
        """What XNNPACK runs, node by node; its outer values are the program's."""
        if delegate.backend != XNNPACK:
            raise _OtherBackendError(delegate.backend)
        data = delegate.data
        if data[4:8] == b"XH00":  # a header before it, and constants behind
            at, size = struct.unpack_from("<II", data, 10)
            data = data[at : at + size]
        graph = root(data)
        names = {}
        for value in graph.tables(2):
            which, table = value.union(0)
            inner = table.table(0) if which == 2 else table  # a quantised value wraps a plain one
            assert inner is not None
            number, outer = inner.number(6, "<I"), inner.number(4, "<I")
            name = f"xnnpack{delegate.number}.{number}"
            if outer != NO_VALUE:
                name = self._tensor(args[outer])
            kind = STORED[inner.number(0, "<h")]
            stored = inner.number(3, "<I") > 0 or (outer != NO_VALUE and self.tensors[name].constant)
            self.tensors[name] = Tensor(name, inner.numbers(2), kind, stored)
            names[number] = name
        for row in graph.tables(1):
            which, node = row.union(0)
            kind, places = NODES[which - 1]
            ids = [[node.number(k, "<I") for k in fields] for fields in places]
            ins, outs = (tuple(names[i] if i != NO_VALUE else "" for i in numbers) for numbers in ids)
            shapes = [self.tensors[n].shape if n else None for n in ins]
            self.operators.append(Operator(outs[0], kind, ins, outs, _macs(kind, shapes, self.tensors[outs[0]].shape)))


def _macs_of_kernel(kind: str, shapes: list[Sides], out: Sides) -> int | None:
    """Output elements times the inputs that each is a sum of; weights (O, I, h, w), transposed (I, O, h, w)."""
    if kind in ("convolution", "transposed"):
        weights = shapes[1]
        return times(product(out if kind == "convolution" else shapes[0]), product(weights[1:]) if weights else None)
    if kind in ("mm", "bmm", "addmm"):
        first = shapes[1 if kind == "addmm" else 0]
        return times(product(out), first[-1] if first else None)
    return 0


def _macs(kind: str, shapes: list[Sides], out: Sides) -> int | None:
    """Output elements times the inputs that each is a sum of; weights (O, h, w, I), depthwise (1, h, w, C)."""
    weights = shapes[1] if len(shapes) > 1 else None
    if kind == "ConvTranspose2d":
        return times(product(shapes[0]), product(weights[:3]) if weights else None)
    if kind == "BatchMatrixMultiply":
        return times(product(out), shapes[0][-1] if shapes[0] else None)
    if kind not in ("Conv2d", "DepthwiseConv2d", "FullyConnected"):
        return 0
    if not weights:
        return None
    return times(product(out), product(weights[1:3] if kind == "DepthwiseConv2d" else weights[1:]))
