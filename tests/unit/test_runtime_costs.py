"""Costs counted from files: one convolution by hand in every format, our own model, and files of other makers."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from passerby.errors import ModelError
from passerby.runtime.costs import costs_of_file, costs_of_layers, costs_of_spec

onnx = pytest.importorskip("onnx")
SHARED = 3 * 2  # four biases of the tiny model hold the same two numbers, and its file keeps them once


@pytest.fixture
def convolution(tmp_path):
    """A file of one 3 x 3 convolution, `channels` to 6, in `groups`, with a bias; its input (1, channels, *sides)."""

    def write(sides, groups=1, channels=3, name="one"):
        make, kind = onnx.helper, onnx.TensorProto.FLOAT
        weights = np.ones((6, channels // groups, 3, 3), np.float32)
        node = make.make_node("Conv", ["in", "w", "b"], ["out"], pads=[1, 1, 1, 1], group=groups)
        stored = [onnx.numpy_helper.from_array(weights, "w"), onnx.numpy_helper.from_array(np.ones(6, np.float32), "b")]
        ports = [make.make_tensor_value_info(n, kind, (1, c, *sides)) for n, c in (("in", channels), ("out", 6))]
        graph = make.make_graph([node], "one", ports[:1], ports[1:], stored)
        model = make.make_model(graph, opset_imports=[make.make_opsetid("", 17)], ir_version=8)
        path = tmp_path / f"{name}.onnx"
        path.write_bytes(model.SerializeToString())
        return path

    return write


def test_a_convolution_by_hand(convolution):
    found = costs_of_layers(convolution((10, 8)))
    assert found.parameters == 6 * 3 * 9 + 6
    assert found.macs == 6 * 10 * 8 * 9 * 3
    (row,) = found.layers
    assert (row.operator, row.shape, row.precision) == ("Conv", (1, 6, 10, 8), "float32")
    assert (row.weights, row.memory) == (4 * (6 * 3 * 9 + 6), 4 * 6 * 10 * 8)
    assert found.peak.bytes == 4 * (3 + 6) * 10 * 8


def test_groups_see_only_their_own_channels(convolution):
    found = costs_of_file(convolution((10, 8), groups=3))
    assert found.parameters == 6 * 1 * 9 + 6
    assert found.macs == 6 * 10 * 8 * 9 * 1


def test_open_sides_are_counted_at_the_size_that_is_used(convolution):
    found = costs_of_file(convolution(("h", "w")), (8, 10))
    assert found.macs == 6 * 10 * 8 * 9 * 3


def test_our_own_file_counts_as_its_spec_says(tiny_model, tiny_spec):
    assert costs_of_file(tiny_model).macs == costs_of_spec(tiny_spec).macs


def test_our_own_file_has_the_parameters_that_are_left_when_batch_norm_is_folded(tiny_model, tiny_spec):
    pytest.importorskip("torch")
    from passerby.learn.layers import folded
    from passerby.learn.network import build

    assert costs_of_file(tiny_model).parameters == folded(build(tiny_spec)) - SHARED


@pytest.fixture(params=["", "-f16"])
def same_in_openvino(request, tiny_model, tmp_path):
    """The tiny model as an OpenVINO file, with weights as they are, or compressed to float16."""
    openvino = pytest.importorskip("openvino")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        openvino.save_model(
            openvino.convert_model(tiny_model), tmp_path / "tiny.xml", compress_to_fp16=bool(request.param)
        )
    return tmp_path / "tiny.xml", bool(request.param)


def test_openvinos_file_of_a_model_costs_what_the_onnx_file_costs(same_in_openvino, tiny_model):
    path, half = same_in_openvino
    found, expected = costs_of_layers(path), costs_of_layers(tiny_model)
    assert found.macs == expected.macs
    assert found.parameters == expected.parameters + SHARED + 3  # it divides by std as it multiplies by 1/std
    heavy = [x for x in found.layers if x.macs]
    assert {x.precision for x in heavy} == {"float16 weights" if half else "float32"}


def test_an_int8_file_has_the_same_layers_with_a_quarter_of_the_weights(tmp_path, convolution):
    quantisation = pytest.importorskip("onnxruntime.quantization")

    class Noise(quantisation.CalibrationDataReader):
        left = 2

        def get_next(self):
            self.left -= 1
            return (
                {"in": np.random.default_rng(self.left).random((1, 3, 10, 8), np.float32)} if self.left >= 0 else None
            )

    whole, small = convolution((10, 8)), tmp_path / "int8.onnx"
    quantisation.quantize_static(whole, small, Noise(), per_channel=True)
    found, before = costs_of_layers(small), costs_of_layers(whole)
    (row,) = [x for x in found.layers if x.macs]
    assert (found.parameters, found.macs) == (before.parameters, before.macs)
    assert row.precision == "int8"
    assert row.weights == 6 * 3 * 9 + 4 * 6  # biases are int32
    assert row.memory == 6 * 10 * 8


@pytest.mark.parametrize("name", ["x.tflite", "x.xml", "x.onnx", "x.param"])
@pytest.mark.parametrize(
    "data", [b"", b"no model", b"TFL3TFL3TFL3", b"\x00" * 64, b"<net><layers><layer/></layers></net>"]
)
def test_what_cannot_be_read_says_so(tmp_path, name, data):
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(ModelError, match="x\\."):
        costs_of_layers(path)
    found = costs_of_file(path)
    assert (found.parameters, found.macs) == (None, None)
    assert name in found.how


def test_a_file_that_is_cut_short_is_refused_at_every_length(tmp_path, convolution):
    data = convolution((10, 8)).read_bytes()
    path = tmp_path / "cut.onnx"
    for length in range(1, len(data) - 1, 37):
        path.write_bytes(data[:length])
        with pytest.raises(ModelError):
            costs_of_layers(path)


def test_a_format_that_is_not_counted_says_which_are(tmp_path):
    (tmp_path / "x.mlmodel").write_bytes(b"1")
    known = r"\.onnx, \.xml, \.tflite, \.param, \.pte, \.mlpackage, \.dlc files, not of \.mlmodel"
    with pytest.raises(ModelError, match=known):
        costs_of_layers(tmp_path / "x.mlmodel")


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "parameters", "macs"),
    [  # as their makers state them: 1.817 M and 0.786 G operations; 0.91 M and 1.08 G operations at 416
        ("person-detection-0200.xml", 1.817e6, 0.786e9 / 2),
        ("yolox_nano.onnx", 0.91e6, 1.08e9 / 2),
    ],
)
def test_other_makers_files_cost_what_their_makers_say(shared, name, parameters, macs):
    path = shared / "peers" / name
    if not path.is_file():
        pytest.skip(f"no {name} in ../shared/peers")
    found = costs_of_layers(path)
    assert found.parameters == pytest.approx(parameters, rel=0.01)
    assert found.macs == pytest.approx(macs, rel=0.04)


@pytest.mark.shared
def test_a_tflite_file_of_another_maker_is_read_without_litert(shared, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    (path,) = (shared / "peers").glob("*.tflite")
    found = costs_of_layers(path)
    assert 0.8e6 < found.parameters < 1e6
    assert {x.precision for x in found.layers if x.macs} == {"float16 weights"}


def test_a_spec_without_layers_says_so(make_spec):
    assert costs_of_spec(make_spec()).parameters is None


PARAM = """7767517
10 12
Input                    pixels    0 1 pixels 0=10 1=8 2=3
MemoryData               mean      0 1 mean 0=1 1=1 2=3
BinaryOp                 centre    2 1 pixels mean centred 0=1
Convolution first 1 1 centred a 0=6 1=3 -23310=2,0.0,6.0 11=3 12=1 13=2 14=0 15=1 16=1 2=1 3=2 4=0 5=1 6=162 9=3
Split                    copies    1 2 a b c
ConvolutionDepthWise     second    1 1 b d 0=6 1=3 4=1 5=1 6=54 7=6
Interp                   larger    1 1 c e 0=1 1=2.0 2=2.0 6=0
Permute                  turned    1 1 d f 0=3
Reshape                  rows      1 1 f g 0=6 1=-1
InnerProduct             dense     1 1 g h 0=2 1=1 2=240
"""


@pytest.mark.parametrize(("flag", "kind", "width"), [(0, "float32", 4), (0x01306B47, "float16", 2)])
def test_an_ncnn_file_by_hand(tmp_path, flag, kind, width):
    path = tmp_path / "one.param"
    path.write_text(PARAM)
    path.with_suffix(".bin").write_bytes(bytes(12) + flag.to_bytes(4, "little") + bytes(64))
    found = costs_of_layers(path)
    shapes = {x.name: x.shape for x in found.layers}
    assert shapes == {
        "centre": (1, 3, 8, 10), "first": (1, 6, 4, 5), "second": (1, 6, 4, 5), "larger": (1, 6, 8, 10),
        "turned": (1, 4, 5, 6), "rows": (1, 20, 6), "dense": (1, 2),
    }  # fmt: skip
    assert found.macs == 20 * 162 + 20 * 54 + 240
    assert found.parameters == (162 + 6) + (54 + 6) + (240 + 2)
    by_name = {x.name: x for x in found.layers}
    assert by_name["first"].weights == width * 162 + 4 * 6
    assert by_name["second"].precision == (kind if kind == "float32" else "float16 weights")
    assert [t.name for t in found.outputs] == ["e", "h"]


def test_an_ncnn_convolution_that_says_so_is_int8(tmp_path):
    path = tmp_path / "one.param"
    path.write_text(PARAM.replace("6=162 9=3", "6=162 9=3 8=1"))
    path.with_suffix(".bin").write_bytes(bytes(12) + 0x000D4B38.to_bytes(4, "little") + bytes(64))
    by_name = {x.name: x for x in costs_of_layers(path).layers}
    assert (by_name["first"].precision, by_name["first"].weights) == ("int8", 162 + 4 * 6)


def test_an_ncnn_input_that_is_open_takes_the_size_that_is_used(tmp_path):
    path = tmp_path / "one.param"
    path.write_text(PARAM.replace(" 0=10 1=8 2=3", "", 1))
    path.with_suffix(".bin").write_bytes(bytes(64))
    assert costs_of_file(path).macs is None
    assert costs_of_file(path, (10, 8)).macs == 20 * 162 + 20 * 54 + 240


def test_our_own_ncnn_file_counts_as_its_onnx_file(tiny_model, tiny_spec, tmp_path):
    pytest.importorskip("ncnn")
    pytest.importorskip("pnnx")
    from passerby.deploy.targets import MAKERS, TARGETS
    from passerby.deploy.targets.base import Job
    from passerby.deploy.targets.export import export_to

    path = tmp_path / "tiny.param"
    export_to("ncnn", TARGETS["ncnn"], MAKERS["ncnn"], Job(tiny_model, tiny_spec, path))
    found, whole = costs_of_layers(path), costs_of_layers(tiny_model)
    assert found.macs == whole.macs
    assert found.parameters == whole.parameters + SHARED
