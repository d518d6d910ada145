"""Pictures made of several: pasted objects, mosaics, and zooms bound to the size of objects."""

from __future__ import annotations

import json

import numpy as np
import pytest

from passerby.errors import SettingError
from passerby.geometry.boxes import area, iou
from passerby.geometry.resize import GREY
from passerby.learn.augment import augment, zoom
from passerby.learn.detecting import check
from passerby.learn.loop import train
from passerby.learn.mixing import COVERED, Input, mosaic, paste
from passerby.recipe import Augment, Recipe
from passerby.records import Truth

INPUT = Input(96, 96, "stretch")
SEEDS = range(30)


def picture(*boxes, base=20, inside=200, size=(120, 160), ignore=()):
    """Grey pixels (H, W) with a brighter rectangle a box, and their truth."""
    pixels = np.full((*size, 3), base, np.uint8)
    for x0, y0, x1, y1 in boxes:
        pixels[y0:y1, x0:x1] = inside
    rows = range(len(boxes))
    none = np.zeros(len(boxes), bool)
    hidden = np.array([k in ignore for k in rows], bool)
    return pixels, Truth(np.array(boxes, np.float32).reshape(-1, 4), np.zeros(len(boxes), np.int64), none, hidden)


HERE = picture((70, 50, 90, 74))
THERE = picture((10, 10, 34, 40), (60, 20, 84, 50), (100, 60, 124, 90), base=90, inside=255)


@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_pasted_lies_in_its_box_and_covers_nobody(seed):
    pixels, truth = HERE
    out, more = paste(pixels, truth, lambda: THERE, Augment(paste_most=4), np.random.default_rng(seed))
    np.testing.assert_array_equal(more.boxes[0], truth.boxes[0])
    assert not more.ignore.any()
    assert len(more) <= 4
    for box in more.boxes[1:]:
        x0, y0, x1, y1 = box.astype(int)
        assert 0 <= x0 < x1 <= 160
        assert 0 <= y0 < y1 <= 120
        assert out[(y0 + y1) // 2, (x0 + x1) // 2, 0] >= 230  # the object's own brightness, not the picture's 20
        assert 0.6 < np.sqrt(area(box[None])[0] / area(truth.boxes)[0]) < 1.45  # 0.8 to 1.25, and rounding to pixels
    shared = iou(more.boxes, more.boxes) - np.eye(len(more))
    assert shared.max(initial=0) <= COVERED


def test_something_is_pasted_nearly_always_where_there_is_room():
    counts = [len(paste(*HERE, lambda: THERE, Augment(), np.random.default_rng(s))[1]) - 1 for s in SEEDS]
    assert min(counts) >= 0
    assert np.mean([c > 0 for c in counts]) > 0.9
    assert max(counts) >= 3


def test_the_border_fades_and_far_off_nothing_changes():
    pixels, truth = HERE
    out, more = paste(pixels, truth, lambda: THERE, Augment(paste_most=1), np.random.default_rng(3))
    x0, _, x1, y1 = more.boxes[1].astype(int)
    column = out[y1 : y1 + 12, (x0 + x1) // 2, 0].astype(int)  # under it, on the other picture's 90 fading to 20
    assert column[0] > 60
    assert column[-1] <= 25
    assert (np.diff(column) <= 1).all()
    changed = (out != pixels).any(axis=2)
    assert changed.mean() < 0.2
    assert (pixels == HERE[0]).all()


@pytest.mark.parametrize(
    ("here", "there"),
    [
        (picture(), THERE),  # a negative stays one
        (picture((10, 10, 30, 30), ignore=[0]), THERE),
        (HERE, picture()),
        (HERE, picture((10, 10, 30, 30), ignore=[0])),
        (HERE, picture((10, 10, 13, 13))),  # of no like size
        (HERE, picture((10, 10, 110, 115))),
    ],
)
def test_nothing_is_pasted_where_nothing_fits(here, there):
    for seed in SEEDS:
        out, more = paste(*here, lambda: there, Augment(), np.random.default_rng(seed))
        np.testing.assert_array_equal(out, here[0])
        assert len(more) == len(here[1])


@pytest.mark.parametrize("rule", ["stretch", "letterbox"])
@pytest.mark.parametrize("seed", range(10))
def test_a_mosaic_is_of_the_inputs_size_and_its_boxes_lie_on_their_pixels(seed, rule):
    to = Input(96, 80, rule)
    out, truth = mosaic(HERE, lambda: THERE, Augment(mosaic_scale=(0.8, 1.0)), to, np.random.default_rng(seed))
    assert out.shape == (80, 96, 3)
    for box in truth.boxes[~truth.ignore & (area(truth.boxes) > 60)]:
        x, y = ((box[:2] + box[2:]) / 2).astype(int)
        assert out[y, x, 0] >= 190
    assert (truth.boxes >= 0).all()
    assert (truth.boxes <= [96, 80, 96, 80]).all()


def test_objects_of_a_mosaic_are_no_smaller_than_its_scale_says():
    widths = []
    for seed in SEEDS:
        _, truth = mosaic(THERE, lambda: THERE, Augment(mosaic_scale=(0.5, 0.5)), INPUT, np.random.default_rng(seed))
        boxes = truth.boxes[~truth.ignore]
        widths += [w for x0, _, x1, _ in boxes if (w := x1 - x0) > 5]
    assert max(widths) == pytest.approx(24 * 96 / 160 * 0.5, abs=0.2)


def test_what_a_part_is_too_small_for_stays_grey():
    out, _ = mosaic(HERE, lambda: THERE, Augment(mosaic_scale=(0.2, 0.2)), INPUT, np.random.default_rng(0))
    assert (out == GREY).all(axis=2).mean() > 0.5


@pytest.mark.parametrize("seed", SEEDS)
def test_the_median_object_is_as_large_at_the_input_as_asked(seed):
    how = Augment(object_side=(20, 20), crop_scale=(0.1, 1.0), expand_scale=4)
    pixels, truth = picture((70, 50, 80, 60), (20, 20, 30, 30), (120, 90, 130, 100))  # 6.9 px at the input
    out, boxes = zoom(pixels, truth, how, INPUT, np.random.default_rng(seed))
    scale = np.sqrt(96 / out.shape[1] * 96 / out.shape[0])
    assert 10 * scale == pytest.approx(20, rel=0.05)
    assert len(boxes) >= 1


def test_a_picture_of_large_objects_is_laid_on_a_larger_canvas():
    how = Augment(object_side=(15, 15), crop_scale=(0.1, 1.0), expand_scale=4)
    out, _ = zoom(*picture((20, 20, 100, 80)), how, INPUT, np.random.default_rng(0))
    assert out.shape[1] > 300
    assert np.sqrt(96 / out.shape[1] * 96 / out.shape[0]) * np.sqrt(80 * 60) == pytest.approx(15, rel=0.02)
    assert (out == GREY).all(axis=2).mean() > 0.6


def test_zoom_stays_within_its_limits():
    for box in ((70, 50, 72, 52), (5, 5, 155, 115)):
        how = Augment(object_side=(20, 20), crop_scale=(0.5, 1.0), expand_scale=1.5, crop_ratio=1.0)
        out, _ = zoom(*picture(box), how, INPUT, np.random.default_rng(1))
        assert out.shape[1] in (80, 240)


def test_without_objects_any_part_will_do():
    out, truth = zoom(*picture(), Augment(object_side=(20, 20)), INPUT, np.random.default_rng(0))
    assert len(truth) == 0
    assert out.size > 0


def test_pictures_are_the_same_as_before_where_nothing_is_mixed():
    for seed in SEEDS:
        plain = augment(*HERE, Augment(), np.random.default_rng(seed))
        ready = augment(*HERE, Augment(), np.random.default_rng(seed), INPUT, lambda: THERE)
        np.testing.assert_array_equal(plain[0], ready[0])
        np.testing.assert_array_equal(plain[1].boxes, ready[1].boxes)


@pytest.mark.parametrize(
    ("setting", "what"),
    [
        ("augment.paste=1.5", "augment.paste is 1.5, a probability"),
        ("augment.mosaic=-0.1", "augment.mosaic is -0.1, a probability"),
        ("augment.paste_most=0", "augment.paste_most is 0, want at least 1"),
        ("augment.mosaic_scale=0,1", "augment.mosaic_scale is 0, 1"),
        ("augment.object_side=40,12", "augment.object_side is 40, 12"),
        ("augment.object_side=0,12", "augment.object_side is 0, 12"),
    ],
)
def test_settings_out_of_range_are_refused(setting, what):
    with pytest.raises(SettingError, match=what):
        check(Recipe().set(setting))


def test_a_run_with_all_of_it_trains_and_is_repeated_exactly(make_recipe, heads_voc, teller, tmp_path, no_curves):
    mixed = Augment(paste=1, mosaic=0.5, object_side=(10, 30), crop=0.5, colour=0)
    recipe = make_recipe(heads_voc(4), augment=mixed)
    losses = []
    for name in ("a", "b"):
        train(recipe, tmp_path / name, teller())
        history = json.loads((tmp_path / name / "history.json").read_text())
        losses.append([(row["loss_score"], row["loss_box"]) for row in history])
    assert losses[0] == losses[1]
