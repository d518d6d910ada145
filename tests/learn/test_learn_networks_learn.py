"""Every network learns: four pictures by heart, on tiny inputs and with few channels."""

from __future__ import annotations

import json

import pytest

from passerby.learn.loop import train

V1 = ("backbone=mobilenet_v1", "depth_multiplier=1")
VGG = ("backbone=vgg16", "head=plain_ssd", "loss=mining", "depth_multiplier=1")
SIZES = "sizes=[[16],[30],[40],[60],[60],[60],[60]]"  # at 64 pixels four of its seven maps have one cell
ROWS = {  # settings of the model, learning rate, epochs; without batch norm steps must be smaller and more
    "mb2-ssd-lite-f38": (("layout=f38_wide", "last=true"), 0.01, 30),
    "mb2-ssd-lite": (("layout=six", "last=true", "loss=mining"), 0.01, 30),
    "mb2-tiny-ssd-lite": (("width_multiplier=0.35", "depth_multiplier=0.5"), 0.01, 30),
    "mb1-ssd": ((*V1, "head=plain_ssd", "layout=six", "loss=mining"), 4e-3, 40),
    "mb1-ssd-lite": (V1, 0.01, 30),
    "head": ((*V1, "layout=f75", "blocks=[1,2,2,3,1]", "fusion=32"), 0.01, 30),
    "vgg16-ssd300": ((*VGG, "layout=ssd300", "width_multiplier=0.125"), 2e-3, 70),
    "vgg16-ssd512": ((*VGG, "layout=ssd512", "width_multiplier=0.125", SIZES), 2e-3, 70),
}


@pytest.mark.usefixtures("no_curves")
@pytest.mark.parametrize("row", ROWS)
def test_four_pictures_are_learnt_by_heart(heads_voc, make_recipe, teller, tmp_path, row):
    settings, rate, epochs = ROWS[row]
    run = ("optimiser.kind=adamw", f"optimiser.rate={rate}", f"run.epochs={epochs}", f"run.evaluate_every={epochs}")
    train(make_recipe(heads_voc(4), *(f"model.{s}" for s in settings), *run), tmp_path / "run", teller())
    history = json.loads((tmp_path / "run" / "history.json").read_text())
    assert history[-1]["ap50"] == pytest.approx(1.0)
