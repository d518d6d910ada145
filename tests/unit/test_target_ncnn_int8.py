"""INT8 for ncnn: the graph without its rounding, and the bytes that ncnn's convolutions read."""

import struct

import numpy as np
import pytest

from passerby.deploy.targets import MAKERS, TARGETS
from passerby.deploy.targets.base import Job
from passerby.deploy.targets.export import export_to
from passerby.deploy.targets.ncnn_int8 import Rounded, round_layers, to_float
from passerby.errors import ModelError
from passerby.runtime.costs import costs_of_layers
from passerby.runtime.model_file import read_spec

onnx = pytest.importorskip("onnx")

PARAM = """7767517
5 5
Input                    pixels    0 1 pixels
MemoryData               mean      0 1 mean 0=1 1=1 2=3
BinaryOp                 centre    2 1 pixels mean centred 0=1
Convolution              first     1 1 centred a 0=2 1=1 5=1 6=6
ConvolutionDepthWise     second    1 1 a boxes 0=2 1=1 5=1 6=2 7=2
"""
MEAN, FIRST, SECOND = np.float32([1, 2, 3]), np.float32([[1, -2, 3], [4, 0, -8]]), np.float32([5, 7])
BIASES = np.float32([0.5, -0.5])
BIN = b"".join(
    (MEAN.tobytes(), bytes(4), FIRST.tobytes(), BIASES.tobytes(), bytes(4), SECOND.tobytes(), BIASES.tobytes())
)


def rounded(whole, reach=2.0):
    scales = np.abs(whole).max(axis=1) / 127
    stored = np.round(whole / scales[:, None]).astype(np.int8)
    return Rounded(whole[:, :, None, None], stored[:, :, None, None], scales, reach)


def test_the_bytes_of_a_rounded_convolution_by_hand():
    text, data, count = round_layers(PARAM, BIN, [rounded(FIRST)], "x")
    assert count == 1
    lines = text.splitlines()
    assert lines[5] == PARAM.splitlines()[5] + " 8=1"
    assert [line for k, line in enumerate(lines) if k != 5] == [x for k, x in enumerate(PARAM.splitlines()) if k != 5]
    integers = np.int8([[42, -85, 127], [64, 0, -127]])
    scales = np.float32([127 / 3, 127 / 8])
    want = MEAN.tobytes() + struct.pack("<I", 0x000D4B38) + integers.tobytes() + bytes(2) + BIASES.tobytes()
    assert data[: len(want)] == want
    np.testing.assert_allclose(np.frombuffer(data[len(want) :][:12], "<f4"), [*scales, 63.5], rtol=1e-6)
    assert data[len(want) + 12 :] == BIN[-20:]  # the depthwise layer stays as it was


def test_layers_that_share_weights_get_the_map_that_reaches_furthest():
    _, data, _ = round_layers(PARAM, BIN, [rounded(FIRST, 2.0), rounded(FIRST, 4.0), rounded(FIRST, 1.0)], "x")
    assert struct.unpack("<f", data[-24:-20]) == (127 / 4,)


def test_what_is_not_known_is_refused_and_what_is_not_rounded_told():
    with pytest.raises(
        ModelError, match="x: no INT8 for ncnn, none of its convolutions is rounded; export the float32"
    ):
        round_layers(PARAM, BIN, [rounded(FIRST + 1)], "x")
    with pytest.raises(ModelError, match="weights of layers not known here"):
        round_layers(PARAM, BIN + bytes(4), [rounded(FIRST)], "x")
    half = BIN[:12] + struct.pack("<I", 0x01306B47) + BIN[16:]
    with pytest.raises(ModelError, match="weights of first in another way than as float32"):
        round_layers(PARAM, half, [rounded(FIRST)], "x")


def test_without_rounding_a_graph_answers_as_before_within_its_steps(tiny_int8, tiny_model, make_pixels):
    import onnxruntime

    proto = onnx.load(str(tiny_int8))
    found = to_float(proto)
    assert not {"QuantizeLinear", "DequantizeLinear"} & {n.op_type for n in proto.graph.node}
    assert len(found) > 5
    for one in found:
        np.testing.assert_allclose(one.stored * one.scales[:, None, None, None], one.whole, rtol=1e-6)
        assert one.reach > 0
    pixels = make_pixels(64, 64)[None]
    models = (tiny_int8.read_bytes(), proto.SerializeToString(), tiny_model.read_bytes())
    int8, plain, whole = (onnxruntime.InferenceSession(m).run(["scores"], {"pixels": pixels})[0] for m in models)
    assert np.abs(plain - int8).max() < 0.02
    assert np.abs(plain - int8).mean() < np.abs(whole - int8).mean() + 1e-3


def test_what_is_rounded_twice_is_cut_twice():
    import onnxruntime

    make = onnx.helper.make_node
    how = {"s": np.float32(0.1), "z": np.uint8(0), "t": np.float32(0.05), "u": np.uint8(55)}
    nodes = [
        make("Neg", ["x"], ["n"]), make("QuantizeLinear", ["n", "s", "z"], ["q"]),
        make("DequantizeLinear", ["q", "s", "z"], ["d"]), make("QuantizeLinear", ["d", "t", "u"], ["r"]),
        make("DequantizeLinear", ["r", "t", "u"], ["y"]),
    ]  # fmt: skip
    ports = [onnx.helper.make_tensor_value_info(name, 1, (5,)) for name in "xy"]
    stored = [onnx.numpy_helper.from_array(np.asarray(v), k) for k, v in how.items()]
    graph = onnx.helper.make_graph(nodes, "twice", ports[:1], ports[1:], stored)
    proto = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9)
    assert to_float(proto) == []
    x = np.float32([3, 0.02, -4.56, -9.7, -40])
    (y,) = onnxruntime.InferenceSession(proto.SerializeToString()).run(None, {"x": x})
    np.testing.assert_allclose(y, np.clip(np.clip(-x, 0, 25.5), -2.75, 10), rtol=1e-6)


def test_maps_are_cut_where_their_integers_end(tiny_int8):
    proto = onnx.load(str(tiny_int8))
    stored = {i.name: onnx.numpy_helper.to_array(i) for i in proto.graph.initializer}
    quantised = {n.output[0]: n for n in proto.graph.node if n.op_type == "QuantizeLinear"}
    to_float(proto)
    ends = {i.name: onnx.numpy_helper.to_array(i) for i in proto.graph.initializer}
    cuts = [n for n in proto.graph.node if n.op_type == "Clip" and n.name.endswith("_cut")]
    assert cuts
    for cut in cuts:
        _, scale, zero = quantised[cut.name.removesuffix("_cut")].input
        low, high = ((int(k) - int(stored[zero])) * stored[scale] for k in (0, 255))
        np.testing.assert_allclose([ends[cut.input[1]], ends[cut.input[2]]], [low, high], rtol=1e-6, atol=1e-6)


def test_an_int8_file_of_ncnn_keeps_the_limits_and_is_counted_as_int8(tiny_four, tmp_path):
    pytest.importorskip("ncnn")
    pytest.importorskip("pnnx")
    path = tmp_path / "tiny.param"
    done = export_to("ncnn", TARGETS["ncnn"], MAKERS["ncnn"], Job(tiny_four, read_spec(tiny_four), path))
    assert done.certificate is not None
    assert done.certificate.record()["broken"] == []
    assert any("convolutions multiply in INT8" in note for note in done.made.notes)
    kinds = {x.precision for x in costs_of_layers(path).layers if x.macs}
    assert kinds == {"int8", "float32"}
