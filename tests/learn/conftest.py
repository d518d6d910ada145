"""Fixtures of the training half: one thread, a tiny network, a tiny data set, a teller that can stop a run."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest
import torch

from passerby.learn import checkpoint
from passerby.learn.network import build, spec_of
from passerby.recipe import Augment, Data, Model, Optimiser, Recipe, Run

TINY = Model(name="tiny", height=64, width=64, width_multiplier=0.25, depth_multiplier=0.34)
STILL = Augment(flip=0, crop=0, expand=0, colour=0, grey=0, blur=0)
HEADS = [(8, 6, 44, 66), (52, 24, 76, 65), (30, 70, 44, 94), (60, 68, 74, 92)]  # height / width about 1.7, in 96 x 96


class Teller:
    """Remembers what it is told; raises KeyboardInterrupt at the step number `stop` (from 1), as Ctrl-C would."""

    def __init__(self, stop: int = 0) -> None:
        self.lines: list[str] = []
        self.steps: list[str] = []
        self.stop = stop

    def line(self, text: str) -> None:
        self.lines.append(text)

    def step(self, text: str) -> None:
        self.steps.append(text)
        if len(self.steps) == self.stop:
            raise KeyboardInterrupt


@pytest.fixture(autouse=True)
def one_thread():
    """Every test here computes on one thread, and the number is given back: other work runs on the same cores."""
    before, cv2_before = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(before)
    cv2.setNumThreads(cv2_before)


@pytest.fixture
def teller():
    """The Teller above, as `teller(stop=5)`."""
    return Teller


@pytest.fixture
def tiny():
    """A Model of 69,352 parameters for 64 x 64 pixels with maps of 8, 4, 2 and 1 cells, as `tiny(loss="mining")`."""
    return lambda **changes: dataclasses.replace(TINY, **changes)


@pytest.fixture
def still():
    """Augmentation that changes nothing."""
    return STILL


@pytest.fixture
def heads_voc(tmp_path, voc_xml):
    """A VOC folder of 96 x 96 pictures, bright rectangles (the heads) on dark noise, as `heads_voc(pictures=4)`."""

    def make(pictures=4, where="heads"):
        root = tmp_path / where
        for folder in ("Annotations", "JPEGImages", "ImageSets/Main"):
            (root / folder).mkdir(parents=True)
        names = [f"p{i}" for i in range(pictures)]
        for i, name in enumerate(names):
            rng = np.random.default_rng(i)
            pixels = rng.integers(0, 60, (96, 96, 3), np.uint8)
            boxes = [HEADS[(i + k) % len(HEADS)] for k in range(1 + i % 3)]
            for x0, y0, x1, y1 in boxes:
                pixels[y0:y1, x0:x1] = rng.integers(200, 256, 3, np.uint8)
            assert cv2.imwrite(str(root / "JPEGImages" / f"{name}.png"), pixels)
            text = voc_xml([("head", *b) for b in boxes], size=(96, 96))
            (root / "Annotations" / f"{name}.xml").write_text(text)
        for split in ("train", "val"):
            (root / "ImageSets" / "Main" / f"{split}.txt").write_text("\n".join(names) + "\n")
        return root

    return make


@pytest.fixture
def make_recipe(tiny, still):
    """Two epochs of the tiny model on a VOC folder, pictures unchanged, as `make_recipe(root, "run.batch=4")`."""

    def make(root, *overrides, augment=still):
        return Recipe(
            name="tiny",
            model=tiny(),
            data=Data(root=str(root.parent), train=(f"voc:{root.name}#train",), val=(f"voc:{root.name}#val",)),
            augment=augment,
            optimiser=Optimiser(rate=0.01, warmup=0.5, average=0),
            run=Run(epochs=2, batch=2, workers=0, device="cpu", precision="float32", threads=1),
        ).set(*overrides)

    return make


@pytest.fixture
def make_checkpoint(tmp_path, tiny):
    """File, network and spec of an untrained tiny network, batch norm uneven, as `make_checkpoint(loss="mining")`."""

    def make(**changes):
        spec = spec_of(tiny(**changes))
        network = build(spec).eval()
        with torch.no_grad():
            for m in network.modules():
                if isinstance(m, torch.nn.BatchNorm2d):
                    m.running_mean.uniform_(-0.2, 0.2)
                    m.running_var.uniform_(0.5, 1.5)
        path = tmp_path / "tiny.safetensors"
        checkpoint.save(path, network, None, None, spec, Recipe(name="tiny", model=tiny(**changes)), checkpoint.State())
        return path, network, spec

    return make


@pytest.fixture
def no_curves(monkeypatch):
    """Leave curves.png out where it is not what is tested: drawing takes longer than an epoch of the tiny network."""
    monkeypatch.setattr("passerby.learn.loop.draw_curves", lambda *_: None)
