"""Whole runs of the tiny network: it learns, and leaves the files it promises."""

from __future__ import annotations

import json

import cv2
import pytest
import safetensors.torch
import torch

from passerby.errors import DataError, SettingError
from passerby.learn import detecting
from passerby.learn.checkpoint import load_network
from passerby.learn.heads import ssd
from passerby.learn.loop import train
from passerby.learn.tasks import TASKS
from passerby.recipe import Recipe

SWIFT = ("optimiser.kind=adamw", "optimiser.rate=0.01", "run.epochs=40", "run.evaluate_every=20")
LESS_IS_BETTER = ("mr2", "miss_at_1fppi", "miss_rate", "fppi")
STEADY = (
    "optimiser.kind=sgd",
    "optimiser.rate=0.02",
    "run.epochs=40",
    "run.evaluate_every=20",
    "optimiser.average=0.9",
)


WAYS = {
    "focal": ("model.loss=focal", *SWIFT),
    "mining": ("model.loss=mining", *SWIFT),
    "focal, sgd, averaged": ("model.loss=focal", *STEADY),
    "mining, fusion, giou": ("model.loss=mining", "model.fusion=16", "optimiser.box_loss=giou", *SWIFT),
}


@pytest.mark.usefixtures("no_curves")
@pytest.mark.parametrize("how", WAYS.values(), ids=WAYS)
def test_four_pictures_are_learnt_by_heart(heads_voc, make_recipe, teller, tmp_path, how):
    tell = teller()
    train(make_recipe(heads_voc(4), *how), tmp_path / "run", tell)
    history = json.loads((tmp_path / "run" / "history.json").read_text())
    assert history[-1]["ap50"] == pytest.approx(1.0)
    first, *_, last = [row["loss_score"] + row["loss_box"] for row in history]
    assert last < 0.4 * first  # with the hardest negatives 0.29 on one processor, 0.304 on another


@pytest.fixture
def run(heads_voc, make_recipe, teller, tmp_path):
    """Run two epochs on four pictures; the folder and what was told."""

    def go(*overrides, root=None):
        tell = teller()
        best = train(make_recipe(root or heads_voc(4), *overrides), tmp_path / "run", tell)
        return tmp_path / "run", tell, best

    return go


def test_a_run_leaves_its_four_files_and_no_temporary_one(run):
    folder, _, best = run()
    assert sorted(p.name for p in folder.iterdir()) == [
        "best.safetensors",
        "curves.png",
        "history.json",
        "last.safetensors",
    ]
    assert best == folder / "best.safetensors"
    png = (folder / "curves.png").read_bytes()
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    assert png.endswith(b"IEND\xaeB`\x82")
    picture = cv2.imread(str(folder / "curves.png"))
    assert picture.shape[0] > 300
    assert picture.std() > 5  # something is drawn on it
    history = json.loads((folder / "history.json").read_text())
    assert [row["epoch"] for row in history] == [1, 2]
    for row in history:
        assert {"loss_score", "loss_box", "rate", "pictures_a_second", "waited_share", "ap50", "mr2"} <= row.keys()
        assert row["pictures_a_second"] > 0
        assert 0 <= row["waited_share"] <= 1
    assert history[-1]["rate"] < history[0]["rate"] <= 0.01


@pytest.mark.usefixtures("no_curves")
def test_progress_says_speed_share_of_waiting_and_time_left(run):
    _, tell, _ = run()
    assert len(tell.steps) == 4
    assert all("pictures/s" in s and s.endswith("left") and "loss" in s for s in tell.steps)
    assert tell.steps[-1].startswith("epoch 2/2 step 2/2")
    assert tell.steps[-1].endswith("0 min 00 s left")
    rows = [line for line in tell.lines if line.startswith("epoch ")]
    assert len(rows) == 2
    assert all("waited" in r and "AP50" in r for r in rows)
    assert any("4 pictures, 7 objects" in line for line in tell.lines)


@pytest.mark.usefixtures("no_curves")
def test_the_best_checkpoint_holds_the_average_its_threshold_and_where_it_comes_from(run):
    folder, _, best = run("optimiser.average=0.9", "run.evaluate_every=2")
    network, spec, _ = load_network(best)
    last = safetensors.torch.load_file(str(folder / "last.safetensors"))
    average = {k.removeprefix("average."): v for k, v in last.items() if k.startswith("average.")}
    assert network.state_dict().keys() == average.keys()
    assert all(torch.equal(v, average[k]) for k, v in network.state_dict().items())
    assert not torch.equal(average["head.logits.0.1.bias"], last["network.head.logits.0.1.bias"])
    assert not network.training
    assert 0 <= spec.threshold <= 1
    assert spec.provenance["epoch"] == 2
    assert spec.provenance["trained_on"] == "voc:heads#train: 4 pictures, 7 objects"
    assert spec.provenance["chosen_on"] == "voc:heads#val: 4 pictures, 7 objects"
    history = json.loads((folder / "history.json").read_text())
    assert spec.provenance["val_ap50"] == round(history[-1]["ap50"], 4)


@pytest.mark.parametrize("where", ["heads", "others"])
def test_pictures_that_validate_and_train_are_told_and_stand_in_the_model(run, heads_voc, where):
    root = heads_voc(4)  # both its splits hold all of its pictures
    if where != "heads":
        heads_voc(4, where)
    _, tell, best = run(f"data.val=voc:{where}#val", "run.epochs=1", root=root)
    _, spec, _ = load_network(best)
    told = [line for line in tell.lines if "are in train too" in line]
    if where == "heads":
        assert [line.split(": scores")[0] for line in told] == ["warning: 4 of 4 pictures of val are in train too"]
        assert spec.provenance["chosen_on_but_trained_on"] == "4 of 4"
    else:
        assert not told
        assert "chosen_on_but_trained_on" not in spec.provenance


@pytest.mark.usefixtures("no_curves")
@pytest.mark.parametrize(
    ("name", "scores"),
    [(n, (0.9, 0.3, 0.5) if n in LESS_IS_BETTER else (0.2, 0.6, 0.4)) for n in sorted(detecting.BEST_BY)],
)
def test_the_best_epoch_has_the_highest_score_or_the_lowest_where_less_is_better(run, monkeypatch, name, scores):
    given, task = iter(scores), TASKS["detect"]

    def pretend(*args):
        found = task.validate(*args)
        assert name in found.scores
        return found._replace(scores={**found.scores, name: next(given)})

    monkeypatch.setitem(TASKS, "detect", task._replace(validate=pretend))
    _, _, best = run("run.epochs=3", f"run.best_by={name}")
    _, spec, _ = load_network(best)
    assert spec.provenance["epoch"] == 2
    assert spec.provenance[f"val_{name}"] == scores[1]


@pytest.mark.usefixtures("no_curves")
@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("run.best_by=ap5", r"run\.best_by: no score 'ap5' \(did you mean 'ap50'\?\)"),
        ("optimiser.box_loss=iou", r"optimiser\.box_loss: 'iou' is unknown"),
        ("run.precision=float16", r"run\.precision: 'float16' is unknown"),
        ("run.device=gpu", r"run\.device: 'gpu' is no device"),
        ("optimiser.kind=adamax", r"optimiser\.kind: 'adamax' is unknown"),
        ("run.batch=5", r"run\.batch=5 but there are only 4 training pictures"),
        ("data.train=", r"data\.train is empty"),
        ("data.val=", r"data\.val is empty"),
    ],
)
def test_a_setting_out_of_range_is_refused_before_the_first_step(
    heads_voc, make_recipe, teller, tmp_path, override, message
):
    tell = teller()
    with pytest.raises(SettingError, match=message):
        train(make_recipe(heads_voc(4), override), tmp_path / "run", tell)
    assert tell.steps == []
    assert not (tmp_path / "run" / "last.safetensors").exists()


def test_a_split_that_is_not_there_is_a_data_error_before_the_first_step(run):
    with pytest.raises(DataError, match="trian"):
        run("data.train=voc:heads#trian")


@pytest.mark.usefixtures("no_curves")
def test_mixed_precision_trains_on_the_cpu_with_weights_kept_in_float32(run):
    folder, tell, _ = run("run.precision=bfloat16", "run.epochs=6", "run.evaluate_every=6")
    assert any("mixed bfloat16" in line for line in tell.lines)
    history = json.loads((folder / "history.json").read_text())
    losses = [row["loss_score"] + row["loss_box"] for row in history]
    assert losses[-1] < 0.7 * losses[0]
    tensors = safetensors.torch.load_file(str(folder / "last.safetensors"))
    assert {t.dtype for t in tensors.values()} <= {torch.float32, torch.int64}


@pytest.mark.usefixtures("no_curves")
def test_mixed_precision_is_really_another_computation(run, monkeypatch):
    seen = []
    real = ssd.detection_loss

    def look(logits, *rest):
        seen.append(logits.dtype)
        return real(logits, *rest)

    monkeypatch.setattr(ssd, "detection_loss", look)
    run("run.precision=bfloat16", "run.epochs=1")
    assert set(seen) == {torch.bfloat16}


@pytest.mark.usefixtures("no_curves")
def test_a_limit_takes_only_so_many_pictures(run):
    _, tell, _ = run("run.limit=2", "run.epochs=1")
    assert len(tell.steps) == 1
    assert any("2 pictures, 1 epochs of 1 steps of 2" in line for line in tell.lines)


@pytest.fixture
def without_objects(heads_voc):
    """Four pictures to train on, and the first two of them without their labels to validate."""
    root = heads_voc(4)
    for name in ("n0", "n1"):
        (root / "Annotations" / f"{name}.xml").write_text(
            "<annotation><size><width>96</width><height>96</height></size></annotation>"
        )
        (root / "JPEGImages" / f"{name}.png").write_bytes((root / "JPEGImages" / "p0.png").read_bytes())
    (root / "ImageSets" / "Main" / "val.txt").write_text("n0\nn1\n")
    return root


def test_a_validation_set_without_any_object_is_refused_before_the_first_step(run, without_objects, tmp_path):
    with pytest.raises(DataError, match=r"data\.val"):
        run(root=without_objects)
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("no_curves")
def test_training_pictures_without_objects_are_trained_on(run, without_objects):
    lists = without_objects / "ImageSets" / "Main"
    (lists / "train.txt").write_text("n0\nn1\np0\np1\n")
    (lists / "val.txt").write_text("n0\np0\n")
    folder, tell, best = run(root=without_objects)
    assert best.is_file()
    assert any("train: 4 pictures, 3 objects" in line for line in tell.lines)

    def refuse(word):
        raise AssertionError(f"{word} is not JSON")

    assert len(json.loads((folder / "history.json").read_text(), parse_constant=refuse)) == 2


@pytest.mark.parametrize(
    ("setting", "text"),
    [
        ("run.batch=1", "batch norm needs at least 2"),
        ("run.epochs=0", "run.epochs is 0"),
        ("run.evaluate_every=0", "run.evaluate_every is 0"),
        ("model.loss=mining", "optimiser.quality belongs to model.loss=focal"),
        ("optimiser.focal_gamma=0.5", "want at least 1"),
    ],
)
def test_settings_that_cannot_work_are_refused_before_anything_is_read(setting, text, teller, tmp_path):
    recipe = Recipe().set("optimiser.quality=true", setting)
    with pytest.raises(SettingError, match=text):
        train(recipe, tmp_path / "run", teller())
    assert not (tmp_path / "run").exists()
