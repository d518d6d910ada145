"""One detector, many threads: everybody gets the answer to his own picture."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from passerby.errors import SettingError
from passerby.runtime.detector import Detector
from passerby.runtime.session import ENGINES, open_engine


@pytest.fixture(params=list(ENGINES))
def kind(request):
    """Each engine's name, or a skip where its extra is not installed."""
    if request.param != "onnxruntime":
        pytest.importorskip(request.param.partition("-")[0])
    return request.param


@pytest.mark.parametrize("streams", [1, 2, 3])
def test_several_threads_may_run_one_engine(tiny_bytes, kind, streams):
    engine = open_engine(tiny_bytes, "tiny.onnx", kind, 2, streams)
    pictures = [np.random.default_rng(k).integers(0, 256, (1, 64, 64, 3), np.uint8) for k in range(4)]
    expected = [engine.run(p) for p in pictures]
    wrong = []

    def work(k):
        for _ in range(25):
            boxes, scores = engine.run(pictures[k])
            if not (np.array_equal(boxes, expected[k][0]) and np.array_equal(scores, expected[k][1])):
                wrong.append(k)

    callers = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(120)
    assert not wrong
    assert not np.array_equal(expected[0][1], expected[1][1])


def test_more_streams_give_the_same_boxes(tiny_bytes, kind):
    # to the rounding of sums in another order; a step of bfloat16 is 1/256
    pixels = np.random.default_rng(1).integers(0, 256, (1, 64, 64, 3), np.uint8)
    one, two = (open_engine(tiny_bytes, "tiny.onnx", kind, 2, streams) for streams in (1, 2))
    exact = "float32" in one.name
    for a, b, far in zip(one.run(pixels), two.run(pixels), (0.01, 1e-3) if exact else (1.0, 0.05), strict=True):
        np.testing.assert_allclose(a, b, atol=far)


def test_no_stream_at_all_is_refused(tiny_bytes):
    with pytest.raises(SettingError, match="streams is 0"):
        open_engine(tiny_bytes, "tiny.onnx", "onnxruntime", streams=0)


def test_a_threshold_can_be_that_of_one_picture(make_spec, told):
    detector = Detector.of(make_spec(), told([[0, 0, 8, 8], [16, 0, 24, 8]], [[0.3], [0.6]]), threshold=0.5)
    pixels = np.zeros((64, 64, 3), np.uint8)
    assert [len(detector(pixels, t)) for t in (None, 0.2, 0.7, 0.0)] == [1, 2, 0, 2]
    assert len(detector(pixels)) == 1


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan")])
def test_a_threshold_of_one_picture_out_of_range_is_refused(make_spec, told, threshold):
    detector = Detector.of(make_spec(), told([[0, 0, 8, 8]], [[0.3]]))
    with pytest.raises(SettingError, match=r"threshold is .*want a number from 0 to 1"):
        detector(np.zeros((64, 64, 3), np.uint8), threshold)
