"""passerby data stats: one document for programs, a table for people, a page and plots."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET

import pytest

ROWS = {
    "a": [("head", 5, 5, 15, 25), ("hat", 30, 10, 50, 30)],
    "b": [("head", 1, 1, 11, 11, 1)],
    "c": [],
}


@pytest.fixture
def two(make_voc):
    """A VOC folder of three pictures of 60 x 40 in two splits."""
    return make_voc(ROWS, splits={"train": ["a", "b"], "val": ["c"]})


@pytest.fixture
def ask(cli, two):
    """Runs stats on both splits."""
    return lambda *words: cli("data", "stats", f"voc:{two}#train", f"voc:{two}#val", "--classes", "head", *words)


def test_json_is_one_document(ask):
    ran = ask("--json", "--classes", "hat", "--input", "120x40")
    assert ran.code == 0, ran.err
    got = json.loads(ran.out)
    assert (got["width"], got["height"], got["resize"], got["labels"]) == (120, 40, "stretch", ["head", "hat"])
    assert (got["all"]["pictures"], got["all"]["objects"], got["all"]["difficult"]) == (3, 2, 1)
    head, hat = got["classes"]
    assert head["ratio"][2] == pytest.approx(20 / (10 * 2), rel=0.11)  # x doubled; VOC counts pixels from 1
    assert (head["objects"], hat["objects"]) == (1, 1)
    assert [(p["name"], p["pictures"], p["objects"]) for p in got["splits"]] == [("train", 2, 2), ("val", 1, 0)]
    assert got["splits"][1]["size"] == [None] * 5


def test_the_table_has_a_column_for_each_part(ask):
    ran = ask("--classes", "hat")
    assert ran.code == 0, ran.err
    header = next(x for x in ran.out.splitlines() if "train" in x and "all" in x)
    assert header.split() == ["all", "head", "hat", "train", "val"]
    lines = {x[:22].strip(): x[22:].split() for x in ran.out.splitlines() if x[:22].strip()}
    assert lines["pictures"] == ["3", "1", "1", "2", "1"]
    assert lines["objects"] == ["2", "1", "1", "2", "0"]
    assert lines["  difficult, left out".strip()] == ["1", "1", "0", "1", "0"]
    assert "nan" not in ran.out


def test_one_class_and_one_split_are_only_said_once(cli, two):
    ran = cli("data", "stats", f"voc:{two}#train", "--classes", "head")
    assert "         all\n" in ran.out
    assert "a size is the square root of the area" in ran.out


def test_page_and_plots_are_written(ask, tmp_path):
    ran = ask("--html", tmp_path / "s.html", "--plots", tmp_path / "plots", "--classes", "hat")
    assert ran.code == 0, ran.err
    page = (tmp_path / "s.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 6
    assert page.count("<img") == 1
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "")
    found = sorted(p.name for p in (tmp_path / "plots").iterdir())
    assert found == ["a_picture.svg", "classes.svg", "places.svg", "ratios.svg", "sizes.svg", "splits.svg"]
    for path in (tmp_path / "plots").iterdir():
        assert ET.parse(path).getroot().tag.endswith("svg")


def test_a_folder_without_labels_has_statistics_of_its_pictures(cli, make_picture, tmp_path):
    make_picture(tmp_path / "empty" / "a.jpg")
    ran = cli("data", "stats", f"folder:{tmp_path / 'empty'}", "--html", tmp_path / "s.html")
    assert ran.code == 0, ran.err
    assert "without objects" in ran.out
    assert "nan" not in ran.out


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--input", "0x3"), 2, "is no size"),
        (("--resize", "leterbox"), 2, "did you mean 'letterbox'"),
    ],
)
def test_what_cannot_be_is_said(ask, words, code, said):
    ran = ask(*words)
    assert (ran.code, ran.out) == (code, "")
    assert said in ran.err.splitlines()[-1]


def test_a_page_that_cannot_be_written_is_exit_code_6(ask, tmp_path):
    (tmp_path / "file").write_text("x")
    ran = ask("--html", tmp_path / "file" / "s.html")
    assert ran.code == 6
    assert "cannot be written" in ran.err
