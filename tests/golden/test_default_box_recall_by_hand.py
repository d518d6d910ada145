"""Best overlaps, answering default boxes and statistics that a reader can work out on paper."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from passerby.data.at_input import objects_at_input
from passerby.data.default_boxes import Question, answer, recall_by_size
from passerby.data.statistics import describe
from passerby.geometry.assign import NOBODY, UNJUDGED, match
from passerby.geometry.recall import best_overlaps
from passerby.records import Sample, SampleSet, Truth
from passerby.spec import AnchorMap

# A 40 x 40 input; centres at 10 and 30 (map of 2 x 2), and at 20 (map of 1 x 1)
MAPS = (AnchorMap(2, 2, ((20.0, 20.0),)), AnchorMap(1, 1, ((20.0, 40.0), (40.0, 40.0))))


def one(boxes, width=40, height=40, labels=("head",), **columns):
    """A data set of one picture."""
    sample = Sample(Path("a.jpg"), width, height, Truth.of(boxes, **columns))
    return SampleSet((sample,), labels, "by hand")


def test_best_overlaps_by_hand():
    boxes = np.array([[0, 0, 20, 20], [20, 0, 30, 10], [0, 0, 40, 40], [10, 0, 30, 40]], np.float32)
    want = [
        [1, 400 / 1600],  # the cell itself; a quarter of 40 x 40 (with 20 x 40: 10 * 20 of 400 + 800 - 200, less)
        [100 / 400, 100 / 800],  # a quarter of its cell; all of it inside 20 x 40, which reaches from x 10 to 30
        [400 / 1600, 1],
        [200 / 1000, 1],  # 10 x 20 px shared of 400 + 800 - 200
    ]
    np.testing.assert_allclose(best_overlaps(boxes, MAPS, 40, 40), want, rtol=1e-6)


def test_match_names_the_object_of_each_default_box():
    anchors = np.array([[10, 10, 20, 20], [30, 10, 20, 20], [10, 30, 20, 20], [30, 30, 20, 20]], np.float32)
    truth = Truth.of([[20, 20, 40, 40], [0, 0, 20, 20], [20, 0, 40, 20]], difficult=[0, 0, 1], ignore=[0, 0, 0])
    assert match(truth, anchors, 0.5).tolist() == [1, UNJUDGED, NOBODY, 0]


def test_an_answer_by_hand():
    # Three objects: on a cell (IoU 1), a quarter of one (0.25: only forced), the whole input (1 with 40 x 40)
    samples = one([[0, 0, 20, 20], [20, 0, 30, 10], [0, 0, 40, 40]], labels=("a", "b"))
    question = Question(40, 40, strides=(20, 40), per_map=(1, 2), match_iou=0.5)
    objects = objects_at_input(samples, 40, 40, "stretch")
    got = answer("mine", MAPS, samples, objects, question)
    assert got.boxes == 4 + 2
    assert got.recall == pytest.approx(2 / 3)
    assert got.mean_iou == pytest.approx((1 + 0.25 + 1) / 3)
    assert [(b.name, b.objects, b.recall) for b in got.by_size] == [
        ("8 to 12", 1, 0.0),
        ("16 to 24", 1, 1.0),
        ("32 to 64", 1, 1.0),
    ]
    assert [m.recall for m in got.by_map] == pytest.approx([1 / 3, 1 / 3])
    assert [m.share for m in got.by_map] == pytest.approx([2 / 3, 1 / 3])
    # 20 x 40 lies on half of the whole input: exactly 0.5 is no match, so each object has one default box
    assert (got.answers, got.forced) == (1, 1)
    assert [(u.box, u.width, u.height, u.iou) for u in got.worst] == [((20, 0, 30, 10), 10, 10, 0.25)]
    assert [(b.name, b.objects) for b in got.by_class] == [("a", 3), ("b", 0)]
    assert got.by_class[0].recall == pytest.approx(2 / 3)


def test_a_size_on_an_edge_belongs_to_the_bin_above():
    bins = recall_by_size(np.array([7.99, 8, 128, 500], np.float32), np.array([0.1, 0.6, 0.5, 0.7], np.float32), 0.5)
    assert [(b.index, b.name, b.objects, b.recall) for b in bins] == [
        (0, "under 8 px", 1, 0.0),
        (1, "8 to 12", 1, 1.0),
        (7, "128 and over", 2, 0.5),
    ]


def test_statistics_by_hand():
    # A picture of 200 x 100 stretched to 100 x 100: x is halved. Boxes at the input: 20 x 20, 5 x 20, 10 x 10.
    boxes = [[40, 0, 80, 20], [100, 50, 110, 70], [160, 80, 180, 90], [0, 0, 50, 50], [10, 10, 20, 20]]
    samples = one(boxes, 200, 100, difficult=[0, 0, 0, 1, 0], ignore=[0, 0, 0, 0, 1])
    got = describe(samples, 100, 100, "stretch").all
    assert (got.pictures, got.negatives, got.objects, got.difficult, got.ignored) == (1, 0, 3, 1, 1)
    assert got.size[2] == pytest.approx(10)  # of 20, 10, 10
    assert got.under == pytest.approx((0, 2 / 3, 2 / 3, 1))
    assert got.ratio[2] == pytest.approx(1)  # of 1, 4, 1
    assert got.ratio[4] == pytest.approx(1 + 0.9 * 3)  # the 95 % quantile of 1, 1, 4
    assert (got.a_picture, got.most) == ((3,) * 5, 3)
    places = np.array(got.places)
    assert places.sum() == pytest.approx(1)
    # centres (60, 10), (105, 60), (170, 85) of 200 x 100, in eighths: columns 2, 4, 6, rows 0, 4, 6
    assert np.argwhere(places > 0).tolist() == [[0, 2], [4, 4], [6, 6]]
    assert got.at_border == pytest.approx(1 / 3)
    assert got.crowded == 0


def test_what_suppression_cannot_tell_apart_by_hand():
    # 20 x 20 moved by 6: 280 of 520 = 0.538; by 8: 240 / 560 = 0.429. The last lies on the first, of another class
    boxes = [[0, 0, 20, 20], [6, 0, 26, 20], [100, 0, 120, 20], [108, 0, 128, 20], [0, 0, 20, 20]]
    truth = Truth.of(boxes, [0, 0, 0, 0, 1])
    samples = SampleSet((Sample(Path("a.jpg"), 200, 100, truth),), ("a", "b"), "by hand")
    got = describe(samples, 100, 200)
    assert got.all.crowded == pytest.approx(2 / 5)
    assert [p.crowded for p in got.classes] == pytest.approx([2 / 4, 0])
