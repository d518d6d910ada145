"""Export of the two-stage head: the file answers as the network does, also where rows change places."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch

from passerby.errors import ParityError
from passerby.learn import to_onnx
from passerby.learn.to_onnx import BOX_LIMIT, SCORE_LIMIT, compare, export, match_rows, to_bytes
from passerby.runtime.detector import Detector
from passerby.runtime.session import open_engine

TWO_STAGE = {"head": "two_stage", "loss": "sampled", "fusion": 16, "box_head": 32, "proposals": 20}


@pytest.fixture(scope="module")
def made():
    """One checkpoint and export a layout: {layout: (network, spec, data)}."""
    return {}


@pytest.fixture(params=["f38", "c4"])
def exported(request, made, make_checkpoint):
    layout = request.param
    if layout not in made:
        _, network, spec = make_checkpoint(**TWO_STAGE, layout=layout, labels=("a", "b"))
        with torch.no_grad():  # as after training: proposals and classes that differ from each other
            for part in (network.head.first, network.head.second):
                for p in part.parameters():
                    p.mul_(3.0)
        made[layout] = (network, spec, to_bytes(network, spec))
    return made[layout]


def test_the_file_answers_as_the_network_does(exported, make_pixels):
    network, spec, data = exported
    parity = compare(network, spec, data, [make_pixels(200, 150), make_pixels(33, 90), make_pixels(64, 64)])
    assert parity.boxes <= BOX_LIMIT
    assert parity.scores <= SCORE_LIMIT


def test_the_graph_has_plain_operators_and_sizes_that_depend_on_no_data(exported):
    _, _, data = exported
    graph = onnx.shape_inference.infer_shapes(onnx.load_from_string(data), strict_mode=True).graph
    assert {n.domain for n in graph.node} <= {"", "ai.onnx"}
    kinds = {n.op_type for n in graph.node}
    assert kinds.isdisjoint({"NonMaxSuppression", "Loop", "If", "NonZero", "RoiAlign"})
    boxes, scores = graph.output
    assert [d.dim_value for d in boxes.type.tensor_type.shape.dim] == [1, 20, 4]
    assert [d.dim_value for d in scores.type.tensor_type.shape.dim] == [1, 20, 2]


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_the_runtime_uses_it_as_any_other_model(exported, make_pixels, engine):
    if engine == "openvino":
        pytest.importorskip("openvino")
    _, spec, data = exported
    detector = Detector.of(spec, open_engine(data, "tiny", engine, 1), threshold=0.0)
    found, heat = detector.look(make_pixels(120, 80))
    assert 0 < len(found) <= 40
    assert (found.boxes[:, 2] <= 120).all()
    assert heat.shape == (spec.anchors[0].rows, spec.anchors[0].columns)
    assert not heat.any()


def test_a_file_with_one_bias_changed_is_refused(exported, tmp_path, monkeypatch, make_pixels, make_checkpoint):
    network, spec, data = exported
    model = onnx.load_from_string(data)
    (found,) = [t for t in model.graph.initializer if t.name.endswith("head.second.offsets.bias")]
    found.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(found) + np.float32(0.5), found.name))
    monkeypatch.setattr(to_onnx, "to_bytes", lambda *_: model.SerializeToString())
    monkeypatch.setattr(to_onnx, "load_network", lambda _: (network, spec, {}))
    with pytest.raises(ParityError, match="not written"):
        export(tmp_path / "x.safetensors", tmp_path / "x.onnx", [make_pixels(80, 80)])


def answer(seed=0, rows=12):
    rng = np.random.default_rng(seed)
    return rng.uniform(0, 300, (rows, 4)).astype(np.float32), rng.uniform(0, 1, (rows, 2)).astype(np.float32)


def test_rows_in_another_order_are_the_same_rows():
    boxes, scores = answer()
    order = np.random.default_rng(1).permutation(12)
    rows = match_rows(boxes, scores, boxes[order] + 0.01, scores[order])
    np.testing.assert_array_equal(order[rows], np.arange(12))


def test_one_box_twice_with_two_scores_keeps_its_scores_apart():
    boxes, scores = answer()
    boxes[3] = boxes[7]
    rows = match_rows(boxes, scores, boxes[::-1], scores[::-1])
    np.testing.assert_array_equal(rows, np.arange(12)[::-1])


def test_a_row_that_only_one_side_has_shows_its_difference():
    boxes, scores = answer()
    other = boxes.copy()
    other[5] += 30
    rows = match_rows(boxes, scores, other[::-1], scores[::-1])
    assert sorted(rows) == list(range(12))
    assert np.abs(boxes - other[::-1][rows]).max() == pytest.approx(30, abs=1e-3)


def test_rows_that_are_no_number_are_matched_too_so_that_they_show():
    boxes, scores = answer()
    broken = scores.copy()
    broken[4] = np.nan
    rows = match_rows(boxes, scores, boxes, broken)
    assert sorted(rows) == list(range(12))
    assert np.isnan(np.abs(scores - broken[rows]).max())
