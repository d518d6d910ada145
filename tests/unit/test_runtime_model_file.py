"""Model files: found by name or path, and refused with one clear reason."""

from __future__ import annotations

import json

import pytest

from passerby.errors import ModelError, SettingError
from passerby.runtime import model_file
from passerby.runtime.model_file import find_model, read_spec
from passerby.spec import METADATA_KEY, ModelSpec


@pytest.fixture
def foreign():
    """Makes a good ONNX file with some metadata, e.g. {"author": "someone"}."""
    onnx = pytest.importorskip("onnx")

    def make(path, metadata):
        values = [onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, [1]) for n in "xy"]
        graph = onnx.helper.make_graph([onnx.helper.make_node("Identity", ["x"], ["y"])], "g", values[:1], values[1:])
        proto = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)])
        onnx.helper.set_model_props(proto, metadata)
        path.write_bytes(proto.SerializeToString())
        return path

    return make


def facts(spec, **changes):
    return json.dumps({**json.loads(spec.to_json()), **changes})


def reason(path):
    with pytest.raises(ModelError) as e:
        read_spec(path)
    text = str(e.value)
    assert text.startswith(f"{path}: ")
    assert "\n" not in text
    return text


def test_a_good_file_gives_its_spec(tiny_model, tiny_spec):
    spec = read_spec(tiny_model)
    assert spec.to_json() == tiny_spec.to_json()
    assert (spec.name, spec.width, spec.height, spec.labels) == ("tiny", 64, 64, ("head",))
    assert sum(map(len, spec.anchors)) == (8 * 8 + 4 * 4 + 2 * 2 + 1) * 2


def test_a_spec_survives_the_way_through_json(tiny_spec):
    assert ModelSpec.from_json(tiny_spec.to_json()).to_json() == tiny_spec.to_json()


def test_our_reader_of_the_metadata_agrees_with_onnx(tiny_bytes):
    onnx = pytest.importorskip("onnx")
    theirs = {p.key: p.value for p in onnx.load_from_string(tiny_bytes).metadata_props}
    assert dict(model_file._metadata(tiny_bytes)) == theirs


def test_an_empty_file_is_said_to_be_empty(tmp_path):
    path = tmp_path / "m.onnx"
    path.write_bytes(b"")
    assert "empty (0 bytes)" in reason(path)


@pytest.mark.parametrize(
    "data",
    [bytes(range(256)) * 8, b"\xff" * 500, b"\x00", b"hello, I am a text file\n", b"\x89PNG\r\n\x1a\n" + b"\0" * 50],
    ids=["every byte", "ones", "one zero", "text", "start of a PNG"],
)
def test_bytes_that_are_no_onnx_are_refused(tmp_path, data):
    path = tmp_path / "m.onnx"
    path.write_bytes(data)
    assert "not an ONNX file" in reason(path)


def test_a_picture_is_no_model(tmp_path, make_picture):
    assert "not an ONNX file" in reason(make_picture(tmp_path / "p.png"))


@pytest.mark.parametrize("seed", range(20))
def test_random_bytes_are_refused_and_never_crash(tmp_path, seed):
    import random

    path = tmp_path / "m.onnx"
    path.write_bytes(random.Random(seed).randbytes(2000))
    reason(path)


@pytest.mark.parametrize("share", [0.001, 0.1, 0.5, 0.9, 0.99])
def test_a_file_cut_anywhere_is_refused(tmp_path, tiny_bytes, share):
    path = tmp_path / "m.onnx"
    path.write_bytes(tiny_bytes[: int(len(tiny_bytes) * share)])
    assert "cut short" in reason(path)


@pytest.mark.parametrize("missing", [1, 2, 10, 1000])
def test_a_file_that_lacks_its_last_bytes_is_refused(tmp_path, tiny_bytes, missing):
    path = tmp_path / "m.onnx"
    path.write_bytes(tiny_bytes[:-missing])
    assert "cut short" in reason(path)


def test_an_onnx_file_of_others_is_refused_with_the_cure(tmp_path, foreign):
    for metadata in ({}, {"author": "someone"}):
        text = reason(foreign(tmp_path / "m.onnx", metadata))
        assert "not one of passerby's" in text
        assert "passerby export" in text


@pytest.mark.parametrize("text", ["", "not json", '{"format": 1', "[1, 2]", "7"])
def test_metadata_that_is_no_json_object_is_refused(tmp_path, foreign, text):
    assert "metadata" in reason(foreign(tmp_path / "m.onnx", {METADATA_KEY: text}))


@pytest.mark.parametrize("number", [2, 0, None, "1"])
def test_metadata_of_another_format_is_refused_by_number(tmp_path, foreign, make_spec, number):
    path = foreign(tmp_path / "m.onnx", {METADATA_KEY: facts(make_spec(), format=number)})
    assert f"format {number}, this passerby reads 1" in reason(path)


def test_an_unknown_field_is_named(tmp_path, foreign, make_spec):
    path = foreign(tmp_path / "m.onnx", {METADATA_KEY: facts(make_spec(), smell="rose")})
    assert "'smell'" in reason(path)


@pytest.mark.parametrize(
    "change",
    [
        {"threshold": 1.5},
        {"threshold": "0.5"},
        {"nms_iou": -1},
        {"height": 0},
        {"width": "64"},
        {"resize": "squeeze"},
        {"scoring": "guess"},
        {"labels": []},
        {"labels": None},
        {"anchors": []},
        {"anchors": [{"rows": 1}]},
        {"variance": []},
        {"variance": [0.1]},
        {"max_detections": 0},
        {"layers": [{"name": "x"}]},
    ],
    ids=str,
)
def test_a_field_out_of_range_is_refused(tmp_path, foreign, make_spec, change):
    reason(foreign(tmp_path / "m.onnx", {METADATA_KEY: facts(make_spec(), **change)}))


def test_a_missing_field_is_named(tmp_path, foreign, make_spec):
    raw = json.loads(make_spec().to_json())
    del raw["labels"]
    assert "'labels'" in reason(foreign(tmp_path / "m.onnx", {METADATA_KEY: json.dumps(raw)}))


def test_a_folder_is_no_model(tmp_path):
    assert "cannot be read" in reason(tmp_path)


def test_a_shipped_model_is_found_by_name(monkeypatch, tmp_path):
    monkeypatch.setattr(model_file, "shipped_models", lambda: {"head": tmp_path / "head.onnx"})
    assert find_model("head") == tmp_path / "head.onnx"


def test_a_file_is_found_by_path(tiny_model):
    assert find_model(tiny_model) == tiny_model
    assert find_model(str(tiny_model)) == tiny_model


@pytest.mark.parametrize("typed", ["heda", "haed", "heads"])
def test_an_unknown_name_gets_the_nearest(monkeypatch, tmp_path, typed):
    monkeypatch.setattr(model_file, "shipped_models", lambda: {"head": tmp_path / "head.onnx"})
    with pytest.raises(SettingError, match=rf"no model '{typed}' \(did you mean 'head'\?\); or give an \.onnx file"):
        find_model(typed)


@pytest.mark.parametrize("typed", ["head.onnx", "models/head", "/nowhere/head.onnx"])
def test_a_missing_file_is_no_unknown_name(monkeypatch, tmp_path, typed):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match=f"{typed}: no such model file"):
        find_model(typed)
