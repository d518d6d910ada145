"""`data check` over the real sets; every count is made a second time here, by other means."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from pathlib import Path

import cv2
import pytest

from passerby.data.check import Checked, check

pytestmark = pytest.mark.shared


def size_of(path: Path) -> tuple[int, int]:
    height, width = cv2.imread(str(path), cv2.IMREAD_UNCHANGED).shape[:2]
    return width, height


def count_xml(root: Path, names: list[str]) -> Counter:
    """Flaws of VOC annotations, read with regular expressions; the input is 300 x 300, stretched."""
    counts: Counter = Counter()
    for name in names:
        text = (root / "Annotations" / f"{name}.xml").read_text(encoding="utf-8")
        width, height = size_of(root / "JPEGImages" / f"{name}.jpg")
        told = re.search(r"<width>(\d+)</width>\s*<height>(\d+)</height>", text)
        counts["size"] += told is None or (int(told[1]), int(told[2])) != (width, height)
        boxes = []
        for thing in re.findall(r"<object>.*?</object>", text, re.DOTALL):
            corner = {k: float(re.search(f"<{k}>(.*?)</{k}>", thing)[1]) for k in ("xmin", "ymin", "xmax", "ymax")}
            x0, y0, x1, y1 = corner.values()
            counts["swapped"] += x1 < x0 or y1 < y0
            if x0 == x1 or y0 == y1:
                counts["no-area"] += 1
                continue
            a, b, c, d = max(x0, 0), max(y0, 0), min(x1, width), min(y1, height)
            counts["outside"] += c <= a or d <= b
            counts["clipped"] += (a, b, c, d) != (x0, y0, x1, y1)
            least = min((c - a) * 300 / width, (d - b) * 300 / height)
            counts["tiny"] += least < 4 - 1e-6  # 8.0 px of 600 are no 3.99999
            counts["huge"] += (c - a) * (d - b) >= 0.9 * width * height
            boxes.append((re.search("<name>(.*?)</name>", thing)[1], a, b, c, d))
        counts["duplicate"] += len(boxes) - len(set(boxes))
        counts["empty"] += not boxes
        counts["mistyped"] += any(n not in ("head", "RBC", "WBC", "Platelets") for n, *_ in boxes)
    return counts


def same_files(paths: list[Path]) -> list[list[Path]]:
    groups = defaultdict(list)
    for path in paths:
        groups[path.read_bytes()].append(path)
    return [g for g in groups.values() if len(g) > 1]


def told(checked: Checked, *kinds: str) -> dict[str, int]:
    return {k: checked.counts().get(k, 0) for k in kinds}


LABELS = ("size", "swapped", "no-area", "outside", "clipped", "tiny", "huge", "duplicate", "empty")


@pytest.fixture(scope="module")
def heads(shared):
    return check(["voc:scut_head"], shared / "data")


def test_scut_head_has_the_flaws_that_a_second_count_finds(heads, shared):
    root = shared / "data" / "scut_head"
    want = count_xml(root, sorted(p.stem for p in (root / "Annotations").glob("*.xml")))
    assert told(heads, *LABELS) == {k: want[k] for k in LABELS}
    assert {k: want[k] for k in ("size", "no-area", "clipped", "tiny")} == {
        "size": 53,
        "no-area": 1,
        "clipped": 34,
        "tiny": 1727,
    }
    assert want["mistyped"] == 0  # headdddddaaddwddd is in none of the files at hand
    assert told(heads, "renamed", "unreadable", "damaged", "no-labels", "no-picture", "exif") == dict.fromkeys(
        ("renamed", "unreadable", "damaged", "no-labels", "no-picture", "exif"), 0
    )


def test_the_size_of_zero_is_the_only_wrong_size(heads):
    texts = [n.text for n in heads.notes if n.kind == "size"]
    assert len(texts) == 53
    assert all(t.startswith("stated 0 x 0, picture ") for t in texts)


def test_the_box_without_area_is_named_by_file_object_and_line(heads, shared):
    note = next(n for n in heads.notes if n.kind == "no-area")
    lines = (shared / "data" / "scut_head" / "Annotations" / note.file).read_text().splitlines()
    assert "<object>" in lines[note.line - 1]
    assert sum("<object>" in line for line in lines[: note.line]) == note.item + 1
    corners = [float(re.search(r">([\d.]+)<", x)[1]) for x in lines[note.line :] if re.search("<[xy]m", x)][:4]
    assert corners[0] == corners[2]
    assert corners[1] == corners[3]


def test_pictures_in_both_splits_of_part_b(shared):
    root = shared / "data" / "scut_head"
    checked = check(["voc:scut_head#train_B", "voc:scut_head#val_B"], shared / "data")
    val = set((root / "ImageSets/Main/val_B.txt").read_text().split())
    groups = same_files(sorted((root / "JPEGImages").glob("PartB*.jpg")))
    across = [g for g in groups if 0 < sum(p.stem in val for p in g) < len(g)]
    assert (len(groups), len(across)) == (9, 2)
    assert told(checked, "across-splits", "same-picture") == {"across-splits": 2, "same-picture": 7}
    assert {n.picture.stem for n in checked.notes if n.kind == "across-splits"} == {
        p.stem for g in across for p in g if p.stem in val
    }
    assert checked.counts()["near-across"] == 5  # looked at: crops, recoloured or sharpened copies of one photograph


def test_bccd(shared):
    checked = check(["voc:bccd/BCCD"], shared / "data")
    root = shared / "data" / "bccd" / "BCCD"
    want = count_xml(root, sorted(p.stem for p in (root / "Annotations").glob("*.xml")))
    assert told(checked, *LABELS) == {k: want[k] for k in LABELS}
    assert (want["no-area"], want["mistyped"]) == (2, 0)
    assert checked.parts[0].samples.labels == ("Platelets", "RBC", "WBC")


def test_person_boxes(shared):
    checked = check(["coco:person_boxes#train", "coco:person_boxes#valid"], shared / "data")
    folder, want = shared / "data" / "person_boxes", Counter()
    for split in ("train", "valid"):
        raw = json.loads((folder / f"{split}.json").read_text())
        boxes = defaultdict(list)
        for a in raw["annotations"]:
            boxes[a["image_id"]].append(tuple(a["bbox"]))
        for image in raw["images"]:
            width, height = size_of(folder / "images" / image["file_name"])
            want["size"] += (image["width"], image["height"]) != (width, height)
            mine = boxes[image["id"]]
            want["empty"] += not mine
            want["duplicate"] += len(mine) - len(set(mine))
            for x, y, w, h in mine:
                want["no-area"] += w <= 0 or h <= 0
                want["clipped"] += x < 0 or y < 0 or x + w > width + 1e-9 or y + h > height + 1e-9
                want["tiny"] += min(w * 300 / width, h * 300 / height) < 4 - 1e-6  # 8.0 px of 600 are no 3.99999
                want["huge"] += w * h >= 0.9 * width * height
    assert told(checked, *LABELS) == {k: want[k] for k in LABELS}
    assert want["tiny"] > 0
    assert same_files(sorted((folder / "images").glob("*.jpg"))) == []
    assert told(checked, "same-picture", "across-splits") == {"same-picture": 0, "across-splits": 0}
