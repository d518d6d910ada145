"""Fixtures and stand-ins of the quantiser's tests: a tiny graph, what it holds on noise, a judge that is told."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("onnx")

from passerby.deploy.quantise.calibrate import find_ranges, observe
from passerby.deploy.quantise.graph import read_graph
from passerby.deploy.quantise.judging import Verdict


@pytest.fixture(scope="session")
def graph(tiny_model):
    """The tiny model as the quantiser sees it; not to be changed."""
    return read_graph(tiny_model)


@pytest.fixture(scope="session")
def pixels():
    """Four pictures of noise, (1, 64, 64, 3) uint8 each."""
    random = np.random.default_rng(0)
    return [random.integers(0, 256, (1, 64, 64, 3), dtype=np.uint8) for _ in range(4)]


@pytest.fixture(scope="session")
def seen(graph, pixels):
    """What the graph's tensors hold on them."""
    return observe(graph, pixels, 1)


@pytest.fixture(scope="session")
def ranges(seen):
    """The range of each by min-max."""
    return find_ranges(seen, "minmax")


class Judged:
    """A judge that is told: AP50 by a function of a file, and what else strains its limits."""

    measure = "AP50"

    def __init__(self, value, strain=lambda *_: 0.0) -> None:
        self.value, self.strain = value, strain

    def __call__(self, data, spec):
        return Verdict(self.value(data, spec), self.strain(data, spec))


class Told:
    """Remembers the lines that it is told."""

    def __init__(self) -> None:
        self.lines = []

    def line(self, text):
        self.lines.append(text)

    def step(self, text): ...
