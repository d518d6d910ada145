"""The tutorial on own data: every command of docs/guides/own-data.md is run, in short form, on a made data set."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from passerby.cli.main import main
from passerby.recipe import load_recipe

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = ROOT / "docs" / "guides" / "own-data.md"
RECIPE = "examples/recipes/blood_cells.py"
SHORT = [
    *("--set", "run.epochs=2", "--set", "run.batch=2", "--set", "run.workers=0", "--set", "run.evaluate_every=2"),
    *("--set", "model.width=96", "--set", "model.height=96", "--set", "model.weights=", "--set", "model.fusion=8"),
    *("--set", "model.width_multiplier=0.25", "--set", "model.depth_multiplier=0.34"),
]
CELLS = [("RBC", 2, 3, 20, 20), ("WBC", 24, 5, 50, 32), ("Platelets", 10, 26, 18, 35)]


def commands() -> list[list[str]]:
    """Words of each command in the page's `sh` blocks, without the first."""
    blocks = re.findall(r"```sh\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if line.strip()]
    assert all(line.startswith("passerby ") for line in lines)
    return [shlex.split(line)[1:] for line in lines]


@pytest.fixture
def cells(make_voc):
    """A folder with BCCD/ in Pascal VOC layout: six pictures, three cells each."""
    rows = {f"c{k}": [(label, x0 + k, y0, x1 + k, y1) for label, x0, y0, x1, y1 in CELLS] for k in range(6)}
    splits = {"train": ["c0", "c1", "c2"], "val": ["c3", "c4"], "test": ["c5"]}
    root = make_voc(rows, splits, where="data/BCCD")
    for k, path in enumerate(sorted((root / "JPEGImages").iterdir())):  # each another, or `data check` complains
        coarse = np.random.default_rng(k).integers(0, 256, (4, 6, 3), dtype=np.uint8)
        cv2.imwrite(str(path), cv2.resize(coarse, (60, 40)))
    return root.parent


@pytest.mark.usefixtures("no_curves")
def test_every_command_of_the_page_runs(cells, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    seen = []
    for words in commands():
        given = [str(ROOT / w) if w == RECIPE else w.replace("DIR", str(cells)) for w in words]
        given += SHORT if given[0] == "train" else []
        done = CliRunner().invoke(main, given, catch_exceptions=False)
        assert done.exit_code == 0, (words, done.output)
        seen.append(given[0])
        if given[0] == "eval":
            assert all(f"AP50 of {label}" in done.stdout for label in ("RBC", "WBC", "Platelets"))
    assert seen == ["data", "data", "anchors", "train", "export", "eval", "detect"]
    assert (tmp_path / "check.html").is_file()
    assert (tmp_path / "stats.html").is_file()
    assert len(list((tmp_path / "found").glob("*.jpg"))) == 6


def test_the_page_shows_the_recipe_as_it_is():
    text = (ROOT / RECIPE).read_text(encoding="utf-8")
    shown = re.search(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert shown is not None
    assert shown.group(1).strip() == text[text.index("RECIPE = ") :].strip()
    assert len(shown.group(1).strip().splitlines()) == 15


def test_the_recipe_is_one_of_three_classes():
    assert load_recipe(str(ROOT / RECIPE)).model.labels == ("RBC", "WBC", "Platelets")
