"""The records: Detections indexed by anything, Truth from array-likes, SampleSet as a sequence."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from passerby.errors import ShapeError
from passerby.records import Detections, Frame, Note, Sample, SampleSet, Truth


@pytest.fixture
def found():
    return Detections(
        np.array([[0, 0, 10, 10], [5.126, 5, 15.5, 20], [1, 2, 3, 4]], np.float32),
        np.array([0.91234, 0.5, 0.25], np.float32),
        np.array([1, 0, 1], np.int64),
        ("head", "person"),
    )


@pytest.mark.parametrize(
    ("index", "rows"),
    [
        (slice(1, None), [1, 2]),
        (slice(None, None, -1), [2, 1, 0]),
        (np.array([True, False, True]), [0, 2]),
        (np.array([2, 0]), [2, 0]),
        ([1], [1]),
        ([], []),
        (1, [1]),
        (-1, [2]),
        (np.int64(2), [2]),
    ],
)
def test_a_mask_a_slice_and_an_index_give_detections_back(found, index, rows):
    part = found[index]
    assert isinstance(part, Detections)
    assert part.names == found.names
    assert len(part) == len(rows)
    np.testing.assert_array_equal(part.boxes, found.boxes[rows])
    np.testing.assert_array_equal(part.scores, found.scores[rows])
    np.testing.assert_array_equal(part.labels, found.labels[rows])


def test_a_condition_on_scores_is_an_index(found):
    assert found[found.scores > 0.4].labels.tolist() == [1, 0]
    assert len(found[found.scores > 2]) == 0


def test_an_index_past_the_end_is_an_error_so_a_loop_ends(found):
    with pytest.raises(IndexError):
        found[3]
    assert [float(one.scores[0]) for one in found] == found.scores.tolist()


def test_to_list_is_plain_python_and_rounded(found):
    rows = found.to_list()
    assert rows[0] == {"box": [0.0, 0.0, 10.0, 10.0], "score": 0.9123, "label": "person"}
    assert rows[1]["box"] == [5.13, 5.0, 15.5, 20.0]
    assert json.loads(json.dumps(rows)) == rows


def test_none_is_empty_and_knows_its_names():
    none = Detections.none(["head"])
    assert len(none) == 0
    assert none.boxes.shape == (0, 4)
    assert none.names == ("head",)
    assert none.to_list() == []


@pytest.mark.parametrize(("boxes", "scores", "labels"), [((2, 4), 3, 3), ((3, 5), 3, 3), ((3, 4), 3, 2), ((12,), 3, 3)])
def test_columns_of_other_lengths_are_refused(boxes, scores, labels):
    with pytest.raises(ShapeError, match=r"want \(N, 4\), \(N,\), \(N,\)"):
        Detections(np.zeros(boxes, np.float32), np.zeros(scores, np.float32), np.zeros(labels, np.int64), ())


def test_truth_fills_missing_columns_with_zeros():
    truth = Truth.of([[1, 2, 3, 4], [5, 6, 7, 8]])
    assert len(truth) == 2
    assert truth.boxes.dtype == np.float32
    assert truth.labels.tolist() == [0, 0]
    assert not truth.difficult.any()
    assert not truth.ignore.any()
    assert Truth.of([]).boxes.shape == (0, 4)


def test_truth_is_indexed_by_a_mask():
    truth = Truth.of([[1, 2, 3, 4], [5, 6, 7, 8]], [3, 4], [True, False], [False, True])
    part = truth[np.array([False, True])]
    assert (part.boxes.tolist(), part.labels.tolist()) == ([[5, 6, 7, 8]], [4])
    assert (part.difficult.tolist(), part.ignore.tolist()) == ([False], [True])


@pytest.mark.parametrize("column", ["labels", "difficult", "ignore"])
@pytest.mark.parametrize("length", [0, 1, 3])
def test_truth_wants_columns_of_one_length(column, length):
    with pytest.raises(ShapeError, match="must have one length"):
        Truth.of([[1, 2, 3, 4], [5, 6, 7, 8]], **{column: np.zeros(length, int)})


@pytest.mark.parametrize("shape", [(4, 5), (2, 3), (8,), (2, 2, 2)])
def test_truth_wants_four_numbers_a_box(shape):
    with pytest.raises(ShapeError, match=r"\(N, 4\)"):
        Truth.of(np.zeros(shape))


def test_a_frame_knows_its_size():
    frame = Frame(np.zeros((40, 60, 3), np.uint8), "a.png")
    assert (frame.width, frame.height, frame.index, frame.time) == (60, 40, 0, None)


def test_a_sample_set_is_a_sequence_that_counts():
    one = Sample(Path("x/a.jpg"), 60, 40, Truth.of([[1, 2, 3, 4]] * 3, ignore=[False, True, False]))
    two = Sample(Path("x/b.jpg"), 60, 40, Truth.of([]))
    notes = (Note("size", "b", -1, ""), Note("clipped", "a", 0, ""), Note("clipped", "a", 1, ""))
    found = SampleSet((one, two), ("head",), "test", notes)
    assert len(found) == 2
    assert [s.name for s in found] == ["a", "b"]
    assert found[-1] is two
    assert one in found
    assert found.objects() == 2
    assert list(found.note_counts().items()) == [("clipped", 2), ("size", 1)]
