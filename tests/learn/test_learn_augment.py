"""Augmentation: boxes stay on their pixels. Each object is painted in a colour of its own and looked for afterwards."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from passerby.geometry.part import cut
from passerby.geometry.resize import GREY, fit
from passerby.learn.augment import augment, colour, crop, expand, flip, hide, warp
from passerby.recipe import Augment
from passerby.records import Truth

BOXES = [(4, 10, 34, 50), (50, 0, 90, 30), (100, 40, 140, 100), (20, 60, 60, 108), (130, 5, 158, 20)]
COLOURS = np.array([(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (255, 0, 255)], np.uint8)
SEEDS = range(60)


@pytest.fixture
def painted():
    """A black picture of 160 x 110 pixels with five rectangles, their boxes, and the number of each as its label."""
    pixels = np.zeros((110, 160, 3), np.uint8)
    for (x0, y0, x1, y1), paint in zip(BOXES, COLOURS, strict=True):
        pixels[y0:y1, x0:x1] = paint
    return pixels, Truth.of(BOXES, range(5))


def where(pixels, number, near=0):
    """The box round all pixels of a colour, or None where there is none."""
    far = np.abs(pixels.astype(int) - COLOURS[number].astype(int)).max(axis=2)
    rows, columns = np.nonzero(far <= near)
    return [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1] if len(rows) else None


def check(pixels, truth):
    """Each object lies exactly where its box says, and what has no box is not to be seen."""
    for number in range(5):
        mine = truth.boxes[truth.labels == number].tolist()
        seen = where(pixels, number)
        assert mine == ([seen] if seen else []), number


def area_of(box):
    return (box[2] - box[0]) * (box[3] - box[1])


def test_flip_by_hand(painted):
    pixels, truth = painted
    flipped, boxes = flip(pixels, truth)
    assert boxes.boxes[0].tolist() == [160 - 34, 10, 160 - 4, 50]
    check(flipped, boxes)


def test_flip_twice_gives_the_picture_back(painted):
    pixels, truth = painted
    again, back = flip(*flip(pixels, truth))
    np.testing.assert_array_equal(again, pixels)
    np.testing.assert_array_equal(back.boxes, truth.boxes)


def test_a_part_keeps_boxes_on_their_pixels(painted):
    pixels, truth = painted
    sizes = set()
    for seed in SEEDS:
        part, inside = crop(pixels, truth, Augment(), np.random.default_rng(seed))
        check(part, inside)
        sizes.add(part.shape)
        for number, box, ignored in zip(inside.labels, inside.boxes, inside.ignore, strict=True):
            assert ignored == (area_of(box) < 0.5 * area_of(BOXES[number]))
        assert not inside.ignore.all()
    assert len(sizes) > 40


def test_a_part_has_the_asked_size_and_shape():
    pixels, none = np.zeros((400, 400, 3), np.uint8), Truth.of([])
    how = Augment(crop_scale=(0.5, 0.6), crop_ratio=1.2)
    shapes = np.array([crop(pixels, none, how, np.random.default_rng(s))[0].shape[:2] for s in SEEDS])
    ratio = shapes[:, 1] / shapes[:, 0]
    side = np.sqrt(shapes.prod(axis=1)) / 400
    assert 0.49 < side.min() < side.max() <= 0.6
    assert 1 / 1.21 < ratio.min() < 0.95
    assert 1.05 < ratio.max() < 1.21


def test_where_no_part_holds_an_object_the_picture_stays_whole():
    pixels = np.zeros((400, 400, 3), np.uint8)
    truth = Truth.of([[0, 0, 400, 400]])  # a part of at most 0.3 of the side never holds half of it
    part, inside = crop(pixels, truth, Augment(crop_scale=(0.1, 0.3)), np.random.default_rng(0))
    assert part is pixels
    assert inside is truth


def test_a_picture_without_objects_is_cut_too():
    pixels = np.zeros((100, 100, 3), np.uint8)
    part, inside = crop(pixels, Truth.of([]), Augment(crop_scale=(0.5, 0.5)), np.random.default_rng(0))
    assert part.shape[0] < 100
    assert len(inside) == 0


def test_an_object_of_which_less_than_half_remains_becomes_an_ignore_region():
    truth = Truth.of([[0, 0, 10, 10], [0, 20, 10, 30], [40, 40, 50, 50], [8, 40, 18, 50]], range(4))
    left = cut(truth, 5, 0, 30, 100)  # cuts at x = 5 and x = 35
    assert left.labels.tolist() == [0, 1, 3]  # the third lies outside
    assert left.boxes.tolist() == [[0, 0, 5, 10], [0, 20, 5, 30], [3, 40, 13, 50]]
    assert left.ignore.tolist() == [False, False, False]  # exactly half still counts
    less = cut(truth, 6, 0, 30, 100)
    assert less.ignore.tolist() == [True, True, False]
    assert less.boxes.tolist()[0] == [0, 0, 4, 10]


def test_cutting_keeps_difficult_and_ignore_as_they_were():
    truth = Truth.of([[0, 0, 10, 10]] * 3, [2, 3, 4], [True, False, False], [False, True, False])
    left = cut(truth, 0, 0, 20, 20)
    assert left.difficult.tolist() == [True, False, False]
    assert left.ignore.tolist() == [False, True, False]


def test_a_larger_canvas_keeps_boxes_on_their_pixels_and_is_grey(painted):
    pixels, truth = painted
    for seed in SEEDS:
        canvas, moved = expand(pixels, truth, 1.6, np.random.default_rng(seed))
        check(canvas, moved)
        height, width = canvas.shape[:2]
        assert 160 <= width <= 256
        assert 110 <= height <= 176
        assert (canvas == GREY).all(axis=2).sum() == width * height - 160 * 110


@pytest.mark.parametrize("rule", ["stretch", "letterbox"])
def test_boxes_stay_on_their_pixels_through_everything_and_the_resize(painted, rule):
    pixels, truth = painted
    how = Augment(crop=0.5, expand=0.5, flip=0.5, colour=0, grey=0, blur=0)
    compared = 0
    for seed in SEEDS:
        changed, boxes = augment(pixels, truth, how, np.random.default_rng(seed))
        check(changed, boxes)
        small, placement = fit(changed, 96, 96, rule)
        for number, box in zip(boxes.labels, placement.forth(boxes.boxes), strict=True):
            if min(box[2] - box[0], box[3] - box[1]) < 8:
                continue  # nothing of a thin one is left of the pure colour
            compared += 1
            seen = where(small, number, near=100)
            np.testing.assert_allclose(seen, box, atol=1.01)
    assert compared > 100


def test_every_kind_of_change_happens(painted):
    pixels, truth = painted
    kinds = set()
    for seed in SEEDS:
        changed, boxes = augment(pixels, truth, Augment(), np.random.default_rng(seed))
        size = "smaller" if changed.shape[0] < 110 else "larger" if changed.shape[0] > 110 else "same"
        order = boxes.boxes[np.argsort(boxes.labels), 0]
        kinds.add((size, len(order) == 5 and order[0] > order[2]))
    assert {("smaller", False), ("same", False), ("same", True)} <= kinds
    assert any(size == "larger" for size, _ in kinds)


def test_without_any_probability_nothing_changes(painted, still):
    pixels, truth = painted
    rng = np.random.default_rng(0)
    same, boxes = augment(pixels, truth, still, rng)
    np.testing.assert_array_equal(colour(same, still, rng), pixels)
    np.testing.assert_array_equal(boxes.boxes, truth.boxes)


def test_input_arrays_are_left_as_they_are(painted):
    pixels, truth = painted
    before, boxes = pixels.copy(), truth.boxes.copy()
    how = Augment(crop=0.7, expand=1, flip=1, colour=1, grey=0.3, blur=1)
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        changed, _ = augment(pixels, truth, how, rng)
        colour(changed, how, rng)
        colour(pixels, how, rng)
        np.testing.assert_array_equal(pixels, before)
        np.testing.assert_array_equal(truth.boxes, boxes)
    assert not truth.ignore.any()


def test_colour_keeps_shape_and_type_and_changes_the_picture(make_pixels):
    pixels = make_pixels(64, 48)
    how = Augment(colour=1, grey=0, blur=0)
    changed = [colour(pixels, how, np.random.default_rng(seed)) for seed in range(20)]
    for one in changed:
        assert (one.shape, one.dtype) == ((48, 64, 3), np.uint8)
        assert (one != pixels).any()
    assert len({one.tobytes() for one in changed}) == 20


def test_brightness_and_contrast_stay_in_range():
    black, white = np.zeros((4, 4, 3), np.uint8), np.full((4, 4, 3), 255, np.uint8)
    for seed in SEEDS:
        low, high = (int(colour(p, Augment(colour=1), np.random.default_rng(seed)).mean()) for p in (black, white))
        assert low < 90  # (0 - 128) * 0.6 + 128 + 32 = 83.2 at most; wrapping round would give over 200
        assert high > 160


def test_grey_makes_the_three_channels_one(make_pixels):
    grey = colour(make_pixels(32, 32), Augment(colour=0, grey=1, blur=0), np.random.default_rng(0))
    assert (grey == grey[..., :1]).all()
    assert grey.shape == (32, 32, 3)


def test_blur_smooths(make_pixels):
    pixels = make_pixels(32, 32)
    soft = colour(pixels, Augment(colour=0, grey=0, blur=1), np.random.default_rng(0))
    assert soft.std() < 0.8 * pixels.std()


class Drawn:
    """A generator whose uniform numbers are all the same."""

    def __init__(self, value):
        self.value = value

    def uniform(self, low, high, size=None):
        return self.value if size is None else np.full(size, self.value)


def test_a_shift_by_hand(painted):
    pixels, truth = painted
    moved, there = warp(pixels, truth, Augment(shift=0.1), Drawn(1))  # 16 pixels to the right, 11 down
    assert np.array_equal(moved[11:, 16:], pixels[:-11, :-16])
    assert np.array_equal(moved[0], moved[11])  # the border goes on outwards
    first = [[20, 21, 50, 61], [66, 11, 106, 41], [116, 51, 156, 110], [36, 71, 76, 110], [146, 16, 160, 31]]
    assert there.boxes.tolist() == first
    assert there.ignore.tolist() == [False, False, False, False, False]  # the last keeps exactly half


def test_zoom_and_shear_by_hand():
    truth = Truth.of([(70, 45, 90, 65)])
    pixels = np.zeros((110, 160, 3), np.uint8)
    assert warp(pixels, truth, Augment(zoom=0.5), Drawn(1))[1].boxes.tolist() == [[65, 40, 95, 70]]
    # by 45 degrees x grows by y: 10 pixels over the centre 10 to the left, under it 10 to the right
    assert warp(pixels, truth, Augment(shear=45), Drawn(1))[1].boxes[0] == pytest.approx([60, 45, 100, 65], abs=1e-4)


@pytest.mark.parametrize("seed", range(20))
def test_boxes_stay_round_their_pixels_when_shifted_zoomed_and_sheared(painted, seed):
    pixels, truth = painted
    moved, there = warp(pixels, truth, Augment(shift=0.2, zoom=0.3, shear=10), np.random.default_rng(seed))
    assert moved.shape == pixels.shape
    height, width = pixels.shape[:2]
    for box, number in zip(there.boxes, there.labels, strict=True):
        at_border = number == 1 or min(box[:2]) <= 2 or box[2] >= width - 2 or box[3] >= height - 2
        if not at_border:  # there it goes on outwards, under its box
            seen = where(moved, int(number), near=100)
            assert np.abs(np.array(seen) - box).max() <= 2


def test_hidden_cells_are_grey_and_as_many_as_asked(make_pixels):
    pixels = make_pixels(96, 80)
    rng = np.random.default_rng(0)
    shares = []
    for _ in range(50):
        grey = (hide(pixels, 0.3, rng) == GREY).all(axis=2)
        shares.append(grey.mean())
    assert np.mean(shares) == pytest.approx(0.3, abs=0.05)
    assert (hide(pixels, 1.0, rng) == GREY).all()
    assert np.array_equal(hide(pixels, 0.0, rng), pixels)


def test_half_of_the_pictures_have_hidden_cells(make_pixels, still):
    pixels = make_pixels(64, 64)
    how = dataclasses.replace(still, hide=0.5)
    hidden = [not np.array_equal(colour(pixels, how, np.random.default_rng(k)), pixels) for k in range(100)]
    assert 35 < sum(hidden) < 65
