"""Proposals: suppression as a fixed point, what trains the second stage, samples; by hand and against geometry/nms."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from passerby.geometry.anchors import default_boxes
from passerby.geometry.boxes import iou
from passerby.geometry.nms import nms
from passerby.learn.proposals import (
    Proposals,
    best_of,
    draw,
    judge,
    limit_growth,
    pairwise_iou,
    propose,
    suppress,
)
from passerby.spec import AnchorMap, ModelSpec


def kept_by_nms(boxes, threshold):
    """Rows of (K, 4), highest score first, that geometry.nms keeps."""
    falling = -np.arange(len(boxes), dtype=np.float32)
    kept = np.zeros(len(boxes), bool)
    kept[nms(boxes, falling, threshold, limit=len(boxes))] = True
    return kept


def keep(boxes, threshold, **more):
    valid = torch.ones(1, len(boxes), dtype=torch.bool)
    return suppress(torch.from_numpy(np.asarray(boxes, np.float32))[None], valid, threshold, **more)[0].numpy()


def row_of(count, shift):
    """Boxes of 10 x 10 px, each `shift` px right of the one before: a chain in which neighbours overlap."""
    left = np.arange(count, dtype=np.float32) * shift
    return np.stack([left, np.zeros(count), left + 10, np.full(count, 10.0)], 1).astype(np.float32)


@given(seed=st.integers(0, 10**6), count=st.integers(1, 60), spread=st.sampled_from([5.0, 20.0, 100.0]))
def test_random_crowds_are_suppressed_as_geometry_nms_does(seed, count, spread):
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, spread, (count, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(0, 30, (count, 2))], 1).astype(np.float32)
    for threshold in (0.3, 0.7):
        np.testing.assert_array_equal(keep(boxes, threshold, rounds=count + 1), kept_by_nms(boxes, threshold))


@pytest.mark.parametrize("count", [1, 2, 3, 15, 16, 17])
def test_a_chain_as_long_as_the_rounds_is_exact(count):
    boxes = row_of(count, 3)  # IoU of neighbours 7 / 13 = 0.54, of the next but one 4 / 16: every other stays
    kept = keep(boxes, 0.5)
    assert kept.tolist() == [i % 2 == 0 for i in range(count)]
    np.testing.assert_array_equal(kept, kept_by_nms(boxes, 0.5))


@given(seed=st.integers(0, 10**6), rounds=st.sampled_from([2, 4, 16]))
def test_a_longer_chain_leaves_too_many_but_never_drops_what_should_stay(seed, rounds):
    rng = np.random.default_rng(seed)
    boxes = row_of(60, 3)
    boxes[:, [0, 2]] += rng.uniform(-1, 1, (60, 1)).astype(np.float32)
    wanted, kept = kept_by_nms(boxes, 0.5), keep(boxes, 0.5, rounds=rounds)
    assert not (wanted & ~kept).any()
    np.testing.assert_array_equal(kept[:rounds], wanted[:rounds])


def test_what_is_not_valid_neither_stays_nor_suppresses():
    boxes = torch.tensor([[[0.0, 0, 10, 10], [0, 0, 10, 10], [0, 0, 10, 10]]])
    assert suppress(boxes, torch.tensor([[False, True, True]]), 0.7).tolist() == [[False, True, False]]


def test_pictures_of_a_batch_do_not_suppress_each_other():
    boxes = torch.tensor([[[0.0, 0, 10, 10], [50, 0, 60, 10]], [[0, 0, 10, 10], [1, 0, 10, 10]]])
    assert suppress(boxes, torch.ones(2, 2, dtype=torch.bool), 0.7).tolist() == [[True, True], [True, False]]


@given(seed=st.integers(0, 10**6))
def test_overlaps_are_those_of_geometry(seed):
    rng = np.random.default_rng(seed)
    a, b = (np.sort(rng.integers(0, 9, (n, 2, 2)), 1).reshape(n, 4).astype(np.float32) for n in (5, 7))
    found = pairwise_iou(torch.from_numpy(a)[None], torch.from_numpy(b)[None])[0].numpy()
    np.testing.assert_allclose(found, iou(a, b), atol=1e-6)


def spec_with(proposals):
    """Default boxes of 8 px on 2 x 2 cells and one of 16 px, at 32 x 32 px."""
    maps = (AnchorMap(2, 2, ((8.0, 8.0),)), AnchorMap(1, 1, ((16.0, 16.0),)))
    return ModelSpec("tiny", 32, 32, "stretch", ("a",), maps, network={"proposals": proposals})


def anchors_of(spec):
    return torch.from_numpy(default_boxes(spec.anchors, spec.height, spec.width))


def test_proposals_come_best_first_decoded_and_inside_the_input():
    spec = spec_with(2)
    logits = torch.tensor([[0.0, 3.0, -1.0, 1.0, 2.0]])
    offsets = torch.zeros(1, 5, 4)
    offsets[0, 1, 0] = 10.0  # 10 x 0.1 x 8 px to the right: cx 24 + 8 = 32, cut at 32
    found = propose(logits, offsets, anchors_of(spec), spec)
    wanted = [[28, 4, 32, 12], [8, 8, 24, 24], [20, 20, 28, 28], [4, 4, 12, 12], [4, 20, 12, 28]]
    assert found.boxes.tolist() == [wanted]
    assert found.kept.all()


def test_each_map_gives_its_own_best_so_that_a_loud_one_does_not_silence_another():
    spec = spec_with(1)  # 6 candidates for 2 maps: 3 of the 4 of the first, the one of the second
    logits = torch.tensor([[9.0, 8.0, 7.0, 6.0, -9.0]])
    found = propose(logits, torch.zeros(1, 5, 4), anchors_of(spec), spec)
    assert found.boxes.shape == (1, 4, 4)
    assert found.boxes[0, -1].tolist() == [8, 8, 24, 24]


def test_boxes_that_are_nothing_after_clipping_are_not_kept_and_sizes_stay_finite():
    spec = spec_with(2)
    offsets = torch.zeros(1, 5, 4)
    offsets[0, 0, 0] = -100.0  # far outside
    offsets[0, 1, 2:] = 1e9
    found = propose(torch.tensor([[5.0, 4.0, 3.0, 2.0, 1.0]]), offsets, anchors_of(spec), spec)
    assert torch.isfinite(found.boxes).all()
    assert found.kept[0, :2].tolist() == [False, True]
    assert found.boxes[0, 1].tolist() == [0, 0, 32, 32]
    assert limit_growth(torch.full((1, 4), 99.0), (0.1, 0.2)).tolist() == [[99, 99, 20, 20]]


def test_the_best_kept_ones_are_taken_in_order_and_rows_of_zeros_fill_up():
    boxes = torch.arange(1.0, 17).view(1, 4, 4)
    kept = torch.tensor([[False, True, False, True]])
    found = best_of(Proposals(boxes, kept), 3)
    assert found.kept.tolist() == [[True, True, False]]
    assert found.boxes.tolist() == [[[5, 6, 7, 8], [13, 14, 15, 16], [0, 0, 0, 0]]]
    assert best_of(Proposals(boxes, kept), 9).boxes.shape == (1, 4, 4)  # no more than there are


OBJECTS = torch.tensor([[[0.0, 0, 10, 10], [100, 0, 120, 20], [40, 40, 60, 60]]])
CLASSES = torch.tensor([[2, 1, -1]])  # the third is not judged


def judged(*boxes, kept=None, objects=OBJECTS, classes=CLASSES):
    """Labels of these proposals, and the whole answer."""
    rows = torch.tensor([boxes], dtype=torch.float32)
    found = judge(
        Proposals(rows, torch.ones(1, len(boxes), dtype=torch.bool) if kept is None else kept), objects, classes
    )
    return found.labels[0, : len(boxes)].tolist(), found


def test_a_proposal_is_an_objects_from_an_overlap_of_one_half_on():
    # IoU with the first: 100 / 200 exactly, 100 / 210, and 50 / 100
    labels, found = judged([0, 0, 10, 20], [0, 0, 10, 21], [0, 0, 5, 10], [100, 2, 120, 20])
    assert labels == [2, 0, 2, 1]
    assert found.truth[0, 0].tolist() == [0, 0, 10, 10]
    assert found.truth[0, 3].tolist() == [100, 0, 120, 20]


def test_over_half_inside_what_is_not_judged_neither_counts_nor_punishes():
    # inside; more than half; exactly half; around it with IoU 400 / 625 > 0.5
    labels, _ = judged([42, 42, 50, 50], [51, 40, 68, 60], [50, 40, 70, 60], [38, 38, 63, 63])
    assert labels == [-1, -1, 0, -1]


def test_an_object_inside_what_is_not_judged_is_still_one():
    objects = torch.tensor([[[0.0, 0, 100, 100], [10, 10, 30, 30]]])
    labels, _ = judged([10, 10, 30, 28], [60, 60, 80, 80], objects=objects, classes=torch.tensor([[-1, 1]]))
    assert labels == [1, -1]


def test_true_boxes_are_proposals_too_and_what_is_suppressed_or_not_judged_is_not():
    _, found = judged([0, 0, 10, 10], kept=torch.tensor([[False]]))
    assert found.labels.tolist() == [[-1, 2, 1, -1, -1]]  # suppressed; the two objects; not judged; the row that fills
    assert found.boxes[0, 1:4].tolist() == OBJECTS[0].tolist()


def test_a_batch_of_pictures_without_objects_has_only_background():
    labels, found = judged([0, 0, 10, 10], objects=torch.zeros(1, 0, 4), classes=torch.zeros(1, 0, dtype=torch.int64))
    assert labels == [0]
    assert found.labels.tolist() == [[0, -1]]


def test_a_sample_has_at_most_its_share_of_positives_and_no_row_twice():
    labels = torch.tensor([[1, 2, 1, 1, 0, 0, 0, 0, 0, -1], [0, 0, 1, -1, -1, -1, -1, -1, -1, -1]])
    rows, drawn = draw(labels, 6, 2, torch.rand(2, 10))
    assert (drawn > 0).sum(1).tolist() == [2, 1]
    assert (drawn == 0).sum(1).tolist() == [4, 2]
    assert (drawn == -1).sum(1).tolist() == [0, 3]  # too few to fill the sample
    assert all(len(set(r)) == 6 for r in rows.tolist())
    assert torch.equal(labels.gather(1, rows)[drawn >= 0], drawn[drawn >= 0])


def test_which_rows_are_drawn_is_up_to_the_keys():
    labels = torch.tensor([[1, 1, 1, 0, 0, 0]])
    rows, drawn = draw(labels, 3, 1, torch.tensor([[0.1, 0.9, 0.5, 0.2, 0.3, 0.1]]))
    assert rows.tolist() == [[1, 4, 3]]
    assert drawn.tolist() == [[1, 0, 0]]


def test_every_row_has_the_same_chance():
    labels = torch.tensor([[1] * 4 + [0] * 8]).expand(4000, -1)
    rows, drawn = draw(labels, 6, 2, torch.rand(4000, 12, generator=torch.Generator().manual_seed(0)))
    shown = torch.bincount(rows[drawn >= 0], minlength=12) / 4000
    torch.testing.assert_close(shown, torch.full((12,), 0.5), atol=0.04, rtol=0)  # 2 of 4, and 4 of 8


def test_a_sample_larger_than_what_there_is_takes_all():
    rows, drawn = draw(torch.tensor([[1, 0, -1]]), 128, 32, torch.rand(1, 3))
    assert sorted(zip(rows[0].tolist(), drawn[0].tolist(), strict=True)) == [(0, 1), (1, 0), (2, -1)]
