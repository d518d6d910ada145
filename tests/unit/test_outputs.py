"""Raw, decoded and suppressed outputs of a graph read alike; values worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from passerby.errors import ModelError
from passerby.runtime.outputs import Read, lay_out, names_of, score, spread
from passerby.spec import AnchorMap, ModelSpec

MAPS = (AnchorMap(2, 2, ((8.0, 4.0),)), AnchorMap(1, 1, ((16.0, 8.0), (4.0, 4.0))))


def spec_of(**changes):
    return ModelSpec("told", 16, 16, "stretch", ("head",), MAPS, outputs="raw").with_(**changes)


class Told:
    """Answers with the same arrays, under names."""

    def __init__(self, **outputs):
        self.name, self.outputs, self.arrays = "told 1.0 float32", tuple(outputs), list(outputs.values())

    def answer(self, pixels):
        return self.arrays


def raw(rows=(0.0,) * 6, offsets=None):
    logits = np.array(rows, np.float32).reshape(6, -1)
    shifts = np.zeros((6, 4), np.float32) if offsets is None else np.array(offsets, np.float32)
    return [logits[None, :4], logits[None, 4:], shifts[None, :4], shifts[None, 4:]]


def decode_raw(outputs, spec):
    boxes, scores = Read(Told(**dict(zip(names_of(spec), outputs, strict=True))), spec).run(None)
    return np.asarray(boxes), scores


def test_raw_outputs_are_named_by_map_and_its_cells():
    assert names_of(spec_of()) == ["logits_0_2x2", "logits_1_1x1", "offsets_0_2x2", "offsets_1_1x1"]
    assert names_of(spec_of(outputs="decoded")) == ["boxes", "scores"]


def test_offsets_of_zero_are_the_default_boxes_row_by_row():
    boxes, scores = decode_raw(raw(), spec_of())
    # centres of 2 x 2 cells over 16 pixels lie at 4 and 12; boxes are 8 wide, 4 high
    assert boxes[:2].tolist() == [[0, 2, 8, 6], [8, 2, 16, 6]]
    assert boxes[4:].tolist() == [[0, 4, 16, 12], [6, 6, 10, 10]]
    assert scores.ravel().tolist() == [0.5] * 6


def test_an_offset_moves_by_its_variance_and_the_boxs_size():
    shifts = np.zeros((6, 4))
    shifts[0] = (10, 0, 0, 5 * math.log(2))  # 10 * 0.1 * 8 px to the right, exp(5 ln 2 * 0.2) = twice as high
    boxes, _ = decode_raw(raw(offsets=shifts), spec_of())
    np.testing.assert_allclose(boxes[0], [8, 0, 16, 8], atol=1e-5)


def test_softmax_leaves_out_the_background():
    logits = np.array([[0.0, math.log(3)], [math.log(3), 0.0]], np.float32)
    np.testing.assert_allclose(score(logits, "softmax").ravel(), [0.75, 0.25], rtol=1e-6)


def test_sigmoid_of_large_logits_is_finite():
    found = score(np.array([[1000.0], [-1000.0], [0.0]], np.float32), "sigmoid")
    assert found.ravel().tolist() == [1.0, 0.0, 0.5]


def test_named_outputs_may_come_in_any_order():
    arrays = dict(zip(names_of(spec_of()), raw(rows=range(6)), strict=True))
    straight = Read(Told(**arrays), spec_of()).run(None)
    turned = Read(Told(**dict(reversed(arrays.items()))), spec_of()).run(None)
    for one, other in zip(straight, turned, strict=True):
        np.testing.assert_array_equal(one, other)


def test_outputs_without_names_are_taken_as_they_come():
    arrays = {f"out{k}": a for k, a in enumerate(raw(rows=range(6)))}
    _, scores = Read(Told(**arrays), spec_of()).run(None)
    np.testing.assert_allclose(scores.ravel(), 1 / (1 + np.exp(-np.arange(6.0))), rtol=1e-6)


def test_an_output_of_another_size_is_named():
    arrays = dict(zip(names_of(spec_of()), raw(), strict=True)) | {"logits_1_1x1": np.zeros((1, 3, 1), np.float32)}
    with pytest.raises(ModelError, match=r"its output logits_1_1x1 is \(1, 3, 1\), want \(1, 2, 1\)"):
        Read(Told(**arrays), spec_of()).run(None)


def test_suppressed_boxes_score_in_their_own_class_only():
    boxes, scores = spread(np.ones((2, 4)), np.array([0.9, 0.4]), np.array([1, 0]), 3)
    np.testing.assert_allclose(scores, [[0, 0.9, 0], [0.4, 0, 0]], rtol=1e-6)
    assert boxes.shape == (2, 4)
    assert spread(np.zeros((0, 4)), np.zeros(0), np.zeros(0, np.int64), 3)[1].shape == (0, 3)


def test_pixels_are_laid_out_as_the_graph_wants_them():
    pixels = np.arange(12, dtype=np.uint8).reshape(1, 2, 2, 3)
    assert lay_out(pixels, "uint8", (1, 2, 2, 3)) is pixels
    planes = lay_out(pixels, "float32", (1, 3, 2, 2))
    assert (planes.shape, planes.dtype) == ((1, 3, 2, 2), np.float32)
    assert planes[0, 1].tolist() == [[1, 4], [7, 10]]


def test_the_name_says_int8_where_the_spec_does():
    told = Told(boxes=np.zeros((1, 6, 4)), scores=np.zeros((1, 6, 1)))
    assert Read(told, spec_of(outputs="decoded", precision="int8")).name == "told 1.0 int8"
