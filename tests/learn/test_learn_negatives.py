"""Pictures without objects: their share of an epoch, each in its turn, and what is refused."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st

from passerby.data import load_data
from passerby.errors import DataError, SettingError
from passerby.learn.loader import EpochOrder, TrainingPictures, make_loader
from passerby.learn.loop import train
from passerby.learn.network import spec_of
from passerby.learn.trainee import Trainee
from passerby.measure import evaluate
from passerby.recipe import Augment
from passerby.records import SampleSet, Truth

EMPTY = [3, 4, 7, 11, 12, 13, 19]


def epoch(order, number):
    order.epoch = number
    return [key for batch in order for key in batch]


def drawn(order, number):
    return [k[1] for k in epoch(order, number) if k[1] in EMPTY]


def test_without_a_share_every_picture_is_shown_once_in_the_order_of_old():
    order = EpochOrder(20, 4, 5, EMPTY)
    wanted = np.random.default_rng((5, 2)).permutation(20)
    assert epoch(order, 2) == [(2, int(k)) for k in wanted]


@pytest.mark.parametrize(("share", "negatives"), [(0, 0), (0.1, 1), (0.25, 4), (0.5, 13), (0.9, 117)])
def test_an_epoch_shows_all_with_objects_once_and_that_share_without(share, negatives):
    order = EpochOrder(20, 1, 0, EMPTY, share)
    for number in range(3):
        shown = Counter(k[1] for k in epoch(order, number))
        assert all(shown[i] == 1 for i in range(20) if i not in EMPTY)
        assert sum(shown[i] for i in EMPTY) == negatives
        assert len(order) == 13 + negatives


@given(st.integers(1, 60), st.integers(1, 40), st.floats(0.01, 0.9), st.integers(0, 99))
def test_none_comes_again_before_each_had_its_turn(full, empty, share, seed):
    order = EpochOrder(full + empty, 1, seed, range(full, full + empty), share)
    seen = Counter(range(full, full + empty))
    seen.subtract(seen.copy())
    for number in range(5):
        seen.update(k[1] for k in epoch(order, number) if k[1] >= full)
        assert max(seen.values()) - min(seen.values()) <= 1
    assert sum(seen.values()) == 5 * round(full * share / (1 - share))


def test_they_are_drawn_afresh_each_epoch_and_decided_by_seed_and_epoch():
    order = EpochOrder(20, 1, 0, EMPTY, 0.2)  # 3 of 7
    rounds = [drawn(order, n) for n in range(3)]
    assert len(set(rounds[0] + rounds[1])) == 6
    assert epoch(EpochOrder(20, 1, 0, EMPTY, 0.2), 2) == epoch(order, 2)
    assert drawn(EpochOrder(20, 1, 1, EMPTY, 0.2), 0) != rounds[0]
    assert len({tuple(sorted(drawn(order, n))) for n in range(0, 70, 7)}) > 1  # no fixed row of them


def test_one_shown_twice_in_an_epoch_is_two_pictures(heads_voc, make_recipe):
    recipe = make_recipe(heads_voc(3), augment=Augment(colour=1.0))
    samples = load_data(recipe.data.train[0], recipe.model.labels, recipe.data.root)
    order = EpochOrder(3, 1, 0, [2], 0.7)  # 5 of the one
    keys = [k for k in epoch(order, 1) if k[1] == 2]
    assert sorted(keys) == [(1, 2), (1, 2, 1), (1, 2, 2), (1, 2, 3), (1, 2, 4)]
    data = TrainingPictures(samples, spec_of(recipe.model), recipe)
    found = [data[k].pixels.numpy().tobytes() for k in keys]
    assert len(set(found)) == 5
    assert data[keys[0]].pixels.numpy().tobytes() == found[0]


def test_a_share_without_any_such_picture_shows_none_and_says_what_is_lacking():
    order = EpochOrder(10, 2, 0, [], 0.2)
    assert sorted(k for batch in order for _, k in batch) == list(range(10))
    assert order.told() == (
        "an epoch: 10 pictures, all with objects; data.negative_share asks for some without: "
        "add them to data.train, e.g. folder:PATH"
    )
    assert EpochOrder(10, 2, 0, [], 0.0).told() == "an epoch: 10 pictures with objects, 0 of 0 without"


def test_a_batch_that_an_epoch_cannot_fill_counts_what_is_shown():
    with pytest.raises(SettingError, match=r"run\.batch=8 but there are only 3 training pictures"):
        EpochOrder(10, 8, 0, range(3, 10), 0.0)


def test_too_few_are_told_of_in_words():
    assert EpochOrder(20, 1, 0, EMPTY, 0.25).told() == "an epoch: 13 pictures with objects, 4 of 7 without"
    assert (
        EpochOrder(20, 1, 0, EMPTY, 0.5).told().endswith("13 of 7 without: too few, so some are shown more than once")
    )


def test_pictures_of_ignore_regions_only_count_as_without_objects(heads_voc, make_recipe):
    recipe = make_recipe(heads_voc(4), "data.negative_share=0.5", "run.batch=2")
    samples = load_data(recipe.data.train[0], recipe.model.labels, recipe.data.root)
    crowd = Truth.of([[0, 0, 50, 50]], ignore=[True])
    hard = Truth.of([[0, 0, 50, 50]], difficult=[True])
    changed = [replace(samples[0], truth=crowd), replace(samples[1], truth=hard), *samples[2:]]
    _, order = make_loader(SampleSet(tuple(changed), samples.labels), spec_of(recipe.model), recipe, False)
    assert order.empty.tolist() == [0]
    assert (len(order.always), order.drawn) == (3, 3)


@pytest.fixture
def with_empty(heads_voc, voc_xml):
    """Eight pictures to train on, of which p4 to p7 hold nothing, and the first four to validate."""
    root = heads_voc(8)
    for i in range(4, 8):
        (root / "Annotations" / f"p{i}.xml").write_text(voc_xml([], size=(96, 96)))
    (root / "ImageSets" / "Main" / "val.txt").write_text("p0\np1\np2\np3\n")
    return root


@pytest.fixture
def run(with_empty, make_recipe, teller, tmp_path):
    def go(name, *overrides, stop=0, resume=False):
        tell = teller(stop)
        recipe = make_recipe(with_empty, "run.epochs=3", *overrides, augment=Augment())
        if stop:
            with pytest.raises(KeyboardInterrupt):
                train(recipe, tmp_path / name, tell, resume)
        else:
            train(recipe, tmp_path / name, tell, resume)
        return safetensors.torch.load_file(str(tmp_path / name / "last.safetensors")), tell

    return go


@pytest.mark.usefixtures("no_curves")
def test_a_run_with_a_share_says_so_and_resumes_exactly(run):
    share = "data.negative_share=0.34"  # 2 beside 4
    whole, tell = run("whole", share)
    assert len(tell.steps) == 3 * 3
    assert any(line.startswith("train: 8 pictures, 7 objects, 4 pictures without") for line in tell.lines)
    assert "an epoch: 4 pictures with objects, 2 of 4 without" in tell.lines
    run("broken", share, stop=5)
    resumed, _ = run("broken", share, resume=True)
    assert all(torch.equal(v, resumed[k]) for k, v in whole.items())
    other, _ = run("other", "data.negative_share=0")
    assert any(not torch.equal(v, other[k]) for k, v in whole.items())


@pytest.mark.usefixtures("no_curves")
def test_the_share_is_what_the_network_is_shown(run, monkeypatch):
    seen = []
    real = Trainee.step
    monkeypatch.setattr(Trainee, "step", lambda self, batch, *rest: seen.append(batch) or real(self, batch, *rest))
    run("run", "data.negative_share=0.34", "run.epochs=2")
    which = torch.cat([b.which for b in seen]).reshape(2, 6)
    assert [(row >= 4).sum() for row in which] == [2, 2]
    assert sorted(which[which >= 4].tolist()) == [4, 5, 6, 7]
    assert all(not (b.targets.labels[b.which >= 4] > 0).any() for b in seen)


@pytest.mark.parametrize("share", ["-0.5", "0.91", "1", "nan", "-2"])
def test_a_share_out_of_range_is_refused_in_one_line(run, share):
    with pytest.raises(SettingError, match=r"^data\.negative_share is .*, want 0 to 0\.9, or -1 .*$"):
        run("run", f"data.negative_share={share}")


@pytest.mark.parametrize("rest", ["", "difficult", "ignore"])
def test_a_training_set_without_any_object_that_counts_is_a_data_error(run, monkeypatch, rest):
    def load(*args):
        samples = load_data(*args)
        if "train" not in args[0]:
            return samples
        truth = Truth.of([[0, 0, 9, 9]], **{rest: [True]}) if rest else Truth.of([])
        return replace(samples, samples=tuple(replace(s, truth=truth) for s in samples))

    monkeypatch.setattr(evaluate, "load_data", load)
    with pytest.raises(DataError, match=r"^data\.train \(voc:heads#train\) holds no object that counts, .*$"):
        run("run")


def test_data_of_other_labels_says_which_and_how_one_may_stand_for_the_other(run):
    said = r"^data\.train .*has \['head'\], the model is to find \['helmet'\]: .* --set data\.classes=helmet=head$"
    with pytest.raises(DataError, match=said):
        run("run", "model.labels=helmet", "data.classes=helmet=hat")


@pytest.mark.parametrize("part", ["train", "val"])
def test_labels_of_whole_pictures_are_no_negatives(run, monkeypatch, part):
    def load(*args):
        samples = load_data(*args)
        if part not in args[0]:
            return samples
        return replace(samples, samples=tuple(replace(s, truth=Truth.of([]), label=0) for s in samples))

    monkeypatch.setattr(evaluate, "load_data", load)
    with pytest.raises(
        DataError, match=rf"^voc:heads#{part}: has labels of whole pictures, no boxes \(p0\.png is 'head'\);"
    ):
        run("run")


@pytest.mark.parametrize(
    ("names", "why"),
    [(("head", "none"), "has labels of whole pictures, no boxes"), (("cat", "dog"), "no picture of a class among")],
)
def test_folders_of_classes_are_refused_whatever_their_labels(run, tmp_path, make_picture, names, why):
    for name in names:
        make_picture(tmp_path / "sorted" / name / "a.png")
    with pytest.raises(DataError, match=f"^classes:sorted: {why}"):
        run("run", "data.train=classes:sorted")
