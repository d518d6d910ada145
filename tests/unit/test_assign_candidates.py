"""ATSS looks only where its candidates can be; here they are looked for everywhere."""

from __future__ import annotations

import numpy as np
import pytest

from passerby.geometry.anchors import default_boxes
from passerby.geometry.assign import NEAREST, candidates, match_atss
from passerby.geometry.boxes import iou, to_corners
from passerby.records import Truth
from passerby.spec import AnchorMap

ONE, TWO = ((8.0, 9.0),), ((12.0, 10.0), (20.0, 24.0))
GRIDS = {
    "wide": [AnchorMap(24, 36, TWO), AnchorMap(12, 18, ONE), AnchorMap(3, 5, TWO)],
    "tall cells": [AnchorMap(11, 40, ONE), AnchorMap(2, 3, TWO), AnchorMap(1, 1, ONE)],
    "rows and columns fewer than nine": [AnchorMap(4, 30, TWO), AnchorMap(30, 4, TWO)],
}


def objects(seed: int) -> np.ndarray:
    """Boxes in and about an input of 144 x 96, some past its border, some smaller than a cell."""
    rng = np.random.default_rng(seed)
    corner = rng.uniform((-10, -10), (150, 100), (25, 2))
    return np.concatenate([corner, corner + rng.uniform(1, 60, (25, 2))], axis=1).astype(np.float32)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", GRIDS)
def test_no_box_outside_the_candidates_is_nearer(name, seed):
    maps, boxes = GRIDS[name], objects(seed)
    centres = default_boxes(maps, 96, 144)[:, :2]
    wanted = (boxes[:, :2] + boxes[:, 2:]) / 2
    near = candidates(centres, wanted, maps)
    start = first = 0
    for m in maps:
        count = min(NEAREST * len(m.sizes), len(m))
        part = near[first : first + count]
        assert ((part >= start) & (part < start + len(m))).all()
        apart = np.square(centres[start : start + len(m), None] - wanted).sum(axis=2)
        for k in range(len(wanted)):
            assert len(set(part[:, k])) == count
            assert np.sort(apart[part[:, k] - start, k]) == pytest.approx(np.sort(apart[:, k])[:count])
        start, first = start + len(m), first + count
    assert first == len(near)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", GRIDS)
def test_a_box_answers_for_the_object_it_overlaps_most_of_those_it_suits(name, seed):
    maps, boxes = GRIDS[name], objects(seed)
    anchors = default_boxes(maps, 96, 144)
    truth = Truth(boxes, np.zeros(25, np.int64), np.zeros(25, bool), np.zeros(25, bool))
    owner = match_atss(truth, anchors, maps, 0.5)
    overlaps = iou(to_corners(anchors), boxes)
    near = candidates(anchors[:, :2], (boxes[:, :2] + boxes[:, 2:]) / 2, maps)
    suits = np.zeros_like(overlaps)
    for k, box in enumerate(boxes):
        mine = overlaps[near[:, k], k]
        x, y = anchors[near[:, k], 0], anchors[near[:, k], 1]
        inside = (x > box[0]) & (x < box[2]) & (y > box[1]) & (y < box[3])
        good = inside & (mine >= mine.mean() + mine.std(ddof=1))
        suits[near[good, k], k] = mine[good]
    some = suits.max(axis=1) > 0
    assert some.any()
    assert (owner[some] == suits[some].argmax(axis=1)).all()
    others = owner[~some & (owner >= 0)]  # objects that none suits take the best that is left, one each
    assert len(set(others)) == len(others)
    assert not set(others) & set(owner[some])
