"""evaluate() with made predictors on made pictures."""

from __future__ import annotations

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from passerby.errors import DataError, SettingError, SourceError
from passerby.measure.evaluate import METRICS, evaluate
from passerby.records import Detections, Sample, SampleSet, Truth

QUICK = ("average_precision", "miss_rate", "at_threshold")
ONE, TWO, FAR = [0, 0, 10, 10], [20, 10, 30, 30], [40, 25, 50, 35]


@pytest.fixture
def samples(tmp_path):
    """Three pictures of one colour, red 0, 100, 200; a head and a person, a head, nothing."""
    found = []
    for i, (boxes, labels) in enumerate([([ONE, TWO], [1, 0]), ([TWO], [1]), ([], [])]):
        path = tmp_path / f"{i}.png"
        path.write_bytes(cv2.imencode(".png", np.full((40, 60, 3), (20, 10, 100 * i), np.uint8))[1].tobytes())
        found.append(Sample(path, 60, 40, Truth.of(boxes, labels)))
    return SampleSet(tuple(found), ("person", "head"), "made")


class Fake:
    """A predictor that knows each picture by its red: {red: [(score, box, label)]}."""

    def __init__(self, answers, names):
        self.answers, self.names, self.seen = answers, names, []

    def __call__(self, pixels):
        self.seen.append((pixels.shape, pixels.dtype, pixels[0, 0].tolist()))
        rows = self.answers.get(int(pixels[0, 0, 0]), [])
        if not rows:
            return Detections.none(self.names)
        return Detections(
            np.array([b for _, b, _ in rows], np.float32),
            np.array([s for s, _, _ in rows], np.float32),
            np.array([k for *_, k in rows], np.int64),
            self.names,
        )


def test_the_predictor_sees_every_picture_once_in_rgb_and_in_order(samples):
    fake = Fake({}, ("person", "head"))
    steps = []
    report = evaluate(fake, samples, QUICK, progress=lambda done, total: steps.append((done, total)))
    assert fake.seen == [((40, 60, 3), np.uint8, [red, 10, 20]) for red in (0, 100, 200)]
    assert steps == [(1, 3), (2, 3), (3, 3)]
    assert report.scores["ap50"] == 0
    assert [p.name for p in report.judged.pairs] == ["0.png", "1.png", "2.png"]


def test_a_perfect_predictor_scores_one_under_every_metric(samples):
    answers = {0: [(0.9, ONE, 1), (0.8, TWO, 0)], 100: [(0.7, TWO, 1)]}
    scores = evaluate(Fake(answers, ("person", "head")), samples).scores
    for name in ("ap50", "ap50_11pt", "ap50/head", "ap50/person", "precision", "recall", "f1", "coco_ap"):
        assert scores[name] == pytest.approx(1, abs=1e-6), name
    assert (scores["miss_rate"], scores["fppi"], scores["miss_at_1fppi"]) == (0, 0, 0)


def test_labels_are_matched_by_name_not_by_number(samples):
    # the model says head = 0, cat = 1, person = 2; the data person = 0, head = 1; cats are left out
    answers = {0: [(0.95, FAR, 1), (0.9, ONE, 0), (0.8, TWO, 2)], 100: [(0.7, TWO, 0)], 200: [(0.99, FAR, 1)]}
    report = evaluate(Fake(answers, ("head", "cat", "person")), samples, QUICK)
    assert report.scores["ap50"] == 1
    assert report.scores["precision"] == 1
    first = report.judged.pairs[0].found
    assert (first.labels.tolist(), first.names) == ([1, 0], ("person", "head"))
    assert len(report.judged.pairs[2].found) == 0


def test_renumbering_leaves_the_predictors_own_detections_alone(samples):
    kept = Detections(np.array([ONE], np.float32), np.ones(1, np.float32), np.array([0]), ("head", "person"))
    evaluate(lambda pixels: kept, samples, QUICK)
    assert kept.labels.tolist() == [0]


def test_no_label_in_common_is_an_error_that_names_both(samples):
    with pytest.raises(DataError, match=r"the model finds \['cat'\], the data has \['person', 'head'\]"):
        evaluate(Fake({}, ("cat",)), samples, QUICK)


def test_a_predictor_without_names_may_find_nothing(samples):
    assert evaluate(lambda pixels: Detections.none(), samples, QUICK).scores["recall"] == 0


def test_an_unknown_metric_names_the_nearest_before_any_picture_is_read(samples):
    fake = Fake({}, ("head",))
    with pytest.raises(SettingError, match=r"no metric 'mis_rate' \(did you mean 'miss_rate'\?\)"):
        evaluate(fake, samples, ("average_precision", "mis_rate"))
    assert fake.seen == []


def test_settings_say_what_was_measured_with_what(samples):
    fake = Fake({}, ("person", "head"))
    fake.spec, fake.threshold, fake.nms_iou, fake.max_detections = SimpleNamespace(threshold=0.25), 0.01, 0.45, 200
    fake.engine_name = "fake"
    settings = evaluate(fake, samples, QUICK, coco_cap=300).settings
    told = {
        "data": "made",
        "pictures": 3,
        "objects": 3,
        "match_iou": 0.5,
        "score_floor": 0.01,
        "nms_iou": 0.45,
        "max_detections": 200,
        "coco_cap": 300,
        "threshold": 0.25,
        "engine": "fake",
    }
    assert {k: settings[k] for k in told} == told
    assert settings["ms_per_picture"] >= 0
    assert settings["seconds"] >= settings["ms_per_picture"] * 3 / 1000


def test_a_plain_function_has_unknown_settings_and_the_default_threshold(samples):
    settings = evaluate(lambda pixels: Detections.none(), samples, QUICK).settings
    assert [settings[k] for k in ("score_floor", "nms_iou", "max_detections", "engine")] == [None] * 4
    assert settings["threshold"] == 0.5


def test_the_models_threshold_decides_what_is_shown(samples):
    fake = Fake({0: [(0.6, ONE, 1)], 100: [(0.3, TWO, 1)]}, ("person", "head"))
    assert evaluate(fake, samples, QUICK).scores["recall"] == pytest.approx(1 / 3)
    fake.spec = SimpleNamespace(threshold=0.3)
    assert evaluate(fake, samples, QUICK).scores["recall"] == pytest.approx(2 / 3)


def test_only_the_metrics_asked_for_are_worked_out(samples):
    fake = Fake({}, ("person", "head"))
    assert set(evaluate(fake, samples, ("miss_rate",)).scores) == {"mr2", "miss_at_1fppi"}
    assert set(METRICS) >= {*QUICK, "by_size", "coco"}


def test_an_empty_set_is_no_crash():
    report = evaluate(lambda pixels: Detections.none(), SampleSet((), ("head",)))
    assert report.settings["pictures"] == 0
    assert report.scores["fppi"] == 0


def test_a_picture_that_is_gone_is_named(samples):
    samples[1].path.unlink()
    with pytest.raises(SourceError, match=r"1\.png: no such file"):
        evaluate(lambda pixels: Detections.none(), samples, QUICK)
