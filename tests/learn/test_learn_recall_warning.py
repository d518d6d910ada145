"""Training says aloud that its default boxes cannot match the objects, and still trains."""

from __future__ import annotations

import pytest

from passerby.learn.loop import train

FAR = "model.shapes=[[[3,3]],[[5,5]],[[7,7]],[[200,20]]]"


@pytest.mark.usefixtures("no_curves")
def test_default_boxes_that_fit_nothing_are_said_before_the_first_step(heads_voc, make_recipe, teller, tmp_path):
    root = heads_voc()
    heads_voc(where="others")
    recipe = make_recipe(root, FAR, "run.epochs=1", "data.val=voc:others#val")
    tell = teller()
    train(recipe, tmp_path / "run", tell)
    (line,) = [x for x in tell.lines if x.startswith("warning:")]
    assert "can match only 0.000 of" in line
    assert "12 to 16: 0.00 of" in line
    assert f"passerby anchors voc:{root.name}#train --root {root.parent} --input 64x64" in line
    started = next(i for i, x in enumerate(tell.lines) if "epochs of" in x)
    assert tell.lines.index(line) < started


@pytest.mark.usefixtures("no_curves")
@pytest.mark.parametrize("settings", [("run.recall_warning=0",), ("run.recall_warning=0.95",)])
def test_it_is_quiet_when_turned_off_or_when_the_boxes_fit(heads_voc, make_recipe, teller, tmp_path, settings):
    # objects at 64 x 64: 24 x 40, 16 x 27, 9 x 16, 9 x 16
    fits = "model.shapes=[[[9.3,16]],[[16,27]],[[24,40]],[[24,40]]]"
    recipe = make_recipe(heads_voc(), FAR if settings[0].endswith("=0") else fits, *settings, "run.epochs=1")
    heads_voc(where="others")
    recipe = recipe.set("optimiser.match_iou=0.3", "data.val=voc:others#val")
    tell = teller()
    train(recipe, tmp_path / "run", tell)
    assert not [x for x in tell.lines if "warning" in x]
