"""Which class names of the data stand for a recipe's labels."""

from __future__ import annotations

import pytest

from passerby.errors import SettingError
from passerby.learn.detecting import read_boxes
from passerby.recipe import Data, Model, Recipe


class Told:
    """Keeps the lines of progress."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def line(self, text: str) -> None:
        self.lines.append(text)

    def step(self, text: str) -> None:
        pass


@pytest.fixture
def recipe(make_voc):
    """A recipe over a set of pedestrians, riders, one crowd and a dog."""
    rows = [(name, 5 * k, 2, 5 * k + 4, 22) for k, name in enumerate(("pedestrian", "rider", "crowd", "dog"))]
    root = make_voc({"a": rows, "b": []})
    return Recipe(model=Model(labels=("person",)), data=Data(root=str(root.parent), train=("voc",)))


def test_names_are_merged_ignored_and_left_out(recipe):
    told = Told()
    recipe = recipe.set("data.classes=person=pedestrian+rider,ignore=crowd")
    found = read_boxes(recipe.data.train, recipe, "train", told)
    assert found.labels == ("person",)
    assert found[0].truth.labels.tolist() == [0, 0, 0]
    assert found[0].truth.ignore.tolist() == [False, False, True]
    assert found.objects() == 2
    assert told.lines[0].startswith("train: read as voc:voc: ")
    assert told.lines[1] == "train: 2 pictures, 2 objects, 1 pictures without"


def test_without_classes_the_labels_are_looked_for_by_name(recipe):
    assert read_boxes(recipe.data.train, recipe, "train", Told()).objects() == 0


def test_classes_that_do_not_make_the_labels_are_refused(recipe):
    with pytest.raises(SettingError, match=r"data\.classes make \['people'\], model\.labels is \['person'\]"):
        read_boxes(recipe.data.train, recipe.set("data.classes=people=rider"), "train", Told())


def test_a_recipe_keeps_its_classes(recipe):
    recipe = recipe.set("data.classes=person=pedestrian+rider,ignore=crowd")
    assert Recipe.from_dict(recipe.to_dict()).data.classes == ("person=pedestrian+rider", "ignore=crowd")
