"""The folder for Qualcomm devices: graph, two decoders, converters; the extra [qnn] where it is installed."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from passerby import Detector
from passerby.deploy import qnn, qnn_licence
from passerby.deploy.targets import MAKERS, TARGETS, dlc_convert, dlc_decode, dlc_folder
from passerby.deploy.targets.base import Job
from passerby.deploy.targets.dlc_ops import need_taken
from passerby.deploy.targets.export import export_to
from passerby.errors import ModelError, SettingError
from passerby.geometry.nms import suppress
from passerby.records import Frame
from passerby.runtime.session import OnnxRuntime

onnx = pytest.importorskip("onnx")


@pytest.fixture
def alone(monkeypatch):
    """A machine without Qualcomm's tools."""
    monkeypatch.setattr(qnn, "is_installed", lambda: False)
    monkeypatch.setattr(dlc_convert, "CONVERTERS", ())


@pytest.fixture
def folder(alone, tiny_model, tiny_spec, tmp_path):
    """The folder of the tiny model; its threshold is low enough for it to find something."""
    from passerby.runtime.model_file import write_spec

    model = tmp_path / "tiny.onnx"
    write_spec(tiny_model, tiny_spec.with_(threshold=0.05), model)
    job = Job(model, tiny_spec.with_(threshold=0.05), tmp_path / "tiny-dlc")
    export_to("dlc", TARGETS["dlc"], MAKERS["dlc"], job)
    return tmp_path / "tiny-dlc"


@pytest.fixture
def device(folder, make_pixels):
    """What a device would leave of a picture at the input's size: its outputs as files, and what Detector finds."""
    pixels = make_pixels(64, 64)
    engine = OnnxRuntime(folder / "tiny.onnx", "tiny", 1)
    results = folder / "output" / "Result_0"
    results.mkdir(parents=True)
    for name, array in zip(engine.outputs, engine.answer(pixels[None]), strict=True):
        (results / f"{name}.raw").write_bytes(array.tobytes())
    found = Detector(folder.parent / "tiny.onnx", engine="onnxruntime")(Frame(pixels, "made"))
    assert len(found) > 5
    return results, found


def agree(lines, found):
    """Lines of a decoder and Detections, both highest score first."""
    rows = [line.split() for line in lines]
    assert [r[0] for r in rows] == [found.names[k] for k in found.labels]
    np.testing.assert_allclose([float(r[1]) for r in rows], found.scores, atol=1e-4)
    np.testing.assert_allclose([[float(v) for v in r[2:]] for r in rows], found.boxes, atol=0.02)


def test_the_numpy_decoder_finds_what_the_detector_finds(folder, device):
    results, found = device
    words = [sys.executable, folder / "decode.py", results, folder / "tiny.json"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=folder.parent)
    assert done.returncode == 0, done.stderr
    agree(done.stdout.splitlines(), found)


def test_the_c_decoder_finds_what_the_detector_finds(folder, device):
    if not shutil.which("gcc"):
        pytest.skip("no gcc")
    results, found = device
    words = ["gcc", "-std=c99", "-Wall", "-Wextra", "-Werror", "-O2", "-o", "decode", "decode.c", "-lm"]
    built = subprocess.run(words, capture_output=True, text=True, check=False, cwd=folder)
    assert built.returncode == 0, built.stderr
    done = subprocess.run([folder / "decode", results], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    agree(done.stdout.splitlines(), found)
    (results / "logits_0_8x8.raw").write_bytes(b"1234")
    short = subprocess.run([folder / "decode", results], capture_output=True, text=True, check=False)
    assert short.returncode == 1
    assert "logits_0_8x8.raw" in short.stderr


@pytest.mark.parametrize("nms", ["hard", "soft"])
def test_both_decoders_suppress_as_the_detector_does(tmp_path, make_spec, nms):
    spec = make_spec(threshold=0.2, nms=nms, nms_iou=0.4)
    dlc_folder.prepare(tmp_path, spec, ())
    rng = np.random.default_rng(3)
    logits, offsets = rng.normal(0, 2, (64, 1)).astype(np.float32), rng.normal(0, 2, (64, 4)).astype(np.float32)
    (tmp_path / "logits_0_8x8.raw").write_bytes(logits.tobytes())
    (tmp_path / "offsets_0_8x8.raw").write_bytes(offsets.tobytes())
    model = json.loads(spec.to_json())
    boxes, scores, _ = suppress(*dlc_decode.decode(logits, offsets, model), 0.2, 0.4, 200, nms)
    found = dlc_decode.find(tmp_path, model)
    assert len(found) == len(scores) > 10
    np.testing.assert_allclose([s for _, s, _ in found], scores, atol=1e-5)
    np.testing.assert_allclose([b for *_, b in found], boxes.clip(0, 64), atol=0.02)
    if shutil.which("gcc"):
        subprocess.run(["gcc", "-std=c99", "-o", "decode", "decode.c", "-lm"], check=True, cwd=tmp_path)
        lines = subprocess.run([tmp_path / "decode", tmp_path], capture_output=True, text=True, check=True).stdout
        rows = [[float(v) for v in line.split()[1:]] for line in lines.splitlines()]
        np.testing.assert_allclose([r[0] for r in rows], scores, atol=1e-4)
        np.testing.assert_allclose([r[1:] for r in rows], boxes.clip(0, 64), atol=0.02)


def test_both_decoders_read_softmax_with_the_background_first(tmp_path, make_spec):
    spec = make_spec(scoring="softmax", labels=("head", 'a "b\\'), threshold=0.3)
    dlc_folder.prepare(tmp_path, spec, ())
    rng = np.random.default_rng(0)
    logits, offsets = rng.normal(0, 2, (64, 3)).astype(np.float32), rng.normal(0, 1, (64, 4)).astype(np.float32)
    (tmp_path / "logits_0_8x8.raw").write_bytes(logits.tobytes())
    (tmp_path / "offsets_0_8x8.raw").write_bytes(offsets.tobytes())
    found = dlc_decode.find(tmp_path, json.loads(spec.to_json()))
    assert {label for label, _, _ in found} == set(spec.labels)
    if shutil.which("gcc"):
        subprocess.run(["gcc", "-std=c99", "-o", "decode", "decode.c", "-lm"], check=True, cwd=tmp_path)
        lines = subprocess.run([tmp_path / "decode", tmp_path], capture_output=True, text=True, check=True).stdout
        assert [line.rsplit(" ", 5)[0] for line in lines.splitlines()] == [label for label, _, _ in found]
        scores = [float(line.rsplit(" ", 5)[1]) for line in lines.splitlines()]
        np.testing.assert_allclose(scores, [s for _, s, _ in found], atol=1e-4)


def test_the_folder_holds_what_a_converter_needs(folder, tiny_spec):
    names = {p.name for p in folder.iterdir()}
    assert {"tiny.onnx", "tiny.json", "default_boxes.raw", "input_list.txt", "commands.sh", "README.md"} <= names
    pictures = (folder / "input_list.txt").read_text().split()
    assert len(pictures) == 6
    assert (folder / pictures[0]).stat().st_size == 64 * 64 * 3 * 4
    assert (folder / "default_boxes.raw").stat().st_size == sum(map(len, tiny_spec.anchors)) * 16
    assert json.loads((folder / "tiny.json").read_text())["provenance"]["certificate"]["broken"] == []
    assert "no .dlc was written" in (folder / "README.md").read_text()
    assert "logits_0_8x8" in (folder / "README.md").read_text()


def test_an_operator_that_the_tools_lack_is_named_with_what_to_do():
    node = onnx.helper.make_node("NonMaxSuppression", ["b", "s"], ["k"], name="last")
    graph = onnx.helper.make_graph([node], "g", [], [])
    proto = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)])
    with pytest.raises(ModelError, match=r"take no NonMaxSuppression \(first at last\); a one-stage network"):
        need_taken(proto, "x.onnx")
    proto.opset_import[0].version = 99
    with pytest.raises(ModelError, match="its opset is 99"):
        need_taken(proto, "x.onnx")


FAKE = """#!{python}
import pathlib, sys
words = sys.argv[1:]
pathlib.Path("said.txt").open("a").write(" ".join([pathlib.Path(sys.argv[0]).name, *words]) + "\\n")
out = [w for w in words if w.endswith((".dlc", ".cpp"))][-1]
if {fails}: sys.exit("ERROR: op not supported")
pathlib.Path(out.split("=")[-1]).write_bytes(b"dlc")
"""


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """Puts programs of Qualcomm's names on the PATH that write down their words; fails: they stop instead."""

    def put(*names, fails=False):
        place = tmp_path / "bin"
        place.mkdir(exist_ok=True)
        for name in names:
            (place / name).write_text(FAKE.format(python=sys.executable, fails=fails))
            (place / name).chmod(0o755)
        monkeypatch.setenv("PATH", str(place))

    return put


@pytest.mark.parametrize(
    ("programs", "first"),
    [
        (("qairt-converter", "qairt-quantizer"), "qairt-converter --input_network m.onnx --output_path m.dlc"),
        (("snpe-onnx-to-dlc", "snpe-dlc-quant"), "snpe-onnx-to-dlc --input_network m.onnx --output_path m.dlc"),
        (("qnn-onnx-converter",), "qnn-onnx-converter --input_network m.onnx --output_path m.cpp"),
    ],
)
def test_a_converter_on_the_path_is_used_with_the_words_of_its_manual(fake, tmp_path, programs, first):
    fake(*programs)
    converter = dlc_convert.find_converter()
    assert converter is not None
    lines = dlc_convert.convert(converter, tmp_path, "m", False)
    said = (tmp_path / "said.txt").read_text().splitlines()
    assert said[0].startswith(first)
    assert said[1].startswith(programs[-1])
    assert "input_list.txt" in said[1]
    assert lines[-1].endswith("done")


def test_an_int8_graph_is_not_quantised_again(fake, tmp_path):
    fake("qairt-converter", "qairt-quantizer")
    dlc_convert.convert(dlc_convert.CONVERTERS[0], tmp_path, "m", True)
    assert len((tmp_path / "said.txt").read_text().splitlines()) == 1


def test_a_converter_that_fails_is_told_with_its_own_words(fake, tmp_path):
    fake("qairt-converter", fails=True)
    with pytest.raises(ModelError, match=r"qairt-converter .* failed: ERROR: op not supported"):
        dlc_convert.convert(dlc_convert.CONVERTERS[0], tmp_path, "m", False)


def test_the_licence_is_said_before_the_first_use_and_asked_once(monkeypatch, tmp_path):
    monkeypatch.delenv(qnn_licence.VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    with pytest.raises(SettingError, match=r"Qualcomm_LICENSE\.pdf.*--accept-qualcomm-licence"):
        qnn_licence.need_accepted(False)
    qnn_licence.need_accepted(True)
    qnn_licence.need_accepted(False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "other"))
    monkeypatch.setenv(qnn_licence.VARIABLE, "1")
    qnn_licence.need_accepted(False)


@pytest.mark.skipif(importlib.util.find_spec("onnxruntime_qnn") is None, reason="the extra [qnn] is not installed")
def test_qualcomms_libraries_write_a_dlc_and_the_emulator_agrees(tiny_model, tiny_spec, tmp_path, monkeypatch):
    monkeypatch.setattr(dlc_convert, "CONVERTERS", ())
    job = Job(tiny_model, tiny_spec, tmp_path / "out")
    done = export_to("dlc", TARGETS["dlc"], MAKERS["dlc"], job)
    assert (tmp_path / "out" / "tiny.dlc").read_bytes()[:2] == b"PK"
    assert (tmp_path / "out" / "tiny-htp-v73.bin").stat().st_size > 10_000
    assert done.certificate is not None
    assert "qnn-htp-emulator" in done.certificate.after.engine
    assert done.certificate.broken() == []
