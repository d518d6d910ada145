"""`passerby data`: what is printed, what is written, how it ends."""

from __future__ import annotations

import json
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest

from passerby.data import load_data

HEAD = ("head", 10, 5, 30, 35)


@pytest.fixture
def flawed(make_voc):
    """A set with one error and one warning."""
    root = make_voc(
        {"a": [HEAD, ("head", 5, 5, 5, 9), ("head", -4, 5, 9, 20)], "b": [HEAD]}, splits={"train": ["a", "b"]}
    )
    for k, path in enumerate(sorted((root / "JPEGImages").iterdir())):
        small = np.random.default_rng(k).integers(0, 256, (8, 12, 3), np.uint8)
        cv2.imwrite(str(path), cv2.resize(small, (60, 40), interpolation=cv2.INTER_CUBIC))
    return root


class Links(HTMLParser):
    """Everything that a page would load."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.found += [v for k, v in attrs if k in ("src", "href", "data", "poster", "action")]


def test_check_prints_kinds_lines_and_counts(cli, flawed):
    result = cli("data", "check", f"{flawed}", "--input", "60x40")
    assert result.code == 10
    assert "voc:voc: 2 pictures, 3 objects (head)" in result.out
    assert "a.xml:1 object 1: no area: [5.0, 5.0, 5.0, 9.0]" in result.out
    assert "a.xml:1 object 2: past the border of 60 x 40: [-4.0, 5.0, 9.0, 20.0]" in result.out
    assert "1 errors" in result.out
    assert "read as voc: its folder Annotations holds .xml files" in result.err


def test_check_as_json_is_one_document(cli, flawed):
    result = cli("data", "check", f"voc:{flawed}#train", "--input", "60x40", "--json")
    told = json.loads(result.out)
    assert told["counts"] == {"no-area": 1, "clipped": 1}
    assert told["sources"][0]["pictures"] == 2
    first = told["found"][0]
    assert (first["kind"], first["severity"], first["file"], first["line"], first["object"]) == (
        "no-area",
        "error",
        "a.xml",
        1,
        1,
    )


def test_warnings_end_well_unless_strict(cli, flawed):
    assert cli("data", "convert", f"{flawed}", "--to", f"{flawed}-2", "--format", "voc").code == 0
    (flawed.parent / "voc-2" / "Annotations" / "b.xml").write_text(
        (flawed.parent / "voc-2" / "Annotations" / "b.xml").read_text().replace("35.0", "45.0")
    )
    assert cli("data", "check", f"{flawed}-2", "--input", "60x40").code == 0
    assert cli("data", "check", f"{flawed}-2", "--input", "60x40", "--strict").code == 10


def test_the_page_loads_nothing_and_shows_pictures(cli, flawed, tmp_path):
    page = tmp_path / "page.html"
    cli("data", "check", f"{flawed}", "--html", f"{page}")
    links = Links()
    links.feed(page.read_text())
    assert links.found
    assert all(v.startswith("data:image/jpeg;base64,") for v in links.found)
    assert "script" not in links.tags
    assert "past the border" in page.read_text()


def test_fix_writes_a_copy_and_the_list(cli, flawed, tmp_path):
    result = cli("data", "check", f"{flawed}", "--fix", f"{tmp_path / 'copy'}", "--input", "60x40")
    assert result.code == 10
    assert "put right: 1 no-area, 1 clipped" in result.err
    assert len((tmp_path / "copy" / "changes.csv").read_text().splitlines()) == 3
    assert cli("data", "check", f"{tmp_path / 'copy'}", "--input", "60x40").code == 0
    assert load_data(f"{tmp_path / 'copy'}").objects() == 3


def test_fix_in_another_format(cli, flawed, tmp_path):
    cli("data", "check", f"{flawed}", "--fix", f"{tmp_path / 'copy'}", "--format", "coco")
    assert load_data(f"coco:{tmp_path / 'copy'}#train").objects() == 3


@pytest.mark.parametrize("kind", ["voc", "coco", "yolo"])
def test_convert_there_and_back(cli, flawed, tmp_path, kind):
    there, back = tmp_path / "there", tmp_path / "back"
    result = cli("data", "convert", f"voc:{flawed}", "--to", f"{there}", "--format", kind)
    assert result.code == 0
    assert "2 pictures, 3 objects" in result.err
    assert "the reader's notes: 1 no-area, 1 clipped" in result.err
    cli("data", "convert", f"{kind}:{there}", "--to", f"{back}", "--format", "voc")
    one, two = load_data(f"voc:{flawed}"), load_data(f"voc:{back}")
    assert [s.name for s in one] == [s.name for s in two]
    for a, b in zip(one, two, strict=True):
        assert b.truth.boxes == pytest.approx(a.truth.boxes, abs=1e-4)


def test_convert_splits_tiles_and_chooses_classes(cli, flawed, tmp_path):
    result = cli(
        *(
            "data",
            "convert",
            f"{flawed}",
            "--to",
            f"{tmp_path / 'to'}",
            "--format",
            "coco",
            "--split",
            "train=0.5,val=0.5",
        ),
        *("--tile", "40x40", "--overlap", "0", "--classes", "person=head"),
    )
    assert result.code == 0
    assert "train: 1 of 2 pictures (50.0%, asked 50.0%)" in result.err
    found = load_data(f"coco:{tmp_path / 'to'}#train,val")
    assert found.labels == ("person",)
    assert len(found) == 4


@pytest.mark.parametrize(
    ("args", "words", "code"),
    [
        (("check", "nowhere"), "no such file or folder", 4),
        (("check", "{}", "--input", "big"), "is no size", 2),
        (("check", "{}", "--resize", "strech"), "did you mean 'stretch'", 2),
        (("check", "{}", "--classes", "a=b", "--classes", "a"), "named twice", 2),
        (("convert", "{}", "--to", "{}", "--format", "coco"), "is there already", 6),
        (("convert", "{}", "--to", "x", "--format", "coca"), "did you mean 'coco'", 2),
        (("convert", "{}", "--to", "x", "--format", "coco", "--split", "train=2"), "want NAME=SHARE", 2),
        (("convert", "{}", "--to", "x", "--format", "coco", "--count", "1", "--share", "0.5"), "not both", 2),
        (("chekc", "{}"), "did you mean 'check'", 2),
    ],
)
def test_bad_input_is_one_line_and_its_exit_code(shell, flawed, tmp_path, monkeypatch, args, words, code):
    monkeypatch.chdir(tmp_path)
    result = shell("data", *(a.format(flawed) for a in args))
    assert result.code == code
    assert words in result.err
    assert len(result.err.strip().splitlines()) == 1 or "read as voc" in result.err
    assert "Traceback" not in result.err
    assert not (tmp_path / "x").exists()
