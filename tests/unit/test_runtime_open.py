"""Words for models: what they mean, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from passerby.errors import ModelError, SettingError
from passerby.runtime.detector import Detector
from passerby.runtime.open import open_word, parse_word


@pytest.mark.parametrize(
    ("text", "name", "what", "adapter"),
    [
        ("head", "head", "head", ""),
        ("mine=head", "mine", "head", ""),
        ("a/b/c.onnx", "c", "a/b/c.onnx", ""),
        ("c.onnx:yolox", "c", "c.onnx", "yolox"),
        ("x=c.onnx:yolox", "x", "c.onnx", "yolox"),
        ("p.py:find", "find", "p.py:find", ""),
        ("x=pack.mod:find", "x", "pack.mod:find", ""),
        ("best.safetensors", "best", "best.safetensors", ""),
    ],
)
def test_words_by_hand(text, name, what, adapter):
    word = parse_word(text)
    assert (word.name, word.what, word.adapter) == (name, what, adapter)


def test_a_file_whose_name_has_an_equals_sign_is_a_file(tmp_path):
    path = tmp_path / "a=b.onnx"
    path.write_bytes(b"x")
    assert parse_word(str(path)).what == str(path)


@pytest.mark.parametrize("text", ["", "=head", "name="])
def test_empty_words_are_refused(text):
    with pytest.raises(SettingError, match="want NAME, FILE or MODULE:FUNCTION"):
        parse_word(text)


def test_an_unknown_adapter_gets_the_nearest():
    with pytest.raises(SettingError, match=r"no adapter 'yolx' \(did you mean 'yolox'\?\)"):
        parse_word("c.onnx:yolx")


def test_our_file_is_opened_as_ours_with_the_floor(tiny_model):
    opened = open_word(parse_word(str(tiny_model)), 0.02, "onnxruntime", 1)
    assert isinstance(opened, Detector)
    assert opened.threshold == 0.02


def test_our_detector_in_stages_finds_what_a_call_finds(tiny_model, make_pixels):
    opened = open_word(parse_word(str(tiny_model)), 0.02, "onnxruntime", 1)
    ready, placement = opened.prepare(make_pixels())
    staged, called = opened.finish(opened.run(ready), placement), opened(make_pixels())
    assert len(called) > 0
    np.testing.assert_array_equal(staged.boxes, called.boxes)
    np.testing.assert_array_equal(staged.scores, called.scores)


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("gone.onnx", None, "gone.onnx: no such model file"),
        ("gone.xml", None, "gone.xml: no such model file"),
        ("bad.onnx", b"no model at all", "not an ONNX file, or cut short"),
        ("empty.onnx", b"", "the file is empty"),
        ("net.pt", b"x", "a file of .onnx, .xml, .tflite, .param, .safetensors, or MODULE:FUNCTION"),
    ],
)
def test_files_that_are_no_model_are_one_line(tmp_path, name, data, words):
    path = tmp_path / name
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(ModelError, match=words.replace(".", r"\.")) as e:
        open_word(parse_word(str(path)), None, "onnxruntime", 1)
    assert "\n" not in str(e.value)


def test_an_xml_without_its_weights_says_which_file_is_missing(tmp_path):
    pytest.importorskip("openvino")
    (tmp_path / "net.xml").write_text("<net/>")
    with pytest.raises(ModelError, match=r"net\.bin are not beside it"):
        open_word(parse_word(str(tmp_path / "net.xml")))


def test_a_tflite_file_that_is_none_is_one_line(tmp_path):
    pytest.importorskip("ai_edge_litert")
    (tmp_path / "net.tflite").write_bytes(b"not a model")
    with pytest.raises(ModelError, match=r"net\.tflite: LiteRT cannot load it") as e:
        open_word(parse_word(str(tmp_path / "net.tflite")))
    assert "\n" not in str(e.value)


def made_onnx(path, outputs, shape=(1, 3, 64, 64), count=1):
    onnx = pytest.importorskip("onnx")
    make, kind = onnx.helper, onnx.TensorProto.FLOAT
    nodes = [
        make.make_node("Constant", [], [f"o{k}"], value=onnx.numpy_helper.from_array(np.zeros(s, np.float32)))
        for k, s in enumerate(outputs)
    ]
    ports = [make.make_tensor_value_info(f"o{k}", kind, s) for k, s in enumerate(outputs)]
    inputs = [make.make_tensor_value_info(f"in{k}", kind, shape) for k in range(count)]
    model = make.make_model(
        make.make_graph(nodes, "told", inputs, ports), opset_imports=[make.make_opsetid("", 17)], ir_version=8
    )
    path.write_bytes(model.SerializeToString())
    return path


def test_outputs_that_no_adapter_knows_are_told_with_their_shapes_and_the_adapters(tmp_path):
    path = made_onnx(tmp_path / "odd.onnx", [(1, 10, 3), (7,)])
    with pytest.raises(
        ModelError, match=r"no adapter knows its outputs o0 \(1, 10, 3\), o1 \(7\).*yolox.*FILE\.py"
    ) as e:
        open_word(parse_word(str(path)), None, "onnxruntime", 1)
    assert "\n" not in str(e.value)


def test_an_adapter_can_be_forced_and_says_when_it_cannot_read_the_file(tmp_path):
    path = made_onnx(tmp_path / "odd.onnx", [(1, 10, 3)])
    with pytest.raises(ModelError, match=r"o0 \(1, 10, 3\) are not what the adapter yolox reads"):
        open_word(parse_word(f"{path}:yolox"), None, "onnxruntime", 1)


def test_two_inputs_are_refused_with_their_shapes(tmp_path):
    path = made_onnx(tmp_path / "two.onnx", [(1, 84, 85)], count=2)
    with pytest.raises(ModelError, match=r"its inputs are in0 .*, in1 .*; want one of"):
        open_word(parse_word(str(path)), None, "onnxruntime", 1)


def test_classes_without_names_ask_for_them_and_a_wrong_number_of_names_is_told(tmp_path):
    path = made_onnx(tmp_path / "three.onnx", [(1, 84, 8)])
    with pytest.raises(ModelError, match=r"states no names for its 3 classes; say them: --labels a,b,c"):
        open_word(parse_word(str(path)), None, "onnxruntime", 1)
    with pytest.raises(ModelError, match=r"has 3 classes, and 2 names were given"):
        open_word(parse_word(str(path)), None, "onnxruntime", 1, labels=("a", "b"))
    opened = open_word(parse_word(str(path)), None, "onnxruntime", 1, labels=("a", "b", "c"))
    assert opened.spec.labels == ("a", "b", "c")


def test_sides_that_the_file_leaves_open_take_the_makers_size(tmp_path):
    path = made_onnx(tmp_path / "open.onnx", [(1, 8400, 85)], shape=(1, 3, None, None))
    opened = open_word(parse_word(str(path)), None, "onnxruntime", 1)
    assert (opened.kind, opened.width, opened.height) == ("yolox", 640, 640)


@pytest.mark.parametrize(("word", "value"), [("floor", 1.5), ("nms_iou", -1), ("max_detections", 0)])
def test_settings_out_of_range_are_refused(tmp_path, word, value):
    path = made_onnx(tmp_path / "x.onnx", [(1, 84, 85)])
    settings = {"engine": "onnxruntime", "threads": 1} | {word: value}
    with pytest.raises(SettingError, match=str(value)):
        open_word(parse_word(str(path)), **settings)
