"""write_spec: the spec inside a model file changes, and nothing else."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from passerby.errors import ModelError, OutputError
from passerby.runtime.model_file import find_model, is_shipped, read_spec, write_spec
from passerby.runtime.protobuf import read_fields, write_field
from passerby.spec import METADATA_KEY


@pytest.fixture
def changed(tiny_model, tiny_spec, tmp_path):
    """A copy with another threshold and a reason in letters beyond ASCII."""
    out = tmp_path / "out.onnx"
    spec = tiny_spec.with_(threshold=0.123, provenance={"threshold_rule": "höchstes F1, 最高", "long": "x" * 70_000})
    write_spec(tiny_model, spec, out)
    return out, spec


def test_the_spec_is_the_new_one(changed):
    out, spec = changed
    assert read_spec(out).to_json() == spec.to_json()


def test_every_other_byte_is_the_same(changed, tiny_bytes):
    onnx = pytest.importorskip("onnx")
    after = onnx.load(changed[0])
    before = onnx.load_from_string(tiny_bytes)
    onnx.checker.check_model(after)
    for proto in (before, after):
        del proto.metadata_props[:]
    assert before.SerializeToString() == after.SerializeToString()
    data = changed[0].read_bytes()
    kept = [bytes(f.whole) for f in read_fields(memoryview(tiny_bytes)) if f.number != 14]
    assert data.startswith(b"".join(kept))


def test_onnx_runtime_answers_the_same(changed, tiny_model, tiny_spec):
    from passerby.runtime.session import OnnxRuntime

    pixels = np.random.default_rng(0).integers(0, 256, (1, tiny_spec.height, tiny_spec.width, 3), np.uint8)
    for one, other in zip(*(OnnxRuntime(p, "x", 1).run(pixels) for p in (tiny_model, changed[0])), strict=True):
        np.testing.assert_array_equal(one, other)


def test_other_metadata_survives_in_place_and_doubles_of_ours_do_not(tmp_path, tiny_bytes, tiny_spec):
    onnx = pytest.importorskip("onnx")
    proto = onnx.load_from_string(tiny_bytes)
    for key, value in (("author", "someone"), (METADATA_KEY, "old"), ("", "nameless"), ("empty", "")):
        entry = proto.metadata_props.add()
        entry.key, entry.value = key, value
    path = tmp_path / "m.onnx"
    path.write_bytes(proto.SerializeToString())
    write_spec(path, tiny_spec.with_(threshold=0.3), path)
    got = [(p.key, p.value) for p in onnx.load(path).metadata_props]
    assert [pair for pair in got if pair[0] != METADATA_KEY] == [("author", "someone"), ("", "nameless"), ("empty", "")]
    assert [k for k, _ in got].count(METADATA_KEY) == 1
    assert read_spec(path).threshold == 0.3


def test_writing_again_and_again_does_not_grow_the_file(tmp_path, tiny_model, tiny_spec):
    path = tmp_path / "m.onnx"
    write_spec(tiny_model, tiny_spec, path)
    first = path.read_bytes()
    for threshold in (0.2, 0.3, tiny_spec.threshold):
        write_spec(path, tiny_spec.with_(threshold=threshold), path)
    assert path.read_bytes() == first


def test_onnx_is_not_needed(shell, tiny_model, tmp_path):
    code = (
        "sys.modules['onnx'] = None; from pathlib import Path; from passerby.runtime.model_file import *; "
        f"p = Path({str(tiny_model)!r}); write_spec(p, read_spec(p).with_(threshold=0.2), Path('out.onnx')); "
        "assert read_spec(Path('out.onnx')).threshold == 0.2"
    )
    ran = shell("--version", before=code)
    assert ran.code == 0, ran.err


def test_a_spec_out_of_range_is_not_written(tmp_path, tiny_model, tiny_spec):
    with pytest.raises(ModelError, match="field 'threshold'"):
        write_spec(tiny_model, tiny_spec.with_(threshold=1.5), tmp_path / "out.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("cut", [1, 100, 5000])
def test_a_file_cut_short_is_refused_and_left_alone(tmp_path, tiny_bytes, tiny_spec, cut):
    path = tmp_path / "m.onnx"
    path.write_bytes(tiny_bytes[:-cut])
    with pytest.raises(ModelError, match="cut short"):
        write_spec(path, tiny_spec, path)
    assert path.read_bytes() == tiny_bytes[:-cut]
    assert [p.name for p in tmp_path.iterdir()] == ["m.onnx"]


def test_a_missing_file_and_a_target_that_cannot_be_written_are_said(tmp_path, tiny_model, tiny_spec):
    with pytest.raises(ModelError, match="cannot be read"):
        write_spec(tmp_path / "gone.onnx", tiny_spec, tmp_path / "out.onnx")
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="cannot be written"):
        write_spec(tiny_model, tiny_spec, tmp_path / "file" / "out.onnx")


def test_a_link_is_followed_and_stays_a_link(tmp_path, tiny_bytes, tiny_spec):
    (tmp_path / "real").mkdir()
    real, link = tmp_path / "real" / "m.onnx", tmp_path / "link.onnx"
    real.write_bytes(tiny_bytes)
    link.symlink_to(real)
    write_spec(link, tiny_spec.with_(threshold=0.2), link)
    assert link.is_symlink()
    assert read_spec(real).threshold == 0.2


def test_a_shipped_model_is_known_by_name_path_and_link(tmp_path, tiny_model):
    shipped = find_model("head")
    (tmp_path / "link.onnx").symlink_to(shipped)
    assert is_shipped(shipped)
    assert is_shipped(tmp_path / "link.onnx")
    assert not is_shipped(tiny_model)


@given(st.integers(0, 2**63), st.binary(max_size=300))
def test_a_field_that_is_written_is_read_back(number, content):
    number = 1 + number % (2**29 - 1)
    data = write_field(number, content)
    (field,) = read_fields(memoryview(data + b""))
    assert (field.number, bytes(field.content), bytes(field.whole)) == (number, content, data)


def test_numbers_and_fixed_fields_are_passed_on_whole():
    # 1: varint 300, 2: fixed64, 3: fixed32, 4: bytes
    data = bytes([0x08, 0xAC, 0x02, 0x11, *range(8), 0x1D, *range(4), 0x22, 2, 7, 7])
    fields = list(read_fields(memoryview(data)))
    assert b"".join(bytes(f.whole) for f in fields) == data
    assert [(f.number, None if f.content is None else bytes(f.content)) for f in fields] == [
        (1, None),
        (2, None),
        (3, None),
        (4, b"\x07\x07"),
    ]


def test_json_of_the_new_spec_is_one_line(changed):
    spec = read_spec(changed[0])
    assert "\n" not in spec.to_json()
    assert json.loads(spec.to_json())["provenance"]["threshold_rule"] == "höchstes F1, 最高"
