"""Biases take back what rounded weights add to sums on average."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest

onnx = pytest.importorskip("onnx")

from onnx import helper, numpy_helper  # noqa: E402

from passerby.deploy.quantise.biases import correct_biases, rounded, shift_of  # noqa: E402

FLOAT = onnx.TensorProto.FLOAT


def model(nodes, constants, x, y="y"):
    ports = [helper.make_tensor_value_info("x", FLOAT, x), helper.make_tensor_value_info(y, FLOAT, None)]
    stored = [numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()]
    graph = helper.make_graph(nodes, "g", ports[:1], ports[1:], stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def run(proto, x):
    return onnxruntime.InferenceSession(proto.SerializeToString()).run(None, {"x": x})[0]


def test_rounded_by_hand():
    weight = np.array([[127.0, 1.4, -1.6], [0, 0, 0], [-1.27, 0.014, 0.004]], np.float32)
    expected = [[127, 1, -2], [0, 0, 0], [-1.27, 0.01, 0]]
    np.testing.assert_allclose(rounded(weight, 0), expected, atol=1e-6)
    np.testing.assert_allclose(rounded(weight.T, 1), np.transpose(expected), atol=1e-6)


def test_a_shift_by_hand():
    # a 1 x 1 convolution of three channels: errors 0, -0.4, -0.4 at means 1, 2, 3
    weight = np.array([127.0, 1.4, -1.6], np.float32).reshape(1, 3, 1, 1)
    node = helper.make_node("Conv", ["x", "w", "b"], ["y"])
    np.testing.assert_allclose(shift_of(node, weight, np.array([1.0, 2.0, 3.0])), [-0.4 * 2 - 0.4 * 3], rtol=1e-4)
    product = helper.make_node("MatMul", ["x", "w"], ["y"])
    np.testing.assert_allclose(shift_of(product, weight.reshape(1, 3).T, np.array([1.0, 2.0, 3.0])), [-2.0], rtol=1e-4)
    assert shift_of(product, np.zeros((2, 3, 4), np.float32), np.ones(3)) is None


RANDOM = np.random.default_rng(0)
CONV = helper.make_node("Conv", ["x", "w", "b"], ["y"], "layer")
CASES = {
    "a convolution": (CONV, RANDOM.normal(size=(5, 6, 1, 1))),
    "in groups": (helper.make_node("Conv", ["x", "w", "b"], ["y"], "layer", group=3), RANDOM.normal(size=(9, 2, 1, 1))),
    "depthwise": (helper.make_node("Conv", ["x", "w", "b"], ["y"], "layer", group=6), RANDOM.normal(size=(6, 1, 3, 3))),
}


@pytest.mark.parametrize("case", list(CASES))
def test_the_mean_of_sums_of_rounded_weights_is_that_of_the_float_ones(case):
    node, weight = CASES[case]
    weight = weight.astype(np.float32)
    x = (np.abs(RANDOM.normal(size=(1, 6, 40, 40))) * np.arange(1, 7).reshape(1, 6, 1, 1)).astype(np.float32)
    bias = RANDOM.normal(size=len(weight)).astype(np.float32)
    proto = model([node], {"w": weight, "b": bias}, x.shape)
    before = run(proto, x)
    small = model([node], {"w": rounded(weight, 0).astype(np.float32), "b": bias}, x.shape)
    off = np.abs((run(small, x) - before).mean(axis=(0, 2, 3)))
    correct_biases(proto, {"layer"}, {"x": x.mean(axis=(0, 2, 3))})
    small.graph.initializer[1].CopyFrom(proto.graph.initializer[1])
    left = np.abs((run(small, x) - before).mean(axis=(0, 2, 3)))
    assert off.max() > 0.01
    assert left.max() < 0.05 * off.max()


def test_a_product_over_rows_has_its_bias_behind_it():
    """As `arrange` writes predictors: a bias for each cell of a row."""
    weight = RANDOM.normal(size=(6, 2)).astype(np.float32)
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["rows"], "layer"),
        helper.make_node("Reshape", ["rows", "s"], ["cells"]),
        helper.make_node("Add", ["cells", "b"], ["y"]),
    ]
    bias = np.tile(np.array([0.5, -0.5], np.float32), 4)
    proto = model(nodes, {"w": weight, "s": np.array([1, 3, 8]), "b": bias}, (1, 3, 4, 6))
    mean = np.arange(1.0, 7)
    correct_biases(proto, {"layer"}, {"x": mean})
    shift = shift_of(nodes[0], weight, mean)
    np.testing.assert_allclose(numpy_helper.to_array(proto.graph.initializer[2]), bias - np.tile(shift, 4), rtol=1e-5)


def test_a_bias_that_another_layer_reads_stays_that_layers():
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["a"], "int8"),
        helper.make_node("Conv", ["a", "w", "b"], ["y"], "float"),
    ]
    weight, bias = RANDOM.normal(size=(3, 3, 1, 1)).astype(np.float32), np.zeros(3, np.float32)
    proto = model(nodes, {"w": weight, "b": bias}, (1, 3, 8, 8))
    correct_biases(proto, {"int8"}, {"x": np.ones(3), "a": np.ones(3)})
    stored = {i.name: numpy_helper.to_array(i) for i in proto.graph.initializer}
    assert proto.graph.node[1].input[2] == "b"
    assert stored["b"].tolist() == [0, 0, 0]
    assert np.abs(stored[proto.graph.node[0].input[2]]).max() > 0


def test_a_layer_without_a_stored_bias_is_left_as_it_is():
    nodes = [helper.make_node("Conv", ["x", "w"], ["y"], "layer")]
    proto = model(nodes, {"w": np.ones((2, 3, 1, 1), np.float32)}, (1, 3, 8, 8))
    before = proto.SerializeToString()
    correct_biases(proto, {"layer"}, {"x": np.ones(3)})
    assert proto.SerializeToString() == before
