"""Fixtures for tests that run models: a tiny untrained model, an engine that says what it is told, the command line."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest

from passerby.records import Detections
from passerby.spec import AnchorMap, ModelSpec

REPOSITORY = Path(__file__).resolve().parents[1]


@cache
def _tiny() -> tuple[bytes, ModelSpec]:
    """The .onnx bytes and spec of an untrained 64 x 64 model.

    Batch norm sees noise a few times and the last layers are enlarged: otherwise an untrained network gives every
    default box the same score, and a comparison of two engines would compare nothing.
    """
    torch = pytest.importorskip("torch")
    pytest.importorskip("onnxscript")
    from passerby.learn.layers import layers_of
    from passerby.learn.network import build, spec_of
    from passerby.learn.to_onnx import to_bytes
    from passerby.recipe import Model

    torch.manual_seed(0)
    spec = spec_of(Model(height=64, width=64, width_multiplier=0.25, depth_multiplier=0.34, name="tiny"))
    network = build(spec).train()
    with torch.no_grad():
        for _ in range(20):
            network(torch.randint(0, 256, (4, 64, 64, 3), dtype=torch.uint8))
        for predictor in network.head.logits:
            predictor[-1].weight.mul_(100)
            predictor[-1].bias.fill_(-1)
    network.eval()
    spec = spec.with_(layers=layers_of(network, spec))
    return to_bytes(network, spec), spec


@pytest.fixture(scope="session")
def tiny_bytes() -> bytes:
    """The tiny model's .onnx file in memory."""
    return _tiny()[0]


@pytest.fixture(scope="session")
def tiny_spec() -> ModelSpec:
    """The tiny model's spec."""
    return _tiny()[1]


@pytest.fixture(scope="session")
def tiny_model(tiny_bytes, tmp_path_factory) -> Path:
    """The tiny model's .onnx file; not to be changed."""
    path = tmp_path_factory.mktemp("models") / "tiny.onnx"
    path.write_bytes(tiny_bytes)
    return path


@pytest.fixture(scope="session")
def tiny_int8(tiny_model, tmp_path_factory) -> Path:
    """The tiny model in INT8, all of it but the first and the last layers; not to be changed."""
    return _quantised(tiny_model, tmp_path_factory.mktemp("int8") / "tiny.onnx", four_bits=0)


@pytest.fixture(scope="session")
def tiny_four(tiny_model, tmp_path_factory) -> Path:
    """The same, the weights of three of its layers in four bits; not to be changed."""
    return _quantised(tiny_model, tmp_path_factory.mktemp("four") / "tiny.onnx", four_bits=3)


def _quantised(model: Path, path: Path, four_bits: int) -> Path:
    """The tiny model in INT8, the weights of its `four_bits` largest layers in four bits."""
    pytest.importorskip("onnx")
    from passerby.deploy.quantise.calibrate import find_ranges, observe
    from passerby.deploy.quantise.graph import read_graph
    from passerby.deploy.quantise.int8 import write_int8
    from passerby.runtime.model_file import read_spec, write_spec

    graph = read_graph(model)
    pixels = [np.random.default_rng(k).integers(0, 256, (1, 64, 64, 3), np.uint8) for k in range(4)]
    ranges = find_ranges(observe(graph, pixels, 1), "minmax")
    able = sorted((x for x in graph.layers if not x.end and x.parameters % 2 == 0), key=lambda x: -x.parameters)
    packed = {x.node for x in able[:four_bits]}
    path.write_bytes(write_int8(graph, ranges, {x.node for x in graph.ends()}, packed))
    write_spec(path, read_spec(model).with_(precision="int8"), path)
    return path


@pytest.fixture
def make_spec():
    """Makes a 64 x 64 spec without a network behind it; fields by keyword."""

    def make(**changes):
        anchors = (AnchorMap(8, 8, ((8.0, 8.0),)),)
        return ModelSpec("told", 64, 64, "stretch", ("head",), anchors).with_(**changes)

    return make


class ToldEngine:
    """An engine that answers every picture with the same boxes and scores, and keeps what it was shown."""

    name = "told 1.0"

    def __init__(self, boxes, scores) -> None:
        self.boxes = np.array(boxes, np.float32).reshape(-1, 4)
        self.scores = np.array(scores, np.float32)
        self.shown: list[np.ndarray] = []

    def run(self, pixels):
        self.shown.append(pixels.copy())
        return self.boxes, self.scores


@pytest.fixture
def told():
    """Makes an engine of what it shall answer: boxes (A, 4) in input pixels, scores (A, C)."""
    return ToldEngine


@pytest.fixture
def found():
    """Makes Detections of lists: boxes, scores (0.5 when left out), labels, names."""

    def make(boxes=(), scores=None, labels=None, names=("head",)):
        n = len(boxes)
        return Detections(
            np.array(boxes, np.float32).reshape(-1, 4),
            np.full(n, 0.5, np.float32) if scores is None else np.array(scores, np.float32),
            np.zeros(n, np.int64) if labels is None else np.array(labels, np.int64),
            tuple(names),
        )

    return make


@pytest.fixture
def make_video(make_pixels):
    """Makes a video file at a path, all frames alike: one RGB colour, or noise when the colour is None."""

    def make(path, rate=25.0, frames=6, colour=None, width=64, height=48, code="mp4v"):
        writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*code), rate, (width, height))
        assert writer.isOpened()
        plain = make_pixels(width, height) if colour is None else np.full((height, width, 3), colour, np.uint8)
        for _ in range(frames):
            writer.write(cv2.cvtColor(plain, cv2.COLOR_RGB2BGR))
        writer.release()
        return path

    return make


@dataclass(frozen=True)
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def cli(monkeypatch, capfd, tmp_path):
    """Runs the command line in this process and an empty folder; its output is caught below Python, FFmpeg's too."""
    monkeypatch.chdir(tmp_path)

    def call(*words):
        from passerby.cli.main import run

        monkeypatch.setattr(sys, "argv", ["passerby", *map(str, words)])
        capfd.readouterr()
        code = 0
        try:
            run()
        except SystemExit as e:
            code = int(e.code or 0)
        return Ran(code, *capfd.readouterr())

    return call


@pytest.fixture
def refused():
    """Asserts how a refusal ends: that exit code, nothing on stdout, one line on stderr with each of the words."""

    def check(ran, code, *words):
        assert "Traceback" not in ran.err
        assert ran.code == code, ran.err
        assert ran.out == ""
        lines = ran.err.splitlines()
        assert len(lines) == 1, ran.err
        assert lines[0].startswith("passerby: ")
        for word in words:
            assert str(word) in lines[0]

    return check


@pytest.fixture
def shell(tmp_path):
    """Runs the command line in a process of its own, where a warning is an error.

    before: Python that runs first, e.g. to take a package away.
    """

    def call(*words, before=""):
        start = (
            f"import sys; sys.path.insert(0, {str(REPOSITORY)!r}); {before}\nfrom passerby.cli.main import run; run()"
        )
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", start, *map(str, words)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    return call
