"""Parameters and multiply-adds of graphs: one convolution by hand, and our own model beside its spec."""

from __future__ import annotations

import numpy as np
import pytest

from passerby.runtime.costs import costs_of_file, costs_of_spec
from passerby.runtime.graph import OPEN, Port

onnx = pytest.importorskip("onnx")
pytest.importorskip("openvino")


@pytest.fixture
def convolution(tmp_path):
    """A file of one 3 x 3 convolution, 3 to 8 channels, in `groups`, with a bias; its input (1, 3, *sides)."""

    def write(sides, groups=1, channels=3):
        make, kind = onnx.helper, onnx.TensorProto.FLOAT
        weights = np.ones((6, channels // groups, 3, 3), np.float32)
        node = make.make_node("Conv", ["in", "w", "b"], ["out"], pads=[1, 1, 1, 1], group=groups)
        stored = [onnx.numpy_helper.from_array(weights, "w"), onnx.numpy_helper.from_array(np.ones(6, np.float32), "b")]
        ports = [make.make_tensor_value_info(n, kind, (1, c, *sides)) for n, c in (("in", channels), ("out", 6))]
        graph = make.make_graph([node], "one", ports[:1], ports[1:], stored)
        model = make.make_model(graph, opset_imports=[make.make_opsetid("", 17)], ir_version=8)
        path = tmp_path / "one.onnx"
        path.write_bytes(model.SerializeToString())
        return path

    return write


def test_a_convolution_by_hand(convolution):
    found = costs_of_file(convolution((10, 8)), Port("in", (1, 3, 10, 8)), (8, 10, True))
    assert found.parameters == 6 * 3 * 9 + 6
    assert found.macs == 6 * 10 * 8 * 9 * 3


def test_groups_see_only_their_own_channels(convolution):
    found = costs_of_file(convolution((10, 8), groups=3), Port("in", (1, 3, 10, 8)), (8, 10, True))
    assert found.parameters == 6 * 1 * 9 + 6
    assert found.macs == 6 * 10 * 8 * 9 * 1


def test_open_sides_are_counted_at_the_size_that_is_used(convolution):
    found = costs_of_file(convolution(("h", "w")), Port("in", (1, 3, OPEN, OPEN)), (8, 10, True))
    assert found.macs == 6 * 10 * 8 * 9 * 3


def test_our_own_file_counts_as_its_spec_says(tiny_model, tiny_spec):
    shape = (1, tiny_spec.height, tiny_spec.width, 3)
    found = costs_of_file(tiny_model, Port("pixels", shape), (tiny_spec.width, tiny_spec.height, False))
    assert found.macs == costs_of_spec(tiny_spec).macs


def test_what_cannot_be_read_says_so(tmp_path):
    (tmp_path / "x.tflite").write_bytes(b"no model")
    found = costs_of_file(tmp_path / "x.tflite", Port("in", (1, 8, 8, 3)), (8, 8, False))
    assert (found.parameters, found.macs) == (None, None)
    assert "cannot read" in found.how


def test_a_spec_without_layers_says_so(make_spec):
    assert costs_of_spec(make_spec()).parameters is None
