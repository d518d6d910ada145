"""Task-aligned assignment: by hand on five default boxes, and what holds for any batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from passerby.errors import SettingError
from passerby.geometry.anchors import default_boxes
from passerby.learn.aligned import MOST, align, pair_iou
from passerby.learn.detecting import check
from passerby.learn.loop import train
from passerby.recipe import Recipe
from passerby.spec import AnchorMap

VARIANCE = (0.1, 0.2)
# corners [0 0 20 20] [20 0 40 20] [0 20 20 40] [20 20 40 40] and [0 0 40 40]
FIVE = torch.from_numpy(default_boxes([AnchorMap(2, 2, ((20.0, 20.0),)), AnchorMap(1, 1, ((40.0, 40.0),))], 40, 40))


def logit(p):
    return np.log(p / (1 - p))


def ask(scores, objects, classes, static=None, offsets=None):
    """One picture, one class: `align` of scores (5,) of the five default boxes, which stay where they are."""
    logits = torch.tensor([[[logit(p)] for p in scores]], dtype=torch.float32)
    offsets = torch.zeros(1, 5, 4) if offsets is None else offsets
    labels = torch.zeros(1, 5, dtype=torch.int64) if static is None else torch.tensor([static])
    boxes = torch.tensor([objects], dtype=torch.float32).view(1, -1, 4)
    found = align((logits, offsets), (labels, torch.zeros(1, 5, 4)), boxes, torch.tensor([classes]), FIVE, VARIANCE)
    return [x[0] for x in found]


def test_worth_is_the_iou_of_the_best_and_falls_with_score_and_overlap():
    # [0 0 40 20] holds the centres of the first two; the large one's (20, 20) lies on its edge. IoU 0.5 both, scores
    # 0.2 and 0.1: products 0.2 / 64 and 0.1 / 64, scaled so that the larger is 0.5
    labels, offsets, worth = ask([0.2, 0.1, 0.9, 0.9, 0.9], [[0, 0, 40, 20]], [1])
    assert labels.tolist() == [1, 1, 0, 0, 0]
    np.testing.assert_allclose(worth, [0.5, 0.25, 0, 0, 0], rtol=1e-5)
    np.testing.assert_allclose(offsets[0], [5, 0, np.log(2) / 0.2, 0], atol=1e-5)  # 10 px of 20, over 0.1


def test_the_predicted_box_counts_not_the_default_box():
    moved = torch.zeros(1, 5, 4)
    moved[0, 0] = torch.tensor([5.0, 0, np.log(2) / 0.2, 0])  # [0 0 40 20]: exactly the object
    _, _, worth = ask([0.1, 0.1, 0.1, 0.1, 0.1], [[0, 0, 40, 20]], [1], offsets=moved)
    np.testing.assert_allclose(worth[:2], [1.0, 1 / 64], rtol=1e-4)


def test_an_object_without_any_centre_has_those_that_it_was_assigned():
    labels, _, worth = ask([0.1] * 5, [[1, 1, 5, 5]], [1])
    assert not labels.any()
    assert not worth.any()
    labels, _, worth = ask([0.1] * 5, [[1, 1, 5, 5]], [1], static=[1, 0, 0, 0, 0])
    assert labels.tolist() == [1, 0, 0, 0, 0]
    assert worth[0] == pytest.approx(16 / 400)


def test_what_is_not_judged_stays_so_unless_it_finds_an_object():
    labels, _, _ = ask([0.5] * 5, [[0, 0, 20, 20]], [1], static=[-1, -1, 0, 0, 0])
    assert labels.tolist() == [1, -1, 0, 0, 0]


def test_ignored_objects_and_rows_past_a_pictures_own_get_nothing():
    labels, _, worth = ask([0.5] * 5, [[0, 0, 20, 20], [0, 0, 0, 0]], [-1, 0])
    assert not labels.any()
    assert not worth.any()


def test_a_default_box_answers_for_one_object_only_the_one_it_overlaps_most():
    labels, offsets, worth = ask([0.5] * 5, [[0, 0, 20, 20], [0, 0, 40, 40]], [1, 1])
    assert labels.tolist() == [1, 1, 1, 1, 1]
    assert not offsets[0].any()  # the first object is the first default box
    assert not offsets[4].any()
    assert worth[0] == pytest.approx(1.0)


def test_labels_that_are_no_number_stay_so_that_training_stops():
    logits, labels = torch.zeros(1, 5, 1), torch.tensor([[1, 0, 0, 0, 0]])
    broken = torch.zeros(1, 5, 4)
    broken[0, 0] = torch.nan
    objects = torch.tensor([[[torch.nan, 0, 5, 5]]])
    found = align((logits, torch.zeros(1, 5, 4)), (labels, broken), objects, torch.tensor([[1]]), FIVE, VARIANCE)
    assert found.labels[0, 0] == 1
    assert found.offsets[0, 0].isnan().all()
    assert torch.isfinite(found.offsets[0, 1:]).all()


def test_no_object_in_the_whole_batch_is_all_background():
    labels = torch.zeros(2, 5, dtype=torch.int64)
    found = align(
        (torch.zeros(2, 5, 1), torch.zeros(2, 5, 4)),
        (labels, torch.zeros(2, 5, 4)),
        torch.zeros(2, 0, 4),
        torch.zeros(2, 0, dtype=torch.int64),
        FIVE,
        VARIANCE,
    )
    assert not found.labels.any()
    assert found.worth.shape == (2, 5)


@pytest.mark.parametrize("seed", range(4))
def test_an_object_has_at_most_so_many_and_each_is_of_its_class(seed):
    rng = np.random.default_rng(seed)
    anchors = torch.from_numpy(default_boxes([AnchorMap(16, 16, ((10.0, 10.0),))], 128, 128))
    corner = rng.uniform(0, 60, (2, 6, 2))
    objects = torch.from_numpy(np.concatenate([corner, corner + rng.uniform(20, 60, (2, 6, 2))], 2)).float()
    classes = torch.from_numpy(rng.integers(-1, 3, (2, 6)))
    outputs = (
        torch.from_numpy(rng.normal(0, 1, (2, 256, 2))).float(),
        torch.from_numpy(rng.normal(0, 2, (2, 256, 4))).float(),
    )
    static = torch.zeros(2, 256, dtype=torch.int64), torch.zeros(2, 256, 4)
    labels, _, worth = align(outputs, static, objects, classes, anchors, VARIANCE)
    assert ((worth > 0) <= (labels > 0)).all()
    assert worth.max() <= 1
    for picture in range(2):
        for k in (1, 2):
            own = int((classes[picture] == k).sum())
            assert int((labels[picture] == k).sum()) <= MOST * own


def test_iou_of_every_pair_by_hand():
    a = torch.tensor([[[0.0, 0, 2, 2], [0, 0, 0, 0]]])
    b = torch.tensor([[[1.0, 1, 3, 3], [0, 0, 2, 2], [0, 0, 0, 0]]])
    np.testing.assert_allclose(pair_iou(a, b)[0], [[1 / 7, 1, 0], [0, 0, 0]], atol=1e-6)


@pytest.mark.parametrize("rule", ["atss", "task_aligned"])
def test_a_run_with_each_rule_learns_the_tiny_heads(make_recipe, heads_voc, teller, tmp_path, no_curves, rule):
    recipe = make_recipe(
        heads_voc(4), f"optimiser.assign={rule}", "optimiser.quality=yes", "optimiser.box_loss=giou", "run.epochs=4"
    )
    train(recipe, tmp_path / "run", told := teller())
    assert "best ap50" in told.lines[-1]


@pytest.mark.parametrize("sets", [("model.loss=mining",), ("model.head=two_stage", "model.loss=sampled")])
def test_it_is_refused_where_there_are_no_sigmoid_scores_a_default_box(sets):
    with pytest.raises(SettingError, match=r"task_aligned is for model\.head=ssd"):
        check(Recipe().set("optimiser.assign=task_aligned", *sets))
