"""A localiser made by hand: its features are the mean colours of 8 x 8 cells, and it looks for red."""

from __future__ import annotations

import numpy as np
import pytest

from passerby.spec import METADATA_KEY, ModelSpec

WEIGHTS = np.array([[0, 0, 0], [8, -4, -4]], np.float32)  # of the background, and of "person": red, not grey
BIAS = np.array([0, -1], np.float32)
RED_SPEC = ModelSpec("red", 32, 32, "stretch", ("person",), (), scoring="softmax", task="localise")


def red_bytes(spec: ModelSpec = RED_SPEC) -> bytes:
    """The .onnx file: pixels -> scores (1, 1), maps (1, 2, 4, 4)."""
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper

    def node(kind, inputs, output, **settings):
        return helper.make_node(kind, inputs, [output], **settings)

    constants = {
        "scale": np.float32(1 / 255),
        "weights": WEIGHTS[:, :, None, None],
        "bias": BIAS[None],
        "one": np.array([1]),
        "two": np.array([2]),
    }
    nodes = [
        node("Cast", ["pixels"], "floats", to=TensorProto.FLOAT),
        node("Transpose", ["floats"], "planes", perm=[0, 3, 1, 2]),
        node("Mul", ["planes", "scale"], "shares"),
        node("AveragePool", ["shares"], "features", kernel_shape=[8, 8], strides=[8, 8]),
        node("Conv", ["features", "weights"], "maps"),
        node("GlobalAveragePool", ["maps"], "pooled"),
        node("Flatten", ["pooled"], "flat"),
        node("Add", ["flat", "bias"], "logits"),
        node("Softmax", ["logits"], "all", axis=1),
        node("Slice", ["all", "one", "two", "one"], "scores"),
    ]
    graph = helper.make_graph(
        nodes,
        "red",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, [1, 32, 32, 3])],
        [
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, 1]),
            helper.make_tensor_value_info("maps", TensorProto.FLOAT, [1, 2, 4, 4]),
        ],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    helper.set_model_props(model, {METADATA_KEY: spec.to_json()})
    onnx.checker.check_model(model)
    return model.SerializeToString()


@pytest.fixture(scope="session")
def red_model(tmp_path_factory):
    """The file of the localiser made by hand; not to be changed."""
    path = tmp_path_factory.mktemp("red") / "red.onnx"
    path.write_bytes(red_bytes())
    return path


@pytest.fixture
def red_picture():
    """Makes grey pixels with red boxes: boxes, width, height -> (H, W, 3) uint8."""

    def make(*boxes, width=64, height=64):
        pixels = np.full((height, width, 3), 90, np.uint8)
        for x0, y0, x1, y1 in boxes:
            pixels[y0:y1, x0:x1] = (255, 0, 0)
        return pixels

    return make


class ToldMaps:
    """An engine that answers every picture with the same scores (C,) and maps (C + 1, h, w)."""

    name = "told 1.0"

    def __init__(self, scores, maps) -> None:
        self.scores, self.maps = np.array(scores, np.float32), np.array(maps, np.float32)

    def run(self, pixels):
        return self.scores, self.maps
