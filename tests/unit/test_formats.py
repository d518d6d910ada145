"""Specs inside OpenVINO and TFLite files and beside ncnn's: written, read, and nothing else changed."""

from __future__ import annotations

import pytest

from passerby.errors import ModelError, SettingError
from passerby.runtime.formats import bytes_of, files_of
from passerby.runtime.model_file import is_ours, read_spec, write_spec

XML = '<?xml version="1.0"?><net name="x"><layers/><rt_info><passerby value="{}" /></rt_info></net>\n'


@pytest.fixture(params=[".xml", ".tflite", ".param"])
def model(request, tmp_path, make_spec):
    """A file of each format with a spec in letters beyond ASCII; its weights are no weights."""
    spec = make_spec(provenance={"said": 'a "<b>" & höchstes 最高', "long": "x" * 70_000})
    path = tmp_path / f"m{request.param}"
    path.with_suffix(".bin").write_bytes(b"weights")
    if request.param == ".xml":
        path.write_text(XML.format("old"))
        write_spec(path, spec, path)
    elif request.param == ".tflite":
        path.write_bytes(b"\x1c\0\0\0TFL3 weights")
        write_spec(path, spec, path)
    else:
        path.write_text("7767517\n0 0\n")
        path.with_suffix(".json").write_text(spec.to_json(), encoding="utf-8")
    return path, spec


def test_the_spec_that_was_written_is_read(model):
    path, spec = model
    assert read_spec(path).to_json() == spec.to_json()
    assert is_ours(path)


def test_a_copy_has_the_new_spec_and_the_old_weights(model, tmp_path):
    path, spec = model
    before = path.read_bytes()
    out = tmp_path / "elsewhere" / f"n{path.suffix}"
    write_spec(path, spec.with_(threshold=0.125), out)
    assert read_spec(out).threshold == 0.125
    assert read_spec(path).threshold == spec.threshold
    assert path.read_bytes() == before
    if path.suffix != ".tflite":
        assert out.with_suffix(".bin").read_bytes() == b"weights"
    else:
        assert out.read_bytes().startswith(b"\x1c\0\0\0TFL3 weights")


def test_writing_twice_does_not_grow_the_file(model):
    path, spec = model
    size = bytes_of(path)
    for _ in range(3):
        write_spec(path, spec, path)
    assert bytes_of(path) == size


def test_a_spec_is_not_written_under_another_extension(model, tmp_path):
    path, spec = model
    with pytest.raises(SettingError, match=rf"want a \{path.suffix} file"):
        write_spec(path, spec, tmp_path / "n.onnx")


def test_all_files_of_a_model_count(model):
    path, _ = model
    assert files_of(path)[0] == path
    assert bytes_of(path) == sum(p.stat().st_size for p in files_of(path))


@pytest.mark.parametrize(("name", "data"), [("a.xml", b"<net/>"), ("a.tflite", b"TFL3"), ("a.tflite", b"")])
def test_a_file_of_another_maker_is_not_ours(tmp_path, name, data):
    path = tmp_path / name
    path.write_bytes(data)
    assert not is_ours(path)
    with pytest.raises(ModelError, match="not one of passerby's"):
        read_spec(path)


def test_what_is_missing_beside_a_file_is_named(tmp_path, make_spec):
    path = tmp_path / "a.param"
    path.write_text("7767517\n")
    with pytest.raises(ModelError, match=r"its spec a\.json is not beside it"):
        read_spec(path)
    path = tmp_path / "a.xml"
    path.write_text(XML.format("old"))
    with pytest.raises(ModelError, match=r"a\.bin: is not beside its model"):
        write_spec(path, make_spec(), tmp_path / "b.xml")


def test_bytes_that_are_no_text_are_one_line(tmp_path):
    path = tmp_path / "a.xml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ModelError, match=r"a\.xml: cannot be read"):
        read_spec(path)
