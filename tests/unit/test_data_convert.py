"""Converting: fewer pictures, splits in which nothing leaks, and tiles."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from passerby.data.convert import Tiling, parse_shares, split_samples, subsample, tiled_items
from passerby.errors import SettingError
from passerby.geometry.part import cut, tiles
from passerby.pictures import read_picture
from passerby.records import Sample, SampleSet, Truth


def sample_set(count, tmp_path, size=(60, 40), boxes=((1, 2, 11, 22),)):
    return SampleSet(
        tuple(Sample(tmp_path / f"{i:04}.jpg", *size, Truth.of(boxes)) for i in range(count)), ("head",), "made"
    )


def names(samples):
    return [s.path.stem for s in samples]


def test_a_subsample_is_the_same_for_a_seed_and_keeps_the_order(tmp_path):
    whole = sample_set(100, tmp_path)
    ten = subsample(whole, count=10, seed=3)
    assert names(ten) == names(subsample(whole, share=0.1, seed=3)) == sorted(names(ten))
    assert len(ten) == 10
    assert names(ten) != names(subsample(whole, count=10, seed=4))
    assert len(subsample(whole, count=1000)) == 100
    assert len(subsample(whole, share=0.0001)) == 1
    assert set(names(ten)) <= set(names(subsample(whole, count=20, seed=3)))  # more of one seed holds the fewer


@pytest.mark.parametrize("given_", [{}, {"count": 3, "share": 0.1}, {"share": 1.5}, {"count": -1}, {"share": -1.0}])
def test_a_subsample_of_nothing_or_too_much_is_refused(tmp_path, given_):
    with pytest.raises(SettingError):
        subsample(sample_set(3, tmp_path), **given_)


def test_shares_are_read_and_checked():
    assert parse_shares("train=0.8, val=0.2") == {"train": 0.8, "val": 0.2}
    for wrong in (
        "train",
        "train=a",
        "train=0.8",
        "train=0.8,val=0.3",
        "a=0.5,a=0.5",
        "=1",
        "../x=1",
        "a=1,b=0",
        "a=nan",
    ):
        with pytest.raises(SettingError, match="--split"):
            parse_shares(wrong)


@given(st.lists(st.integers(1, 12), min_size=1, max_size=40), st.integers(0, 5))
def test_groups_stay_together_and_shares_are_nearly_met(tmp_path_factory, sizes, seed):
    count = sum(sizes)
    ends = np.cumsum([0, *sizes])
    together = [list(range(a, b)) for a, b in itertools.pairwise(ends)]
    whole = sample_set(count, tmp_path_factory.getbasetemp())
    shares = {"train": 0.7, "val": 0.2, "test": 0.1}
    found = split_samples(whole, shares, together, seed)
    assert names(found) == names(whole)
    for group in together:
        assert len({found[i].split for i in group}) == 1
    for name, share in shares.items():
        assert abs(sum(s.split == name for s in found) - share * count) <= max(sizes)
    assert [s.split for s in found] == [s.split for s in split_samples(whole, shares, together, seed)]


def test_single_pictures_are_split_at_random_and_exactly(tmp_path):
    whole = sample_set(100, tmp_path)
    alone = [[i] for i in range(100)]
    found = split_samples(whole, {"train": 0.8, "val": 0.2}, alone, seed=1)
    assert sum(s.split == "val" for s in found) == 20
    assert [s.split for s in found] != [
        s.split for s in split_samples(whole, {"train": 0.8, "val": 0.2}, alone, seed=2)
    ]


def test_tiles_of_a_picture_by_hand():
    assert tiles(100, 50, 60, 50, 0.0) == [(0, 0, 60, 50), (40, 0, 60, 50)]
    assert tiles(100, 100, 60, 60, 0.5) == [(x, y, 60, 60) for y in (0, 20, 40) for x in (0, 20, 40)]
    assert tiles(30, 20, 60, 60, 0.2) == [(0, 0, 30, 20)]


@given(st.integers(1, 400), st.integers(1, 400), st.integers(1, 300), st.integers(1, 300), st.floats(0, 0.9))
def test_tiles_cover_every_pixel_and_overlap_as_asked(width, height, w, h, overlap):
    found = tiles(width, height, w, h, overlap)
    for axis, length, tile in ((0, width, min(w, width)), (1, height, min(h, height))):
        starts = sorted({t[axis] for t in found})
        assert starts[0] == 0
        assert starts[-1] + tile == length
        most = max(1, round(tile * (1 - overlap)) + 1)
        assert all(b - a <= most for a, b in itertools.pairwise(starts))
        assert all(b - a <= tile for a, b in itertools.pairwise(starts))
    assert {t[2:] for t in found} == {(min(w, width), min(h, height))}


@pytest.mark.parametrize("wrong", [(0, 5, 0.1), (5, 0, 0.1), (5, 5, 1.0), (5, 5, -0.1)])
def test_tiles_out_of_range_are_refused(wrong):
    with pytest.raises(SettingError, match="tiles of"):
        tiles(10, 10, *wrong)


def test_tiles_show_the_same_pixels_and_boxes(tmp_path, make_picture):
    path = make_picture(tmp_path / "a.png", 100, 60)
    one = Sample(path, 100, 60, Truth.of([(10, 10, 20, 30), (45, 10, 65, 30), (90, 50, 100, 60)]), split="train")
    found = list(tiled_items(SampleSet((one,), ("head",)), Tiling(60, 60, 0.0)))
    assert [i.name for i in found] == ["a_0_0.png", "a_40_0.png"]
    whole = read_picture(path)
    for item, x in zip(found, (0, 40), strict=True):
        assert (item.pixels() == whole[:, x : x + 60]).all()
        assert (item.sample.width, item.sample.height, item.sample.split) == (60, 60, "train")
    assert found[0].sample.truth.boxes.tolist() == [[10, 10, 20, 30], [45, 10, 60, 30]]
    assert found[1].sample.truth.boxes.tolist() == [[5, 10, 25, 30], [50, 50, 60, 60]]


def test_an_object_of_which_less_than_half_is_left_is_ignored():
    truth = cut(Truth.of([(0, 0, 10, 10), (6, 0, 16, 10), (4, 0, 14, 10)]), 0, 0, 9, 10)
    assert truth.boxes.tolist() == [[0, 0, 9, 10], [6, 0, 9, 10], [4, 0, 9, 10]]
    assert truth.ignore.tolist() == [False, True, False]


def test_tiles_without_an_object_may_be_left_out(tmp_path, make_picture):
    path = make_picture(tmp_path / "a.png", 100, 60)
    one = Sample(path, 100, 60, Truth.of([(10, 10, 20, 30)]))
    both = [len(list(tiled_items(SampleSet((one,), ("head",)), Tiling(60, 60, 0.0, empty)))) for empty in (True, False)]
    assert both == [2, 1]
