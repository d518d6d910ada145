"""COCO AP against pycocotools."""

from __future__ import annotations

import math

import numpy as np
import pytest

from passerby.measure import coco
from passerby.measure.matching import Judged, Pair
from passerby.records import Detections, Truth

pytest.importorskip("hotcoco")
NAMES = ("coco_ap", "coco_ap50", "coco_ap75", "coco_ap_small", "coco_ap_medium", "coco_ap_large")
LABELS = ("head", "person")


def random_pairs(seed, pictures=6, objects=12, doubles=3, crowds=0.15, longest=130):
    """Objects of all sizes, some of them crowds or difficult; each found about `doubles` times, more or less well."""
    rng = np.random.default_rng(seed)
    pairs = []
    for i in range(pictures):
        corner, size = rng.uniform(0, 300, (objects, 2)), rng.uniform(6, longest, (objects, 2))
        boxes = np.concatenate([corner, corner + size], axis=1)
        labels = rng.integers(0, 2, objects)
        truth = Truth.of(boxes, labels, ignore=rng.random(objects) < crowds, difficult=rng.random(objects) < 0.1)
        found = boxes.repeat(doubles, 0)
        found = found + rng.normal(0, 0.06, found.shape) * np.tile(size.repeat(doubles, 0), 2)
        found = found[(found[:, 2:] > found[:, :2]).all(axis=1)].astype(np.float32)
        guessed = np.where(rng.random(len(found)) < 0.85, 0, 1)
        marks = rng.permutation(len(found)) / len(found)
        pairs.append(Pair(f"{i}.jpg", truth, Detections(found, marks.astype(np.float32), guessed, LABELS)))
    return pairs


def by_pycocotools(pairs, cap, capsys):
    """The six numbers, with NaN where pycocotools says -1."""
    coco_module, evaluation = pytest.importorskip("pycocotools.coco"), pytest.importorskip("pycocotools.cocoeval")
    annotations, found = [], []
    for i, pair in enumerate(pairs, 1):
        t, d = pair.truth, pair.found
        hazy = zip(t.boxes.tolist(), t.labels.tolist(), t.ignore, t.difficult, strict=True)
        for box, label, ignore, difficult in hazy:
            w, h = box[2] - box[0], box[3] - box[1]
            for k in (0, 1) if ignore else (label,):  # a region is a crowd of every class
                row = {"image_id": i, "category_id": k + 1, "bbox": [*box[:2], w, h], "area": w * h}
                annotations.append({"id": len(annotations) + 1, "iscrowd": int(ignore or difficult), **row})
        for box, label, mark in zip(d.boxes.tolist(), d.labels.tolist(), d.scores.tolist(), strict=True):
            w, h = box[2] - box[0], box[3] - box[1]
            found.append({"image_id": i, "category_id": label + 1, "bbox": [*box[:2], w, h], "score": mark})
    truth = coco_module.COCO()
    truth.dataset = {
        "images": [{"id": i} for i in range(1, len(pairs) + 1)],
        "annotations": annotations,
        "categories": [{"id": k, "name": n} for k, n in enumerate(LABELS, 1)],
    }
    truth.createIndex()
    results = coco_module.COCO()  # loadRes cannot read an empty list
    results.dataset = {**truth.dataset, "annotations": []}
    results.createIndex()
    judge = evaluation.COCOeval(truth, truth.loadRes(found) if found else results, "bbox")
    judge.params.maxDets = [cap]
    judge.evaluate()
    judge.accumulate()
    capsys.readouterr()
    precision = judge.eval["precision"]  # IoU, recall, class, area, cap
    parts = [precision[..., 0, 0], precision[0, ..., 0, 0], precision[5, ..., 0, 0]]
    parts += [precision[..., area, 0] for area in (1, 2, 3)]
    return {n: float(p[p > -1].mean()) if (p > -1).any() else math.nan for n, p in zip(NAMES, parts, strict=True)}


def ours(pairs, cap):
    got = coco.score(Judged(pairs, LABELS, coco_cap=cap))
    assert set(got) == {*NAMES, "coco_capped"}
    return {n: got[n] for n in NAMES}


@pytest.mark.parametrize("seed", range(5))
def test_cap_100_equals_pycocotools(seed, capsys):
    pairs = random_pairs(seed)
    want = by_pycocotools(pairs, 100, capsys)
    assert 0.05 < want["coco_ap"] < 0.95
    assert ours(pairs, 100) == pytest.approx(want, abs=1e-6, nan_ok=True)


def test_a_cap_that_bites_equals_pycocotools(capsys):
    pairs = random_pairs(9, pictures=3, objects=60, doubles=4)
    assert max(int((p.found.labels == 0).sum()) for p in pairs) > 150
    want = by_pycocotools(pairs, 100, capsys)
    assert want["coco_ap"] < by_pycocotools(pairs, 300, capsys)["coco_ap"] - 1e-4
    assert ours(pairs, 100) == pytest.approx(want, abs=1e-6, nan_ok=True)


# hotcoco's own summarize() warns at a cap other than 100, and reads the cap 10 where a smaller one was asked for.
@pytest.mark.parametrize("cap", [300, 150, 20, 5, 1])
def test_another_cap_equals_pycocotools(cap, capsys):
    pairs = random_pairs(9, pictures=3, objects=60, doubles=4)
    assert ours(pairs, cap) == pytest.approx(by_pycocotools(pairs, cap, capsys), abs=1e-6, nan_ok=True)


def box_at(x, y, side=40):
    return [x, y, x + side, y + side]


def pair(name, truth=(), found=(), **columns):
    """One picture of (box, label) and (score, box, label)."""
    boxes = np.array([b for _, b, _ in found], np.float32).reshape(-1, 4)
    scores, labels = np.array([s for s, _, _ in found], np.float32), np.array([k for *_, k in found], np.int64)
    objects = Truth.of([b for b, _ in truth], [k for _, k in truth], **columns)
    return Pair(name, objects, Detections(boxes, scores, labels, LABELS))


A, B, C = box_at(0, 0), box_at(100, 0), box_at(200, 0)
CROWD = [0, 200, 300, 400]
HARD = {
    "scores that tie between hit and alarm of one picture": [
        pair("a", [(A, 0), (B, 0)], [(0.5, C, 0), (0.5, A, 0), (0.5, box_at(300, 0), 0), (0.5, B, 0)])
    ],
    "scores that tie between pictures": [
        pair("a", [(A, 0)], [(0.5, B, 0)]),
        pair("b", [(A, 0)], [(0.5, A, 0), (0.5, C, 0)]),
        pair("c", [], [(0.5, A, 0)]),
        pair("d", [(A, 0)], [(0.5, A, 0)]),
    ],
    "every score is the same": [
        pair(str(i), [(A, i % 2), (B, 0)], [(0.3, A, 0), (0.3, B, 1), (0.3, B, 0), (0.3, C, 0)]) for i in range(5)
    ],
    "pictures with nothing, with objects only, with detections only": [
        pair("a"),
        pair("b", [(A, 0), (B, 1)]),
        pair("c", [], [(0.9, A, 0), (0.8, B, 1)]),
        pair("d", [(A, 0)], [(0.7, A, 0)]),
    ],
    "no detection at all": [pair("a", [(A, 0)]), pair("b", [(B, 1)])],
    "a class without detections, and one without objects": [pair("a", [(A, 0)], [(0.9, B, 1)])],
    "a class that is only found": [pair("a", [(A, 0)], [(0.9, A, 0), (0.8, B, 1)])],
    "one object found ten times, worse each time": [
        pair("a", [(A, 0)], [(0.9 - 0.05 * i, [0, 0, 40, 40 - 2 * i], 0) for i in range(10)])
    ],
    "the better overlap has the lower score": [
        pair("a", [(A, 0), ([8, 0, 48, 40], 0)], [(0.9, [5, 0, 45, 40], 0), (0.8, [6, 0, 46, 40], 0), (0.7, A, 0)])
    ],
    "overlaps of exactly 0.5 and 0.75": [
        pair("a", [(A, 0), (B, 0)], [(0.9, [0, 0, 40, 20], 0), (0.8, [100, 0, 140, 30], 0)])
    ],
    "a crowd that excuses many, of another class too": [
        pair(
            "a",
            [(A, 0), (CROWD, 0)],
            [(0.95, box_at(20, 220), 0), (0.9, box_at(80, 220), 1), (0.8, A, 0), (0.7, box_at(20, 180), 0)],
            ignore=[False, True],
        ),
        pair("b", [(A, 1)], [(0.85, box_at(20, 220), 0), (0.6, A, 1)]),
    ],
    "an object inside a crowd": [
        pair(
            "a",
            [(box_at(20, 220), 0), (CROWD, 0)],
            [(0.9, box_at(20, 220), 0), (0.8, box_at(22, 222), 0)],
            ignore=[False, True],
        )
    ],
    "a difficult object found twice": [
        pair("a", [(A, 0), (B, 0)], [(0.9, B, 0), (0.8, B, 0), (0.7, A, 0)], difficult=[False, True])
    ],
    "an area on the border of small and medium": [
        pair("a", [(box_at(0, 0, 32), 0), (box_at(100, 0, 96), 0)], [(0.9, box_at(0, 0, 32), 0), (0.8, C, 0)])
    ],
}


@pytest.mark.parametrize("cap", [100, 2])
@pytest.mark.parametrize("pairs", HARD.values(), ids=HARD)
def test_hard_cases_equal_pycocotools(pairs, cap, capsys):
    assert ours(pairs, cap) == pytest.approx(by_pycocotools(pairs, cap, capsys), abs=1e-6, nan_ok=True)


@pytest.mark.parametrize("seed", range(20, 26))
def test_random_pictures_with_ties_and_gaps_equal_pycocotools(seed, capsys):
    rng = np.random.default_rng(seed)
    pairs = random_pairs(seed, pictures=10, objects=int(rng.integers(1, 9)), crowds=rng.random() / 2)
    for i, p in enumerate(pairs):
        scores = np.ceil(p.found.scores * 5) / 5  # five values for all
        some = p.found[rng.permutation(len(scores))] if i % 4 else Detections.none(LABELS)
        coarse = Detections(some.boxes, scores[: len(some)].astype(np.float32), some.labels, LABELS)
        pairs[i] = Pair(p.name, p.truth if i % 3 else Truth.of([]), coarse)
    assert ours(pairs, 100) == pytest.approx(by_pycocotools(pairs, 100, capsys), abs=1e-6, nan_ok=True)


# stdout is for programs (DESIGN.md); hotcoco's summarize() prints twelve lines to it.
def test_nothing_is_printed(capfd):
    coco.score(Judged(random_pairs(1), LABELS))
    out, err = capfd.readouterr()
    assert (out, err) == ("", "")


def test_without_large_objects_the_large_number_is_missing(capsys):
    pairs = random_pairs(2, longest=60)
    want = by_pycocotools(pairs, 100, capsys)
    assert math.isnan(want["coco_ap_large"])
    assert ours(pairs, 100) == pytest.approx(want, abs=1e-6, nan_ok=True)


def test_without_detections_a_size_without_objects_has_no_number(judge):
    got = coco.score(judge([{"truth": [[0, 0, 10, 10]]}]))
    assert (got["coco_ap"], got["coco_ap_small"]) == (0, 0)
    assert math.isnan(got["coco_ap_large"])


def test_a_crowd_alone_has_no_number(judge):
    assert math.isnan(coco.score(judge([{"truth": [[0, 0, 10, 10]], "ignore": [True]}]))["coco_ap"])


def test_capped_counts_pictures_in_which_the_cap_bites(judge):
    three = [(0.1 * k, [0, 0, 10 + k, 10]) for k in range(1, 4)]
    judged = judge([{"truth": [[0, 0, 10, 10]], "found": three * 40}, {"found": three}, {}], coco_cap=100)
    assert coco.score(judged)["coco_capped"] == 1


def test_capped_counts_per_class_as_the_cap_does(judge):
    found = [(0.5, [0, 0, 10, 10], k) for k in (0, 1) for _ in range(60)]
    assert coco.score(judge([{"truth": [[0, 0, 10, 10]], "found": found}], LABELS))["coco_capped"] == 0
