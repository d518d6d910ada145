"""Transposes around a padding leave a .tflite file, and its answers stay."""

from __future__ import annotations

import numpy as np
import pytest

schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
flatbuffers = pytest.importorskip("flatbuffers")

from passerby.learn.targets.tflite_layout import drop_transposes  # noqa: E402

TO_FIRST, TO_LAST = [0, 3, 1, 2], [0, 2, 3, 1]
PADS = [[0, 0], [0, 0], [0, 1], [2, 0]]  # of a map with its channels first


def file_of(steps, shapes, outputs):
    """A .tflite file: steps are (operator, input tensor, constant, output tensor), tensor 0 is the input."""
    ops, model = schema.BuiltinOperator, schema.ModelT()
    model.version, model.buffers, model.operatorCodes = 3, [schema.BufferT()], []
    graph = schema.SubGraphT()
    graph.tensors, graph.operators, graph.inputs, graph.outputs = [], [], [0], outputs

    def tensor(name, shape, kind, values=None):
        t = schema.TensorT()
        t.name, t.shape, t.type, t.buffer = name, shape, kind, 0
        if values is not None:
            buffer = schema.BufferT()
            buffer.data = np.array(values, np.int32).reshape(-1).view(np.uint8)
            model.buffers.append(buffer)
            t.buffer = len(model.buffers) - 1
        graph.tensors.append(t)
        return len(graph.tensors) - 1

    for k, shape in enumerate(shapes):
        tensor(f"t{k}", shape, schema.TensorType.FLOAT32)
    kinds = sorted({s[0] for s in steps})
    for kind in kinds:
        code = schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = getattr(ops, kind)
        code.version = 1
        model.operatorCodes.append(code)
    for kind, source, constant, out in steps:
        op = schema.OperatorT()
        op.opcodeIndex = kinds.index(kind)
        second = [] if constant is None else [tensor("c", np.array(constant).shape, schema.TensorType.INT32, constant)]
        op.inputs, op.outputs = [source, *second], [out]
        graph.operators.append(op)
    model.subgraphs = [graph]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def run(data):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=data, num_threads=1)
    interpreter.allocate_tensors()
    (ask,) = interpreter.get_input_details()
    interpreter.set_tensor(ask["index"], np.random.default_rng(0).normal(size=ask["shape"]).astype(np.float32))
    interpreter.invoke()
    return [interpreter.get_tensor(o["index"]) for o in interpreter.get_output_details()]


def kinds_of(data):
    model = schema.ModelT.InitFromPackedBuf(data, 0)
    names = {v: k for k, v in vars(schema.BuiltinOperator).items() if isinstance(v, int)}
    return [names[model.operatorCodes[o.opcodeIndex].builtinCode] for o in model.subgraphs[0].operators]


LAST, FIRST, WIDE_FIRST, WIDE = [1, 4, 5, 3], [1, 3, 4, 5], [1, 3, 5, 7], [1, 5, 7, 3]
PADDED = [("TRANSPOSE", 0, TO_FIRST, 1), ("PAD", 1, PADS, 2), ("TRANSPOSE", 2, TO_LAST, 3)]
CASES = {
    "a padding": ([*PADDED, ("ABS", 3, None, 4)], [LAST, FIRST, WIDE_FIRST, WIDE, WIDE], [4], ["PAD", "ABS"]),
    "turned back for two": (
        [*PADDED, ("TRANSPOSE", 2, TO_LAST, 4), ("ABS", 3, None, 5), ("NEG", 4, None, 6)],
        [LAST, FIRST, WIDE_FIRST, WIDE, WIDE, WIDE, WIDE],
        [5, 6],
        ["PAD", "ABS", "NEG"],
    ),
    "the map before the padding is read too": (
        [*PADDED, ("ABS", 3, None, 4), ("TRANSPOSE", 1, TO_LAST, 5), ("NEG", 5, None, 6)],
        [LAST, FIRST, WIDE_FIRST, WIDE, WIDE, LAST, LAST],
        [4, 6],
        ["PAD", "ABS", "NEG"],
    ),
    "channels first are wanted": (
        [*PADDED[:2], ("ABS", 2, None, 3)],
        [LAST, FIRST, WIDE_FIRST, WIDE_FIRST],
        [3],
        ["TRANSPOSE", "PAD", "ABS"],
    ),
    "the padding is an answer": (
        [*PADDED, ("ABS", 3, None, 4)],
        [LAST, FIRST, WIDE_FIRST, WIDE, WIDE],
        [2, 4],
        ["TRANSPOSE", "PAD", "TRANSPOSE", "ABS"],
    ),
}


@pytest.mark.parametrize("case", list(CASES))
def test_what_is_left_answers_alike(case):
    steps, shapes, outputs, left = CASES[case]
    data = file_of(steps, shapes, outputs)
    tidied = drop_transposes(data)
    assert kinds_of(data) == [s[0] for s in steps]
    assert kinds_of(tidied) == left
    for before, after in zip(run(data), run(tidied), strict=True):
        np.testing.assert_array_equal(before, after)
