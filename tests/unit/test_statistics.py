"""Statistics of data sets: parts, both resize rules, empty sets, and SCUT-HEAD against an independent count."""

from __future__ import annotations

import json
import statistics
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

from passerby.data import join, load_data
from passerby.data.at_input import objects_at_input, truth_at_input
from passerby.data.statistics import describe
from passerby.errors import SettingError
from passerby.geometry.resize import fit
from passerby.records import Sample, SampleSet, Truth


def sample(name, boxes, width=100, height=100, split="", **columns):
    return Sample(Path(f"{name}.jpg"), width, height, Truth.of(boxes, **columns), split=split)


@pytest.fixture
def two_splits():
    """Three pictures in two splits, two classes, one picture empty."""
    return SampleSet(
        (
            sample("a", [[0, 0, 10, 20], [50, 50, 90, 90]], labels=[0, 1], split="train"),
            sample("b", [], split="train"),
            sample("c", [[10, 10, 40, 40]], labels=[1], split="val"),
        ),
        ("small", "large"),
        "made",
    )


def test_classes_and_splits_are_parts_of_the_whole(two_splits):
    got = describe(two_splits, 100, 100)
    assert [(p.name, p.pictures, p.negatives, p.objects) for p in got.splits] == [("train", 2, 1, 2), ("val", 1, 0, 1)]
    assert [(p.name, p.pictures, p.negatives, p.objects) for p in got.classes] == [
        ("small", 1, 2, 1),
        ("large", 2, 1, 2),
    ]
    assert (got.all.pictures, got.all.negatives, got.all.objects) == (3, 1, 3)
    small, large = got.classes
    assert small.ratio[2] == 2
    assert large.size[2] == pytest.approx((40 + 30) / 2)
    for parts in (got.splits, got.classes):
        total = sum(np.array(p.places) * p.objects for p in parts)
        np.testing.assert_allclose(total, np.array(got.all.places) * 3, atol=1e-9)


def test_a_set_without_splits_has_none(two_splits):
    plain = SampleSet((sample("a", [[0, 0, 10, 10]]),), ("head",), "made")
    assert describe(plain, 100, 100).splits == ()


def test_letterbox_keeps_the_shape_and_the_boxes_lie_where_the_pixels_do():
    pixels = np.zeros((50, 200, 3), np.uint8)
    pixels[10:30, 40:80] = 255
    wide = sample("a", [[40, 10, 80, 30]], width=200, height=50)
    for rule, side in (("letterbox", (20, 10)), ("stretch", (20, 40))):
        truth = truth_at_input(wide, 100, 100, rule)
        seen = fit(pixels, 100, 100, rule)[0][..., 0] > 200
        rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
        edges = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
        np.testing.assert_allclose(truth.boxes[0], edges, atol=1)
        objects = objects_at_input(SampleSet((wide,), ("head",)), 100, 100, rule)
        assert objects.sides[0].tolist() == pytest.approx(side)


def test_ignored_difficult_and_impossible_boxes_are_no_objects():
    boxes = [[0, 0, 10, 10], [0, 0, 20, 20], [0, 0, 30, 30], [0, 0, np.nan, 30]]
    mixed = SampleSet(
        (sample("a", boxes, ignore=[0, 1, 0, 0], difficult=[0, 0, 1, 0]), sample("b", [[5, 5, 9, 9]])), ("head",)
    )
    objects = objects_at_input(mixed, 100, 100, "stretch")
    assert objects.boxes.tolist() == [[0, 0, 10, 10], [5, 5, 9, 9]]
    assert (objects.picture.tolist(), objects.row.tolist()) == ([0, 1], [0, 0])
    got = describe(mixed, 100, 100).all
    assert (got.objects, got.difficult, got.ignored) == (2, 1, 1)


@pytest.mark.parametrize("samples", [(), (sample("a", []),)], ids=["no picture", "no object"])
def test_an_empty_set_has_statistics_that_are_json(samples):
    got = describe(SampleSet(samples, ("head",), "none"), 300, 300)
    raw = json.loads(json.dumps(got.to_dict(), allow_nan=False))
    assert raw["all"]["objects"] == 0
    assert raw["all"]["negatives"] == len(samples)
    assert raw["all"]["size"] == [None] * 5
    assert raw["all"]["crowded"] is None


def test_an_unknown_rule_is_a_setting_error(two_splits):
    with pytest.raises(SettingError, match="did you mean 'letterbox'"):
        describe(two_splits, 100, 100, "leterbox")


@pytest.mark.shared
@pytest.mark.parametrize(("part", "spec_size"), [("B", 16.7), ("A", None)])
def test_scut_head_has_the_statistics_of_an_independent_count(shared, part, spec_size):
    """Sizes and ratios from the XML alone, by rules said here: boxes cut at the border, none without area."""
    root = shared / "data" / "scut_head"
    names = (root / "ImageSets" / "Main" / f"trainval_{part}.txt").read_text().split()
    import imagesize

    sizes, ratios = [], []
    for name in names:
        width, height = imagesize.get(root / "JPEGImages" / f"{name}.jpg")
        for thing in ET.parse(root / "Annotations" / f"{name}.xml").getroot().iter("object"):
            x0, y0, x1, y1 = (float(thing.findtext(f"bndbox/{k}")) for k in ("xmin", "ymin", "xmax", "ymax"))
            x0, x1, y0, y1 = max(x0, 0), min(x1, width), max(y0, 0), min(y1, height)
            w, h = (x1 - x0) * 300 / width, (y1 - y0) * 300 / height
            if w > 0 and h > 0:
                sizes.append((w * h) ** 0.5)
                ratios.append(h / w)
    parts = [load_data(f"voc:scut_head#{split}_{part}", (), shared / "data") for split in ("train", "val")]
    got = describe(join(parts), 300, 300).all
    assert got.objects == len(sizes) > 5000
    assert got.size[2] == pytest.approx(statistics.median(sizes), rel=1e-4)
    assert got.ratio[2] == pytest.approx(statistics.median(ratios), rel=1e-4)
    assert got.under[1] == pytest.approx(np.mean(np.array(sizes) < 12), abs=2 / len(sizes))
    if spec_size:  # the published figures are of the full set; this is a part of it
        assert abs(got.size[2] - spec_size) < 0.3
        assert abs(got.ratio[2] - 1.69) < 0.02
