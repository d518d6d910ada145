"""AP of the same detections under every rule: each row is what `eval` gives so, or says why not."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from passerby.measure import average_precision, coco
from passerby.measure.matching import Judged, Pair
from passerby.measure.rules import CAPS, DEFINITIONS, FLOORS, ap_under_every_rule
from passerby.records import Detections, Truth

pytest.importorskip("hotcoco")
LABELS = ("head", "person")


def made(labels=LABELS, cap=None, floor=0.001, found=400):
    """Four crowded pictures: 40 objects, each found four times, so that 100 detections are not all."""
    rng = np.random.default_rng(4)
    pairs = []
    for i in range(4):
        corner = rng.uniform(0, 500, (40, 2))
        boxes = np.concatenate([corner, corner + rng.uniform(20, 60, (40, 2))], axis=1)
        near = boxes.repeat(4, 0) + rng.normal(0, 4, (160, 4))
        corner = rng.uniform(0, 500, (240, 2))
        rows = np.concatenate([near, np.concatenate([corner, corner + 30], axis=1)])[:found].astype(np.float32)
        scores = np.concatenate([rng.beta(2, 3, 160), rng.beta(1, 4, 240)])[:found].astype(np.float32)
        order = np.argsort(-scores, kind="stable")[: cap or found]
        kept = order[scores[order] >= floor]
        numbers = rng.integers(0, len(labels), len(rows))[kept]
        truth = Truth.of(boxes, rng.integers(0, len(labels), 40))
        pairs.append(Pair(f"{i}.jpg", truth, Detections(rows[kept], scores[kept], numbers, labels)))
    return Judged(pairs, labels, floor=floor, cap=cap, nms_iou=0.45)


@pytest.fixture(scope="module")
def rules():
    return ap_under_every_rule(made())


def test_there_is_a_row_for_every_definition_floor_and_cap(rules):
    assert [(r.definition, r.floor, r.cap) for r in rules.rows] == [
        (d, f, c) for d in DEFINITIONS for f in FLOORS for c in CAPS
    ]
    assert not any(r.why for r in rules.rows)


def test_voc_rows_are_the_metric_on_detections_cut_by_hand(rules):
    judged = made()
    for row in rules.rows:
        if row.cap_of != "a picture":
            continue
        pairs = []
        for p in judged.pairs:
            left = [i for i in np.argsort(-p.found.scores, kind="stable") if p.found.scores[i] >= row.floor]
            pairs.append(Pair(p.name, p.truth, p.found[left[: row.cap]]))
        assert row.value == average_precision.score(Judged(pairs, LABELS))[row.definition], row


def test_coco_rows_are_the_metric_with_that_cap_a_picture_and_class(rules):
    judged = made()
    for row in rules.rows:
        if row.cap_of == "a picture and class":
            cut = judged.cut(row.floor)
            cap = row.cap or 10_000
            one = Judged(cut.pairs, LABELS, coco_cap=cap)
            assert row.value == pytest.approx(coco.score(one)[row.definition], abs=1e-12), row


def test_several_caps_at_once_are_each_alone():
    judged = made()
    together = coco.score_capped(judged, [100, 300, 7, 1])
    for cap, got in zip([100, 300, 7, 1], together, strict=True):
        assert got == pytest.approx(coco.score_capped(judged, [cap])[0], abs=0, nan_ok=True)


def test_every_setting_bites_in_these_pictures_so_that_the_tests_above_compare_something(rules):
    values = {(r.definition, r.floor, r.cap): r.value for r in rules.rows}
    for d in DEFINITIONS:
        assert len({values[d, 0.01, c] for c in (100, None)}) == 2
        assert len({values[d, f, None] for f in FLOORS}) > 1
    assert len({round(values[d, 0.01, None], 6) for d in DEFINITIONS}) == 4


def test_the_sentence_names_the_largest_step_and_its_two_ends(rules):
    steps = {}
    for name, vary in (("the score floor", "floor"), ("the cap", "cap"), ("the definition", "definition")):
        for one in rules.rows:
            for other in rules.rows:
                differs = [k for k in ("definition", "floor", "cap") if getattr(one, k) != getattr(other, k)]
                if differs == [vary] and not (vary == "definition" and "coco_ap" in (one.definition, other.definition)):
                    steps[name] = max(steps.get(name, 0), one.value - other.value)
    ordered = sorted(steps, key=lambda k: -steps[k])
    lines = rules.explain()
    assert lines[0].startswith(f"Most is moved by {ordered[0]}: {steps[ordered[0]]:.4f} (")
    assert lines[1].startswith(f"Then {ordered[1]}: {steps[ordered[1]]:.4f} (")
    assert lines[2].startswith(f"Then {ordered[2]}: {steps[ordered[2]]:.4f} (")
    assert "asks for tighter boxes" in lines[3]


def test_rows_under_the_predictors_own_floor_have_no_number_and_say_so():
    rules = ap_under_every_rule(made(floor=0.05))
    for row in rules.rows:
        if row.floor < 0.05:
            assert math.isnan(row.value)
            assert row.why == "not known: the model gave no scores under 0.05"
        else:
            assert row.value > 0
    assert "- [1]" in rules.to_text()
    assert "[1] not known: the model gave no scores under 0.05" in rules.to_text()


def test_caps_over_a_cap_that_was_reached_have_no_number_and_say_so():
    rules = ap_under_every_rule(made(("head",), cap=200))
    for row in rules.rows:
        known = row.cap == 100 or row.floor == 0.25  # the 200th score of each picture is under 0.25
        assert math.isnan(row.value) != known, row
        assert ("own cap of 200 was reached in 4 pictures" in row.why) != known


def test_a_cap_that_was_never_reached_cuts_nothing():
    with_cap, without = (ap_under_every_rule(made(("head",), cap=c, found=150)) for c in (200, None))
    assert [r.value for r in with_cap.rows] == [r.value for r in without.rows]


def test_cocos_cap_counts_a_class_so_that_an_own_cap_of_all_classes_can_cut_it():
    rules = ap_under_every_rule(made(cap=150))
    known = {(r.cap_of, r.cap): not r.why for r in rules.rows if r.floor == 0.01}
    assert known["a picture", 100]
    assert not known["a picture and class", 100]  # 100 of each of two classes may be 200


def test_no_difference_is_said_in_words(judge):
    rules = ap_under_every_rule(judge([{"truth": [[0, 0, 10, 10]], "found": [(0.9, [0, 0, 10, 10])]}]))
    assert rules.explain() == ["No rule moves AP at IoU 0.5 by 0.0001 or more."]


@pytest.mark.parametrize("pictures", [[], [{}], [{"truth": [[0, 0, 10, 10]]}], [{"found": [(0.9, [0, 0, 10, 10])]}]])
def test_nothing_to_measure_is_no_crash(judge, pictures):
    rules = ap_under_every_rule(judge(pictures))
    assert len(rules.rows) == 36
    assert json.loads(json.dumps(rules.to_dict(), allow_nan=False))
    assert rules.to_text()


def test_json_says_what_each_row_means(rules):
    document = json.loads(json.dumps(rules.to_dict(), allow_nan=False))
    assert set(document) == {"rows", "most", "score_floor", "max_detections", "nms_iou", "explained"}
    assert (document["most"], document["score_floor"], document["nms_iou"]) == (rules.most, 0.001, 0.45)
    assert document["rows"][0]["meaning"] == "VOC 11-point (2007), IoU 0.5"
    assert {r["cap_of"] for r in document["rows"]} == {"a picture", "a picture and class"}


def test_without_hotcoco_voc_rows_are_left_and_the_text_says_why_not_more(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    rules = ap_under_every_rule(made())
    assert {r.definition for r in rules.rows} == {"ap50_11pt", "ap50"}
    assert "COCO" not in "".join(rules.explain())
    assert "COCO's rows are left out: pip install 'passerby[measure]'" in rules.to_text()


def test_cutting_remembers_the_strictest_floor_and_cap():
    judged = made(("head",), cap=200, floor=0.05)
    assert [(j.floor, j.cap) for j in (judged.cut(), judged.cut(0.01, 300), judged.cut(0.1, 7))] == [
        (0.05, 200),
        (0.05, 200),
        (0.1, 7),
    ]
    unsaid = Judged(judged.pairs, judged.labels)
    assert [(j.floor, j.cap) for j in (unsaid.cut(), unsaid.cut(0.1, 7))] == [(None, None), (0.1, 7)]
