"""The certificate: engines that say what they are told, limits that break, and records that hold everything."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from passerby.data import load_data
from passerby.deploy.parity import change_of, compare, engines_for, stamp
from passerby.deploy.parity_limits import LIMITS, Limits
from passerby.deploy.parity_report import summary
from passerby.errors import DataError, ParityError, SettingError
from passerby.records import SampleSet
from passerby.runtime.detector import Detector

BOXES = [(6, 6, 22, 22), (30, 30, 50, 50), (40, 6, 56, 22)]
SCORES = [[0.9], [0.8], [0.7]]


@pytest.fixture
def samples(make_voc):
    """Three pictures of 64 x 64, so that input pixels are theirs, with the boxes that the engine of `side` gives."""
    rows = [("head", *box) for box in BOXES]
    root = make_voc(dict.fromkeys("abc", rows), size=(64, 64))
    import cv2

    for name in "abc":
        cv2.imwrite(str(root / "JPEGImages" / f"{name}.jpg"), np.full((64, 64, 3), 90, np.uint8))
    return load_data(f"voc:{root}", ["head"])


@pytest.fixture
def side(make_spec, told):
    """Makes a Detector that answers every picture alike; moved by pixels, scores changed by so much."""

    def make(moved=0.0, score=0.0, boxes=BOXES, scores=SCORES, floor=0.01, **spec):
        answer = told(np.array(boxes, float) + moved, np.array(scores) + score)
        return Detector.of(make_spec(**spec), answer, threshold=floor)

    return make


def test_the_same_answer_twice_holds_every_limit(samples, side):
    done = compare(side(), side(), samples)
    assert done.broken() == []
    done.need()
    assert (done.change, done.pictures, done.objects) == ("float32", 3, 9)
    assert (done.boxes.most, done.scores.most, done.shift.lost, done.shift.gained) == (0, 0, 0, 0)
    assert done.accuracy["ap50"].before == done.accuracy["ap50"].after == pytest.approx(1)
    assert done.accuracy["ap50"].difference.tie
    assert done.raw is not None
    assert (done.raw.pictures, done.raw.rows, done.raw.boxes.most) == (3, 9, 0)


def test_a_box_that_moves_too_far_is_named_with_its_limit(samples, side):
    done = compare(side(), side(moved=0.75), samples)
    assert done.boxes.p99 == pytest.approx(0.75)
    assert done.broken() == ["1 in 100 boxes moved by more than 0.75 px (limit 0.5)"]
    with pytest.raises(ParityError, match=r"told answers differently from told: 1 in 100 boxes moved .* 0.75 px"):
        done.need()
    assert compare(side(), side(moved=0.75), samples, LIMITS["int8"]).broken() == []


def test_scores_that_fall_under_the_threshold_are_lost_detections(samples, side):
    done = compare(side(), side(score=-0.25), samples)
    assert (done.shift.before, done.shift.after, done.shift.lost) == (9, 6, 3)
    assert [b.split(" (")[0] for b in done.broken()] == [
        "1 in 100 scores moved by more than 0.25",
        "detections lost or gained are 33.3 % of those shown",
    ]


def test_accuracy_that_is_lost_is_counted_in_points(samples, side):
    blind = side(boxes=[*BOXES[:2], (0, 40, 10, 50)])  # the third elsewhere: 2 of 3 objects are found, no alarm before
    done = compare(side(), blind, samples, Limits(ap50=30))
    assert done.measured()["ap50"] == pytest.approx(100 / 3, abs=0.01)
    assert done.broken() == ["AP50 fell by 33.3 points (limit 30)"]
    assert compare(blind, side(), samples, Limits(ap50=0)).broken() == []  # a gain is no loss


def test_what_is_no_number_never_holds(samples, side):
    nothing = side(boxes=np.full((3, 4), np.nan))
    broken = compare(side(), nothing, samples).broken()
    assert "default boxes or their scores are no numbers" in broken
    noise = side(scores=[[math.nan]] * 3)
    assert "default boxes or their scores are no numbers" in compare(side(), noise, samples).broken()


def test_pictures_in_which_neither_finds_anything_prove_nothing(samples, side):
    empty = side(scores=[[0.0]] * 3)
    done = compare(empty, empty, samples)
    assert done.silent()
    assert done.broken() == [
        "neither finds anything in these pictures, which proves nothing; give pictures with objects"
    ]
    assert "proves nothing   BROKEN" in done.told()


def test_pictures_without_boxes_are_compared_without_accuracy(samples, side):
    from dataclasses import replace

    from passerby.records import Truth

    plain = SampleSet(tuple(replace(s, truth=Truth.of([])) for s in samples), (), "folder:x")
    done = compare(side(), side(moved=0.1), plain)
    assert done.accuracy == {}
    assert "accuracy is not measured" in done.told()
    assert "nothing to measure it on" in done.told()
    assert done.broken() == []


def test_the_record_is_json_and_a_line_tells_it(samples, side, tiny_model):
    done = compare(side(), side(moved=0.75), samples, files=(tiny_model, tiny_model), rounds=2)
    text = json.dumps(done.record(), allow_nan=False)
    raw = json.loads(text)
    assert raw["box_px"]["p99"] == pytest.approx(0.75)
    assert raw["after"]["bytes"] == tiny_model.stat().st_size
    assert len(raw["before"]["sha256"]) == 64
    assert raw["limits"]["box_p99"] == 0.5
    assert raw["broken"]
    told = summary(raw)
    assert "1 in 100 boxes moved by over 0.75 px" in told
    assert "limits broken: 1 in 100 boxes" in told
    assert summary({"x": 1}).startswith("against None")  # of a file that somebody else wrote: no crash


def test_a_certificate_is_written_into_the_card_and_nothing_else_changes(
    samples, side, tiny_bytes, tiny_spec, tmp_path
):
    from passerby.runtime.model_file import read_spec

    path = tmp_path / "m.onnx"
    path.write_bytes(tiny_bytes)
    done = compare(side(), side(), samples)
    stamp(path, done)
    spec = read_spec(path)
    assert spec.provenance["certificate"] == json.loads(json.dumps(done.record()))
    assert spec.with_(provenance=tiny_spec.provenance) == tiny_spec


def test_the_coarser_precision_names_the_limits(side):
    assert change_of(side(), side()) == "float32"
    assert change_of(side(precision="int8"), side()) == "int8"
    assert change_of(side(precision="float16"), side(precision="bfloat16")) == "bfloat16"


def test_two_files_run_by_one_engine_where_one_runs_both(tmp_path):
    onnx, xml, lite = (tmp_path / f"m{s}" for s in (".onnx", ".xml", ".tflite"))
    assert engines_for(onnx, onnx) == ("onnxruntime", "onnxruntime")
    assert engines_for(onnx, xml) == ("openvino", "auto")
    assert engines_for(onnx, lite) == ("onnxruntime", "auto")
    assert engines_for(None, onnx) == ("auto", "onnxruntime")


def test_no_picture_and_two_tasks_are_refused(samples, side, red_model):
    from passerby.runtime.localiser import Localiser

    with pytest.raises(DataError, match="has no picture"):
        compare(side(), side(), SampleSet((), ("head",), "voc:none"))
    with pytest.raises(DataError, match="one of the two is a localiser"):
        compare(side(), Localiser(red_model), samples)


class Mapping:
    """A localiser's engine that always gives the same score, and a ramp as its map, `scale` times as high."""

    name = "told 1.0"

    def __init__(self, score, scale):
        self.score, self.scale = score, scale

    def run(self, pixels):
        ramp = np.arange(16, dtype=np.float32).reshape(4, 4) * self.scale
        return np.array([self.score], np.float32), np.stack([ramp, ramp])


def test_localisers_are_compared_by_scores_and_maps(samples, red_model):
    from dataclasses import replace

    from passerby.records import Truth
    from passerby.runtime.localiser import Localiser
    from passerby.runtime.model_file import read_spec

    spec = read_spec(red_model)
    plain = SampleSet(tuple(replace(s, truth=Truth.of([])) for s in samples), (), "folder:x")
    one, same, other = (Localiser.of(spec, Mapping(*m)) for m in ((0.8, 1.0), (0.8, 1.0), (0.7, 0.9)))
    assert compare(one, same, plain).broken() == []
    done = compare(one, other, plain)
    assert done.maps is not None
    assert done.maps.maps.most == pytest.approx(0.1, abs=1e-6)  # of 15, the largest value
    assert done.maps.scores.most == pytest.approx(0.1, abs=1e-6)
    assert done.raw is None
    assert any(b.startswith("1 in 100 points of the maps moved by more than 0.1 of") for b in done.broken())


def test_limits_of_no_name_or_no_size_are_refused():
    assert Limits().with_(ap50=1).ap50 == 1
    assert LIMITS["int8"].with_(ap50=None).ap50 is None
    with pytest.raises(SettingError, match="did you mean 'box_p99'"):
        Limits().with_(box_p9=1)
    for bad in (-1, math.nan, math.inf):
        with pytest.raises(SettingError, match="limit ap50 is"):
            Limits().with_(ap50=bad)


def test_limits_never_get_tighter_with_a_coarser_precision():
    rows = [LIMITS[k] for k in ("float32", "float16", "bfloat16", "int8")]
    for name in ("box_p99", "score_p99", "changed", "ap50", "mr2", "maps_p99"):
        values = [getattr(r, name) for r in rows]
        assert values == sorted(values), name
