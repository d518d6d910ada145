"""Heat maps, worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from passerby.errors import ModelError
from passerby.geometry.resize import place
from passerby.runtime.detector import Detector
from passerby.runtime.heat import heat_map, maps_by_stride, score_maps
from passerby.spec import AnchorMap

TWO = (AnchorMap(4, 4, ((8.0, 8.0), (9.0, 9.0))), AnchorMap(2, 2, ((20.0, 20.0),)))  # 32 + 4 default boxes


def scores(**said):
    """(36, 2) zeros but for {"b5": (0.1, 0.7)}: default box 5."""
    out = np.zeros((36, 2), np.float32)
    for name, row in said.items():
        out[int(name[1:])] = row
    return out


def test_each_cell_has_the_best_score_of_its_boxes_and_classes():
    # box 5 is the second of cell 2 (row 0, column 2); 12 the first of cell 6 (row 1, column 2)
    fine, coarse = score_maps(scores(b5=(0.1, 0.7), b4=(0.3, 0.2), b12=(0.4, 0), b35=(0, 0.9)), TWO)
    assert fine.shape == (4, 4)
    assert fine[0, 2] == np.float32(0.7)
    assert fine[1, 2] == np.float32(0.4)
    assert (fine > 0).sum() == 2
    assert coarse.tolist() == [[0, 0], [0, np.float32(0.9)]]


def test_the_heat_is_the_best_of_all_maps_on_the_finest_grid(make_spec):
    spec = make_spec(anchors=TWO, labels=("a", "b"))
    heat = heat_map(scores(b0=(0.5, 0), b35=(0, 0.25), b30=(0.75, 0)), spec)
    expected = np.zeros((4, 4))
    expected[2:, 2:] = 0.25  # the coarse map's last cell
    expected[0, 0], expected[3, 3] = 0.5, 0.75
    np.testing.assert_array_equal(heat, expected)
    assert heat.dtype == np.float32


def test_a_grid_that_does_not_divide_is_read_where_its_centres_lie(make_spec):
    spec = make_spec(anchors=(AnchorMap(5, 5, ((8.0, 8.0),)), AnchorMap(3, 3, ((20.0, 20.0),))))
    values = np.zeros((25 + 9, 1), np.float32)
    values[25:, 0] = np.arange(9) / 10
    heat = heat_map(values, spec)
    # centres at 0.1 0.3 0.5 0.7 0.9 of the width lie in the cells 0 0 1 2 2 of three
    assert heat[0].tolist() == np.float32([0, 0, 0.1, 0.2, 0.2]).tolist()
    assert heat[:, 0].tolist() == np.float32([0, 0, 0.3, 0.6, 0.6]).tolist()


def test_the_padding_of_a_letterbox_is_left_out(make_spec):
    # 128 x 64 in 64 x 64: 16 rows of grey above and below, one cell of four
    spec = make_spec(anchors=(AnchorMap(4, 4, ((8.0, 8.0),)),), resize="letterbox")
    values = np.arange(16, dtype=np.float32)[:, None] / 16
    heat = heat_map(values, spec, place(128, 64, 64, 64, "letterbox"))
    assert heat.shape == (2, 4)
    assert heat[0].tolist() == [4 / 16, 5 / 16, 6 / 16, 7 / 16]
    thin = heat_map(values, spec, place(6400, 10, 64, 64, "letterbox"))
    assert thin.shape == (1, 4)


def test_a_look_is_a_call_and_its_heat(make_spec, told):
    spec = make_spec(anchors=(AnchorMap(2, 2, ((8.0, 8.0),)),))
    boxes = [[0, 0, 8, 8], [32, 0, 40, 8], [0, 32, 8, 40], [32, 32, 40, 40]]
    detector = Detector.of(spec, told(boxes, [[0.1], [0.9], [0.2], [0.6]]))
    found, heat = detector.look(np.zeros((64, 64, 3), np.uint8), 0.5)
    assert found.to_list() == detector(np.zeros((64, 64, 3), np.uint8), 0.5).to_list()
    assert len(found) == 2
    assert heat.tolist() == np.float32([[0.1, 0.9], [0.2, 0.6]]).tolist()


def test_each_map_is_shown_with_its_stride_where_it_lies_over_the_picture(make_spec):
    spec = make_spec(anchors=TWO, labels=("a", "b"), resize="letterbox")
    fine, coarse = maps_by_stride(scores(b12=(0.4, 0), b35=(0, 0.9)), spec, place(128, 64, 64, 64, "letterbox"))
    assert (fine.stride, fine.rows, fine.columns) == (16, 4, 4)
    assert fine.heat.tolist() == np.float32([[0, 0, 0.4, 0], [0, 0, 0, 0]]).tolist()  # rows 1 and 2 of four
    assert (coarse.stride, coarse.heat.shape) == (32, (2, 2))
    assert coarse.heat[1, 1] == np.float32(0.9)


def test_a_two_stage_model_has_no_map_to_show(make_spec):
    with pytest.raises(ModelError, match="scores proposals, not cells"):
        maps_by_stride(scores(), make_spec(anchors=TWO, network={"proposals": 300}))
