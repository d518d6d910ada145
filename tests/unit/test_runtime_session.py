"""Engines: chosen by name, refused with a reason, and of one opinion."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from passerby.errors import MissingExtraError, ModelError, SettingError
from passerby.runtime.detector import Detector
from passerby.runtime.session import ENGINES, open_engine


@pytest.fixture
def noise():
    """(1, 64, 64, 3) uint8."""
    return np.random.default_rng(1).integers(0, 256, (1, 64, 64, 3), np.uint8)


def test_onnx_runtime_and_openvino_agree(tiny_bytes, noise):
    # OpenVINO multiplies in bfloat16 where the processor can: 8 bits of mantissa, 1/256 an operation, which adds up
    # over the layers. In float32 the two differ by 1e-5.
    pytest.importorskip("openvino")
    boxes, scores = open_engine(tiny_bytes, "tiny", "onnxruntime", 1).run(noise)
    other = open_engine(tiny_bytes, "tiny", "openvino", 1)
    other_boxes, other_scores = other.run(noise)
    assert scores.max() - scores.min() > 0.2  # so that there is something to compare
    rough = "float32" not in other.name
    np.testing.assert_allclose(other_boxes, boxes, atol=1.0 if rough else 0.01)
    np.testing.assert_allclose(other_scores, scores, atol=0.05 if rough else 1e-3)


def test_the_engine_says_its_version_and_precision(tiny_bytes):
    import onnxruntime

    assert open_engine(tiny_bytes, "tiny", "onnxruntime").name == f"onnxruntime {onnxruntime.__version__} float32"
    openvino = pytest.importorskip("openvino")
    words = open_engine(tiny_bytes, "tiny", "openvino").name.split()
    assert words[:2] == ["openvino", openvino.__version__.split("-")[0]]
    assert words[2] in ("float32", "bfloat16", "float16")


def test_auto_takes_openvino_where_it_is(tiny_bytes, monkeypatch):
    import importlib.util

    taken = []
    for kind in ENGINES:
        monkeypatch.setitem(ENGINES, kind, lambda *_, kind=kind: taken.append(kind) or SimpleNamespace(name=kind))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    open_engine(tiny_bytes, "tiny")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    open_engine(tiny_bytes, "tiny")
    assert taken == ["openvino", "onnxruntime"]


def test_auto_does_without_openvino(tiny_bytes, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    assert open_engine(tiny_bytes, "tiny").name.startswith("onnxruntime")


def test_openvino_that_is_not_installed_is_named_with_its_pip_line(tiny_bytes, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(MissingExtraError, match=r"openvino.*pip install 'passerby\[openvino\]'"):
        open_engine(tiny_bytes, "tiny", "openvino")


@pytest.mark.parametrize(("typed", "nearest"), [("openvno", "openvino"), ("onnx-runtime", "onnxruntime")])
def test_an_unknown_engine_gets_the_nearest(tiny_bytes, typed, nearest):
    with pytest.raises(SettingError, match=f"no engine '{typed}' .did you mean '{nearest}'"):
        open_engine(tiny_bytes, "tiny", typed)


def test_negative_threads_are_refused(tiny_bytes):
    with pytest.raises(SettingError, match="threads is -1"):
        open_engine(tiny_bytes, "tiny", "onnxruntime", -1)


@pytest.mark.parametrize("kind", list(ENGINES))
def test_a_graph_that_cannot_be_loaded_is_refused_by_name_in_one_line(kind):
    if kind == "openvino":
        pytest.importorskip("openvino")
    onnx = pytest.importorskip("onnx")
    values = [onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, [1]) for n in "xy"]
    graph = onnx.helper.make_graph([onnx.helper.make_node("NoSuchOp", ["x"], ["y"])], "g", values[:1], values[1:])
    proto = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)])
    with pytest.raises(ModelError, match=r"^odd\.onnx: ") as e:
        open_engine(proto.SerializeToString(), "odd.onnx", kind)
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("kind", list(ENGINES))
def test_bytes_cut_short_are_refused_by_name(tiny_bytes, kind):
    if kind == "openvino":
        pytest.importorskip("openvino")
    with pytest.raises(ModelError, match=r"^cut\.onnx: "):
        open_engine(tiny_bytes[: len(tiny_bytes) // 2], "cut.onnx", kind)


@pytest.mark.parametrize("kind", list(ENGINES))
def test_a_picture_that_is_a_view_gives_what_its_copy_gives(tiny_model, kind):
    # of the input's own size, so that the resize hands the view through
    if kind == "openvino":
        pytest.importorskip("openvino")
    detector = Detector(tiny_model, 0.0, kind, threads=1)
    view = np.random.default_rng(2).integers(0, 256, (64, 128, 3), np.uint8)[:, ::-2]
    seen, copied = detector(view), detector(np.ascontiguousarray(view))
    np.testing.assert_array_equal(seen.boxes, copied.boxes)
    np.testing.assert_array_equal(seen.scores, copied.scores)


@pytest.mark.parametrize("kind", list(ENGINES))
def test_a_picture_that_is_read_only_can_be_run(tiny_model, kind):
    if kind == "openvino":
        pytest.importorskip("openvino")
    pixels = np.random.default_rng(2).integers(0, 256, (64, 64, 3), np.uint8)
    pixels.flags.writeable = False
    assert len(Detector(tiny_model, 0.0, kind, threads=1)(pixels)) > 0
