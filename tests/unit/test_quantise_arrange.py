"""A graph put in order for INT8 answers as before, and what has another form stays as it is."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest

onnx = pytest.importorskip("onnx")

from onnx import helper, numpy_helper  # noqa: E402

from passerby.deploy.quantise.arrange import ROWS, arrange, to_convolutions  # noqa: E402
from passerby.deploy.quantise.graph import read_graph  # noqa: E402
from passerby.runtime.model_file import find_model, read_spec  # noqa: E402

FLOAT = onnx.TensorProto.FLOAT


def run(proto, feed):
    return onnxruntime.InferenceSession(proto.SerializeToString()).run(None, feed)


@pytest.mark.parametrize("name", ["head", "person"])
def test_a_shipped_model_answers_as_before(name):
    path = find_model(name)
    spec, graph = read_spec(path), read_graph(path)
    kinds = [n.op_type for n in graph.proto.graph.node]
    assert kinds.count(ROWS) == 2 * len(spec.anchors)
    assert not {"Resize", "Div"} & set(kinds)
    pixels = np.random.default_rng(0).integers(0, 256, (1, spec.height, spec.width, 3), np.uint8)
    for a, b in zip(run(onnx.load(path), {"pixels": pixels}), run(graph.proto, {"pixels": pixels}), strict=True):
        np.testing.assert_allclose(a, b, atol=2e-3, rtol=1e-4)


def model(nodes, constants, shape=(1, 3, 6, 8)):
    ports = [helper.make_tensor_value_info(n, FLOAT, s) for n, s in (("x", shape), ("y", None))]
    stored = [numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()]
    graph = helper.make_graph(nodes, "g", ports[:1], ports[1:], stored)
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return onnx.shape_inference.infer_shapes(proto, data_prop=True)


def weights(*shape):
    return np.random.default_rng(1).normal(size=shape).astype(np.float32)


def predictor(perm=(0, 2, 3, 1), kernel=1, **facts):
    """A predictor of two numbers a cell, turned to rows."""
    facts.setdefault("pads", [kernel // 2] * 4)
    return model(
        [
            helper.make_node("Relu", ["x"], ["m"]),
            helper.make_node("Conv", ["m", "w", "b"], ["c"], "predict", **facts),
            helper.make_node("Transpose", ["c"], ["t"], perm=list(perm)),
            helper.make_node("Reshape", ["t", "s"], ["y"]),
        ],
        {"w": weights(2, 3, kernel, kernel), "b": weights(2), "s": np.array([1, -1, 1])},
    )


def resize(**facts):
    facts = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor", **facts}
    nodes = [
        helper.make_node("Relu", ["x"], ["m"]),
        helper.make_node("Resize", ["m", "", "f"], ["u"], **facts),
        helper.make_node("Relu", ["u"], ["y"]),
    ]
    return model(nodes, {"f": np.array([1, 1, 2, 2], np.float32)})


def division(by):
    nodes = [
        helper.make_node("Div", ["x", "d"], ["n"]),
        helper.make_node("Conv", ["n", "w"], ["y"], pads=[0, 0, 1, 1], strides=[2, 2]),
    ]
    return model(nodes, {"d": by, "w": weights(4, 3, 3, 3)})


@pytest.mark.parametrize(
    ("proto", "gone"),
    [
        (predictor(), "Conv"),
        (predictor(strides=[1, 1]), "Conv"),
        (resize(), "Resize"),
        (division(np.array([2, 4, 8], np.float32).reshape(1, 3, 1, 1)), "Div"),
        (division(np.float32(3)), "Div"),
    ],
    ids=["predictor", "strides stated", "doubled", "a deviation a channel", "one deviation"],
)
def test_what_it_rewrites_gives_the_same(proto, gone):
    x = np.random.default_rng(2).normal(size=(1, 3, 6, 8)).astype(np.float32)
    (before,) = run(proto, {"x": x})
    arrange(proto)
    assert gone not in [n.op_type for n in proto.graph.node]
    onnx.checker.check_model(proto)
    np.testing.assert_allclose(run(proto, {"x": x})[0], before, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(
    "proto",
    [predictor(perm=(0, 3, 1, 2)), predictor(kernel=3), resize(mode="linear"), division(weights(1, 3, 6, 8))],
    ids=["turned otherwise", "3 x 3", "linear", "a deviation a pixel"],
)
def test_other_forms_stay_as_they_are(proto):
    kinds = [n.op_type for n in proto.graph.node]
    arrange(proto)
    assert [n.op_type for n in proto.graph.node] == kinds


@pytest.mark.parametrize("proto", [predictor(), resize()], ids=["predictor", "doubled"])
def test_it_can_be_undone(proto):
    x = np.random.default_rng(2).normal(size=(1, 3, 6, 8)).astype(np.float32)
    kinds, (before,) = [n.op_type for n in proto.graph.node], run(proto, {"x": x})
    arrange(proto)
    to_convolutions(proto)
    onnx.checker.check_model(proto)
    assert [n.op_type for n in proto.graph.node] == kinds
    np.testing.assert_allclose(run(proto, {"x": x})[0], before, atol=1e-6, rtol=1e-5)


def test_weights_that_two_layers_share_are_left_alone():
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["c"], "one"),
        helper.make_node("Transpose", ["c"], ["t"], perm=[0, 2, 3, 1]),
        helper.make_node("Conv", ["x", "w", "b"], ["d"], "two"),
        helper.make_node("Transpose", ["d"], ["u"], perm=[0, 2, 3, 1]),
        helper.make_node("Add", ["t", "u"], ["y"]),
    ]
    proto = model(nodes, {"w": weights(2, 3, 1, 1), "b": weights(2)})
    arrange(proto)
    assert [n.op_type for n in proto.graph.node].count("Conv") == 2


def test_the_graph_for_other_tools_answers_as_the_int8_file_does(tiny_model, tiny_int8, tiny_four, tmp_path):
    """Convolutions and resized maps again, for Qualcomm's tools; a float graph is left as it is."""
    from passerby.deploy.targets.base import Job
    from passerby.deploy.targets.onnx_file import write_onnx

    pixels = np.random.default_rng(0).integers(0, 256, (1, 64, 64, 3), np.uint8)
    for source, products in ((tiny_int8, 8), (tiny_four, 8), (tiny_model, 0)):
        answers, kinds = [], []
        for undone in (False, True):
            out = tmp_path / f"{source.parent.name}-{undone}.onnx"
            write_onnx(Job(source, read_spec(source), out, "raw"), out, convolutions=undone)
            answers.append(onnxruntime.InferenceSession(out).run(None, {"pixels": pixels}))
            kinds.append([n.op_type for n in onnx.load(out).graph.node])
        assert [k.count(ROWS) for k in kinds] == [products, 0]
        assert kinds[1].count("Gather") == 0
        assert kinds[1].count("Conv") == kinds[0].count("Conv") + products
        for a, b in zip(*answers, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-5)
