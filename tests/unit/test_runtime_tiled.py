"""A detector over tiles: where they lie, what is dropped at their edges, and what several passes see twice."""

from __future__ import annotations

import numpy as np
import pytest

from passerby import Detector
from passerby.errors import SettingError
from passerby.records import Detections
from passerby.runtime.tiled import INSIDE, MOST, Tiled, merge, parse_grid


class Marks:
    """An engine that finds the bright rectangles it is shown: columns of value 255 or 254, as boxes in input pixels."""

    name = "marks"

    def __init__(self):
        self.runs = 0

    def run(self, pixels):
        self.runs += 1
        boxes, scores = [], []
        for value in (255, 254):
            ys, xs = np.nonzero(pixels[0, ..., 0] == value)
            if len(xs):
                boxes.append((xs.min(), ys.min(), xs.max() + 1, ys.max() + 1))
                scores.append((value - 200) / 100)
        return np.array(boxes, np.float32).reshape(-1, 4), np.array(scores, np.float32).reshape(-1, 1)


def tiled_over(make_spec, grid=(2, 2), overlap=0.25):
    engine = Marks()
    return Tiled(Detector.of(make_spec(), engine, 0.1), grid, overlap), engine


def black(width=112, height=112, **marks):
    pixels = np.zeros((height, width, 3), np.uint8)
    for value, (x, y, w, h) in marks.items():
        pixels[y : y + h, x : x + w] = int(value[1:])
    return pixels


def test_every_tile_and_the_whole_are_looked_at_once(make_spec):
    tiled, engine = tiled_over(make_spec)
    assert len(tiled(black())) == 0
    assert engine.runs == 5


def test_tiles_of_a_grid_cover_the_picture_and_overlap_by_the_share(make_spec):
    tiled, _ = tiled_over(make_spec)
    # 64 = ceil(112 / 1.75): two of them share 16 pixels, a quarter
    assert tiled.lay(112, 112) == [
        (0, 0, 112, 112), (0, 0, 64, 64), (48, 0, 64, 64), (0, 48, 64, 64), (48, 48, 64, 64)
    ]  # fmt: skip


def test_without_a_grid_no_tile_is_shrunk_and_each_has_the_pictures_shape(make_spec):
    tiled, _ = tiled_over(make_spec, None)
    assert tiled.lay(64, 64) == tiled.lay(64, 64)[:1]  # the whole is enough
    parts = tiled.lay(200, 100)[1:]
    assert len(parts) == 16
    assert {(w, h) for _, _, w, h in parts} == {(62, 31)}
    assert len(tiled.lay(100_000, 100_000)) == MOST + 1


def test_an_object_that_only_one_tile_sees_lies_where_it_is_in_the_picture(make_spec):
    tiled, _ = tiled_over(make_spec)
    found = tiled(black(m255=(80, 70, 8, 6)))
    np.testing.assert_allclose(found.boxes[0], [80, 70, 88, 76], atol=2)
    assert len(found) == 1


def test_an_object_cut_by_a_tile_is_taken_from_the_pass_that_sees_it_whole(make_spec):
    tiled, _ = tiled_over(make_spec)
    found = tiled(black(m255=(20, 20, 60, 60)))  # no tile holds it
    assert len(found) == 1
    np.testing.assert_allclose(found.boxes[0], [20, 20, 80, 80], atol=2)


def test_an_object_at_the_pictures_own_border_is_kept(make_spec):
    tiled, _ = tiled_over(make_spec)
    found = tiled(black(m255=(0, 100, 10, 12)))
    assert len(found) == 1
    np.testing.assert_allclose(found.boxes[0], [0, 100, 10, 112], atol=2)


def made(boxes, labels=None):
    n = len(boxes)
    labels = np.zeros(n, np.int64) if labels is None else np.array(labels)
    return Detections(np.array(boxes, np.float32), np.linspace(0.9, 0.5, n, dtype=np.float32), labels, ("a", "b"))


def test_merging_drops_what_overlaps_and_what_lies_inside_one_of_another_pass():
    whole, inside, beside = [0, 0, 20, 20], [0, 0, 10, 10], [30, 0, 40, 10]
    two = made([whole, inside, beside])
    assert merge(two, np.array([0, 1, 1]), 0.45).tolist() == [0, 2]
    assert merge(two, np.array([0, 0, 0]), 0.45).tolist() == [0, 1, 2]  # of one pass: a head before a head
    half = made([whole, [20 - 10 * INSIDE + 1, 0, 30 - 10 * INSIDE + 1, 10]])
    assert merge(half, np.array([0, 1]), 0.45).tolist() == [0, 1]
    assert merge(made([whole, whole]), np.array([0, 0]), 0.45).tolist() == [0]


def test_classes_do_not_suppress_each_other():
    assert merge(made([[0, 0, 9, 9]] * 2, [0, 1]), np.array([0, 1]), 0.45).tolist() == [0, 1]


@pytest.mark.parametrize("text", ["", "3", "3x", "0x2", "ax2", "2x2x2", "-1x2", "2*2"])
def test_a_grid_that_is_none_is_refused(text):
    with pytest.raises(SettingError, match="--tiles"):
        parse_grid(text)


def test_grids_are_read_and_too_many_tiles_refused(make_spec):
    assert parse_grid("auto") is None
    assert parse_grid("3X2") == (3, 2)
    for grid, overlap in (((9, 9), 0.2), ((0, 1), 0.2), ((2, 2), 1.0), ((2, 2), float("nan"))):
        with pytest.raises(SettingError):
            tiled_over(make_spec, grid, overlap)
