"""Copies between layouts that litert-torch leaves in a .tflite file: taken out, with the same answers.

Its maps have their channels last, and a padding that differs from side to side, which strided convolutions want, comes
out as a transpose, a padding and a transpose back. XNNPACK adds a plain padding to the convolution behind it; around
`head`'s largest maps the copies took a fifth of the time.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

CAPACITY = 1 << 20  # bytes that a buffer is begun with; it grows


def drop_transposes(data: bytes) -> bytes:
    """A .tflite file without the transposes around paddings, and without pairs that undo each other."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(data, 0)
    for graph in model.subgraphs:
        _Graph(model, graph, schema).tidy()
    builder = flatbuffers.Builder(CAPACITY)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


class _Graph:
    """One graph of a file, its tensors known by their numbers."""

    def __init__(self, model: Any, graph: Any, schema: Any) -> None:
        self.model, self.graph = model, graph
        self.new_buffer, self.ops = schema.BufferT, schema.BuiltinOperator

    def tidy(self) -> None:
        for op in self._all(self.ops.PAD):
            self._pad_last(op)
        for op in self._all(self.ops.TRANSPOSE):
            first = self._maker(op.inputs[0], self.ops.TRANSPOSE)
            if first is not None and self._undo(first, op):
                self._read_instead(op.outputs[0], first.inputs[0])
        self._prune()

    def _all(self, kind: int) -> list[Any]:
        return [op for op in self.graph.operators if self._kind(op) == kind]

    def _kind(self, op: Any) -> int:
        return int(self.model.operatorCodes[op.opcodeIndex].builtinCode)

    def _maker(self, tensor: int, kind: int) -> Any:
        """The operator of that kind that makes a tensor, or None."""
        return next((op for op in self._all(kind) if tensor in op.outputs), None)

    def _numbers(self, tensor: int) -> Any:
        """A stored tensor of int32; None where it is not stored."""
        data = self.model.buffers[self.graph.tensors[tensor].buffer].data
        return None if data is None else np.asarray(data, np.uint8).view(np.int32)

    def _undo(self, first: Any, second: Any) -> bool:
        one, two = self._numbers(first.inputs[1]), self._numbers(second.inputs[1])
        return one is not None and two is not None and one[two].tolist() == list(range(len(one)))

    def _pad_last(self, op: Any) -> None:
        """Pad the map as it is before a transpose, where every reader turns it back."""
        before = self._maker(op.inputs[0], self.ops.TRANSPOSE)
        readers = [r for r in self.graph.operators if op.outputs[0] in r.inputs]
        back = [r for r in readers if self._kind(r) == self.ops.TRANSPOSE]
        around = self._numbers(op.inputs[1])
        if before is None or around is None or not back or op.outputs[0] in self.graph.outputs:
            return
        if len(back) != len(readers) or not all(self._undo(before, r) for r in back):
            return
        sides = copy.copy(self.graph.tensors[op.inputs[1]])
        sides.name, sides.buffer = f"pad_{op.outputs[0]}".encode(), len(self.model.buffers)
        buffer = self.new_buffer()
        turned = np.ascontiguousarray(around.reshape(-1, 2)[np.argsort(self._numbers(before.inputs[1]))])
        buffer.data = turned.reshape(-1).view(np.uint8)
        self.model.buffers.append(buffer)
        self.graph.tensors.append(sides)
        op.inputs = np.array([before.inputs[0], len(self.graph.tensors) - 1], np.int32)
        op.outputs = np.array([back[0].outputs[0]], np.int32)
        for other in back[1:]:
            self._read_instead(other.outputs[0], back[0].outputs[0])
        self.graph.operators = [o for o in self.graph.operators if not any(o is b for b in back)]

    def _read_instead(self, old: int, new: int) -> None:
        if old in self.graph.outputs:
            return
        for op in self.graph.operators:
            op.inputs = np.where(op.inputs == old, new, op.inputs).astype(np.int32)

    def _prune(self) -> None:
        """Drop operators whose outputs nothing reads."""
        while True:
            read = {int(i) for op in self.graph.operators for i in op.inputs} | set(map(int, self.graph.outputs))
            left = [op for op in self.graph.operators if any(int(o) in read for o in op.outputs)]
            if len(left) == len(self.graph.operators):
                return
            self.graph.operators = left
