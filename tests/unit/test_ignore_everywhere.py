"""Ignore regions and pictures without people in every metric, and in the threshold that is chosen."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from passerby.data import load_data
from passerby.errors import DataError
from passerby.measure.evaluate import METRICS, evaluate
from passerby.measure.operating_point import best_f1
from passerby.records import Detections, Sample, SampleSet, Truth

pytest.importorskip("hotcoco")
LABELS = ("head", "person")
ONE, TWO, REGION = [0, 0, 20, 20], [30, 0, 50, 20], [100, 100, 200, 200]
INSIDE = [120, 120, 140, 150]
MOSTLY = [88, 120, 118, 140]  # 18 of its 30 columns lie in the region
HALF = [85, 120, 115, 140]  # 15 of 30
RULES = {**METRICS, "best_f1": lambda judged: {"threshold": best_f1(judged)}}
OURS = [k for k in RULES if k != "coco"]  # COCO's crowds excuse from the IoU threshold on, so up to 95 % is needed
BOTH = pytest.mark.parametrize("rule", RULES)


def picture(found, truth=(ONE, TWO), regions=(REGION,), region_label=0):
    boxes = [*truth, *regions]
    labels = [k % 2 for k in range(len(truth))] + [region_label] * len(regions)
    return {"truth": boxes, "labels": labels, "ignore": [False] * len(truth) + [True] * len(regions), "found": found}


FOUND = [(0.8, ONE, 0), (0.6, TWO, 1), (0.5, [60, 60, 80, 80], 0), (0.4, [0, 60, 20, 80], 1)]


def alarms(box):
    """Before the hits, where AP and the miss rate see it, and just under them, where the chosen threshold does."""
    return [(0.9, box, 0), (0.55, box, 0)]


@pytest.fixture
def same(judge):
    """Whether a rule gives the same for one picture with more detections as for that picture without them."""

    def check(rule, more, **settings):
        plain, with_more = (RULES[rule](judge([picture(FOUND + m, **settings), {}], LABELS)) for m in ([], more))
        return with_more == pytest.approx(plain, nan_ok=True)

    return check


@pytest.mark.parametrize("score", [0.99, 0.7, 0.45, 0.05])
@pytest.mark.parametrize("label", [0, 1])
@BOTH
def test_a_detection_inside_a_region_neither_helps_nor_hurts_whatever_its_class(same, rule, label, score):
    assert same(rule, [(score, INSIDE, label)])


@pytest.mark.parametrize("region_label", [0, 1])
@BOTH
def test_a_region_of_any_class_excuses_detections_of_any_class(same, rule, region_label):
    assert same(rule, [(0.9, INSIDE, 0), (0.85, INSIDE, 1)], region_label=region_label)


@BOTH
def test_one_region_excuses_many(same, rule):
    rng = np.random.default_rng(0)
    corners = rng.uniform(100, 180, (40, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(5, 20, (40, 2))], axis=1).tolist()
    assert same(rule, [(float(s), b, k % 2) for k, (s, b) in enumerate(zip(rng.random(40), boxes, strict=True))])


@pytest.mark.parametrize("rule", OURS)
def test_over_half_of_its_own_area_is_what_counts(same, rule):
    assert same(rule, alarms(MOSTLY))
    assert not same(rule, alarms(HALF))


@BOTH
def test_a_box_much_larger_than_the_region_is_not_excused(same, rule):
    box = [95, 95, 115, 115]
    assert not same(rule, alarms(box), regions=([100, 100, 110, 110],))  # all of the region, a quarter of itself
    assert same(rule, alarms([101, 101, 104, 104]), regions=([100, 100, 110, 110],))  # IoU 0.09


@BOTH
def test_two_regions_that_cover_half_of_it_only_together_do_not_excuse(same, rule):
    regions = ([100, 100, 110, 200], [115, 100, 125, 200])  # 40 % of the box each
    assert not same(rule, alarms([100, 120, 125, 140]), regions=regions)
    assert same(rule, alarms([101, 120, 109, 152]), regions=regions)


@BOTH
def test_a_detection_outside_is_a_false_alarm_so_that_the_tests_above_compare_something(same, rule):
    assert not same(rule, alarms([300, 300, 320, 320]))


@pytest.mark.parametrize("rule", ["voc", "greedy"])
def test_an_object_inside_a_region_counts_and_its_detection_is_a_hit(judge, rule):
    pictures = [picture([(0.9, INSIDE, 0), (0.8, INSIDE, 0)], truth=(INSIDE,))]
    matches = judge(pictures, LABELS).matches(0, rule)
    assert (matches.objects, matches.outcome.tolist()) == (1, [1, -1])  # the second finds nothing, and is excused
    assert judge([picture([], truth=(INSIDE,))], LABELS).matches(0, rule).objects == 1


def test_an_object_inside_a_region_helps_every_metric_when_found(judge):
    found, missed = (
        {k: v for m in METRICS.values() for k, v in m(judge([picture(rows, truth=(INSIDE,))], LABELS)).items()}
        for rows in ([(0.9, INSIDE, 0)], [])
    )
    for name in ("ap50", "ap50_11pt", "recall", "f1", "coco_ap", "coco_ap50", "recall@16-32"):
        assert found[name] == pytest.approx(1), name
        assert missed[name] == pytest.approx(0), name
    assert found["miss_rate"] == found["fppi"] == 0
    assert found["mr2"] < 1e-9
    assert missed["mr2"] == 1


@BOTH
def test_pictures_of_regions_only_are_pictures_without_objects(judge, rule):
    crowd = {"truth": [REGION], "ignore": [True], "found": [(0.9, INSIDE, 0), (0.7, INSIDE, 1)]}
    pictures = [picture(FOUND)]
    with_crowd, with_nothing = (RULES[rule](judge([*pictures, p], LABELS)) for p in (crowd, {}))
    assert with_crowd == pytest.approx(with_nothing, nan_ok=True)


def test_false_alarms_are_counted_over_pictures_without_people_too(judge):
    alarm = {"found": [(0.9, ONE, 0)]}
    hit = {"truth": [ONE], "found": [(0.9, ONE, 0)]}
    for empty, fppi in ((0, 0.0), (1, 1 / 2), (3, 3 / 4)):
        scores = METRICS["at_threshold"](judge([hit, *[alarm] * empty], LABELS))
        assert scores["fppi"] == pytest.approx(fppi)
    # one alarm in 200 pictures, all but one of them empty: FPPI 0.005, so MR^-2 is that of a perfect detector
    perfect = METRICS["miss_rate"](judge([{**hit, "found": [(0.8, ONE, 0)]}, alarm, *[{}] * 198], LABELS))
    assert perfect["miss_at_1fppi"] == 0
    assert perfect["mr2"] == pytest.approx(1e-10)
    few = METRICS["miss_rate"](judge([{**hit, "found": [(0.8, ONE, 0)]}, alarm], LABELS))
    assert few["mr2"] == pytest.approx(1e-10 ** (2 / 9))  # FPPI is 0.5 before the hit: all missed at seven of nine


def by_pycocotools(judged, capsys):
    """COCO AP at 0.50:0.95, 0.50 and 0.75, a region as a crowd of every class."""
    module, evaluation = pytest.importorskip("pycocotools.coco"), pytest.importorskip("pycocotools.cocoeval")
    truth, found = [], []
    for i, pair in enumerate(judged.pairs, 1):
        t = pair.truth
        for box, label, ignore in zip(t.boxes.tolist(), t.labels.tolist(), t.ignore.tolist(), strict=True):
            w, h = box[2] - box[0], box[3] - box[1]
            for k in range(len(judged.labels)) if ignore else (label,):
                row = {"image_id": i, "category_id": k + 1, "bbox": [*box[:2], w, h], "area": w * h}
                truth.append({"id": len(truth) + 1, "iscrowd": int(ignore), **row})
        for row in pair.found.to_list():
            x0, y0, x1, y1 = row["box"]
            k = judged.labels.index(row["label"])
            found.append(
                {"image_id": i, "category_id": k + 1, "bbox": [x0, y0, x1 - x0, y1 - y0], "score": row["score"]}
            )
    coco = module.COCO()
    coco.dataset = {
        "images": [{"id": i} for i in range(1, len(judged.pairs) + 1)],
        "annotations": truth,
        "categories": [{"id": k, "name": n} for k, n in enumerate(judged.labels, 1)],
    }
    coco.createIndex()
    judge = evaluation.COCOeval(coco, coco.loadRes(found), "bbox")
    judge.evaluate()
    judge.accumulate()
    judge.summarize()
    capsys.readouterr()
    return dict(zip(("coco_ap", "coco_ap50", "coco_ap75"), judge.stats[:3].tolist(), strict=True))


CROWDS = {
    "inside": [(0.9, INSIDE, 0), (0.95, INSIDE, 1)],
    "mostly": [(0.9, MOSTLY, 0)],  # 60 %: excused at 0.50 and 0.55, and a false alarm from 0.65 on
    "half": [(0.9, HALF, 0)],  # excused at 0.50, unlike by the other metrics
    "outside": [(0.9, [300, 300, 320, 320], 0)],
    "many": [(0.9 - 0.01 * k, [100 + k, 100, 130 + k, 130], k % 2) for k in range(60)],
}


@pytest.mark.parametrize("more", CROWDS.values(), ids=CROWDS)
def test_coco_crowds_are_those_of_pycocotools(judge, capsys, more):
    judged = judge([picture(FOUND + more), picture([(0.85, INSIDE, 0), *more], truth=(INSIDE, TWO))], LABELS)
    want = by_pycocotools(judged, capsys)
    got = METRICS["coco"](judged)
    assert {k: got[k] for k in want} == pytest.approx(want, abs=1e-6)


def test_coco_needs_more_of_a_box_inside_as_its_threshold_rises(judge):
    def scores(more):
        return METRICS["coco"](judge([picture(FOUND + more)], LABELS))

    plain, mostly = scores([]), scores([(0.9, MOSTLY, 0)])
    assert mostly["coco_ap50"] == plain["coco_ap50"]
    assert mostly["coco_ap75"] < plain["coco_ap75"]


def test_a_chosen_threshold_does_not_see_regions(judge):
    crowd = [(0.01 * k, INSIDE, 0) for k in range(40, 99)]
    pictures = [picture([(0.3, ONE, 0), (0.2, TWO, 1), *crowd])]
    assert best_f1(judge(pictures, LABELS)) == best_f1(judge([picture([(0.3, ONE, 0), (0.2, TWO, 1)])], LABELS)) < 0.2


def test_objects_are_counted_without_regions_and_pictures_with_all(tmp_path, make_picture):
    paths = [make_picture(tmp_path / f"{i}.png") for i in range(3)]
    truths = [Truth.of([[0, 0, 9, 9], [10, 10, 30, 30]], ignore=[False, True]), Truth.of([[0, 0, 9, 9]], ignore=[True])]
    samples = [Sample(p, 60, 40, t) for p, t in zip(paths, [*truths, Truth.of([])], strict=True)]
    found = Detections(np.array([[12, 12, 20, 20]], np.float32), np.ones(1, np.float32), np.zeros(1, int), ("head",))
    report = evaluate(lambda pixels: found, SampleSet(tuple(samples), ("head",)))
    assert (report.settings["pictures"], report.settings["objects"]) == (3, 1)
    assert report.scores["fppi"] == pytest.approx(2 / 3)  # the first picture's region excuses it
    assert (report.scores["recall"], report.scores["miss_rate"]) == (0, 1)


def test_eval_reads_crowds_as_regions(cli, tiny_model, make_coco):
    rows = [
        {"id": 1, "image_id": 1, "category_id": 1, "bbox": [5, 5, 20, 20], "area": 400, "iscrowd": 0},
        {"id": 2, "image_id": 1, "category_id": 1, "bbox": [0, 0, 60, 40], "area": 2400, "iscrowd": 1},
    ]
    images = [{"id": i, "file_name": n, "width": 60, "height": 40} for i, n in enumerate(("a.png", "b.png"), 1)]
    file = make_coco(rows, images=images, pictures=("a.png", "b.png"))
    run = ("--json", "--threshold", 0.01, "--engine", "onnxruntime", "--threads", 1)
    report = json.loads(cli("eval", tiny_model, f"coco:{file}", *run).out)
    assert (report["settings"]["pictures"], report["settings"]["objects"]) == (2, 1)
    make_coco(rows[:1], images=images, pictures=("a.png", "b.png"))
    plain = json.loads(cli("eval", tiny_model, f"coco:{file}", *run).out)
    assert 0 < report["scores"]["fppi"] < plain["scores"]["fppi"]  # those of the second picture are left


@pytest.mark.parametrize("names", [("head", "none"), ("no_person", "person")])
def test_eval_refuses_labels_of_whole_pictures(cli, refused, tiny_model, make_picture, tmp_path, names):
    for name in names:
        make_picture(tmp_path / "sorted" / name / "a.png")
    ran = cli("eval", tiny_model, f"classes:{tmp_path / 'sorted'}")
    why = "has labels of whole pictures, no boxes" if "head" in names else "no picture of a class among"
    refused(ran, 4, "classes:sorted", why)


def test_evaluate_refuses_them_before_any_picture_is_read(tmp_path):
    samples = SampleSet((Sample(tmp_path / "gone.png", 9, 9, Truth.of([]), label=1),), ("a", "b"), "classes:x")
    with pytest.raises(DataError, match=r"^classes:x: has labels of whole pictures, no boxes \(gone\.png is 'b'\)"):
        evaluate(lambda pixels: pytest.fail("read"), samples)


def test_a_plain_folder_is_known_to_be_empty_and_measured(make_picture, tmp_path):
    make_picture(tmp_path / "street" / "a.png")
    samples = load_data(f"folder:{tmp_path / 'street'}", ("head",))
    report = evaluate(lambda pixels: Detections.none(), samples)
    assert report.scores["fppi"] == 0
    assert math.isnan(report.scores["recall"])
