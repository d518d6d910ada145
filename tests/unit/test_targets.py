"""passerby export --target: what is written answers as the model does, and what cannot be is refused by name."""

from __future__ import annotations

import importlib.util
import json

import numpy as np
import pytest

from passerby import Detector
from passerby.deploy.targets import MAKERS, TARGETS, target_of
from passerby.deploy.targets.base import Job, need_able
from passerby.deploy.targets.export import default_out, export_to
from passerby.deploy.targets.onnx_input import channels_first, turn_late
from passerby.errors import MissingExtraError, ModelError, OutputError, ParityError, SettingError
from passerby.runtime.model_file import find_model, read_spec, write_spec
from passerby.runtime.session import open_engine

onnx = pytest.importorskip("onnx")


@pytest.fixture
def make(tiny_model, tiny_spec, tmp_path):
    """Exports the tiny model: target, file name, wishes of Job -> Exported."""

    def run(name, file, **wishes):
        job = Job(tiny_model, tiny_spec, tmp_path / file, **wishes)
        return export_to(name, TARGETS[name], MAKERS[name], job)

    return run


def same(path, tiny_model, make_pixels, **changes):
    """Whether a file finds what the tiny model finds, at a floor where it finds something."""
    one = Detector(tiny_model, 0.05, "onnxruntime")(make_pixels(90, 70))
    other = Detector(path, 0.05, **changes)(make_pixels(90, 70))
    assert len(one) > 3
    assert len(one) == len(other)
    np.testing.assert_allclose(one.scores, other.scores, atol=1e-4)
    np.testing.assert_allclose(one.boxes, other.boxes, atol=0.02)


@pytest.mark.parametrize(
    ("outputs", "free"), [("decoded", False), ("decoded", True), ("raw", False), ("raw", True), ("nms", False)]
)
def test_every_onnx_variant_finds_the_same(make, tiny_model, make_pixels, tmp_path, outputs, free):
    done = make("onnx", "out.onnx", outputs=outputs, free=free)
    spec = read_spec(tmp_path / "out.onnx")
    assert spec.outputs == outputs
    assert spec.provenance["certificate"]["broken"] == []
    assert done.certificate is not None
    assert done.certificate.pictures == 6
    same(tmp_path / "out.onnx", tiny_model, make_pixels, engine="onnxruntime")


def test_a_free_batch_gives_each_picture_its_own_answer(make, tmp_path, tiny_spec):
    import onnxruntime

    make("onnx", "out.onnx", free=True)
    session = onnxruntime.InferenceSession(tmp_path / "out.onnx")
    pixels = np.random.default_rng(0).integers(0, 256, (3, tiny_spec.height, tiny_spec.width, 3), np.uint8)
    together = session.run(None, {"pixels": pixels})
    alone = session.run(None, {"pixels": pixels[2:]})
    for a, b in zip(together, alone, strict=True):
        assert len(a) == 3
        np.testing.assert_allclose(a[2], b[0], atol=1e-4)


def test_suppressed_boxes_come_best_first_and_none_is_under_the_floor(make, tmp_path, tiny_spec):
    import onnxruntime

    make("onnx", "out.onnx", outputs="nms", floor=0.2)
    session = onnxruntime.InferenceSession(tmp_path / "out.onnx")
    pixels = np.random.default_rng(1).integers(0, 256, (1, tiny_spec.height, tiny_spec.width, 3), np.uint8)
    boxes, scores, labels = session.run(["boxes", "scores", "labels"], {"pixels": pixels})
    assert 0 < len(scores) <= tiny_spec.max_detections
    assert (np.diff(scores) <= 0).all()
    assert scores.min() >= np.float32(0.2)
    assert boxes.shape == (len(scores), 4)
    assert set(labels.tolist()) == {0}


def test_a_soft_model_with_suppression_inside_is_hard_and_judged_against_hard(tiny_model, tiny_spec, tmp_path):
    soft = tiny_spec.with_(nms="soft", nms_iou=0.05, threshold=0.05)
    write_spec(tiny_model, soft, tmp_path / "soft.onnx")
    job = Job(tmp_path / "soft.onnx", soft, tmp_path / "out.onnx", outputs="nms")
    done = export_to("onnx", TARGETS["onnx"], MAKERS["onnx"], job)
    assert read_spec(tmp_path / "out.onnx").nms == "hard"
    assert done.certificate is not None
    shown = done.certificate.record()["shown"]
    assert shown["before"] > 3
    assert (shown["lost"], shown["gained"]) == (0, 0)


def test_where_suppression_is_inside_there_is_no_map_of_where(make, tmp_path, make_pixels):
    make("onnx", "out.onnx", outputs="nms")
    with pytest.raises(ModelError, match="suppresses inside"):
        Detector(tmp_path / "out.onnx", engine="onnxruntime").look(make_pixels())


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_openvino_files_find_the_same(make, tiny_model, make_pixels, tmp_path, precision):
    pytest.importorskip("openvino")
    done = make("openvino", "out.xml", precision=precision)
    assert [p.name for p in done.files] == ["out.xml", "out.bin"]
    assert Detector(tmp_path / "out.xml").engine_name.startswith("openvino")
    one = open_engine(tiny_model, "tiny", "openvino", spec=read_spec(tiny_model))
    other = open_engine(tmp_path / "out.xml", "out", spec=read_spec(tmp_path / "out.xml"))
    pixels = np.random.default_rng(2).integers(0, 256, (1, 64, 64, 3), np.uint8)
    for a, b in zip(one.run(pixels), other.run(pixels), strict=True):
        np.testing.assert_allclose(a, b, atol=1.0 if a.shape[1] == 4 else 0.05)
    assert read_spec(tmp_path / "out.xml").provenance["certificate"]["after"]["engine"].startswith("openvino")


def test_ncnn_files_find_the_same(make, tiny_model, make_pixels, tmp_path):
    pytest.importorskip("ncnn")
    if importlib.util.find_spec("pnnx") is None:
        pytest.skip("pnnx is not installed")
    done = make("ncnn", "out.param")
    assert [p.name for p in done.files] == ["out.param", "out.bin", "out.json"]
    assert "logits_0_8x8" in (tmp_path / "out.param").read_text()
    same(tmp_path / "out.param", tiny_model, make_pixels)


def test_a_localiser_goes_out_as_openvino_but_not_as_dlc(red_model, tmp_path):
    pytest.importorskip("openvino")
    path = red_model if not isinstance(red_model, tuple) else red_model[0]
    job = Job(path, read_spec(path), tmp_path / "out.xml")
    export_to("openvino", TARGETS["openvino"], MAKERS["openvino"], job)
    assert read_spec(tmp_path / "out.xml").task == "localise"
    with pytest.raises(SettingError, match="takes detectors only"):
        need_able("dlc", TARGETS["dlc"], job)


@pytest.mark.parametrize(
    ("name", "wishes", "words"),
    [
        ("ncnn", {"outputs": "decoded"}, "no outputs 'decoded'"),
        ("onnx", {"outputs": "rwa"}, "did you mean 'raw'"),
        ("onnx", {"precision": "float16"}, "no float16 weights"),
        ("onnx", {"outputs": "nms", "free": True}, "goes with --batch 1"),
        ("dlc", {"free": True}, "one picture at a time"),
    ],
)
def test_what_a_target_cannot_do_is_said(tiny_model, tiny_spec, tmp_path, name, wishes, words):
    with pytest.raises(SettingError, match=words):
        need_able(name, TARGETS[name], Job(tiny_model, tiny_spec, tmp_path / "x", **wishes))


def test_an_int8_model_is_refused_where_it_is_not_taken(tiny_model, tiny_spec, tmp_path):
    job = Job(tiny_model, tiny_spec.with_(precision="int8"), tmp_path / "x.mlpackage")
    with pytest.raises(SettingError, match="takes float32 models, and tiny is int8; start from the float32 file"):
        need_able("coreml", TARGETS["coreml"], job)


def test_pixels_can_be_normalised_before_they_are_turned(tiny_model, make_pixels):
    import onnx
    import onnxruntime

    proto = onnx.load(str(tiny_model))
    pixels = make_pixels(64, 64)[None]
    before = onnxruntime.InferenceSession(proto.SerializeToString()).run(None, {"pixels": pixels})
    assert [n.op_type for n in proto.graph.node if "pixels" in n.input] == ["Transpose"]
    turn_late(proto)
    assert [n.op_type for n in proto.graph.node if "pixels" in n.input] == ["Cast"]
    kinds = {out: n.op_type for n in proto.graph.node for out in n.output}
    after = onnxruntime.InferenceSession(proto.SerializeToString()).run(None, {"pixels": pixels})
    (turn,) = (n for n in proto.graph.node if n.op_type == "Transpose" and list(n.attribute[0].ints) == [0, 3, 1, 2])
    assert kinds[turn.input[0]] == "Div"
    assert next(n.op_type for n in proto.graph.node if turn.output[0] in n.input) in ("Conv", "Pad")
    for a, b in zip(before, after, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_a_graph_that_begins_otherwise_stays_as_it_is(tiny_model):
    import onnx

    def steps():
        return sorted((n.op_type, *n.input, *n.output) for n in proto.graph.node)

    proto = onnx.load(str(tiny_model))
    channels_first(proto)
    before = steps()
    turn_late(proto)
    assert steps() == before


def test_a_file_that_was_cut_already_is_refused(make, tmp_path, tiny_spec):
    make("onnx", "raw.onnx", outputs="raw")
    job = Job(tmp_path / "raw.onnx", read_spec(tmp_path / "raw.onnx"), tmp_path / "again.onnx", "nms")
    with pytest.raises(SettingError, match="ends in raw outputs already"):
        export_to("onnx", TARGETS["onnx"], MAKERS["onnx"], job)


def test_beyond_the_limits_nothing_is_left(make, tmp_path, monkeypatch, tiny_spec):
    from passerby.deploy.targets import onnx_graph

    real = onnx_graph.load_graph

    def spoilt(path):
        proto, spec = real(path)
        for constant in proto.graph.initializer:
            weights = onnx.numpy_helper.to_array(constant)
            if weights.ndim == 4:
                constant.CopyFrom(onnx.numpy_helper.from_array(weights * np.float32(1.2), constant.name))
        return proto, spec

    monkeypatch.setattr(onnx_graph, "load_graph", spoilt)
    with pytest.raises(ParityError, match=r"out\.onnx: not written: "):
        make("onnx", "out.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_its_place_is_not_overwritten(make, tmp_path):
    (tmp_path / "out.onnx").mkdir()
    with pytest.raises(OutputError, match="is there already"):
        make("onnx", "out.onnx")


def test_the_model_itself_is_not_overwritten(tiny_model, tiny_spec):
    with pytest.raises(SettingError, match="that is the model itself"):
        default_out(tiny_model, tiny_spec, "onnx", TARGETS["onnx"], False)


def test_a_missing_tool_is_named_with_the_line_that_installs_it(make, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "openvino" else object())
    with pytest.raises(MissingExtraError, match=r"needs openvino.*pip install 'passerby\[openvino\]'"):
        make("openvino", "out.xml")


def test_an_unknown_target_gets_the_nearest():
    with pytest.raises(SettingError, match=r"no target 'opnvino' .did you mean 'openvino'"):
        target_of("opnvino")


def test_every_target_has_a_maker_and_an_extra_that_exists():
    import tomllib
    from pathlib import Path

    build = tomllib.loads((Path(__file__).resolve().parents[2] / "pyproject.toml").read_text(encoding="utf-8"))
    extras = build["project"]["optional-dependencies"]
    for name, target in TARGETS.items():
        assert target.torch or name in MAKERS
        assert all(extra in extras for _, extra in target.modules), name


def test_the_command_writes_a_file_its_certificate_and_one_document(cli, tiny_model):
    ran = cli("export", tiny_model, "--target", "onnx", "--outputs", "raw", "--to", "raw.onnx", "--json")
    assert ran.code == 0, ran.err
    told = json.loads(ran.out)
    assert told["files"] == ["raw.onnx"]
    assert told["certificate"]["broken"] == []


def test_the_list_of_targets_shows_each(cli):
    ran = cli("export", "--list")
    assert ran.code == 0
    for name in TARGETS:
        assert name in ran.out


def test_the_command_refuses_what_it_must(cli, refused, tiny_model):
    refused(cli("export", tiny_model, "--target", "onx"), 2, "no target 'onx'")
    refused(cli("export", "gone.onnx", "--target", "openvino"), 5, "no such model file")
    refused(cli("export", tiny_model), 2, "that is the model itself")
    refused(cli("export", tiny_model, "--to", find_model("head")), 2, "head.onnx: ships with passerby")


@pytest.mark.parametrize(
    ("kind", "to", "wanted"),
    [("onnx", "small.xml", ".onnx"), ("onnx", "small", ".onnx"), ("openvino", "small.mp4", ".xml")],
)
@pytest.mark.parametrize("resized", [False, True], ids=["as it is", "at another size"])
def test_a_file_is_named_as_its_target_s_are(cli, refused, tiny_model, tmp_path, kind, to, wanted, resized):
    words = ["--input", "96x64"] if resized else []
    before = sorted(tmp_path.iterdir())
    said = f"--to {to}: target {kind} writes a {wanted} file; name it so"
    refused(cli("export", tiny_model, "--target", kind, "--to", to, *words), 2, said)
    assert sorted(tmp_path.iterdir()) == before


def test_nodes_out_of_order_are_put_in_order(tiny_model, tmp_path, tiny_spec):
    from passerby.deploy.targets.onnx_graph import cut_to_raw, sort_nodes, to_file

    proto = onnx.load(str(tiny_model))
    turned = list(reversed(proto.graph.node))
    del proto.graph.node[:]
    proto.graph.node.extend(turned)
    with pytest.raises(onnx.checker.ValidationError):
        onnx.checker.check_model(proto)
    sort_nodes(proto)
    to_file(proto, cut_to_raw(proto, tiny_spec), tmp_path / "out.onnx")
