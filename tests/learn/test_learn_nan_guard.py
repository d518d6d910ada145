"""A loss that is not a number stops the run and says why: SPEC 5, point 2."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from passerby.data import load_data
from passerby.errors import TrainingError
from passerby.learn import detecting, loop
from passerby.learn.heads.base import Targets
from passerby.learn.loader import Batch
from passerby.learn.loop import train, why_not_a_number
from passerby.records import SampleSet, Truth

pytestmark = pytest.mark.usefixtures("no_curves")


@pytest.fixture
def spoil(monkeypatch):
    """Put a box into the training pictures that no reader lets through: object 1 of picture p1."""

    def put(box):
        read = detecting.read_boxes

        def spoiled(sources, recipe, field, tell):
            found = read(sources, recipe, field, tell)
            if field != "train":
                return found
            samples = list(found.samples)
            boxes = samples[1].truth.boxes.copy()
            assert samples[1].path.stem == "p1"
            assert len(boxes) == 2
            boxes[1] = box
            truth = Truth.of(boxes, samples[1].truth.labels)
            samples[1] = dataclasses.replace(samples[1], truth=truth)
            return SampleSet(tuple(samples), found.labels, found.source, found.notes)

        monkeypatch.setattr(detecting, "read_boxes", spoiled)

    return put


@pytest.mark.parametrize(
    "box", [(np.nan, 10, 40, 60), (10, 10, np.nan, np.nan), (10, 10, np.inf, 60)], ids=["left", "right", "infinite"]
)
def test_a_box_that_is_not_a_number_is_named_with_file_object_and_step(
    heads_voc, make_recipe, teller, tmp_path, spoil, box
):
    spoil(box)
    tell = teller()
    with pytest.raises(TrainingError, match=r"step \d+\b.*p1\.png.*object 1\b") as e:
        train(make_recipe(heads_voc(4)), tmp_path / "run", tell)
    assert "\n" not in str(e.value)
    assert "correct or remove the label" in str(e.value)
    assert not (tmp_path / "run" / "last.safetensors").exists()


def test_the_sentence_names_file_object_box_and_step(heads_voc, tmp_path):
    samples = load_data("voc:heads#train", ("head",), heads_voc(4).parent)
    truth = Truth.of([samples[2].truth.boxes[0], samples[2].truth.boxes[1], [5, 5, np.nan, 9]])
    bad = dataclasses.replace(samples[2], truth=truth)
    samples = SampleSet((*samples.samples[:2], bad, samples.samples[3]), samples.labels)
    offsets = torch.zeros(2, 170, 4)
    offsets[1, 30, 2] = torch.nan
    targets = Targets(torch.zeros(2, 170), offsets, torch.zeros(2, 0, 4), torch.zeros(2, 0))
    batch = Batch(torch.zeros(2, 64, 64, 3), targets, torch.tensor([0, 2]))
    text = why_not_a_number(batch, samples, 17, 0.1)
    assert text.startswith("step 17: the loss is not a number: ")
    assert f"{bad.path}: object 2, box [5.0, 5.0, nan, 9.0]" in text


def test_a_learning_rate_far_too_high_is_named_as_the_likely_cause(heads_voc, make_recipe, teller, tmp_path):
    tell = teller()
    recipe = make_recipe(heads_voc(4), "optimiser.rate=1e30", "run.epochs=5", "run.evaluate_every=5")
    with pytest.raises(TrainingError, match=r"^step \d+: the loss is not a number though all labels of the batch") as e:
        train(recipe, tmp_path / "run", tell)
    assert "lower optimiser.rate (now " in str(e.value)
    assert "run.precision=float32" in str(e.value)
    assert "\n" not in str(e.value)
    assert ".png" in str(e.value)


def test_a_step_that_fails_leaves_weights_and_average_as_they_were(heads_voc, make_recipe, teller):
    trainee = loop.prepare(make_recipe(heads_voc(4), "optimiser.average=0.9"), teller())
    labels = torch.zeros(2, 170, dtype=torch.int64)
    labels[:, :3] = 1
    targets = Targets(labels, torch.zeros(2, 170, 4), torch.zeros(2, 0, 4), torch.zeros(2, 0, dtype=torch.int64))
    pixels = torch.zeros(2, 64, 64, 3, dtype=torch.uint8)
    good = Batch(pixels, targets, torch.tensor([0, 1]))
    bad = good._replace(targets=targets._replace(offsets=torch.full((2, 170, 4), torch.nan)))
    how = make_recipe(heads_voc(4, where="more")).optimiser

    def parameters():
        return [p.detach().clone() for m in (trainee.network, trainee.average.network) for p in m.parameters()]

    before = parameters()
    assert trainee.step(bad, 0.1, how) is None
    assert all(torch.equal(a, b) for a, b in zip(parameters(), before, strict=True))
    assert trainee.step(good, 0.1, how) is not None
    assert not all(torch.equal(a, b) for a, b in zip(parameters(), before, strict=True))
