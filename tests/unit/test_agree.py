"""Two detectors on one picture: what is certain, what is not judged, what is a false alarm."""

from __future__ import annotations

import numpy as np
import pytest

from passerby.data.agree import agree, without
from passerby.records import Detections

BIG, LOWER, SMALL = (10, 10, 50, 50), (10, 60, 50, 100), (80, 10, 90, 20)
SHOWN, SURE, UNDER = 0.5, 0.4, 15


def said(*rows, names=("head",)):
    """Detections of rows (box, score) or (box, score, label), best first."""
    rows = sorted(rows, key=lambda row: -row[1])
    boxes = np.array([r[0] for r in rows], np.float32).reshape(-1, 4)
    labels = np.array([names.index(r[2]) if len(r) > 2 else 0 for r in rows], np.int64)
    return Detections(boxes, np.array([r[1] for r in rows], np.float32), labels, names)


def moved(box, by):
    return tuple(v + by for v in box)


@pytest.mark.parametrize(
    ("mine", "theirs", "written", "regions"),
    [
        ([(BIG, 0.9)], [(moved(BIG, 4), 0.9)], [BIG], []),  # both: the first one's box
        ([(BIG, 0.1)], [(BIG, 0.9)], [BIG], []),  # the second is sure, the first need not be
        ([(BIG, 0.9)], [(BIG, 0.2)], [], [BIG]),  # the second is unsure
        ([], [(BIG, 0.9)], [], [BIG]),  # nobody places it
        ([(BIG, 0.9)], [(moved(BIG, 25), 0.9)], [], [moved(BIG, 25)]),  # too far apart to be one thing
        ([(BIG, 0.9)], [], [], []),  # a false alarm of the first
        ([(SMALL, 0.9)], [], [], [SMALL]),  # too small for the second
        ([(SMALL, 0.3)], [], [], []),  # and not shown by the first
        ([(BIG, 0.9), (LOWER, 0.8)], [(BIG, 0.9), (LOWER, 0.2)], [BIG], [LOWER]),
    ],
)
def test_each_case_of_two_opinions(mine, theirs, written, regions):
    got = agree(said(*mine), said(*theirs), SHOWN, SURE, UNDER)
    assert [tuple(b) for b in got.found.boxes.tolist()] == written
    assert [tuple(b) for b in got.regions.tolist()] == regions


def test_the_best_box_on_a_thing_is_written_and_the_fainter_one_is_not():
    mine = said((moved(BIG, 3), 0.9), (BIG, 0.2))
    got = agree(mine, said((BIG, 0.9)), SHOWN, SURE, UNDER)
    assert got.found.scores.tolist() == pytest.approx([0.9])
    assert not len(got.regions)


def test_what_is_small_and_beside_something_seen_is_no_region():
    got = agree(said((SMALL, 0.9)), said((moved(SMALL, 2), 0.2)), SHOWN, SURE, UNDER)
    assert got.regions.tolist() == [list(moved(SMALL, 2))]


def test_other_labels_of_the_second_are_passed_over():
    names = ("body", "head", "hand")
    theirs = said((BIG, 0.9, "body"), (LOWER, 0.9, "head"), (SMALL, 0.9, "hand"), names=names)
    got = agree(said((BIG, 0.9), (LOWER, 0.9)), theirs, SHOWN, SURE, UNDER)
    assert got.found.boxes.tolist() == [list(LOWER)]
    assert not len(got.regions)


def test_nothing_of_both_is_nothing():
    got = agree(Detections.none(("head",)), Detections.none(("body", "head")), SHOWN, SURE, UNDER)
    assert len(got.found) == 0
    assert got.regions.shape == (0, 4)


def test_owners_in_which_no_middle_lies():
    owners = np.array([(0, 0, 40, 90), (50, 0, 90, 90), (0, 200, 10, 220)], np.float32)
    things = np.array([(10, 0, 30, 20), (35, 0, 47, 20)], np.float32)  # the second middle lies between two owners
    assert without(owners, things).tolist() == owners[1:].tolist()
    assert without(owners, np.zeros((0, 4), np.float32)).tolist() == owners.tolist()
    assert without(np.zeros((0, 4), np.float32), things).shape == (0, 4)
