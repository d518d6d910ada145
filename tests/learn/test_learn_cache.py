"""Training from the cache: the same batches to the last bit, and truth that lies where the cached pixels are."""

from __future__ import annotations

import shutil

import cv2
import numpy as np
import pytest
import safetensors.torch
import torch
from torch.utils.data import DataLoader

from passerby.data import load_data
from passerby.errors import DataError, ModelError, SettingError, SourceError
from passerby.learn import loader as rooms
from passerby.learn.loader import TrainingPictures, cache_of, make_loader, stack, take
from passerby.learn.loop import train
from passerby.learn.network import spec_of
from passerby.pictures import read_picture
from passerby.recipe import Augment


@pytest.fixture
def pictures(heads_voc, make_recipe, teller, tmp_path):
    """Samples, spec, recipe and cache of six 96 x 96 pictures, every augmentation on."""
    root = heads_voc(6)

    def make(*overrides, augment=Augment(colour=1.0), folder=str(tmp_path / "cache")):  # noqa: B008 (frozen)
        recipe = make_recipe(root, f"data.cache={folder}", *overrides, augment=augment)
        samples = load_data(recipe.data.train[0], recipe.model.labels, recipe.data.root)
        return samples, spec_of(recipe.model), recipe, cache_of(samples, recipe, teller())

    return make


def flat(batch):
    return batch.pixels, *batch.targets, batch.which


def same(a, b):
    return all(x is y or torch.equal(x, y) for x, y in zip(flat(a), flat(b), strict=True))  # a target may be None


def two_epochs(samples, spec, recipe, cache):
    loader, order = make_loader(samples, spec, recipe, False, cache)
    found = []
    for epoch in range(2):
        order.epoch = epoch
        found += list(loader)
    return found


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_the_same_to_the_last_bit_with_and_without(pictures, workers, monkeypatch):
    samples, spec, recipe, cache = pictures(f"run.workers={workers}")
    assert cache.shrunk() == 0
    plain = two_epochs(samples, spec, recipe, None)
    monkeypatch.setattr(rooms, "read_picture", lambda path: pytest.fail("decoded again"))
    cached = two_epochs(samples, spec, recipe, cache)
    assert len(plain) == len(cached) == 6
    assert all(same(a, b) for a, b in zip(plain, cached, strict=True))
    assert not torch.equal(plain[0].pixels, plain[3].pixels)


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_workers_started_either_way_give_the_same_pictures(pictures, start):
    samples, spec, recipe, cache = pictures()
    keys = [[(0, 3), (1, 0)], [(2, 5), (0, 1)]]
    there = DataLoader(
        TrainingPictures(samples, spec, recipe, cache),
        batch_sampler=keys,
        collate_fn=stack,
        num_workers=1,
        multiprocessing_context=start,
    )
    here = DataLoader(TrainingPictures(samples, spec, recipe), batch_sampler=keys, collate_fn=stack)
    found, wanted = list(there), list(here)
    assert len(found) == 2
    assert all(same(a, b) for a, b in zip(found, wanted, strict=True))


def test_pictures_that_nothing_changes_leave_the_cache_alone(pictures, still):
    samples, spec, recipe, cache = pictures("model.width=96", "model.height=96", augment=still)
    before = cache.path.read_bytes()
    batch = TrainingPictures(samples, spec, recipe, cache)[(0, 2)]  # no resize: the view itself would be handed on
    np.testing.assert_array_equal(batch.pixels, read_picture(samples[2].path))
    batch.pixels.zero_()
    assert cache.path.read_bytes() == before


def test_truth_is_in_the_pixels_of_the_cache(pictures, still):
    samples, spec, recipe, cache = pictures("data.cache_side=72", augment=still)
    assert cache.shrunk() == 6
    data = TrainingPictures(samples, spec, recipe, cache)
    for i, sample in enumerate(samples):
        pixels, truth = take(sample, i, cache)
        assert pixels.shape == (72, 72, 3)
        np.testing.assert_allclose(truth.boxes, sample.truth.boxes * 0.75, rtol=1e-6)
        for x0, y0, x1, y1 in np.round(truth.boxes).astype(int).tolist():
            assert pixels[y0 + 1 : y1 - 1, x0 + 1 : x1 - 1].min() > 150  # heads are bright, all else is dark
        labels = data[(0, i)].targets.labels
        assert torch.equal(labels, TrainingPictures(samples, spec, recipe)[(0, i)].targets.labels)


def test_sides_of_one_picture_may_shrink_by_a_little_more_or_less(pictures, tmp_path, still):
    samples, _, _, _ = pictures(augment=still)
    odd = cv2.resize(cv2.imread(str(samples[0].path)), (331, 100))
    assert cv2.imwrite(str(samples[0].path), odd)
    samples, _, _, cache = pictures("data.cache_side=64", augment=still)
    assert (samples[0].width, samples[0].height) == (331, 100)
    pixels, truth = take(samples[0], 0, cache)
    assert pixels.shape == (64, 212, 3)  # 331 * 0.64 = 211.84
    scale = np.array([212 / 331, 0.64] * 2, np.float32)
    np.testing.assert_allclose(truth.boxes, samples[0].truth.boxes * scale, rtol=1e-6)


def test_the_least_side_leaves_these_small_pictures_alone_unless_no_part_is_cut(pictures, still):
    assert pictures()[3].side > 200
    cache = pictures(augment=still)[3]
    assert (cache.side, cache.shrunk()) == (65, 6)


def test_no_folder_means_no_cache(pictures, tmp_path):
    assert pictures(folder="")[3] is None
    assert not (tmp_path / "cache").exists()


@pytest.fixture
def runs(heads_voc, make_recipe, teller, tmp_path):
    """Run three epochs of three steps into a folder of that name; stopped at a step if told."""
    root = heads_voc(6)

    def run(name, *overrides, stop=0, resume=False):
        recipe = make_recipe(root, "run.epochs=3", *overrides, augment=Augment())
        tell = teller(stop)
        if stop:
            with pytest.raises(KeyboardInterrupt):
                train(recipe, tmp_path / name, tell, resume)
            return {}, tell
        train(recipe, tmp_path / name, tell, resume)
        return safetensors.torch.load_file(str(tmp_path / name / "last.safetensors")), tell

    return run


@pytest.mark.usefixtures("no_curves")
def test_a_run_from_the_cache_gives_the_weights_of_one_without_also_when_resumed(runs, tmp_path):
    plain, _ = runs("plain")
    cache = f"data.cache={tmp_path / 'cache'}"
    cached, tell = runs("cached", cache)
    assert [line for line in tell.lines if line.startswith("cache: built ") and "6 pictures" in line]
    built = 6  # steps of building, one a picture
    runs("broken", cache, stop=1 + 5)  # the cache is there: one step of checking it
    shutil.move(tmp_path / "cache", tmp_path / "moved")
    resumed, tell = runs("broken", f"data.cache={tmp_path / 'moved'}", resume=True)
    assert not [line for line in tell.lines if "built" in line]
    assert built + 9 == len(runs("again", f"data.cache={tmp_path / 'new'}")[1].steps)
    for other in (cached, resumed):
        assert all(torch.equal(v, other[k]) for k, v in plain.items())


@pytest.mark.usefixtures("no_curves")
def test_a_run_from_the_cache_is_not_resumed_without(runs, tmp_path):
    runs("run", f"data.cache={tmp_path / 'cache'}", stop=6 + 5)
    with pytest.raises(ModelError, match=r"data\.cache='.*cache', the recipe says ''"):
        runs("run", resume=True)


@pytest.mark.usefixtures("no_curves")
def test_an_interrupted_build_leaves_no_cache_and_no_run(runs, tmp_path):
    _, tell = runs("run", f"data.cache={tmp_path / 'cache'}", stop=3)
    assert tell.steps[-1].startswith("cache: 3/6 pictures")
    assert list((tmp_path / "cache").iterdir()) == []
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("no_curves")
def test_a_limit_caches_only_so_many_and_beside_the_whole(runs, tmp_path):
    cache = f"data.cache={tmp_path / 'cache'}"
    runs("all", cache, "run.epochs=1")
    _, tell = runs("four", cache, "run.epochs=1", "run.limit=4")
    assert [line for line in tell.lines if "cache: built" in line and "4 pictures" in line]
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_a_picture_that_cannot_be_decoded_ends_the_run_before_its_first_step(runs, tmp_path, heads_voc):
    path = tmp_path / "heads" / "JPEGImages" / "p3.png"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(SourceError, match=r"p3\.png"):
        runs("run", f"data.cache={tmp_path / 'cache'}")
    assert not (tmp_path / "run").exists()


def test_a_side_under_nothing_is_refused(runs):
    with pytest.raises(SettingError, match=r"data\.cache_side is -1"):
        runs("run", "data.cache_side=-1")


def test_a_training_set_that_is_all_gone_is_a_data_error_before_the_cache(runs, tmp_path):
    for path in (tmp_path / "heads" / "Annotations").iterdir():
        path.write_text("<annotation><size><width>96</width><height>96</height></size></annotation>")
    with pytest.raises(DataError, match=r"data\.train"):
        runs("run", f"data.cache={tmp_path / 'cache'}")
    assert not (tmp_path / "cache").exists()
