"""Recipes: strict overrides for each type of field, and the way to JSON and back."""

from __future__ import annotations

import dataclasses
import json

import pytest

from passerby.errors import SettingError
from passerby.geometry.layouts import LAYOUTS
from passerby.recipe import Data, Model, Recipe, Run, load_recipe

BASE = Recipe()


@pytest.mark.parametrize(
    ("override", "value"),
    [
        ("run.epochs=3", 3),
        ("run.seed=-1", -1),
        (" run.epochs = 7 ", 7),
        ("optimiser.rate=0.02", 0.02),
        ("optimiser.decay=5e-4", 5e-4),
        ("optimiser.clip=3", 3.0),
        ("optimiser.nesterov=false", False),
        ("optimiser.nesterov=Yes", True),
        ("optimiser.nesterov=0", False),
        ("model.backbone=vgg16", "vgg16"),
        ("model.weights=a=b", "a=b"),
        ("model.weights=", ""),
        ("run.best_by=0.5", "0.5"),
        ("model.labels=head,person", ("head", "person")),
        ('model.labels=["head", "hard, hat"]', ("head", "hard, hat")),
        ("data.train=voc:a#b", ("voc:a#b",)),
        ("data.train=", ()),
        ("data.val=[]", ()),
        ("augment.crop_scale=0.2,0.9", (0.2, 0.9)),
        ("augment.crop_scale=[0.2, 1]", (0.2, 1.0)),
        ("model.sizes=[[8,16],[32]]", ((8.0, 16.0), (32.0,))),
        ("model.sizes=8,16", ((8.0,), (16.0,))),
    ],
)
def test_set_reads_each_type(override, value):
    section, name = override.partition("=")[0].strip().split(".")
    got = getattr(getattr(BASE.set(override), section), name)
    assert got == value
    assert type(got) is type(value)


def test_set_gives_a_copy_and_takes_several():
    changed = BASE.set("run.epochs=3", "run.batch=8", "run.epochs=4")
    assert (changed.run.epochs, changed.run.batch) == (4, 8)
    assert Recipe() == BASE
    assert changed.model is BASE.model


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("runs.epochs=3", r"--set runs\.epochs: no section 'runs' \(did you mean 'run'\?\)"),
        ("name.x=3", "no section 'name'"),
        ("run.epoch=3", r"--set run\.epoch: no field 'epoch' \(did you mean 'epochs'\?\)"),
        ("run.zzz=3", r"no field 'zzz' \(known: batch, "),
        ("run.__class__=3", "no field '__class__'"),
        ("epochs=3", r"want SECTION\.FIELD=VALUE"),
        ("run.epochs", r"want SECTION\.FIELD=VALUE"),
        ("run.epochs=three", r"--set run\.epochs: 'three' is no whole number"),
        ("run.epochs=3.5", "'3.5' is no whole number"),
        ("run.epochs=", "'' is no whole number"),
        ("optimiser.rate=fast", r"--set optimiser\.rate: 'fast' is no number"),
        ("optimiser.nesterov=maybe", "'maybe' is neither true nor false"),
        ("optimiser.nesterov=", "neither true nor false"),
        ("augment.crop_scale=0.3", "wants 2 values, got 1"),
        ("augment.crop_scale=[0.1,0.2,0.3]", "wants 2 values, got 3"),
        ("augment.crop_scale=[0.1,0.2", "is no list"),
        ("augment.crop_scale=0.1,b", "'b' is no number"),
        ("model.sizes=[[8,16],[null]]", "'null' is no number"),
        ("model.sizes=[[8,[16]]]", "is no number"),
        ("model.shapes=[[8,16]]", "wants 2 values"),
        ("model.shapes=[[[8,16,24]]]", "wants 2 values, got 3"),
    ],
)
def test_set_refuses_and_says_why(override, words):
    with pytest.raises(SettingError, match=words) as caught:
        BASE.set(override)
    assert caught.value.exit_code == 2


def test_one_bad_override_among_good_ones_is_not_skipped():
    with pytest.raises(SettingError, match="btach"):
        BASE.set("run.epochs=3", "run.btach=8")


def odd():
    """A recipe in which no field has its default."""
    recipe = Recipe(name="odd")
    for section in ("model", "data", "augment", "optimiser", "run"):
        part, values = getattr(recipe, section), {}
        for f in dataclasses.fields(part):
            now = getattr(part, f.name)
            if isinstance(now, bool):
                values[f.name] = not now
            elif isinstance(now, (int, float)):
                values[f.name] = now + 1
            elif isinstance(now, str):
                values[f.name] = now + "x, [y]"
            else:
                nested = {
                    "blocks": (1, 2, 0),
                    "sizes": ((1.5, 2.5), (3.5,)),
                    "shapes": (((1.5, 2.5), (3.0, 4.5)), ((5.5, 6.5),)),
                }
                values[f.name] = nested.get(f.name) or now[::-1] or ("voc:a#b,c", "d")
        recipe = dataclasses.replace(recipe, **{section: dataclasses.replace(part, **values)})
    return dataclasses.replace(recipe, model=dataclasses.replace(recipe.model, labels=("hat, hard", "head")))


@pytest.mark.parametrize("recipe", [Recipe(), odd()], ids=["defaults", "nothing default"])
def test_a_recipe_survives_dicts_and_json(recipe):
    assert Recipe.from_dict(recipe.to_dict()) == recipe
    back = Recipe.from_dict(json.loads(json.dumps(recipe.to_dict())))
    assert back == recipe
    assert all(isinstance(row, tuple) for row in back.model.sizes)


def test_from_dict_fills_what_is_not_said_and_refuses_what_is_unknown():
    assert Recipe.from_dict({"name": "a", "run": {"epochs": 2}}) == Recipe("a", run=Run(epochs=2))
    with pytest.raises(SettingError, match=r"no field 'epoch' \(did you mean 'epochs'"):
        Recipe.from_dict({"name": "a", "run": {"epoch": 2}})
    with pytest.raises(SettingError, match="no section 'runs'"):
        Recipe.from_dict({"name": "a", "runs": {"epochs": 2}})
    with pytest.raises(SettingError, match="no whole number"):
        Recipe.from_dict({"name": "a", "run": {"epochs": 2.5}})


@pytest.mark.parametrize("raw", [{}, {"name": "a", "run": 3}, {"name": "a", "run": None}])
def test_from_dict_of_something_else_is_a_setting_error(raw):
    with pytest.raises(SettingError):
        Recipe.from_dict(raw)


def test_recipes_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        BASE.name = "other"
    with pytest.raises(dataclasses.FrozenInstanceError):
        BASE.run.epochs = 1


def test_the_default_model_is_the_reference_design():
    # SPEC 1: 300 x 300, stretched, sizes 16-32 ... 128-256, height / width 1.7, batch 32, 150 epochs, decay 5e-4
    assert (BASE.model.height, BASE.model.width, BASE.model.resize, BASE.model.ratio) == (300, 300, "stretch", 1.7)
    assert (BASE.model.layout, BASE.model.sizes) == ("f38", ())
    assert LAYOUTS["f38"].sizes == ((16, 32), (32, 64), (64, 128), (128, 256))
    assert (BASE.run.batch, BASE.run.epochs) == (32, 150)
    assert (BASE.optimiser.kind, BASE.optimiser.momentum, BASE.optimiser.decay) == ("sgd", 0.9, 5e-4)


def test_a_recipe_file_is_run(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        "from passerby.recipe import Data, Model, Recipe\n"
        "RECIPE = Recipe('mine', model=Model(labels=('cat',)), data=Data(train=('voc:x',)))\n"
    )
    assert load_recipe(str(file)) == Recipe("mine", model=Model(labels=("cat",)), data=Data(train=("voc:x",)))


def test_a_recipe_file_that_is_missing_or_sets_nothing_is_refused(tmp_path):
    with pytest.raises(SettingError, match="no such recipe file"):
        load_recipe(str(tmp_path / "gone.py"))
    (tmp_path / "empty.py").write_text("RECIPE = 3\n")
    with pytest.raises(SettingError, match="sets no RECIPE"):
        load_recipe(str(tmp_path / "empty.py"))
