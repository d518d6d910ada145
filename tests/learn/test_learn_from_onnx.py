"""A torch module made of an .onnx file computes what ONNX Runtime does, and converters that start from it agree."""

from __future__ import annotations

import importlib.util

import model_fixtures
import numpy as np
import onnxruntime
import pytest

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")

from passerby.deploy.targets import TARGETS  # noqa: E402
from passerby.deploy.targets.base import Job  # noqa: E402
from passerby.deploy.targets.export import export_to  # noqa: E402
from passerby.deploy.targets.onnx_file import write_onnx  # noqa: E402
from passerby.errors import ModelError  # noqa: E402
from passerby.learn.from_onnx import OPERATORS, load_module  # noqa: E402
from passerby.learn.targets.module import module_of  # noqa: E402
from passerby.runtime.model_file import find_model, read_spec  # noqa: E402

tiny_bytes, tiny_spec, tiny_model = model_fixtures.tiny_bytes, model_fixtures.tiny_spec, model_fixtures.tiny_model
tiny_four, tiny_int8 = model_fixtures.tiny_four, model_fixtures.tiny_int8


def both(path, shape):
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    with torch.inference_mode():
        here = load_module(path)(torch.from_numpy(pixels))
    there = onnxruntime.InferenceSession(path).run(None, {"pixels": pixels})
    return [t.numpy() for t in here], there


@pytest.mark.parametrize("name", ["head", "person-map"])
def test_a_shipped_model_computes_the_same(name):
    path = find_model(name)
    spec = read_spec(path)
    for here, there in zip(*both(path, (1, spec.height, spec.width, 3)), strict=True):
        np.testing.assert_allclose(here, there, atol=1e-3 * max(1.0, float(np.abs(there).max()) / 100))


@pytest.mark.parametrize("outputs", ["decoded", "raw"])
def test_the_tiny_model_computes_the_same_and_can_be_exported(tiny_model, tiny_spec, tmp_path, outputs):
    path = tmp_path / "net.onnx"
    write_onnx(Job(tiny_model, tiny_spec, path, outputs), path)
    for here, there in zip(*both(path, (1, 64, 64, 3)), strict=True):
        np.testing.assert_allclose(here, there, atol=1e-4)
    torch.export.export(load_module(path), (torch.zeros(1, 64, 64, 3, dtype=torch.uint8),))


def one_node(kind, inputs, constants, shape, **facts):
    """A model of one node: `x` of that shape, and constants, in; `y` out."""
    node = onnx.helper.make_node(kind, inputs, ["y"], **facts)
    ports = [onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, s) for n, s in (("x", shape), ("y", None))]
    made = [onnx.numpy_helper.from_array(np.array(v), k) for k, v in constants.items()]
    graph = onnx.helper.make_graph([node], "g", ports[:1], ports[1:], made)
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=10)


KERNEL = np.random.default_rng(1).normal(size=(4, 3, 3, 3)).astype(np.float32)
NODES = {
    "uneven padding": ("Conv", ["x", "w"], {"w": KERNEL}, {"pads": [0, 1, 1, 0], "strides": [2, 2]}),
    "dilated": ("Conv", ["x", "w"], {"w": KERNEL}, {"pads": [2, 2, 2, 2], "dilations": [2, 2]}),
    "slice with a step": ("Slice", ["x", "a", "b", "c", "d"], {"a": [1], "b": [-1], "c": [2], "d": [2]}, {}),
    "slice to the end": ("Slice", ["x", "a", "b", "c"], {"a": [-3], "b": [2**62], "c": [3]}, {}),
    "pool": ("MaxPool", ["x"], {}, {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}),
    "pool rounded up": ("MaxPool", ["x"], {}, {"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1}),
    "length": ("ReduceL2", ["x", "a"], {"a": [1]}, {"keepdims": 1}),
    "one bound": ("Clip", ["x", "", "h"], {"h": np.float32(0.5)}, {}),
    "keeps a side": ("Reshape", ["x", "s"], {"s": [0, -1]}, {}),
}


@pytest.mark.parametrize("case", list(NODES))
def test_one_operator_computes_what_onnx_runtime_does(tmp_path, case):
    kind, inputs, constants, facts = NODES[case]
    proto = one_node(kind, inputs, constants, (1, 3, 9, 7), **facts)
    path = tmp_path / "one.onnx"
    path.write_bytes(proto.SerializeToString())
    x = np.random.default_rng(2).normal(size=(1, 3, 9, 7)).astype(np.float32)
    (there,) = onnxruntime.InferenceSession(path).run(None, {"x": x})
    (here,) = load_module(path)(torch.from_numpy(x))
    assert here.shape == there.shape
    np.testing.assert_allclose(here.numpy(), there, atol=1e-5)


def test_an_operator_that_is_not_known_is_named(tmp_path):
    path = tmp_path / "one.onnx"
    path.write_bytes(one_node("Einsum", ["x"], {}, (1, 2), equation="ab->ba").SerializeToString())
    assert "Einsum" not in OPERATORS
    with pytest.raises(ModelError, match=r"its operators Einsum are not known; start from"):
        load_module(path)


@pytest.mark.parametrize("whole_weights", [True, False])
@pytest.mark.parametrize("which", ["tiny_int8", "tiny_four"])
def test_an_int8_model_computes_the_same_within_a_step(request, which, tmp_path, whole_weights):
    source = request.getfixturevalue(which)
    """Torch rounds halves and adds as floats, ONNX Runtime as integers: a map's values may be one step apart."""
    spec = read_spec(source)
    module, pixels, _ = module_of(Job(source, spec, tmp_path / "x", "decoded"), whole_weights=whole_weights)
    kinds = {str(node.target) for node in torch.export.export(module, (pixels,)).graph.nodes}
    assert ("quantized_decomposed.quantize_per_channel.default" in kinds) == whole_weights
    assert "quantized_decomposed.dequantize_per_channel.default" in kinds
    with torch.inference_mode():
        boxes, scores = module(pixels)
    there = onnxruntime.InferenceSession(source).run(None, {"pixels": pixels.numpy()})
    assert np.ptp(there[1]) > 0.1
    assert np.quantile(np.abs(scores.numpy() - there[1]), 0.99) < 0.03
    assert np.quantile(np.abs(boxes.numpy() - there[0]), 0.99) < 0.3


@pytest.mark.parametrize(
    ("pads", "want"),
    [
        ((0, 0, 1, 1), (4, 4)),
        ((0, 1, 1, 1), (4, 3)),
        ((1, 0, 2, 1), (4, 4)),
        ((1, 1, 1, 1), None),
        ((1, 1, 0, 0), None),
    ],
)
@pytest.mark.parametrize("sides", [(8, 8), (7, 9)])
def test_an_uneven_padding_becomes_even_with_a_kernel_of_more_zeros(pads, want, sides):
    """Where more is padded before than after, it is a Pad."""
    from passerby.learn.targets.signed import to_signed

    make, random = onnx.helper.make_node, np.random.default_rng(0)
    constants = {
        "scale": np.float32(0.02), "zero": np.uint8(100), "w": random.integers(-127, 128, (3, 1, 3, 3), np.int8),
        "scales": np.float32([0.01, 0.02, 0.03]), "zeros": np.zeros(3, np.int8),
    }  # fmt: skip
    nodes = [
        make("QuantizeLinear", ["x", "scale", "zero"], ["q"]),
        make("DequantizeLinear", ["q", "scale", "zero"], ["d"]),
        make("DequantizeLinear", ["w", "scales", "zeros"], ["wd"], axis=0),
        make("Conv", ["d", "wd"], ["y"], "conv", pads=pads, strides=(2, 2), group=3, kernel_shape=(3, 3)),
    ]
    ports = [onnx.helper.make_tensor_value_info(n, 1, s) for n, s in (("x", (1, 3, *sides)), ("y", None))]
    stored = [onnx.numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()]
    graph = onnx.helper.make_graph(nodes, "one", ports[:1], ports[1:], stored)
    proto = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9)
    x = random.normal(size=(1, 3, *sides)).astype(np.float32)
    (before,) = onnxruntime.InferenceSession(proto.SerializeToString()).run(None, {"x": x})
    to_signed(proto, whole_weights=False)
    (after,) = onnxruntime.InferenceSession(proto.SerializeToString()).run(None, {"x": x})
    np.testing.assert_allclose(after, before, atol=1e-5)
    wide = [tuple(i.dims[2:]) for i in proto.graph.initializer if i.name.endswith("_wide")]
    assert wide == ([want] if want else [])
    assert ("Pad" in {n.op_type for n in proto.graph.node}) == (pads == (1, 1, 0, 0))


def test_every_reader_of_a_rounded_map_has_its_own_dequantising(tiny_int8):
    from passerby.learn.targets.signed import to_signed

    proto = onnx.load(str(tiny_int8))
    to_signed(proto, whole_weights=False)
    back = [n.output[0] for n in proto.graph.node if n.op_type == "DequantizeLinear"]
    reads = [name for n in proto.graph.node for name in n.input]
    assert len(back) > 20
    assert all(reads.count(name) == 1 for name in back)
    zeros = {n.input[2] for n in proto.graph.node if n.op_type in ("QuantizeLinear", "DequantizeLinear")}
    kinds = {i.name: i.data_type for i in proto.graph.initializer}
    assert {kinds[z] for z in zeros} == {onnx.TensorProto.INT8}


@pytest.mark.parametrize("int8", [False, True])
@pytest.mark.parametrize(("name", "file"), [("tflite", "t.tflite"), ("coreml", "t.mlpackage"), ("executorch", "t.pte")])
def test_a_converter_that_starts_from_torch_agrees(tiny_model, tiny_four, tmp_path, name, file, int8):
    source = tiny_four if int8 else tiny_model
    if int8 and "int8" not in TARGETS[name].precisions:
        pytest.skip(f"{name} takes no INT8 models")
    for module, _ in TARGETS[name].modules:
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
    from passerby.learn.targets import MAKERS

    done = export_to(name, TARGETS[name], MAKERS[name], Job(source, read_spec(source), tmp_path / file))
    assert (tmp_path / file).exists()
    if name == "coreml":
        assert "Mac only" in done.made.unproven
    else:
        assert done.certificate is not None
        assert done.certificate.broken() == []
        assert done.certificate.after.engine.endswith("int8" if int8 else "float32")
