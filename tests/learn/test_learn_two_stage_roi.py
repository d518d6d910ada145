"""RoIAlign: values worked out by hand, a slow reference written out, gradients, and which map a box reads."""

from __future__ import annotations

import math

import pytest
import torch

from passerby.learn.roi import BINS, SAMPLES, RoIAlign, bin_weights, levels_of, reachable


def bilinear(plane, y, x):
    """The value at (y, x), cell (i, j) centred at (i, j), the border's value outside."""
    rows, columns = plane.shape
    y, x = min(max(y, 0.0), rows - 1.0), min(max(x, 0.0), columns - 1.0)
    top, left = min(int(y), max(rows - 2, 0)), min(int(x), max(columns - 2, 0))
    down, across = y - top, x - left
    value = 0.0
    for i, share in ((top, 1 - down), (top + 1, down)):
        for j, part in ((left, 1 - across), (left + 1, across)):
            if share * part:
                value += share * part * float(plane[i, j])
    return value


def slow(maps, boxes, strides, height, width):
    """He et al. 2017, section 3, one sample after another."""
    channels = maps[0].shape[1]
    out = torch.zeros(*boxes.shape[:2], BINS, BINS, channels, dtype=maps[0].dtype)
    for b, row in enumerate(boxes.tolist()):
        for r, (x0, y0, x1, y1) in enumerate(row):
            size = math.sqrt((x1 - x0) * (y1 - y0))
            k = math.floor(4 + math.log2(size / 224)) if size else 0
            level = min(max(k, int(math.log2(strides[0]))), int(math.log2(strides[-1])))
            features = maps[strides.index(2**level)][b]
            across, down = features.shape[2] / width, features.shape[1] / height
            for i in range(BINS * SAMPLES):
                for j in range(BINS * SAMPLES):
                    y = (y0 + (i + 0.5) / (BINS * SAMPLES) * (y1 - y0)) * down - 0.5
                    x = (x0 + (j + 0.5) / (BINS * SAMPLES) * (x1 - x0)) * across - 0.5
                    for c in range(channels):
                        out[b, r, i // SAMPLES, j // SAMPLES, c] += bilinear(features[c], y, x) / SAMPLES**2
    return out.flatten(2)


def ramp(rows, columns):
    """A map whose value is 10 times the row plus the column: (1, 1, rows, columns)."""
    return (10.0 * torch.arange(rows)[:, None] + torch.arange(columns)).view(1, 1, rows, columns)


def test_a_box_over_seven_cells_each_way_gives_each_cell_as_it_is_on_a_ramp():
    # 8 cells of 4 px; from cell 0 to the end of cell 6: bin i is cell i, and the mean of samples at i -+ 1/4 is i,
    # but for the first bin of all, whose samples at -1/4 are moved to 0, so that its mean is (0 + 1/4) / 2 = 1/8
    align = RoIAlign((4,), 32, 32)
    out = align([ramp(8, 8)], torch.tensor([[[0.0, 0.0, 28.0, 28.0]]])).view(7, 7)
    bins = torch.tensor([0.125, 1, 2, 3, 4, 5, 6])
    torch.testing.assert_close(out, 10 * bins[:, None] + bins)


def test_a_box_of_no_size_gives_the_value_at_its_place():
    # pixel 10, 18 of 4 px cells lies at column 10 / 4 - 0.5 = 2, row 18 / 4 - 0.5 = 4
    out = RoIAlign((4,), 32, 32)([ramp(8, 8)], torch.tensor([[[10.0, 18.0, 10.0, 18.0]]]))
    torch.testing.assert_close(out, torch.full((1, 1, 49), 42.0))


def test_the_half_pixel_is_where_default_boxes_are_centred():
    # the centre of cell (row 1, column 2) of a map of 3 x 5 cells over 30 x 40 px: x = 2.5 / 5 * 40, y = 1.5 / 3 * 30
    out = RoIAlign((8,), 30, 40)([ramp(3, 5)], torch.tensor([[[20.0, 15.0, 20.0, 15.0]]]))
    torch.testing.assert_close(out, torch.full((1, 1, 49), 12.0))


def test_outside_the_outermost_centres_the_border_goes_on():
    box = torch.tensor([[[-50.0, -50.0, -10.0, -10.0], [60.0, 60.0, 90.0, 90.0]]])
    out = RoIAlign((4,), 32, 32)([ramp(8, 8)], box)
    torch.testing.assert_close(out[0, 0], torch.zeros(49))
    torch.testing.assert_close(out[0, 1], torch.full((49,), 77.0))


def test_the_weights_of_a_bin_by_hand():
    # from 1 to 15 cells: samples one cell apart at 1.5 - 0.5 = 1, 2, 3, ...: bin 0 is half of cell 1 and half of cell 2
    weights = bin_weights(torch.tensor(1.0), torch.tensor(15.0), 16)
    assert weights.shape == (7, 16)
    assert weights[0].tolist() == [0, 0.5, 0.5, *[0] * 13]
    assert weights[6].tolist() == [*[0] * 13, 0.5, 0.5, 0]


@pytest.mark.parametrize("strides", [(8,), (8, 16), (8, 16, 32)])
def test_it_answers_as_the_slow_way_does_on_boxes_of_every_kind(strides):
    maps = [torch.randn(2, 3, -(-250 // s), -(-470 // s), dtype=torch.float64) for s in strides]
    corner = torch.rand(2, 6, 2, dtype=torch.float64) * torch.tensor([400.0, 200.0]) - 20
    boxes = torch.cat([corner, corner + torch.rand(2, 6, 2, dtype=torch.float64) * 60], -1)
    whole = torch.tensor([[0, 0, 470, 250], [20, 10, 190, 230], [0, 0, 0, 0]], dtype=torch.float64)
    boxes = torch.cat([boxes, whole.expand(2, -1, -1)], 1)
    align = RoIAlign(strides, 250, 470)
    torch.testing.assert_close(align(maps, boxes), slow(maps, boxes, strides, 250, 470), atol=1e-9, rtol=0)


def test_its_gradient_is_that_of_finite_differences():
    maps = [torch.randn(1, 2, n, n, dtype=torch.float64, requires_grad=True) for n in (6, 3)]
    boxes = torch.tensor([[[3.0, 5.0, 30.0, 41.0], [0.0, 0.0, 440.0, 440.0]]], dtype=torch.float64)
    align = RoIAlign((8, 16), 448, 448)
    assert levels_of(boxes, (8, 16)).tolist() == [[0, 1]]
    assert torch.autograd.gradcheck(lambda *m: align(list(m), boxes), maps)


def test_a_large_box_reads_a_coarse_map_by_equation_1():
    # stride 16 from 224 px on, 32 from 448 px on; one pixel less is the finer map's
    sides = torch.tensor([0.0, 1.0, 223.0, 224.0, 447.0, 448.0, 900.0, 4000.0])
    boxes = torch.stack([torch.zeros(8), torch.zeros(8), sides, sides], -1)
    assert levels_of(boxes, (8, 16, 32)).tolist() == [0, 0, 0, 1, 1, 2, 2, 2]
    assert levels_of(boxes, (16,)).tolist() == [0] * 8
    tall = torch.tensor([[10.0, 0.0, 110.0, 501.76], [10.0, 0.0, 110.0, 501.0]])  # sqrt(100 x 501.76) = 224
    assert levels_of(tall, (8, 16, 32)).tolist() == [1, 0]


def test_maps_that_no_box_inside_the_input_reads_are_not_multiplied():
    assert reachable((8, 16, 32), 300, 300) == (8, 16)
    assert reachable((8, 16, 32), 512, 512) == (8, 16, 32)
    assert reachable((8, 16, 32), 64, 64) == (8,)
    assert reachable((16,), 64, 64) == (16,)


def test_its_multiply_adds_are_those_that_torch_counts():
    from torch.utils.flop_counter import FlopCounterMode

    maps, boxes = [torch.randn(2, 5, 9, 11), torch.randn(2, 5, 4, 6)], torch.rand(2, 3, 4) * 50
    align = RoIAlign((8, 16), 72, 88)
    with FlopCounterMode(display=False) as counter:
        align(maps, boxes)
    assert align.macs(maps, boxes) == counter.get_total_flops() // 2
    # 2 pictures x 3 boxes x 7 bands: each 11 x 5 wide from 9 rows, then 7 x 5 from 11 columns; the same for 4 x 6
    assert align.macs(maps, boxes) == 42 * (11 * 5 * 9 + 7 * 5 * 11) + 42 * (6 * 5 * 4 + 7 * 5 * 6)
