"""Boxes decoded where somebody asks for them: of tens of thousands in the answer a few hundred pass the threshold.

A shipped .onnx file decodes all of them, so that whoever runs it has boxes; `leave_offsets` is that file without its
last nodes. On one core of a processor with AVX-512 they took 0.7 of 9.1 ms in OpenVINO, 0.6 of 15 in ONNX Runtime.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

import numpy as np

from passerby.geometry.boxes import Variance, decode
from passerby.records import Floats
from passerby.runtime.protobuf import (
    GRAPH,
    INITIALIZER,
    INPUT,
    N_INPUT,
    N_KIND,
    N_OUTPUT,
    NODE,
    OUTPUT,
    T_EXTERNAL,
    T_NAME,
    V_NAME,
    Field,
    name_of,
    read_fields,
    text_of,
    write_field,
)

# What `export` writes between offsets and boxes, `geometry.boxes.decode` as a graph; another form is left as it is.
FORMULA = Counter({"Slice": 2, "Mul": 5, "Exp": 1, "Add": 2, "Sub": 1, "Concat": 1})


class Undecoded:
    """Boxes (A, 4) input pixels that are still offsets: `boxes[rows]` decodes those rows, `np.asarray(boxes)` all.

    offsets   (A, 4) float32, dx dy dw dh
    anchors   (A, 4) float32, cx cy w h, input pixels
    variance  of the offsets
    """

    def __init__(self, offsets: Floats, anchors: Floats, variance: Variance) -> None:
        self.offsets, self.anchors, self.variance = offsets, anchors, variance

    @property
    def shape(self) -> tuple[int, int]:
        """(A, 4)."""
        return len(self), 4

    def __len__(self) -> int:
        return len(self.offsets)

    def __getitem__(self, rows: Any) -> Floats:
        """Boxes (K, 4) x0 y0 x1 y1 of a slice, a mask or an array of rows."""
        if isinstance(rows, np.ndarray) and rows.dtype == np.intp:  # quicker right after a network
            return decode(self.offsets.take(rows, axis=0), self.anchors.take(rows, axis=0), self.variance)
        return decode(self.offsets[rows], self.anchors[rows], self.variance)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        return np.asarray(self[:], dtype)


class _Node(NamedTuple):
    field: Field
    kind: str
    inputs: list[str]
    outputs: list[str]

    @classmethod
    def of(cls, field: Field) -> _Node:
        parts: dict[int, list[str]] = {N_INPUT: [], N_OUTPUT: [], N_KIND: []}
        for part in read_fields(field.content):
            if part.number in parts:
                parts[part.number].append(text_of(part))
        return cls(field, "".join(parts[N_KIND]), parts[N_INPUT], parts[N_OUTPUT])


class _Weight(NamedTuple):
    field: Field
    name: str
    elsewhere: bool  # kept in another file

    @classmethod
    def of(cls, field: Field) -> _Weight:
        parts = {p.number: p for p in read_fields(field.content)}
        return cls(field, text_of(parts.get(T_NAME)), T_EXTERNAL in parts)


def leave_offsets(data: bytes) -> bytes | None:
    """An .onnx file that gives boxes (1, A, 4) and scores, as one that gives the boxes' offsets and scores.

    returns  the new file; None where the old one does not end in decoding as `export` writes it, keeps weights in
             another file, or is no ONNX file
    """
    try:
        whole = list(read_fields(memoryview(data)))
        graph = [f for part in whole if part.number == GRAPH and part.content for f in read_fields(part.content)]
        nodes = [_Node.of(f) for f in graph if f.number == NODE]
        outputs = {name_of(f): f for f in graph if f.number == OUTPUT}
        weights = [_Weight.of(f) for f in graph if f.number == INITIALIZER]
        pictures = {name_of(f) for f in graph if f.number == INPUT}.difference(w.name for w in weights)
    except (IndexError, ValueError):
        return None
    if list(outputs) != ["boxes", "scores"] or any(w.elsewhere for w in weights):
        return None
    if not (offsets := _offsets_of(nodes, pictures)):
        return None
    wanted, dropped = {offsets, "scores"}, set[int]()
    for node in reversed(nodes):  # they are written in the order in which they run
        if wanted.intersection(node.outputs):
            wanted.update(node.inputs)
        else:
            dropped.add(id(node.field))
    dropped.update(id(w.field) for w in weights if w.name not in wanted)
    parts = [
        write_field(OUTPUT, _renamed(field, offsets)) if field is outputs["boxes"] else field.whole
        for field in graph
        if id(field) not in dropped
    ]
    return b"".join([*(f.whole for f in whole if f.number != GRAPH), write_field(GRAPH, b"".join(parts))])


def _offsets_of(nodes: list[_Node], pictures: set[str]) -> str | None:
    """The tensor of which the boxes are decoded; None where what lies between is not FORMULA."""
    seen = set(pictures)  # what depends on the picture: default boxes do not, they are laid out by nodes too
    for node in nodes:
        if seen.intersection(node.inputs):
            seen.update(node.outputs)
    maker = {name: node for node in nodes for name in node.outputs}
    chain: dict[str, _Node] = {}
    ends: set[str] = set()
    left = ["boxes"]
    while left:
        name = left.pop()
        if name not in maker or maker[name].kind not in FORMULA:
            return None
        node = chain[name] = maker[name]
        if node.kind == "Slice":
            ends.add(node.inputs[0])
        else:
            left += [one for one in node.inputs if one in seen and one not in chain]
    return ends.pop() if len(ends) == 1 and Counter(node.kind for node in chain.values()) == FORMULA else None


def _renamed(field: Field, name: str) -> bytes:
    """A ValueInfoProto under another name."""
    rest = (bytes(p.whole) for p in read_fields(field.content) if p.number != V_NAME)
    return write_field(V_NAME, name.encode()) + b"".join(rest)
