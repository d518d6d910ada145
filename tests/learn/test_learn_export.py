"""Export: the file answers as the network does, knows what it is, and tells nothing of this machine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

import passerby
from passerby.deploy.stated_boxes import COLUMNS
from passerby.errors import ModelError, OutputError, ParityError
from passerby.geometry.anchors import default_boxes
from passerby.geometry.resize import fit
from passerby.learn import to_onnx
from passerby.learn.checkpoint import load_network
from passerby.learn.engine import TorchEngine
from passerby.learn.to_onnx import compare, export
from passerby.runtime.model_file import read_spec
from passerby.runtime.session import OnnxRuntime
from passerby.spec import ModelSpec


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """One export of a focal and one of a mining checkpoint: {loss: (checkpoint, file, spec, parity, bytes)}."""
    return {}


@pytest.fixture(params=["focal", "mining"])
def exported(request, made, make_checkpoint, make_pixels, tmp_path_factory):
    """Checkpoint, file, spec and parity; made once a loss."""
    loss = request.param
    if loss not in made:
        path, _, _ = make_checkpoint(loss=loss, labels=("head", "person"), fusion=16 if loss == "mining" else 0)
        folder = tmp_path_factory.mktemp("export")
        kept, out = folder / path.name, folder / "tiny.onnx"
        kept.write_bytes(path.read_bytes())
        made[loss] = (kept, out, *export(kept, out, [make_pixels(200, 150), make_pixels(33, 90)]))
    return made[loss]


def test_an_export_agrees_with_its_network(exported):
    _, _, _, parity = exported
    assert parity.pictures == 3  # two pictures, and noise
    assert parity.boxes <= 0.1
    assert parity.scores <= 1e-3


def test_agreement_is_measured_again_here_over_every_default_box(exported, make_pixels):
    path, out, _, _ = exported
    network, _, _ = load_network(path)
    here, there = TorchEngine(network, torch.device("cpu")), OnnxRuntime(out.read_bytes(), "tiny", 1)
    for width, height in ((64, 64), (120, 90), (50, 200)):
        pixels = fit(make_pixels(width, height), 64, 64)[0][None]
        (boxes_a, scores_a), (boxes_b, scores_b) = here.run(pixels), there.run(pixels)
        assert boxes_b.shape == (170, 4)
        assert scores_b.shape == (170, 2)  # two classes: the background of softmax is not among them
        np.testing.assert_allclose(boxes_b, boxes_a, atol=0.1)
        np.testing.assert_allclose(scores_b, scores_a, atol=1e-3)
        assert boxes_a.std() > 1
        assert 0 < scores_b.min() <= scores_b.max() < 1


def test_the_spec_in_the_file_is_that_of_the_checkpoint_with_its_layers(exported):
    path, out, spec, _ = exported
    network, of_checkpoint, _ = load_network(path)
    of_file = read_spec(out)
    assert of_file == spec
    assert of_checkpoint.layers == ()
    assert of_file.with_(layers=()) == of_checkpoint
    assert sum(layer.parameters for layer in of_file.layers) == sum(p.numel() for p in network.parameters())


def test_the_graph_takes_bytes_and_gives_boxes_and_scores(exported):
    _, out, _, _ = exported
    model = onnx.load(str(out))
    onnx.checker.check_model(model)
    (pixels,), (boxes, scores) = model.graph.input, model.graph.output
    assert (pixels.name, boxes.name, scores.name) == ("pixels", "boxes", "scores")
    assert pixels.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert [d.dim_value for d in pixels.type.tensor_type.shape.dim] == [1, 64, 64, 3]
    assert [d.dim_value for d in boxes.type.tensor_type.shape.dim] == [1, 170, 4]
    assert [d.dim_value for d in scores.type.tensor_type.shape.dim] == [1, 170, 2]


def test_no_path_of_this_machine_is_in_the_file(exported):
    path, out, _, _ = exported
    data = out.read_bytes()
    home = Path(passerby.__file__).resolve().parent.parent
    for word in (str(home), "site-packages", str(path.parent), str(Path.home()) + "/", ".py"):
        assert word.encode() not in data, word


def test_the_same_checkpoint_gives_the_same_bytes(exported, tmp_path):
    path, out, _, _ = exported
    export(path, tmp_path / "again.onnx", [])
    assert (tmp_path / "again.onnx").read_bytes() == out.read_bytes()


def test_another_name_goes_into_the_file(exported, tmp_path, monkeypatch):
    path, out, _, _ = exported
    seen = []

    def remember(network, spec):
        seen.append(spec)
        return out.read_bytes()

    monkeypatch.setattr(to_onnx, "to_bytes", remember)
    spec, _ = export(path, tmp_path / "named.onnx", [], name="crowd")
    assert spec.name == seen[0].name == "crowd"


@pytest.fixture
def spoil(exported, tmp_path, monkeypatch, make_pixels):
    """Export again, but with a graph of which one bias was changed by a function."""
    path, out, _, _ = exported

    def run(part, change):
        model = onnx.load(str(out))
        found = [t for t in model.graph.initializer if t.name.endswith(f"head.{part}.0.1.bias")]
        assert len(found) == 1
        values = onnx.numpy_helper.to_array(found[0]).copy()
        found[0].CopyFrom(onnx.numpy_helper.from_array(change(values), found[0].name))
        monkeypatch.setattr(to_onnx, "to_bytes", lambda *_: model.SerializeToString())
        target = tmp_path / "spoilt" / "tiny.onnx"
        export(path, target, [make_pixels(80, 80)])
        return target

    return run


@pytest.mark.parametrize("part", ["logits", "offsets"])
def test_a_graph_with_one_bias_changed_is_refused_and_no_file_is_written(spoil, tmp_path, part):
    def change(values):
        values[0] += 0.5
        return values

    with pytest.raises(
        ParityError, match=r"not written: over 2 pictures the exported graph differs from the network by .* \(limit"
    ):
        spoil(part, change)
    assert not (tmp_path / "spoilt").exists() or list((tmp_path / "spoilt").iterdir()) == []


@pytest.mark.parametrize("part", ["logits", "offsets"])
def test_a_graph_that_answers_with_what_is_no_number_is_refused(spoil, tmp_path, part):
    with pytest.raises(ParityError):
        spoil(part, lambda values: np.full_like(values, np.nan))
    assert not (tmp_path / "spoilt" / "tiny.onnx").exists()


def test_a_graph_left_as_it_was_passes_so_that_the_refusals_mean_something(spoil):
    assert spoil("logits", lambda values: values).is_file()


def test_a_file_already_there_stays_when_the_export_fails(exported, tmp_path, monkeypatch):
    path, out, _, _ = exported
    monkeypatch.setattr(to_onnx, "to_bytes", lambda *_: out.read_bytes())
    target = tmp_path / "old.onnx"
    target.write_bytes(b"old")

    def broken(*_):
        return to_onnx.Parity(1, 0.2, 0.0)

    monkeypatch.setattr(to_onnx, "compare", broken)
    with pytest.raises(ParityError, match=r"0\.2 px \(limit 0\.1\)"):
        export(path, target, [])
    assert target.read_bytes() == b"old"


def test_parity_of_scores_counts_every_box_and_of_boxes_those_that_score(exported, monkeypatch):
    path, _, spec, _ = exported
    network, _, _ = load_network(path)
    boxes, scores = np.zeros((3, 4), np.float32), np.array([[0.5], [0.005], [0.001]], np.float32)
    other = boxes + np.array([[0.05], [30], [30]], np.float32)

    class Given:
        def __init__(self, found):
            self.found = found

        def run(self, _):
            return self.found

    monkeypatch.setattr(to_onnx, "TorchEngine", lambda *_: Given((boxes, scores)))
    near = scores + np.array([[0], [0], [0.0004]], np.float32)
    monkeypatch.setattr(to_onnx, "OnnxRuntime", lambda *_: Given((other, near)))
    parity = compare(network, spec, b"", [np.zeros((9, 9, 3), np.uint8)])
    assert parity.boxes == pytest.approx(0.05)
    assert parity.scores == pytest.approx(0.0004, rel=1e-3)
    lifted = scores + np.array([[0], [0.006], [0]], np.float32)  # now it scores, in one of the two
    monkeypatch.setattr(to_onnx, "OnnxRuntime", lambda *_: Given((other, lifted)))
    assert compare(network, spec, b"", [np.zeros((9, 9, 3), np.uint8)]).boxes == pytest.approx(30)


def test_an_export_of_what_is_no_checkpoint_is_a_model_error(tmp_path):
    path = tmp_path / "x.safetensors"
    path.write_bytes(b"nothing")
    with pytest.raises(ModelError):
        export(path, tmp_path / "x.onnx", [])
    assert not (tmp_path / "x.onnx").exists()


def test_a_target_that_cannot_be_written_is_an_output_error(exported, tmp_path, monkeypatch):
    path, out, _, _ = exported
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setattr(to_onnx, "to_bytes", lambda *_: out.read_bytes())
    with pytest.raises(OutputError, match=r"x\.onnx: cannot be written"):
        export(path, tmp_path / "file" / "x.onnx", [])


def test_the_metadata_is_one_json_that_reads_back(exported):
    _, out, spec, _ = exported
    props = {p.key: p.value for p in onnx.load(str(out)).metadata_props}
    assert list(props) == ["passerby"]
    assert ModelSpec.from_json(props["passerby"]) == spec


@pytest.mark.parametrize("side", [64, 320])  # the exporter itself cuts those of a small input into centres and sides
def test_default_boxes_are_stated_by_columns_rows_and_shapes(side, make_checkpoint, tmp_path):
    path, _, _ = make_checkpoint(height=side, width=side + 16)
    out = tmp_path / "stated.onnx"
    spec, _ = export(path, out, [])
    proto = onnx.load(str(out))
    boxes = default_boxes(spec.anchors, spec.height, spec.width)
    stored = {i.name: onnx.numpy_helper.to_array(i) for i in proto.graph.initializer}
    assert not [k for k, v in stored.items() if v.shape == boxes.shape]
    joins = [n.output[0] for n in proto.graph.node if n.op_type == "Concat" and f"{n.output[0]}_sides" in stored]
    assert joins
    proto.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in joins)
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    for laid in session.run(joins, {"pixels": np.zeros((1, spec.height, spec.width, 3), np.uint8)}):
        wanted = next(boxes[:, c] for c in COLUMNS if np.array_equal(laid, boxes[:, c]))  # to the last bit
        assert wanted.shape == laid.shape
