"""The loader: a key decides the picture, an epoch decides the order."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import passerby
from passerby.data import load_data
from passerby.errors import SettingError
from passerby.geometry.anchors import default_boxes
from passerby.geometry.assign import assign
from passerby.geometry.resize import fit
from passerby.learn.loader import EpochOrder, TrainingPictures, make_loader
from passerby.learn.network import spec_of
from passerby.pictures import read_picture
from passerby.recipe import Augment
from passerby.records import Truth


@pytest.fixture
def pictures(heads_voc, make_recipe):
    """Make TrainingPictures of six pictures with every augmentation on."""
    root = heads_voc(6)

    def make(*overrides, augment=Augment(colour=1.0)):  # noqa: B008 (frozen)
        recipe = make_recipe(root, *overrides, augment=augment)
        samples = load_data(recipe.data.train[0], recipe.model.labels, recipe.data.root)
        return TrainingPictures(samples, spec_of(recipe.model), recipe)

    return make


def flat(batch):
    return batch.pixels, *batch.targets[:4], batch.which  # the loader has no teacher


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(flat(a), flat(b), strict=True))


def test_a_key_gives_the_same_picture_every_time_and_in_any_order(pictures):
    first, second = pictures(), pictures()
    keys = [(epoch, i) for epoch in range(2) for i in range(6)]
    mine = {k: first[k] for k in keys}
    for key in reversed(keys):
        assert same(second[key], mine[key])


def test_another_epoch_picture_or_seed_gives_another_picture(pictures):
    data = pictures()
    assert not torch.equal(data[(0, 3)].pixels, data[(1, 3)].pixels)
    assert not torch.equal(data[(0, 3)].pixels, data[(0, 4)].pixels)
    assert not torch.equal(data[(0, 3)].pixels, pictures("run.seed=1")[(0, 3)].pixels)


def test_without_augmentation_a_key_is_the_resized_picture_and_its_matches(pictures, still):
    data = pictures(augment=still)
    sample = data.samples[4]
    batch = data[(7, 4)]
    pixels, placement = fit(read_picture(sample.path), 64, 64, "stretch")
    truth = Truth.of(placement.forth(sample.truth.boxes), sample.truth.labels)
    labels, offsets = assign(truth, default_boxes(data.spec.anchors, 64, 64), 0.5, data.spec.variance)
    np.testing.assert_array_equal(batch.pixels.numpy(), pixels)
    np.testing.assert_array_equal(batch.targets.labels.numpy(), labels)
    np.testing.assert_array_equal(batch.targets.offsets.numpy(), offsets)
    assert int(batch.which) == 4
    assert (labels > 0).sum() >= len(truth) > 0


def test_batches_are_of_fixed_size_and_type(pictures):
    data = pictures("run.batch=4")
    loader, _ = make_loader(data.samples, data.spec, data.recipe, pin=False)
    batches = list(loader)
    assert len(batches) == 1
    objects = batches[0].targets.objects.shape[1]
    assert objects > 0
    shapes = [(tuple(t.shape), t.dtype) for t in flat(batches[0])]
    assert shapes == [
        ((4, 64, 64, 3), torch.uint8),
        ((4, 170), torch.int64),
        ((4, 170, 4), torch.float32),
        ((4, objects, 4), torch.float32),
        ((4, objects), torch.int64),
        ((4,), torch.int64),
    ]


def test_two_workers_give_the_batches_that_none_give(pictures):
    found = []
    for workers in (0, 2):
        data = pictures(f"run.workers={workers}")
        loader, order = make_loader(data.samples, data.spec, data.recipe, pin=False)
        batches = []
        for epoch in range(2):
            order.epoch = epoch
            batches += list(loader)
        found.append(batches)
    assert len(found[0]) == len(found[1]) == 6
    assert all(same(a, b) for a, b in zip(*found, strict=True))
    assert not torch.equal(found[0][0].pixels, found[0][3].pixels)


SCRIPT = """
import sys, cv2, numpy as np
from passerby.data import load_data
from passerby.learn.loader import make_loader
from passerby.learn.network import spec_of
from passerby.recipe import Model, Recipe

def main():
    cv2.setNumThreads(4)
    for _ in range(20):  # OpenCV starts its threads, as it does when a detector resizes a photograph
        cv2.resize(np.zeros((2000, 3000, 3), np.uint8), (1500, 1000))
    recipe = Recipe(model=Model(height=64, width=64)).set("run.batch=2", "run.workers=2")
    loader, _ = make_loader(load_data("voc:heads#train", ("head",), sys.argv[1]), spec_of(recipe.model), recipe, False)
    print(sum(len(batch.pixels) for batch in loader))

if __name__ == "__main__":
    main()
"""


def test_workers_start_in_a_process_that_has_resized_large_pictures_before(heads_voc, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    root = heads_voc(4).parent
    # A session of its own, so that workers that hang are ended with it.
    process = subprocess.Popen(
        [sys.executable, str(script), str(root)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(Path(passerby.__file__).parents[1])},
    )
    try:
        out, _ = process.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        out = "hangs"
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    assert out == "4\n"


def test_an_epoch_shows_each_picture_once_and_leaves_the_short_batch_out():
    order = EpochOrder(10, 3, seed=0)
    batches = list(order)
    assert len(order) == len(batches) == 3
    assert [len(b) for b in batches] == [3, 3, 3]
    shown = [i for b in batches for _, i in b]
    assert len(set(shown)) == 9
    assert set(shown) < set(range(10))


def test_the_order_is_decided_by_seed_and_epoch():
    def order(seed, epoch):
        one = EpochOrder(50, 5, seed)
        one.epoch = epoch
        return list(one)

    assert order(0, 3) == order(0, 3)
    assert {epoch for batch in order(0, 3) for epoch, _ in batch} == {3}
    assert len({str([i for b in order(*k) for _, i in b]) for k in [(0, 0), (0, 1), (1, 0), (1, 1)]}) == 4


def test_a_batch_larger_than_the_data_is_an_error_that_says_so():
    with pytest.raises(SettingError, match=r"run\.batch=8 but there are only 5 training pictures"):
        EpochOrder(5, 8, 0)
