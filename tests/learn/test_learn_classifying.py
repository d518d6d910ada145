"""Training a classifier with maps: what it reads, what it holds out, that it learns, and what it refuses."""

from __future__ import annotations

import dataclasses
import json

import cv2
import numpy as np
import pytest
import safetensors.torch
import torch

from passerby.data import load_data
from passerby.errors import DataError, SettingError
from passerby.learn.checkpoint import load_network
from passerby.learn.classifying import read
from passerby.learn.crops import cut_out, output_of
from passerby.learn.held_out import choose_map_threshold, choose_threshold, hold_out, picture_set
from passerby.learn.loader import LabelledPictures
from passerby.learn.loop import prepare, train
from passerby.learn.network import spec_of
from passerby.recipe import Augment, Data, Optimiser, Recipe, Run
from passerby.records import Sample, SampleSet, Truth
from passerby.runtime.localiser import Localiser

pytestmark = pytest.mark.usefixtures("no_curves")

POOLED = {"backbone": "mobilenet_v1", "width_multiplier": 0.1, "depth_multiplier": 1.0, "head": "pooled"}
POOLED |= {"loss": "cross_entropy", "labels": ("person",)}


def draw_picture(path, seed, person, size=(72, 64)):
    """Dark noise, with a bright upright bar where there is a person; where it is: x0 y0 x1 y1."""
    rng = np.random.default_rng(seed)
    width, height = size
    pixels = rng.integers(0, 70, (height, width, 3), np.uint8)
    x, y = int(rng.integers(0, width * 2 // 3)), int(rng.integers(0, height // 4))
    if person:
        pixels[y : y + height // 2, x : x + width // 5] = (20, 120, 250)
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), pixels)
    return [x, y, x + width // 5, y + height // 2]


@pytest.fixture
def folders(tmp_path):
    """Class folders with a file of boxes beside them, as `folders(person=10, no_person=8)`."""

    def make(person=10, no_person=8, where="pon"):
        rows = []
        for name, count in (("person", person), ("no_person", no_person)):
            for i in range(count):
                box = draw_picture(
                    tmp_path / where / "train" / name / f"{i:02}.png", len(rows) + 100 * i, name == "person"
                )
                rows.append({"file": f"{name}/{i:02}.png", "boxes": [box] if name == "person" else []})
        (tmp_path / "boxes.json").write_text(json.dumps([r for r in rows if r["boxes"]]))
        return tmp_path / where

    return make


@pytest.fixture
def recipe(tiny, still, tmp_path):
    """Two epochs of the tiny classifier on class folders, as `recipe("run.batch=4")`."""

    def make(*overrides, augment=still, **model):
        return Recipe(
            name="tiny",
            model=tiny(**(POOLED | model)),
            data=Data(root=str(tmp_path), train=("classes:pon#train",)),
            augment=augment,
            optimiser=Optimiser(kind="adam", rate=0.003, decay=0, warmup=0.1, average=0, balance=True),
            run=Run(epochs=2, batch=4, workers=0, device="cpu", precision="float32", threads=1, best_by="val_loss"),
        ).set(*overrides)

    return make


def test_what_trains_and_what_validates_are_divided_by_class_and_seed(folders, recipe, teller):
    folders()
    tell = teller()
    train_set, val_set = read(recipe(), tell)
    assert [len(s) for s in (train_set, val_set)] == [14, 4]
    assert sorted(map(output_of, val_set)) == [0, 0, 1, 1]
    assert not {s.path for s in train_set} & {s.path for s in val_set}
    assert tell.lines[0] == "train: 18 pictures, 10 with person, 8 without"
    assert tell.lines[1] == "val: 4 pictures, 2 with person, 2 without, 20% held out of train by seed 0"
    again, other = (read(recipe(f"run.seed={s}"), teller())[1] for s in (0, 1))
    assert [s.path for s in again] == [s.path for s in val_set]
    assert [s.path for s in other] != [s.path for s in val_set]


def test_pictures_that_look_the_same_are_held_out_together(folders, recipe, teller):
    root = folders(20, 20)
    copies = {}
    for i in range(4):  # the same picture a little brighter, under another name
        source = root / "train" / "person" / f"{i:02}.png"
        copy = root / "train" / "person" / f"copy{i}.png"
        cv2.imwrite(str(copy), cv2.convertScaleAbs(cv2.imread(str(source)), alpha=1.05, beta=4))
        copies[source] = copy
    for seed in range(5):
        samples, _ = read(recipe(f"run.seed={seed}"), teller())
        trained = {s.path for s in samples}
        assert all((a in trained) == (b in trained) for a, b in copies.items())


def test_the_file_of_boxes_is_for_what_validates_only(folders, recipe, teller):
    folders()
    train_set, val_set = read(recipe("data.boxes=boxes.json"), teller())
    assert sum(len(s.truth) for s in train_set) == 0
    assert [len(s.truth) for s in val_set] == [output_of(s) for s in val_set]


def test_a_named_set_validates_and_nothing_is_held_out(folders, recipe, teller):
    folders()
    folders(3, 2, "other")
    train_set, val_set = read(recipe("data.val=classes:other#train"), teller())
    assert (len(train_set), len(val_set)) == (18, 5)


def test_boxes_make_pictures_with_and_without(heads_voc, recipe, teller, tmp_path):
    heads_voc(4)
    draw_picture(tmp_path / "empty" / "a.png", 1, False)
    draw_picture(tmp_path / "empty" / "b.png", 2, False)
    settings = ("data.train=voc:heads#train,folder:empty", "data.val_share=0.5")
    train_set, val_set = read(recipe(*settings, labels=("head",)), teller())
    assert sorted(map(output_of, [*train_set, *val_set])) == [0, 0, 1, 1, 1, 1]


def test_inria_trains_with_its_positive_and_negative_folders(tmp_path, recipe, teller):
    root = tmp_path / "INRIA"
    (root / "Train" / "annotations").mkdir(parents=True)
    for i in range(4):
        x0, y0, x1, y1 = draw_picture(root / "Train" / "pos" / f"p{i}.png", i, True)
        (root / "Train" / "annotations" / f"p{i}.txt").write_text(
            f'# PASCAL Annotation Version 1.00\nImage filename : "Train/pos/p{i}.png"\n'
            f"Image size (X x Y x C) : 72 x 64 x 3\n"
            f'Bounding box for object 1 "PASperson" (Xmin, Ymin) - (Xmax, Ymax) : ({x0}, {y0}) - ({x1}, {y1})\n'
        )
        draw_picture(root / "Train" / "neg" / f"n{i}.png", 50 + i, False)
    train_set, val_set = read(recipe("data.train=inria:INRIA#train", "data.val_share=0.25"), teller())
    assert (sorted(map(output_of, train_set)), sorted(map(output_of, val_set))) == ([0, 0, 0, 1, 1, 1], [0, 1])


def boxed(*boxes, size=(200, 100), **columns):
    return Sample(__file__, *size, Truth.of(boxes, **columns))


def test_crops_are_objects_with_what_is_around_and_parts_without_any():
    samples = SampleSet((boxed((40, 20, 80, 60), (150, 0, 155, 5)), boxed()), ("person",), "made")
    found = cut_out(samples, 32, 0)
    assert [output_of(s) for s in found][:1] == [1]
    assert found[0].part == (30, 10, 60, 60)  # a quarter of 40 on each side
    assert (found[0].width, found[0].height) == (60, 60)
    empty = [s for s in found if output_of(s) == 0]
    assert len(empty) in (2, 3)  # two for the first, where there is room, and one for the second
    for s in empty:
        x, y, w, h = s.part
        assert (w, h) == (60, 60)
        assert 0 <= x <= 200 - w
        assert 0 <= y <= 100 - h
        inside = cut_of(s)
        assert len(inside) == 0


def cut_of(crop):
    from passerby.geometry.part import cut

    return cut(crop.truth, *crop.part)


def test_an_object_at_the_border_that_is_ignored_or_small_makes_no_crop():
    truth = {"ignore": [False, True, False], "difficult": [False, False, True]}
    sample = boxed((0, 0, 40, 40), (60, 0, 100, 40), (120, 0, 160, 40), size=(160, 40), **truth)
    found = cut_out(SampleSet((sample,), ("person",), "made"), 32, 0)
    assert [s.part for s in found] == [(0, 0, 50, 40)]  # and no place is free of all three


def test_a_crop_is_what_the_network_is_shown(tmp_path, recipe):
    draw_picture(tmp_path / "a.png", 0, False)
    picture = cv2.imread(str(tmp_path / "a.png"))[..., ::-1]
    sample = Sample(tmp_path / "a.png", 72, 64, Truth.of([(8, 0, 72, 64)]), 0)
    (crop,) = cut_out(SampleSet((sample,), ("person",), "made"), 32, 0)
    assert crop.part == (0, 0, 72, 64)
    shifted = dataclasses.replace(crop, part=(8, 0, 64, 64))
    r = recipe()
    batch = LabelledPictures(SampleSet((shifted,), ("person",)), spec_of(r.model), r)[0, 0]
    assert np.array_equal(batch.pixels.numpy(), picture[:, 8:])
    assert batch.targets.labels.tolist() == [1]


def test_it_learns_and_its_thresholds_come_from_held_out_pictures(folders, recipe, teller, tmp_path):
    folders(24, 20)
    settings = ("run.epochs=20", "run.batch=4", "data.boxes=boxes.json", "data.val_share=0.3", "model.map_stride=16")
    tell = teller()
    best = train(recipe(*settings, "optimiser.rate=0.004"), tmp_path / "run", tell)
    history = json.loads((tmp_path / "run" / "history.json").read_text())
    assert set(history[0]) >= {"loss", "penalty", "accuracy", "val_loss", "val_accuracy", "val_auc", "rate"}
    assert max(row["accuracy"] for row in history) > 0.9
    assert max(row["val_accuracy"] for row in history) > 0.9
    _, spec, _ = load_network(best)
    assert spec.provenance["epoch"] == min(history, key=lambda row: row["val_loss"])["epoch"]
    assert spec.provenance["val_loss"] == round(min(row["val_loss"] for row in history), 4)
    assert spec.provenance["trained_on"] == "classes:pon#train: 31 pictures, 17 with person, 14 without"
    assert "on 3 held-out pictures with boxes" in spec.provenance["map_threshold_rule"]
    assert "4 other held-out" in spec.provenance["box_acc"]
    assert tell.lines[-2].startswith("epoch 20/20  ")
    assert "val loss" in tell.lines[-2]


def test_a_stopped_run_goes_on_to_the_same_weights(folders, recipe, teller, tmp_path):
    folders()
    r = recipe(
        "run.epochs=3", "optimiser.l2=0.1", "optimiser.average=0.9", augment=Augment(shift=0.2, zoom=0.2, shear=9)
    )
    train(r, tmp_path / "whole", teller())
    with pytest.raises(KeyboardInterrupt):
        train(r, tmp_path / "broken", teller(stop=9))
    train(r, tmp_path / "broken", teller(), resume=True)
    whole, broken = (safetensors.torch.load_file(tmp_path / d / "last.safetensors") for d in ("whole", "broken"))
    assert [k for k in whole if not torch.equal(whole[k], broken[k])] == []
    assert any(k.startswith("optimiser.") for k in whole)


@pytest.mark.parametrize("layers", [0, 1, 2, 27])
def test_only_the_last_layers_move(folders, recipe, teller, tmp_path, layers):
    folders()
    r = recipe(f"optimiser.unfreeze={layers}", "run.epochs=1")
    before = prepare_weights(r, teller)
    train(r, tmp_path / "run", teller())
    after = safetensors.torch.load_file(tmp_path / "run" / "last.safetensors")
    moved = {k for k in before if not torch.equal(before[k], after[f"network.{k}"])}
    convs = [f"backbone.features.{k}.{p}" for k in range(14) for p in (("0", "1") if k else ("",))]
    names = [c.rstrip(".") for c in convs][27 - layers :]
    trunk = {k for k in before if any(k.startswith(n + ".") for n in names)}
    assert {k for k in moved if k.startswith("backbone")} == trunk
    assert {"head.dense.weight", "head.dense.bias"} <= moved
    assert {k for k in trunk if "running_mean" in k} <= moved


def prepare_weights(r, teller):
    torch.manual_seed(r.run.seed)
    return {k: v.clone() for k, v in prepare(r, teller()).network.state_dict().items()}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("optimiser.unfreeze=28", r"optimiser\.unfreeze is 28, mobilenet_v1 has 27 convolutions; set 0 to 27, or -1"),
        ("run.best_by=ap50", r"run\.best_by: no score 'ap50'"),
        ("data.val_share=0", r"data\.val_share is 0, want over 0 and under 1, or name data\.val"),
        ("data.val_share=1", r"data\.val_share is 1"),
        ("optimiser.l2=-1", r"optimiser\.l2 is -1"),
        ("data.train=", r"data\.train is empty"),
        ("data.classes=people=person", r"data\.classes make \['people'\]"),
    ],
)
def test_settings_that_cannot_work_are_refused_in_one_line(folders, recipe, teller, tmp_path, override, message):
    folders()
    with pytest.raises(SettingError, match=message) as e:
        train(recipe(override), tmp_path / "run", teller())
    assert "\n" not in str(e.value)
    assert not (tmp_path / "run").exists()


def test_freezing_from_both_ends_is_refused(folders, recipe, teller, tmp_path):
    with pytest.raises(SettingError, match=r"optimiser\.freeze counts from the start, .* set one of them"):
        train(recipe("optimiser.freeze=2", "optimiser.unfreeze=2"), tmp_path / "run", teller())


@pytest.mark.parametrize("override", ["optimiser.balance=yes", "optimiser.l2=0.1", "data.crops=yes", "data.boxes=x"])
def test_what_is_for_classifiers_is_refused_for_detectors(heads_voc, make_recipe, teller, tmp_path, override):
    with pytest.raises(SettingError, match=r"is for model\.head=pooled, not ssd; leave it out"):
        train(make_recipe(heads_voc(4), override), tmp_path / "run", teller())


@pytest.mark.parametrize(
    ("person", "no_person", "message"),
    [
        (4, 0, r"data\.train .*: has no pictures without person among 4; a classifier needs both kinds"),
        (0, 4, r"data\.train .*: has no pictures of person among 4; a classifier needs both kinds"),
        (1, 4, r"data\.train .*: pictures of person: there is one; add some \(one validates\), or name data\.val"),
        (4, 1, r"data\.train .*: pictures without person: there is one; add some"),
    ],
)
def test_a_class_that_is_missing_or_has_one_picture(folders, recipe, teller, tmp_path, person, no_person, message):
    folders(person, no_person)
    with pytest.raises(DataError, match=message) as e:
        train(recipe("run.batch=2"), tmp_path / "run", teller())
    assert "\n" not in str(e.value)


def test_one_picture_of_a_class_trains_where_others_validate(folders, recipe, teller, tmp_path):
    folders(1, 4)
    folders(2, 2, "other")
    train(recipe("data.val=classes:other#train", "run.epochs=1", "run.batch=2"), tmp_path / "run", teller())


def test_a_picture_smaller_than_the_stride_is_left_out_and_named(folders, recipe, teller):
    root = folders()
    draw_picture(root / "train" / "person" / "thumb.png", 1, True, (20, 40))
    tell = teller()
    train_set, val_set = read(recipe(), tell)
    assert len(train_set) + len(val_set) == 18
    assert (
        "1 pictures are left out, smaller than the network's stride of 32 pixels: thumb.png (20 x 40)" in tell.lines[1]
    )


def test_a_picture_of_two_classes_is_left_out_and_told(make_voc, recipe, teller, tmp_path):
    both = [("cat", 2, 2, 40, 40), ("dog", 50, 2, 90, 40)]
    rows = {f"c{i}": both[:1] for i in range(3)} | {f"d{i}": both[1:] for i in range(3)} | {"both": both}
    rows |= {f"n{i}": [] for i in range(3)}
    root = make_voc(rows)
    tell = teller()
    r = recipe(f"data.train=voc:{root.name}", f"data.root={root.parent}", "data.val_share=0.4", labels=("cat", "dog"))
    train_set, val_set = read(r, tell)
    assert len(train_set) + len(val_set) == 9
    assert any("left out are 1 pictures of several classes, 0 of ignored objects only" in line for line in tell.lines)


def test_the_threshold_by_hand():
    holds = np.array([[1], [1], [0], [1], [0], [-1]], np.int8)
    scores = np.array([[0.9], [0.4], [0.3], [0.7], [0.1], [0.99]], np.float32)
    assert choose_threshold(scores, holds) == pytest.approx(0.35)  # all right between 0.3 and 0.4
    scores = np.array([[0.9], [0.6], [0.3], [0.7], [0.1], [0.99]], np.float32)
    assert choose_threshold(scores, holds) == 0.5  # from 0.3 to 0.6 all are right; 0.5 is nearest to itself


class Painted:
    """An engine whose map is as bright as the picture's red, 8 x 8 cells."""

    name = "painted"

    def run(self, pixels):
        red = cv2.resize(pixels[0, :, :, 0], (8, 8), interpolation=cv2.INTER_AREA).astype(np.float32)
        return np.array([0.9], np.float32), np.stack([-red, red])


def test_the_maps_threshold_is_chosen_on_one_half_and_scored_on_the_other(tmp_path, recipe):
    samples = []
    for i in range(8):
        pixels = np.zeros((64, 64, 3), np.uint8)
        pixels[16:48, 8:32] = 60
        pixels[24:40, 16:32] = 255  # the box
        cv2.imwrite(str(tmp_path / f"{i}.png"), pixels[..., ::-1])
        samples.append(Sample(tmp_path / f"{i}.png", 64, 64, Truth.of([(16, 24, 32, 40)]), 0))
    pictures = picture_set(SampleSet(tuple(samples), ("person",), "made"))
    share, rule = choose_map_threshold(Localiser.of(spec_of(recipe().model), Painted()), pictures)
    assert share["map_threshold"] > 60 / 255
    assert rule["box_acc"] == "1.0000 on the 4 other held-out pictures with boxes"
    none = dataclasses.replace(pictures, located=np.zeros(8, bool))
    assert choose_map_threshold(Localiser.of(spec_of(recipe().model), Painted()), none) == ({}, {})


def test_holding_out_keeps_parts_of_one_picture_together(folders, teller):
    root = folders(6, 6)
    samples = load_data("classes:pon#train", (), root.parent)
    twice = dataclasses.replace(samples, samples=tuple(s for s in samples for _ in range(2)))
    held = hold_out(twice, [s.label for s in twice], 0.4, 0, teller())
    assert held[::2].tolist() == held[1::2].tolist()
    assert 0 < held.sum() < len(held)
