"""A run that was stopped and resumed ends with the weights of one that was not, to the last bit."""

from __future__ import annotations

import json
import shutil

import pytest
import safetensors
import safetensors.torch
import torch

from passerby.errors import ModelError, OutputError, SettingError
from passerby.learn.loop import train
from passerby.recipe import Augment

pytestmark = pytest.mark.usefixtures("no_curves")

CASES = {
    "sgd": ("optimiser.kind=sgd",),
    "sgd, averaged": ("optimiser.kind=sgd", "optimiser.average=0.9"),
    "sgd without momentum": (
        "optimiser.kind=sgd",
        "optimiser.momentum=0",
        "optimiser.nesterov=no",
        "optimiser.average=0.9",
    ),
    "adamw": ("optimiser.kind=adamw", "optimiser.rate=0.003"),
    "adamw, averaged": ("optimiser.kind=adamw", "optimiser.rate=0.003", "optimiser.average=0.9"),
    "mining, frozen, averaged": ("model.loss=mining", "optimiser.freeze=3", "optimiser.average=0.9"),
    "fusion, giou, letterbox": (
        "model.fusion=16",
        "optimiser.box_loss=giou",
        "model.resize=letterbox",
        "run.channels_last=no",
    ),
}


@pytest.fixture
def runs(heads_voc, make_recipe, teller, tmp_path):
    """Run three epochs of three steps, every augmentation on, into a folder of that name; stopped at a step if told."""
    root = heads_voc(6)

    def run(name, *overrides, stop=0, resume=False, augment=Augment()):  # noqa: B008 (frozen)
        recipe = make_recipe(root, "run.epochs=3", *overrides, augment=augment)
        tell = teller(stop)
        if stop:
            with pytest.raises(KeyboardInterrupt):
                train(recipe, tmp_path / name, tell, resume)
        else:
            train(recipe, tmp_path / name, tell, resume)
        return tmp_path / name, tell

    return run


def weights(folder, name="last"):
    return safetensors.torch.load_file(str(folder / f"{name}.safetensors"))


def state(folder):
    with safetensors.safe_open(str(folder / "last.safetensors"), "pt") as f:
        return json.loads(f.metadata()["state"])


def assert_identical(one, other):
    assert one.keys() == other.keys()
    assert [k for k in one if not torch.equal(one[k], other[k])] == []


@pytest.mark.parametrize("overrides", CASES.values(), ids=CASES)
def test_a_run_stopped_in_the_middle_of_an_epoch_and_resumed_gives_the_same_weights(runs, overrides):
    whole, told = runs("whole", *overrides)
    assert len(told.steps) == 9
    broken, _ = runs("broken", *overrides, stop=5)
    assert state(broken)["epoch"] == 1
    halfway = weights(broken)
    _, resumed = runs("broken", *overrides, resume=True)
    assert len(resumed.steps) == 6
    assert_identical(weights(broken), weights(whole))
    assert_identical(weights(broken, "best"), weights(whole, "best"))
    assert any(not torch.equal(v, halfway[k]) for k, v in weights(whole).items())
    for key in ("epoch", "step", "best", "best_epoch"):
        assert state(broken)[key] == state(whole)[key]
    for mine, theirs in zip(state(broken)["history"], state(whole)["history"], strict=True):
        for key in ("epoch", "loss_score", "loss_box", "rate", "ap50"):
            assert mine[key] == theirs[key], key


def test_a_checkpoint_holds_optimiser_and_average_so_that_the_test_above_compares_them(runs):
    folder, _ = runs("whole", "optimiser.average=0.9")
    kinds = {k.split(".")[0] for k in weights(folder)}
    assert kinds == {"network", "average", "optimiser"}
    with_adam, _ = runs("adam", "optimiser.kind=adamw")
    assert {k.split(".")[-1] for k in weights(with_adam) if k.startswith("optimiser.")} == {
        "step",
        "exp_avg",
        "exp_avg_sq",
    }


def test_a_run_stopped_twice_and_resumed_twice_gives_the_same_weights(runs):
    whole, _ = runs("whole", "optimiser.average=0.9")
    broken, _ = runs("broken", "optimiser.average=0.9", stop=4)
    runs("broken", "optimiser.average=0.9", stop=5, resume=True)
    assert state(broken)["epoch"] == 2
    runs("broken", "optimiser.average=0.9", resume=True)
    assert_identical(weights(broken), weights(whole))


def test_another_number_of_workers_gives_the_same_weights(runs):
    none, _ = runs("none", "run.epochs=1")
    two, _ = runs("two", "run.epochs=1", "run.workers=2")
    assert_identical(weights(two), weights(none))


def test_how_often_is_measured_does_not_change_the_weights(runs):
    often, _ = runs("often", "run.evaluate_every=1")
    once, _ = runs("once", "run.evaluate_every=3")
    assert_identical(weights(often), weights(once))
    assert ["ap50" in row for row in state(once)["history"]] == [False, False, True]


def test_another_seed_gives_other_weights(runs):
    one, _ = runs("one", "run.epochs=1")
    other, _ = runs("other", "run.epochs=1", "run.seed=1")
    assert any(not torch.equal(v, weights(other)[k]) for k, v in weights(one).items())


def test_resuming_a_finished_run_changes_nothing(runs):
    folder, _ = runs("done", "run.epochs=1")
    before = weights(folder)
    _, told = runs("done", "run.epochs=1", resume=True)
    assert told.steps == []
    assert_identical(weights(folder), before)


def test_the_resumed_run_says_where_it_goes_on_with_the_score_as_measured(runs):
    folder, _ = runs("broken", "run.best_by=mr2", stop=5)
    _, told = runs("broken", "run.best_by=mr2", resume=True)
    best = min(row["mr2"] for row in state(folder)["history"][:1])
    assert f"resumed after epoch 1, mr2 so far at best {best:.4f}" in told.lines


def test_a_crash_while_a_checkpoint_is_written_leaves_the_one_before_whole(runs, monkeypatch):
    whole, _ = runs("whole")
    write = safetensors.torch.save_file
    seen = []

    def crash(tensors, path, facts):
        seen.append(path)
        if len(seen) == 4:  # best and last of the first epoch, best or last of a later one
            with open(path, "wb") as f:  # noqa: PTH123
                f.write(b"half")
            raise KeyboardInterrupt
        write(tensors, path, facts)

    with monkeypatch.context() as m:
        m.setattr("safetensors.torch.save_file", crash)
        with pytest.raises(KeyboardInterrupt):
            runs("broken")
    folder = whole.parent / "broken"
    assert state(folder)["epoch"] in (1, 2)
    assert not list(folder.glob(".*"))
    runs("broken", resume=True)
    assert_identical(weights(folder), weights(whole))


def test_a_full_disk_is_an_output_error_that_names_the_file(runs, monkeypatch, tmp_path):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("safetensors.torch.save_file", full)
    with pytest.raises(OutputError, match=r"safetensors: cannot be written \(No space left on device\)$"):
        runs("full")
    assert [p for p in (tmp_path / "full").iterdir() if p.suffix == ".safetensors"] == []


def test_a_folder_with_a_run_in_it_is_refused_without_resume_and_left_alone(runs):
    folder, _ = runs("run", "run.epochs=1")
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    with pytest.raises(SettingError, match=r"last\.safetensors is there already; go on with --resume, or .* --out"):
        runs("run", "run.epochs=1")
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before


@pytest.mark.parametrize(
    ("overrides", "first"),
    [
        (("optimiser.rate=0.5",), r"optimiser\.rate=0\.01, the recipe says 0\.5"),
        (("run.seed=3", "optimiser.decay=0.1"), r"optimiser\.decay=0\.0005, the recipe says 0\.1"),
        (("run.epochs=4",), r"run\.epochs=3, the recipe says 4"),
        (("data.train=voc:heads#val",), r"data\.train=\['voc:heads#train'\], the recipe says \['voc:heads#val'\]"),
    ],
)
def test_resuming_with_another_recipe_names_the_first_setting_that_differs(runs, overrides, first):
    runs("run", stop=5)
    with pytest.raises(ModelError, match=first) as e:
        runs("run", *overrides, resume=True)
    assert "\n" not in str(e.value)


def test_resuming_with_other_augmentation_is_refused(runs, still):
    runs("run", stop=5)
    with pytest.raises(ModelError, match=r"augment\.flip=0\.5, the recipe says 0"):
        runs("run", resume=True, augment=still)


def test_resuming_where_nothing_is_names_the_file(runs):
    with pytest.raises(ModelError, match=r"last\.safetensors: no such checkpoint"):
        runs("nothing", resume=True)


@pytest.mark.parametrize("average", ["0", "0.9"])
def test_the_best_checkpoint_cannot_be_resumed_and_says_which_can(runs, average):
    folder, _ = runs("run", "run.epochs=1", f"optimiser.average={average}")
    shutil.copy(folder / "best.safetensors", folder / "last.safetensors")
    with pytest.raises(
        ModelError, match=r"holds no optimiser state, so it cannot be resumed; use last\.safetensors"
    ) as e:
        runs("run", "run.epochs=1", f"optimiser.average={average}", resume=True)
    assert "\n" not in str(e.value)
