"""The readers against the real data sets, counted a second time by a small parser of its own."""

from __future__ import annotations

import json
import re
import struct
from collections import Counter
from pathlib import Path

import pytest

from passerby.data import load_data
from passerby.data.kinds import severity

pytestmark = pytest.mark.shared


def jpeg_size(path: Path) -> tuple[int, int]:
    """Width and height from the frame header; only for JPEGs that are not turned."""
    data, at = path.read_bytes(), 2
    while True:
        marker, length = data[at + 1], struct.unpack(">H", data[at + 2 : at + 4])[0]
        if marker in (0xC0, 0xC1, 0xC2):
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            return width, height
        at += 2 + length


def count_voc(root: Path, splits: tuple[str, ...]) -> Counter:
    counts: Counter = Counter()
    lists = "".join((root / f"ImageSets/Main/{s}.txt").read_text() + "\n" for s in splits)
    for name in dict.fromkeys(lists.split()):
        text = (root / "Annotations" / f"{name}.xml").read_text(encoding="utf-8")
        width, height = jpeg_size(root / "JPEGImages" / f"{name}.jpg")
        counts["pictures"] += 1
        told = re.search(r"<width>(\d+)</width>\s*<height>(\d+)</height>", text)
        counts["size"] += told is None or (int(told[1]), int(told[2])) != (width, height)
        for thing in re.findall(r"<object>.*?</object>", text, re.DOTALL):
            x0, y0, x1, y1 = (
                float(re.search(f"<{key}>(.*?)</{key}>", thing)[1]) for key in ("xmin", "ymin", "xmax", "ymax")
            )
            counts["renamed"] += re.search("<name>(.*?)</name>", thing)[1] != "head"
            counts["swapped"] += x1 < x0 or y1 < y0
            x0, x1, y0, y1 = min(x0, x1), max(x0, x1), min(y0, y1), max(y0, y1)
            if min(x1, width) - max(x0, 0) > 0 and min(y1, height) - max(y0, 0) > 0:
                counts["kept"] += 1
                counts["clipped"] += x0 < 0 or y0 < 0 or x1 > width or y1 > height
            else:
                counts["no-area" if x1 == x0 or y1 == y0 else "outside"] += 1
    return counts


def flaws(found) -> dict[str, int]:
    """Counts of notes, without those that are only good to know."""
    return {kind: n for kind, n in found.note_counts().items() if severity(kind) != "info"}


@pytest.fixture(scope="module")
def heads(shared):
    return load_data("voc:scut_head#train_A,train_B", root=shared / "data")


def test_scut_head_has_1930_pictures_and_36617_heads(heads):
    assert len(heads) == 1930
    assert heads.objects() == 36617
    assert heads.labels == ("head",)


def test_scut_head_notes_equal_an_independent_count(heads, shared):
    counts = count_voc(shared / "data" / "scut_head", ("train_A", "train_B"))
    assert counts["pictures"] == 1930
    assert counts["kept"] == 36617
    want = {k: counts[k] for k in ("size", "clipped", "no-area", "outside", "swapped", "renamed") if counts[k]}
    assert flaws(heads) == want
    assert {"size", "clipped", "no-area"} <= set(want)


def test_scut_head_boxes_lie_inside_their_pictures_and_have_area(heads):
    for sample in heads:
        b = sample.truth.boxes
        assert (b[:, :2] >= 0).all()
        assert (b[:, 2] <= sample.width).all()
        assert (b[:, 3] <= sample.height).all()
        assert (b[:, 2:] > b[:, :2]).all()


def test_all_of_scut_head_and_bccd_keep_every_object_with_area(shared):
    # README of the data: 300 + 1,892 pictures; RBC 4,155, WBC 372, Platelets 361. One head and two cells have no area.
    whole = load_data("voc:scut_head", root=shared / "data")
    cells = load_data("voc:bccd/BCCD", root=shared / "data")
    assert (len(whole), whole.labels) == (2192, ("head",))
    assert (len(cells), cells.labels) == (364, ("Platelets", "RBC", "WBC"))
    for found, folder in ((whole, "scut_head"), (cells, "bccd/BCCD")):
        files = (shared / "data" / folder / "Annotations").glob("*.xml")
        written = sum(f.read_text(encoding="utf-8").count("<object>") for f in files)
        counts = found.note_counts()
        assert found.objects() == written - counts.get("no-area", 0) - counts.get("outside", 0)
    assert (whole.objects(), cells.objects()) == (41899 - 1, 4155 + 372 + 361 - 2)


def test_person_boxes_valid_has_220_pictures_and_712_people(shared):
    found = load_data("coco:person_boxes#valid", root=shared / "data")
    raw = json.loads((shared / "data" / "person_boxes" / "valid.json").read_text())
    crowds = sum(bool(a.get("iscrowd")) for a in raw["annotations"])
    assert len(found) == len(raw["images"]) == 220
    assert found.objects() == 712
    assert found.objects() + sum(int(s.truth.ignore.sum()) for s in found) == len(raw["annotations"])
    assert sum(int(s.truth.ignore.sum()) for s in found) == crowds


def test_person_boxes_agree_with_the_file_box_by_box(shared):
    found = load_data("coco:person_boxes#valid", root=shared / "data")
    raw = json.loads((shared / "data" / "person_boxes" / "valid.json").read_text())
    names = {i["id"]: i["file_name"] for i in raw["images"]}
    wanted: dict[str, list] = {name: [] for name in names.values()}
    for a in raw["annotations"]:
        x, y, w, h = a["bbox"]
        wanted[names[a["image_id"]]].append([x, y, x + w, y + h])
    for sample in found:
        rows = wanted[sample.path.name]
        assert len(rows) == len(sample.truth)
        for row, box in zip(rows, sample.truth.boxes.tolist(), strict=True):
            x0, y0, x1, y1 = row
            cut = [max(x0, 0), max(y0, 0), min(x1, sample.width), min(y1, sample.height)]
            assert box == pytest.approx(cut, abs=1e-3)
