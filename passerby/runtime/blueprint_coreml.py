"""A Core ML .mlpackage as a Blueprint: its ML program, read by the published format; coremltools is not needed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from passerby.errors import ModelError
from passerby.runtime.blueprint import Blueprint, Operator, Tensor, product, times
from passerby.runtime.protobuf import read_fields

# Field numbers: Model.proto and MIL.proto of coremltools.
DESCRIPTION, ML_PROGRAM = 2, 502
METADATA, USER_DEFINED = 100, 100  # of the description, and of its metadata
KINDS = {
    1: "bool", 10: "float16", 11: "float32", 12: "float64", 13: "bfloat16", 21: "int8", 22: "int16", 23: "int32",
    24: "int64", 25: "int4", 31: "uint8", 32: "uint16", 33: "uint32", 34: "uint64", 35: "uint4", 36: "uint2",
}  # fmt: skip
FIRST = ("x", "y", "values", "weight", "gamma", "bias", "beta")  # an operator's inputs have names and no order
FACTS = ("", "bool", "int32")  # constants that say how (strides, paddings, sides), not with what
Sides = tuple[int, ...] | None


def read_mlpackage(path: Path) -> Blueprint:
    """Operators and tensors of a package's main function.

    Raises ModelError for a package that cannot be read, is cut short, or holds no ML program (Core ML before 5).
    """
    with _told(path):
        return _Reader().read(_model_of(path))


def read_note(path: Path, key: str) -> str | None:
    """A text of a package's user-defined metadata; None where it has none of that name. Raises as `read_mlpackage`."""
    with _told(path):
        messages = (m for d in _all(_model_of(path), DESCRIPTION) for m in _all(d, METADATA))
        texts = (text for m in messages for name, text in _entries(m, USER_DEFINED) if name == key)
        return next((bytes(text).decode() for text in texts), None)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as e:
        raise ModelError(f"{path}: cannot be read ({e.strerror or e})") from e
    except (ValueError, IndexError, KeyError, TypeError, StopIteration) as e:
        raise ModelError(f"{path}: holds no ML program of Core ML, or is cut short ({e}); export it again") from e


def _model_of(path: Path) -> memoryview:
    manifest = json.loads((path / "Manifest.json").read_text(encoding="utf-8"))
    item = manifest["itemInfoEntries"][manifest["rootModelIdentifier"]]["path"]
    return memoryview((path / "Data" / item).read_bytes())


class _Reader:
    def __init__(self) -> None:
        self.tensors: dict[str, Tensor] = {}
        self.operators: list[Operator] = []

    def read(self, model: memoryview) -> Blueprint:
        functions = dict(_entries(_one(model, ML_PROGRAM), 2))
        function = functions.get("main") or next(iter(functions.values()))
        ins = tuple(self._named(v) for v in _all(function, 1))
        block = next(iter(dict(_entries(function, 3)).values()))
        for operation in _all(block, 3):
            self._operation(operation)
        outs = tuple(bytes(name).decode() for name in _all(block, 2))
        return Blueprint(tuple(self.operators), self.tensors, ins, outs, "the file")

    def _named(self, value: memoryview, constant: bool = False) -> str:
        """A named value, noted as a tensor; one of another type has no shape."""
        name = bytes(_one(value, 1)).decode()
        shape, kind = _type_of(_one(value, 2))
        self.tensors[name] = Tensor(name, shape, kind, constant)
        return name

    def _operation(self, operation: memoryview) -> None:
        kind = bytes(_one(operation, 1)).decode()
        outs = tuple(self._named(v, constant=kind == "const") for v in _all(operation, 3))
        if kind == "const":
            return
        ins = []
        for key, argument in sorted(_entries(operation, 2), key=_place):
            for k, binding in enumerate(_all(argument, 1)):
                fields = {f.number: f.content for f in read_fields(binding) if f.content is not None}
                name = bytes(fields[1]).decode() if 1 in fields else f"{outs[0]}.{key}{k}"
                if 1 not in fields:  # a value in place
                    shape, stored = _type_of(_one(fields[2], 2))
                    self.tensors[name] = Tensor(name, shape, stored, constant=True)
                tensor = self.tensors[name]
                if not (tensor.constant and tensor.kind in FACTS):
                    ins.append(name)
        macs = _macs(kind, [self.tensors[n].shape for n in ins], self.tensors[outs[0]].shape)
        self.operators.append(Operator(outs[0], kind, tuple(ins), outs, macs))


def _place(entry: tuple[str, memoryview]) -> tuple[int, str]:
    key = entry[0]
    return (FIRST.index(key) if key in FIRST else len(FIRST)), key


def _all(message: memoryview, number: int) -> Iterator[memoryview]:
    """Every field of that number which holds bytes, a text or a message."""
    return (f.content for f in read_fields(message) if f.number == number and f.content is not None)


def _one(message: memoryview, number: int) -> memoryview:
    found = next(_all(message, number), None)
    if found is None:
        raise ValueError(f"field {number} is missing")
    return found


def _entries(message: memoryview, number: int) -> Iterator[tuple[str, memoryview]]:
    """A map from texts to messages."""
    return ((bytes(_one(entry, 1)).decode(), _one(entry, 2)) for entry in _all(message, number))


def _type_of(value_type: memoryview) -> tuple[Sides, str]:
    """Shape and kind; of no tensor, or of texts, no kind."""
    tensor = next(_all(value_type, 1), None)
    if tensor is None:
        return None, ""
    kind, sides = "", []
    for field in read_fields(tensor):
        if field.number == 1 and field.value is not None:
            kind = KINDS.get(field.value, "")
        elif field.number == 3 and field.content is not None:
            sides.append(_side(field.content))
    return (None if None in sides else tuple(n for n in sides if n is not None)), kind


def _side(dimension: memoryview) -> int | None:
    """A side; None for one that is left open."""
    constant = next(_all(dimension, 1), None)
    if constant is None:
        return None
    return next((f.value for f in read_fields(constant) if f.number == 1 and f.value is not None), 0)


def _macs(kind: str, shapes: list[Sides], out: Sides) -> int | None:
    """Output elements times the inputs that each is a sum of; weights (O, I, h, w), transposed (I, O, h, w)."""
    if kind not in ("conv", "conv_transpose", "linear", "matmul"):
        return 0
    if kind == "matmul":
        return times(product(out), shapes[0][-1] if shapes[0] else None)
    weights = shapes[1]
    return times(product(shapes[0] if kind == "conv_transpose" else out), product(weights[1:]) if weights else None)
