"""The localiser: the graph's formula, scores, maps, regions, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
from localiser_fixtures import BIAS, RED_SPEC, WEIGHTS, ToldMaps, red_bytes

from passerby import Detector, Localiser
from passerby.errors import ModelError, SettingError
from passerby.live.pool import open_pool
from passerby.runtime.localiser import model_of, open_model
from passerby.runtime.regions import NEVER

PLAIN = np.zeros((32, 32, 3), np.uint8)


@pytest.fixture
def red(red_model):
    return Localiser(red_model, engine="onnxruntime", threads=1)


def told(maps, scores=(0.9,), spec=RED_SPEC, **settings):
    return Localiser.of(spec, ToldMaps(scores, maps), **settings)


def two_hills(first=1.0, second=0.8):
    """Maps (2, 4, 8): the background's flat, the label's with two columns that are high."""
    maps = np.zeros((2, 4, 8), np.float32)
    maps[1, :, 1], maps[1, :, 6] = first, second
    return maps


def test_map_and_score_follow_the_formula(red, red_picture):
    pixels = red_picture((8, 8, 24, 24), width=32, height=32)
    scores, maps = red.run(pixels[None])
    features = pixels.reshape(4, 8, 4, 8, 3).mean(axis=(1, 3)) / 255  # rows, columns, channels
    np.testing.assert_allclose(maps, np.einsum("ck,yxk->cyx", WEIGHTS, features), atol=1e-5)
    logits = maps.mean(axis=(1, 2)) + BIAS  # of the pooled features, since pooling and weighing change places
    np.testing.assert_allclose(scores[0], np.exp(logits[1]) / np.exp(logits).sum(), atol=1e-6)


def test_a_red_thing_is_located_where_it_is_in_the_pictures_own_pixels(red, red_picture):
    there = red.locate(red_picture((50, 100, 100, 200), width=200, height=400))
    assert there.label == "person"
    assert there.map.shape == (400, 200)
    y, x = np.unravel_index(there.map.argmax(), there.map.shape)
    assert 100 <= y < 200
    assert 50 <= x < 100
    assert 0 <= there.map.min() < there.map.max() <= 1
    (row,) = red(red_picture((50, 100, 100, 200), width=200, height=400), threshold=0).to_list()
    x0, y0, x1, y1 = row["box"]
    assert abs(x0 - 50) < 20
    assert abs(x1 - 100) < 20
    assert abs(y0 - 100) < 40
    assert abs(y1 - 200) < 40


def test_two_people_side_by_side_are_two_regions(red, red_picture):
    found = red(red_picture((0, 0, 16, 64), (48, 0, 64, 64)), threshold=0)
    assert len(found) == 2
    assert sorted(round(float(box[0])) < 32 for box in found.boxes) == [False, True]


def test_the_first_region_scores_what_the_picture_does_and_others_by_their_peaks():
    found = told(two_hills())(PLAIN)
    assert found.scores[0] == np.float32(0.9)
    assert found.scores[1] == pytest.approx(0.9 * 0.8, abs=0.03)
    assert found.names == ("person",)


def test_a_picture_has_a_region_exactly_where_its_score_reaches_the_threshold():
    localiser = told(two_hills())
    assert len(localiser(PLAIN, 0.91)) == 0
    assert len(localiser(PLAIN, 0.9)) == 1
    assert len(localiser(PLAIN, 0.5)) == 2
    assert localiser.locate(PLAIN, 0.95).score == np.float32(0.9)


def test_a_map_without_a_hill_means_the_whole_picture():
    (row,) = told(np.ones((2, 1, 1)))(np.zeros((30, 60, 3), np.uint8)).to_list()
    assert row["box"] == [0, 0, 60, 30]
    assert row["score"] == 0.9


def test_no_region_of_a_letterboxed_picture_lies_in_the_padding():
    maps = np.zeros((2, 4, 4), np.float32)
    maps[1, 0], maps[1, 1, 0] = 9, 5  # the first row is grey above a wide picture
    found = told(maps, spec=RED_SPEC.with_(resize="letterbox"))(np.zeros((50, 100, 3), np.uint8))
    assert found.boxes[0].tolist()[:2] == [0, 0]
    assert found.scores[0] == np.float32(0.9)
    assert (found.boxes[:, [1, 3]] <= 50).all()


def test_each_label_has_its_own_map_and_score():
    spec = RED_SPEC.with_(labels=("adult", "child"))
    maps = np.zeros((3, 4, 4), np.float32)
    maps[1, :, 0], maps[2, :, 3] = 1, 1
    found = told(maps, (0.3, 0.6), spec)(PLAIN, 0.2)
    assert [(row["label"], row["score"]) for row in found.to_list()] == [("child", 0.6), ("adult", 0.3)]
    assert found.boxes[0, 0] > found.boxes[1, 0]
    assert told(maps, (0.3, 0.6), spec).locate(PLAIN).label == "child"


def test_the_number_of_regions_is_capped_by_their_scores():
    found = told(two_hills(0.7, 1.0), max_detections=1)(PLAIN)
    assert len(found) == 1
    assert found.boxes[0, 0] > 16


def test_a_look_is_a_call_and_a_map_as_hot_as_the_score():
    localiser = told(two_hills(), scores=[0.4])
    found, heat = localiser.look(PLAIN, 0.2)
    assert found.to_list() == localiser(PLAIN, 0.2).to_list()
    assert heat.max() == np.float32(0.4)
    assert heat.min() == 0


def test_stages_are_a_call(red, red_picture):
    picture = red_picture((8, 8, 40, 40))
    pixels, placement = red.prepare(picture)
    assert red.finish(red.run(pixels), placement).to_list() == red(picture).to_list()
    assert red.finish(red.run(pixels), placement, 0.0).to_list() == red(picture, 0.0).to_list()


def test_settings_of_its_own_replace_the_models():
    flat = two_hills(1.0, 0.55)
    assert len(told(flat)(PLAIN, 0)) == 1
    assert len(told(flat, map_threshold=0.3)(PLAIN, 0)) == 2
    assert len(told(flat, split=NEVER)(PLAIN, 0)) == 2


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"threshold": 1.5}, "threshold is 1.5"),
        ({"map_threshold": -0.1}, "map_threshold is -0.1"),
        ({"split": 0.0}, "split is 0.0, want a number over 0"),
        ({"split": float("nan")}, "split is nan"),
        ({"max_detections": 0}, "max_detections is 0"),
    ],
)
def test_values_out_of_range_are_named(settings, words):
    with pytest.raises(SettingError, match=words):
        told(two_hills(), **settings)


@pytest.mark.parametrize(
    ("scores", "maps"),
    [((0.9, 0.1), np.zeros((2, 4, 4))), ((0.9,), np.zeros((1, 4, 4))), ((0.9,), np.zeros((2, 16))), ((), ())],
)
def test_a_graph_that_gives_something_else_is_refused(scores, maps):
    with pytest.raises(ModelError, match=r"red: gives scores .* and maps .*; export the model again"):
        told(maps, scores)(PLAIN)


def test_a_map_that_is_no_number_is_refused():
    with pytest.raises(ModelError, match="no numbers"):
        told(two_hills(float("nan")))(PLAIN)


def test_a_localisers_file_is_no_detectors_and_the_other_way_round(red_model, tiny_model):
    with pytest.raises(ModelError, match=r"red: is a localiser .*, not a detector; open it with passerby\.Localiser"):
        Detector(red_model)
    with pytest.raises(ModelError, match=r"tiny: is a detector, not a localiser; open it with passerby\.Detector"):
        Localiser(tiny_model)


def test_a_model_is_opened_as_what_it_is(red_model, tiny_model, red_picture):
    assert isinstance(open_model(tiny_model, engine="onnxruntime"), Detector)
    localiser = open_model(red_model, 0.3, "onnxruntime", max_detections=7)
    assert isinstance(localiser, Localiser)
    assert (localiser.threshold, localiser.max_detections) == (0.3, 7)
    assert isinstance(model_of(RED_SPEC, ToldMaps([1], two_hills())), Localiser)


def test_a_pool_serves_a_localiser(red_model, red_picture):
    pool = open_pool(red_model, "onnxruntime", 1, workers=1)
    found, heat = pool.look(red_picture((0, 0, 64, 64)), 0.1)
    assert len(found) == 1
    assert heat.shape == (56, 56)


@pytest.mark.parametrize("kind", ["onnxruntime", "openvino"])
def test_every_engine_gives_the_same(kind, tmp_path, red_picture):
    pytest.importorskip(kind)
    path = tmp_path / "red.onnx"
    path.write_bytes(red_bytes())
    there = Localiser(path, engine=kind, threads=1).locate(red_picture((0, 0, 30, 64)))
    other = Localiser(path, engine="onnxruntime", threads=1).locate(red_picture((0, 0, 30, 64)))
    assert there.score == pytest.approx(other.score, abs=0.01)
    assert np.abs(there.map - other.map).max() < 0.05
