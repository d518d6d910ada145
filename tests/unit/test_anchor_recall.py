"""Best overlaps against brute force over every default box, and default boxes fitted on the grid."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from passerby.errors import SettingError
from passerby.geometry.anchors import cells_of, default_boxes, fit_sizes, published_maps, ranged_maps, shaped_maps
from passerby.geometry.boxes import iou, to_corners
from passerby.geometry.fitting import fit_maps
from passerby.geometry.recall import best_overlaps, recall
from passerby.spec import AnchorMap

MAPS = (
    AnchorMap(9, 13, ((7.0, 11.0), (14.0, 9.0))),
    AnchorMap(5, 7, ((20.0, 33.0),)),
    AnchorMap(1, 2, ((60.0, 60.0), (90.0, 40.0), (5.0, 70.0))),
)
HEIGHT, WIDTH = 70, 100


def brute(boxes, maps, height, width):
    """The largest IoU with any default box of each map, all of them laid out."""
    every = [iou(np.asarray(boxes, np.float32), to_corners(default_boxes([m], height, width))) for m in maps]
    return np.stack([table.max(axis=1) for table in every], axis=1)


numbers = st.floats(-60, 160, width=32)
sides = st.floats(0.5, 150, width=32)


@given(st.lists(st.tuples(numbers, numbers, sides, sides), min_size=1, max_size=20))
def test_best_overlaps_are_those_of_brute_force_also_past_the_border(rows):
    boxes = np.array([[x, y, x + w, y + h] for x, y, w, h in rows], np.float32)
    np.testing.assert_allclose(
        best_overlaps(boxes, MAPS, HEIGHT, WIDTH), brute(boxes, MAPS, HEIGHT, WIDTH), rtol=1e-4, atol=1e-6
    )


def test_best_overlaps_of_many_boxes_on_the_reference_maps_are_those_of_brute_force():
    rng = np.random.default_rng(5)
    corner, size = rng.uniform(-10, 290, (500, 2)), rng.uniform(2, 120, (500, 2))
    boxes = np.concatenate([corner, corner + size], axis=1).astype(np.float32)
    maps = ranged_maps((38, 19, 10, 5), ((16, 32), (32, 64), (64, 128), (128, 256)), 1.7)
    got = best_overlaps(boxes, maps, 300, 300)
    np.testing.assert_allclose(got, brute(boxes, maps, 300, 300), atol=2e-6)
    assert (got.max(axis=0) > 0.5).all()  # every map was really asked


def test_a_box_exactly_between_two_cells_is_measured_from_either():
    maps = (AnchorMap(1, 2, ((10.0, 10.0),)),)  # centres at 5 and 15 of 20
    boxes = np.array([[5, 0, 15, 10]], np.float32)  # centre 10: 5 away from both
    assert best_overlaps(boxes, maps, 10, 20).tolist() == [[pytest.approx(50 / 150)]]


def test_no_object_has_no_recall():
    none = best_overlaps(np.zeros((0, 4), np.float32), MAPS, HEIGHT, WIDTH)
    assert none.shape == (0, 3)
    assert np.isnan(recall(none.max(axis=1), 0.5))


def test_recall_asks_for_more_than_the_iou_as_matching_does():
    assert recall(np.array([0.5, 0.51, 0.2, 0.9], np.float32), 0.5) == 0.5


def test_cells_are_rounded_up_on_each_side():
    assert cells_of((8, 16, 32, 64), 300, 300) == ((38, 38), (19, 19), (10, 10), (5, 5))
    assert cells_of((8, 64), 192, 320) == ((24, 40), (3, 5))


@pytest.mark.parametrize(
    ("strides", "words"),
    [
        ((), "each must lie between"),
        ((8, 400), "each must lie"),
        ((0, 8), "each"),
        ((16, 8), "must rise"),
        ((8, 8), "must rise"),
    ],
)
def test_strides_that_cannot_be_are_refused(strides, words):
    with pytest.raises(SettingError, match=words):
        cells_of(strides, 300, 300)


def test_rules_work_on_inputs_that_are_no_squares():
    cells = cells_of((16, 32), 96, 160)
    ranged = ranged_maps(cells, ((20,), (40,)), 1.0, 96, 160)
    published = published_maps(cells, ((2,), (2,)), side=96)
    for maps in (ranged, published):
        assert [(m.rows, m.columns) for m in maps] == [(6, 10), (3, 5)]
    boxes = default_boxes(ranged, 96, 160)
    assert boxes.shape == (60 + 15, 4)
    assert boxes[0].tolist() == [8, 8, 20, 20]
    assert boxes[59].tolist() == [152, 88, 20, 20]


@pytest.mark.parametrize(
    ("shapes", "words"),
    [
        ([[(1, 2)]], "2 maps but shapes for 1"),
        ([[(1, 2)], []], "map 2 of 2 has no shape"),
        ([[(1, 2)], [(1, 2, 3)]], "map 2 is no"),
        ([[(1, float("inf"))], [(1, 2)]], "map 1 is no"),
    ],
)
def test_shapes_that_cannot_be_are_refused(shapes, words):
    with pytest.raises(SettingError, match=words):
        shaped_maps((4, 2), shapes)


def crowd(n=600, seed=1, middle=(10, 17), spread=0.6):
    """Boxes of many sizes in a 300 x 300 input, the same every time."""
    rng = np.random.default_rng(seed)
    size = np.array(middle) * np.exp(rng.normal(0, spread, (n, 1))) * rng.uniform(0.9, 1.1, (n, 2))
    centre = rng.uniform(20, 280, (n, 2))
    return np.concatenate([centre - size / 2, centre + size / 2], axis=1).astype(np.float32)


def mean_best(boxes, maps):
    return float(best_overlaps(boxes, maps, 300, 300).max(axis=1).mean())


def test_fitted_shapes_lie_better_than_k_means_dealt_to_the_maps_and_than_the_published_ones():
    boxes = crowd()
    fitted = fit_maps(boxes, (8, 16, 32, 64), (2, 2, 2, 2), 300, 300)
    clusters = fit_sizes(boxes[:, 2:] - boxes[:, :2], 8).tolist()
    dealt = shaped_maps((38, 19, 10, 5), [clusters[i : i + 2] for i in (0, 2, 4, 6)])
    published = ranged_maps((38, 19, 10, 5), ((16, 32), (32, 64), (64, 128), (128, 256)), 1.7)
    assert mean_best(boxes, fitted) > mean_best(boxes, dealt) + 0.02
    assert mean_best(boxes, fitted) > mean_best(boxes, published) + 0.02


def test_no_shape_can_be_moved_a_little_to_lie_better():
    boxes = crowd(300)
    maps = fit_maps(boxes, (8, 16), (2, 1), 300, 300)
    best = mean_best(boxes, maps)
    for k, m in enumerate(maps):
        for i, (w, h) in enumerate(m.sizes):
            for fw, fh in ((1.05, 1), (1 / 1.05, 1), (1, 1.05), (1, 1 / 1.05)):
                changed = [list(n.sizes) for n in maps]
                changed[k][i] = (w * fw, h * fh)
                if k == 0 or w * h * fw * fh >= 16**2:
                    assert mean_best(boxes, shaped_maps(((38, 38), (19, 19)), changed)) < best + 2e-4


def test_the_same_boxes_give_the_same_shapes_and_where_they_are_many_a_part_of_them_does(monkeypatch):
    boxes = crowd()
    whole = fit_maps(boxes, (8, 16), (2, 2), 300, 300)
    assert fit_maps(boxes.copy(), (8, 16), (2, 2), 300, 300) == whole
    monkeypatch.setattr("passerby.geometry.fitting.MOST", 200)
    part = fit_maps(boxes, (8, 16), (2, 2), 300, 300)
    assert part == fit_maps(boxes[np.linspace(0, 599, 200).astype(int)], (8, 16), (2, 2), 300, 300)
    assert part != whole


@pytest.mark.parametrize("per_map", [(1, 1, 1, 1), (3, 2, 1, 1)])
def test_shapes_are_no_smaller_than_their_stride_no_larger_than_the_input_and_in_order(per_map):
    strides = (8, 16, 32, 64)
    maps = fit_maps(crowd(middle=(4, 6)), strides, per_map, 300, 300)
    assert [len(m.sizes) for m in maps] == list(per_map)
    for stride, m in zip(strides, maps, strict=True):
        sizes = [np.sqrt(w * h) for w, h in m.sizes]
        assert sizes == sorted(sizes)
        assert all(w <= 300 and h <= 300 for w, h in m.sizes)
        assert stride == 8 or min(sizes) > stride - 0.1  # shapes are rounded to 0.1 px
    assert min(np.sqrt(w * h) for w, h in maps[0].sizes) < 8


@pytest.mark.parametrize("count", [1, 3, 9])
def test_few_objects_still_give_every_map_its_shapes(count):
    boxes = crowd(count)
    maps = fit_maps(boxes, (8, 16, 32, 64), (2, 2, 2, 2), 300, 300)
    assert [len(m.sizes) for m in maps] == [2, 2, 2, 2]
    assert all(0 < w <= 300 and 0 < h <= 300 for m in maps for w, h in m.sizes)
    published = ranged_maps((38, 19, 10, 5), ((16, 32), (32, 64), (64, 128), (128, 256)), 1.7)
    assert mean_best(boxes, maps) >= mean_best(boxes, published)


def test_boxes_without_area_are_left_out_and_nothing_but_them_is_refused():
    boxes = crowd(50)
    flat = np.array([[10, 10, 10, 40], [5, 5, 25, 5]], np.float32)
    assert fit_maps(np.concatenate([boxes, flat]), (8, 16), (1, 1), 300, 300) == fit_maps(
        boxes, (8, 16), (1, 1), 300, 300
    )
    with pytest.raises(SettingError, match="no object to fit"):
        fit_maps(flat, (8, 16), (1, 1), 300, 300)


@pytest.mark.parametrize("per_map", [(2,), (2, 0), (2, 2, 2)])
def test_counts_that_do_not_go_with_the_strides_are_refused(per_map):
    with pytest.raises(SettingError, match="want one number from 1 on for each of 2 maps"):
        fit_maps(crowd(20), (8, 16), per_map, 300, 300)


def test_a_fit_on_a_rectangle_uses_its_own_grid():
    boxes = crowd(200) * np.array([0.5, 0.3, 0.5, 0.3], np.float32)
    maps = fit_maps(boxes, (8, 16), (2, 1), 96, 160)
    assert [(m.rows, m.columns) for m in maps] == [(12, 20), (6, 10)]
    assert all(w <= 160 and h <= 96 for m in maps for w, h in m.sizes)
