"""Every row of ADAPTERS keeps one contract, on a graph whose outputs are known; a new row needs a case below."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import pytest

from passerby.records import Detections
from passerby.runtime.adapters import ADAPTERS
from passerby.runtime.adapters.foreign import Foreign

onnx = pytest.importorskip("onnx")
BOX = (16.0, 24.0, 48.0, 40.0)  # what every case states, in input pixels


@dataclass
class Case:
    """A graph's input and outputs, and what they say of BOX.

    score, label  of the only detection over 0.5
    names         of the outputs; "o0", "o1", ... where they do not matter
    stated        class names in the file's metadata, as Ultralytics writes them
    """

    shape: tuple[int, ...]
    outputs: list[np.ndarray]
    score: float
    label: str
    names: list[str] = field(default_factory=list)
    stated: str = ""


def rows_of_cells(width, **at):
    """Empty rows of a 64 x 64 input: 64 cells of stride 8, 16 of stride 16, 4 of stride 32."""
    rows = np.zeros((84, width), np.float32)
    for cell, values in at.items():
        rows[int(cell[1:])] = values
    return rows


def yolov5():
    rows = np.zeros((1, 3 * 84, 85), np.float32)
    rows[0, 100, :6] = 32, 32, 32, 16, 0.9, 0.8  # centre, size, objectness, person
    return Case((1, 3, 64, 64), [rows], 0.72, "person")


def yolov8():
    columns = np.zeros((1, 7, 84), np.float32)  # three classes: with 80 a 64 x 64 input would look like YOLOX
    columns[0, :4, 7] = 32, 32, 32, 16
    columns[0, 4 + 2, 7] = 0.75
    return Case((1, 3, 64, 64), [columns], 0.75, "dog", stated="{0: 'cat', 1: 'cow', 2: 'dog'}")


def yolox():
    # Row 64 + 4 * 1 + 1 is column 1, row 1 of stride 16: its corner lies at 16, 16
    values = [1.0, 1.0, math.log(2), math.log(1), 0.9, 0.5 / 0.9, *[0] * 79]
    return Case((1, 3, 64, 64), [rows_of_cells(85, _69=values)[None]], 0.5, "person")


def nanodet():
    outputs = []
    for cells in (64, 16, 4):
        outputs.append(np.zeros((1, cells, 80), np.float32))
    for cells in (64, 16, 4):
        outputs.append(np.zeros((1, cells, 32), np.float32))
    # column 1, row 1 of stride 16: centre 24, 24; distances 8, 0, 24, 16 pixels are 0.5, 0, 1.5, 1 cells
    outputs[1][0, 5, 0] = 0.8
    sides = np.full((4, 8), -50, np.float32)
    sides[0, :2] = 0  # half 0, half 1
    sides[1, 0] = 0
    sides[2, 1:3] = 0
    sides[3, 1] = 0
    outputs[4][0, 5] = sides.ravel()
    return Case((1, 3, 64, 64), outputs, 0.8, "person")


def yunet():
    outputs = [np.zeros((1, n, wide), np.float32) for wide in (1, 1, 4, 10) for n in (64, 16, 4)]
    outputs[1][0, 5], outputs[4][0, 5] = 0.64, 1.0
    outputs[7][0, 5] = 1.0, 1.0, math.log(2), 0.0
    return Case((1, 3, 64, 64), outputs, 0.8, "face")


def ssd_output():
    rows = np.zeros((1, 1, 5, 7), np.float32)
    rows[0, 0, 0] = 0, 1, 0.6, 0.25, 0.375, 0.75, 0.625
    rows[0, 0, 1, 0] = -1  # the list ends
    rows[0, 0, 2] = 0, 1, 0.9, 0, 0, 1, 1
    return Case((1, 3, 64, 64), [rows], 0.6, "b")


def ssd_tensorflow():
    boxes = np.array([[[0.375, 0.25, 0.625, 0.75], [0, 0, 1, 1]]], np.float32)
    outputs = [boxes, np.array([[2, 1]], np.float32), np.array([[0.6, 0.9]], np.float32), np.array([1], np.float32)]
    names = ["detection_boxes", "detection_classes", "detection_scores", "num_detections"]
    return Case((1, 64, 64, 3), outputs, 0.6, "bicycle", names)


def ssd_raw():
    scores, boxes = np.zeros((1, 30, 2), np.float32), np.zeros((1, 30, 4), np.float32)
    scores[0, :, 0] = 1
    scores[0, 4] = 0.4, 0.6
    boxes[0, 4] = 0.25, 0.375, 0.75, 0.625
    return Case((1, 3, 64, 64), [scores, boxes], 0.6, "face")


def pinto():
    rows = np.zeros((6, 7), np.float32)
    rows[0] = 0, 1, 0.6, *BOX
    return Case((1, 64, 64, 3), [rows], 0.6, "head", ["batchno_classid_score_x1y1x2y2"])


CASES = {f.__name__: f for f in (yolov5, yolov8, yolox, nanodet, yunet, ssd_output, ssd_tensorflow, ssd_raw, pinto)}
NAMES = {"ssd_output": ("a", "b")}  # what the file does not state


def write(path, case):
    """An ONNX file that answers every picture with the outputs of a case."""
    names = case.names or [f"o{k}" for k in range(len(case.outputs))]
    make = onnx.helper
    nodes = [
        make.make_node("Constant", [], [n], value=onnx.numpy_helper.from_array(a))
        for n, a in zip(names, case.outputs, strict=True)
    ]
    kind = onnx.TensorProto.FLOAT
    outputs = [make.make_tensor_value_info(n, kind, a.shape) for n, a in zip(names, case.outputs, strict=True)]
    graph = make.make_graph(nodes, "told", [make.make_tensor_value_info("in", kind, case.shape)], outputs)
    model = make.make_model(graph, opset_imports=[make.make_opsetid("", 17)], ir_version=8)
    if case.stated:
        make.set_model_props(model, {"names": case.stated})
    path.write_bytes(model.SerializeToString())
    return path


@pytest.fixture(params=ADAPTERS)
def row(request, tmp_path):
    """The name of each row, the case that is its own, and the case's file opened."""
    case = CASES[request.param]()
    path = write(tmp_path / f"{request.param}.onnx", case)
    opened = Foreign(path, 0.5, "onnxruntime", 1, labels=NAMES.get(request.param, ()))
    return request.param, case, opened


def test_every_row_has_a_case():
    assert set(CASES) == set(ADAPTERS)


def test_its_file_is_known_by_its_shapes(row):
    name, _, opened = row
    assert opened.kind == name


def test_no_other_row_takes_its_file_for_its_own(row):
    name, case, opened = row
    shapes = [a.shape for a in case.outputs]
    others = [other for other, adapter in ADAPTERS.items() if other != name and adapter.find(opened.graph, shapes)]
    assert others == []


def test_it_reads_the_box_that_its_outputs_state(row):
    _, case, opened = row
    found = opened(np.zeros((64, 64, 3), np.uint8))
    assert isinstance(found, Detections)
    assert [found.names[int(k)] for k in found.labels] == [case.label]
    np.testing.assert_allclose(found.boxes, [BOX], atol=1e-3)
    assert found.scores[0] == pytest.approx(case.score, abs=1e-5)
    assert (found.boxes.dtype, found.scores.dtype, found.labels.dtype) == (np.float32, np.float32, np.int64)


def test_boxes_come_back_into_a_picture_of_another_size(row):
    _, _, opened = row
    found = opened(np.zeros((128, 128, 3), np.uint8))  # twice the input, same shape: every resize rule agrees
    np.testing.assert_allclose(found.boxes, [[2 * v for v in BOX]], atol=2e-3)


def test_a_threshold_over_the_score_leaves_nothing(row):
    _, case, opened = row
    array, placement = opened.prepare(np.zeros((64, 64, 3), np.uint8))
    answer = opened.run(array)
    assert len(opened.finish(answer, placement, case.score + 0.01)) == 0
    assert len(opened.finish(answer, placement, case.score - 0.01)) == 1  # the answer is not changed


def test_without_a_floor_a_row_of_a_graph_that_suppresses_is_still_one_detection(row):
    name, case, opened = row
    if ADAPTERS[name].nms_iou is None:
        opened.threshold = 0.0
        found = opened(np.zeros((64, 64, 3), np.uint8))
        assert [found.names[int(k)] for k in found.labels] == [case.label]


def test_classes_that_nobody_asked_for_are_not_found(row):
    _, case, opened = row
    opened.only(["nothing"])
    assert len(opened(np.zeros((64, 64, 3), np.uint8))) == 0
    opened.only([case.label])
    assert len(opened(np.zeros((64, 64, 3), np.uint8))) == 1


def test_it_says_what_it_is(row):
    name, case, opened = row
    assert case.label in opened.spec.labels
    assert 0 < opened.spec.threshold < 1
    assert opened.threshold == 0.5
    assert opened.nms_iou is None or 0 < opened.nms_iou < 1
    assert opened.engine_name.startswith("onnxruntime ")
    assert ADAPTERS[name].maker
    assert ADAPTERS[name].input.resize in ("stretch", "letterbox", "corner")
    assert ADAPTERS[name].input.order in ("rgb", "bgr")
