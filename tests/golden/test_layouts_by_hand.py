"""Layouts: cells by the arithmetic of convolutions, and the published default boxes, worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from passerby.errors import SettingError
from passerby.geometry.anchors import default_boxes
from passerby.geometry.layouts import LAYOUTS, Extra, find_layout, stated_maps

CELLS = {  # layout, side: cells a side
    ("f38", 300): (38, 19, 10, 5),
    ("f38_wide", 300): (38, 19, 10, 5),
    ("f75", 300): (75, 38, 19, 10, 5),
    ("six", 300): (19, 10, 5, 3, 2, 1),
    ("six", 512): (32, 16, 8, 4, 2, 1),
    ("ssd300", 300): (38, 19, 10, 5, 3, 1),
    ("ssd512", 512): (64, 32, 16, 8, 4, 2, 1),
    ("ssd300", 64): (8, 4, 2, 1, 1, 1),  # a map of one cell is filled up with zeros to the kernel's three
    ("ssd512", 64): (8, 4, 2, 1, 1, 1, 1),
    ("ssd300", 500): (63, 32, 16, 8, 6, 4),
}


@pytest.mark.parametrize(("layout", "side"), CELLS)
def test_cells_a_side(layout, side):
    assert LAYOUTS[layout].cells(side, side) == tuple((n, n) for n in CELLS[layout, side])


def test_rows_and_columns_are_counted_apart():
    # 257 rows: 33 17, then (17 + 2 - 3) // 2 + 1 = 9, 5, then 5 - 2 = 3, 1; 500 columns: 63 32 16 8 6 4
    assert LAYOUTS["ssd300"].cells(257, 500) == ((33, 63), (17, 32), (9, 16), (5, 8), (3, 6), (1, 4))


def test_an_extra_map_lacks_cells_only_where_the_kernel_does_not_fit():
    valid, padded, four = Extra(1, 1, 3, 1, 0), Extra(1, 1), Extra(1, 1, 4, 1, 1)
    assert [valid.missing(n) for n in (1, 2, 3, 4)] == [2, 1, 0, 0]
    assert [valid.cells_after(n) for n in (1, 2, 3, 5)] == [1, 1, 1, 3]
    assert [padded.missing(n) for n in (1, 2)] == [0, 0]
    assert [padded.cells_after(n) for n in (1, 2, 3, 19)] == [1, 1, 2, 10]
    assert [four.cells_after(n) for n in (1, 2, 3)] == [1, 1, 2]


@pytest.mark.parametrize(
    ("layout", "side", "boxes", "a_cell"),
    [
        ("f38", 300, 3860, [2, 2, 2, 2]),
        ("six", 300, 3000, [6] * 6),
        ("ssd300", 300, 8732, [4, 6, 6, 6, 4, 4]),
        ("ssd512", 512, 24564, [4, 6, 6, 6, 6, 4, 4]),
    ],
)
def test_published_numbers_of_default_boxes(layout, side, boxes, a_cell):
    maps = stated_maps(layout, (), (), 1.7, side, side)
    assert [len(m.sizes) for m in maps] == a_cell
    assert default_boxes(maps, side, side).shape == (boxes, 4)


def scales_of(layout, side):
    return [round(m.sizes[0][0] / side, 4) for m in stated_maps(layout, (), (), 1.7, side, side)]


def test_scales_are_the_papers():
    assert scales_of("six", 300) == [0.2, 0.34, 0.48, 0.62, 0.76, 0.9]
    # conv4_3 has 0.1 (section 3.1), and the rule runs over the other five
    assert scales_of("ssd300", 300) == [0.1, 0.2, 0.375, 0.55, 0.725, 0.9]
    # SSD512: 0.07, then from 0.15
    assert scales_of("ssd512", 512) == [0.07, 0.15, 0.3, 0.45, 0.6, 0.75, 0.9]


def test_the_first_map_of_ssd300_by_hand():
    first = stated_maps("ssd300", (), (), 1.7, 300, 300)[0]
    extra = math.sqrt(0.1 * 0.2) * 300
    wide, narrow = 30 * math.sqrt(2), 30 / math.sqrt(2)
    np.testing.assert_allclose(first.sizes, [(30, 30), (extra, extra), (wide, narrow), (narrow, wide)], rtol=1e-9)


def test_centres_lie_half_a_cell_in():
    boxes = default_boxes(stated_maps("ssd300", (), (), 1.7, 300, 300), 300, 300)
    np.testing.assert_allclose(boxes[0, :2], [300 * 0.5 / 38] * 2, rtol=1e-6)
    np.testing.assert_allclose(boxes[-1, :2], [150, 150], rtol=1e-6)
    second = 38 * 38 * 4  # the first box of the 19 x 19 map
    np.testing.assert_allclose(boxes[second, :2], [300 * 0.5 / 19] * 2, rtol=1e-6)


def test_a_wide_input_takes_its_scales_from_the_shorter_side():
    wide = stated_maps("six", (), (), 1.7, 300, 600)
    assert [m.sizes for m in wide] == [m.sizes for m in stated_maps("six", (), (), 1.7, 300, 300)]
    assert [(m.rows, m.columns) for m in wide][:2] == [(19, 38), (10, 19)]


def test_boxes_in_pixels_shrink_with_the_resolution_multiplier():
    half = stated_maps("f38", (), (), 1.0, 150, 150, 0.5)
    assert half[0].sizes == ((8.0, 8.0), (16.0, 16.0))
    stated = stated_maps("f38", (), ((10,), (20,), (30,), (40,)), 1.0, 150, 150, 0.5)
    assert [m.sizes for m in stated] == [((5.0, 5.0),), ((10.0, 10.0),), ((15.0, 15.0),), ((20.0, 20.0),)]
    shaped = stated_maps("f38", (((10, 20),), ((20, 40),), ((30, 60),), ((40, 80),)), (), 1.0, 150, 150, 0.5)
    assert shaped[0].sizes == ((5.0, 10.0),)


def test_shapes_and_sizes_hold_on_every_layout():
    for name, layout in LAYOUTS.items():
        count = len(layout.strides) + len(layout.extras)
        sizes = stated_maps(name, (), [(16.0,)] * count, 4.0, 300, 300)
        assert [m.sizes for m in sizes] == [((8.0, 32.0),)] * count
        assert [m.sizes for m in stated_maps(name, [((5, 6),)] * count, (), 4.0, 300, 300)] == [((5.0, 6.0),)] * count
        with pytest.raises(SettingError, match=f"{count} maps but sizes for {count + 1}"):
            stated_maps(name, (), [(16.0,)] * (count + 1), 4.0, 300, 300)


def test_an_unknown_layout_gets_the_nearest():
    with pytest.raises(SettingError, match=r"^model\.layout: 'ssd30' is unknown \(did you mean 'ssd300'\?\)$"):
        find_layout("ssd30")
