"""Every engine in ENGINES keeps one contract; a new row is tested here without a line more."""

from __future__ import annotations

import model_fixtures
import numpy as np
import pytest

from passerby.errors import ModelError
from passerby.runtime.session import ENGINES, open_engine

tiny_bytes, tiny_spec = model_fixtures.tiny_bytes, model_fixtures.tiny_spec


@pytest.fixture(scope="module", params=list(ENGINES))
def kind(request):
    """Each engine's name, or a skip where its extra is not installed."""
    if request.param != "onnxruntime":
        pytest.importorskip(request.param.partition("-")[0])  # openvino-f32: OpenVINO in another precision
    return request.param


@pytest.fixture(scope="module")
def engine(kind, tiny_bytes):
    """The engine with the tiny model loaded."""
    return open_engine(tiny_bytes, "tiny.onnx", kind, 1)


def picture(seed):
    return np.random.default_rng(seed).integers(0, 256, (1, 64, 64, 3), np.uint8)


def test_it_says_its_name_version_and_precision(engine, kind):
    name, version, precision = engine.name.split()
    assert name == kind.partition("-")[0]
    assert version[0].isdigit()
    assert precision in ("float32", "bfloat16", "float16", "int8")


def test_it_gives_boxes_and_scores_of_the_promised_shapes(engine, tiny_spec):
    boxes, scores = engine.run(picture(0))
    count = sum(map(len, tiny_spec.anchors))
    assert (boxes.shape, boxes.dtype) == ((count, 4), np.float32)
    assert (scores.shape, scores.dtype) == ((count, len(tiny_spec.labels)), np.float32)


def test_boxes_are_corners_in_input_pixels_and_scores_are_shares(engine):
    boxes, scores = engine.run(picture(0))
    assert np.isfinite(boxes).all()
    assert (boxes[:, 2:] > boxes[:, :2]).all()
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    assert np.quantile(centres, 0.1) > -10
    assert np.quantile(centres, 0.9) < 74
    assert np.ptp(centres, axis=0).min() > 30  # all over the input, not all in 0..1
    assert scores.min() >= 0
    assert scores.max() <= 1


def test_the_same_picture_gives_the_same_answer(engine):
    first = [part.copy() for part in engine.run(picture(1))]
    engine.run(picture(2))
    for a, b in zip(first, engine.run(picture(1)), strict=True):
        np.testing.assert_array_equal(a, b)


def test_another_picture_gives_another_answer(engine):
    first = [part.copy() for part in engine.run(picture(1))]
    assert not np.array_equal(first[1], engine.run(picture(2))[1])


def test_what_was_given_is_not_changed_by_the_next_picture(engine):
    boxes, scores = engine.run(picture(1))
    before = boxes.copy(), scores.copy()
    engine.run(255 - picture(1))
    np.testing.assert_array_equal(boxes, before[0])
    np.testing.assert_array_equal(scores, before[1])


def test_the_picture_is_not_changed(engine):
    pixels = picture(3)
    engine.run(pixels)
    np.testing.assert_array_equal(pixels, picture(3))


def test_two_engines_of_one_kind_do_not_disturb_each_other(engine, kind, tiny_bytes):
    other = open_engine(tiny_bytes, "tiny.onnx", kind, 1)
    boxes = engine.run(picture(1))[0].copy()
    other.run(picture(2))
    np.testing.assert_array_equal(engine.run(picture(1))[0], boxes)


@pytest.mark.parametrize("threads", [0, 1, 2])
def test_any_number_of_threads_gives_the_same_boxes(kind, engine, tiny_bytes, threads):
    # to the rounding of sums in another order; a step of bfloat16 is 1/256
    boxes, scores = open_engine(tiny_bytes, "tiny.onnx", kind, threads).run(picture(4))
    expected = engine.run(picture(4))
    exact = "float32" in engine.name
    np.testing.assert_allclose(boxes, expected[0], atol=0.01 if exact else 1.0)
    np.testing.assert_allclose(scores, expected[1], atol=1e-3 if exact else 0.05)


@pytest.mark.parametrize("data", [b"", b"no model", b"\x08\x0a"], ids=["empty", "text", "only a version"])
def test_bytes_that_are_no_model_are_refused_by_name(kind, data):
    with pytest.raises(ModelError, match=r"^bad\.onnx: ") as e:
        open_engine(data, "bad.onnx", kind)
    assert "\n" not in str(e.value)
