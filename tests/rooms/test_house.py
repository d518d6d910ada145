"""The house: import order, public names, files that fit a room, docs that show the tree as it is."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import passerby

ROOT = Path(__file__).resolve().parent.parent.parent


def test_import_order_is_kept():
    tool = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run([tool, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_public_names():
    assert passerby.__all__ == [
        "__version__",
        "Detector",
        "Localiser",
        "Detections",
        "Frame",
        "open_source",
        "open_sink",
        "draw",
        "load_data",
        "evaluate",
        "PasserbyError",
    ]
    for name in passerby.__all__:
        assert getattr(passerby, name) is not None


def test_unknown_public_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'Localizer'"):
        _ = passerby.Localizer


def test_version_is_that_of_the_build_file():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == passerby.__version__
    assert f"## {passerby.__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_files_fit_a_room():
    long = {
        str(p.relative_to(ROOT)): n
        for p in (ROOT / "passerby").rglob("*.py")
        if (n := len(p.read_text(encoding="utf-8").splitlines())) > 320
    }
    assert not long


def test_no_empty_rooms():
    folders = [p for p in (ROOT / "passerby").rglob("*") if p.is_dir() and p.name != "__pycache__"]
    assert folders
    for folder in folders:
        assert [p for p in folder.iterdir() if p.name not in ("__init__.py", "__pycache__")], f"{folder} is empty"


def test_generated_docs_are_fresh():
    done = subprocess.run(
        [sys.executable, "docs/generate.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_every_relative_link_in_the_docs_leads_somewhere():
    import re

    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")]
    assert len(pages) > 8
    broken = []
    for page in pages:
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            if "://" not in target and not (page.parent / target).exists():
                broken.append(f"{page.relative_to(ROOT)}: {target}")
    assert not broken
