"""A file without its decoding, and boxes that are decoded by rows, beside the whole file that decodes all of them."""

from __future__ import annotations

import numpy as np
import pytest

from passerby.errors import ModelError
from passerby.geometry.boxes import decode
from passerby.runtime.detector import Detector
from passerby.runtime.session import ENGINES, OnnxRuntime, open_engine
from passerby.runtime.undecoded import Undecoded, leave_offsets


def noise(seed, side=64):
    return np.random.default_rng(seed).integers(0, 256, (1, side, side, 3), np.uint8)


def some(count=7):
    numbers = np.random.default_rng(0)
    return numbers.normal(0, 2, (count, 4)).astype(np.float32), numbers.uniform(1, 50, (count, 4)).astype(np.float32)


@pytest.mark.parametrize("rows", [slice(None), slice(2, 5), [3, 0, 3], [], np.arange(7) % 2 == 0], ids=str)
def test_rows_are_those_of_all_boxes_decoded(rows):
    offsets, anchors = some()
    whole = decode(offsets, anchors, (0.1, 0.2))
    boxes = Undecoded(offsets, anchors, (0.1, 0.2))
    rows = np.array(rows, int) if isinstance(rows, list) else rows
    np.testing.assert_array_equal(boxes[rows], whole[rows])
    np.testing.assert_array_equal(np.asarray(boxes), whole)
    assert len(boxes) == 7


@pytest.mark.parametrize("kind", list(ENGINES))
def test_every_engine_gives_the_boxes_of_the_whole_file(kind, tiny_bytes, tiny_spec):
    if kind != "onnxruntime":
        pytest.importorskip("openvino")
    whole = open_engine(tiny_bytes, "tiny", kind, 1)
    left = open_engine(tiny_bytes, "tiny", kind, 1, spec=tiny_spec)
    assert left.name == whole.name
    for seed in range(3):
        (boxes, scores), (by_rows, same) = whole.run(noise(seed)), left.run(noise(seed))
        assert isinstance(by_rows, Undecoded)
        np.testing.assert_allclose(by_rows[:], boxes, atol=1e-3)
        np.testing.assert_array_equal(same, scores)


def test_what_is_left_is_smaller_and_keeps_its_facts(tiny_bytes, tiny_spec):
    left = leave_offsets(tiny_bytes)
    assert len(left) < len(tiny_bytes)
    session = OnnxRuntime(left, "left", 1).session
    assert (
        session.get_modelmeta().custom_metadata_map
        == OnnxRuntime(tiny_bytes, "t", 1).session.get_modelmeta().custom_metadata_map
    )
    offsets, scores = session.get_outputs()
    assert (offsets.shape, scores.name) == ([1, sum(map(len, tiny_spec.anchors)), 4], "scores")
    assert leave_offsets(left) is None  # nothing is left to leave


def test_a_detector_finds_the_same(tiny_bytes, tiny_spec):
    engines = (open_engine(tiny_bytes, "tiny", "onnxruntime", 1, spec=s) for s in (None, tiny_spec))
    one, other = (Detector.of(tiny_spec, engine, threshold=0.2)(noise(5)[0]) for engine in engines)
    assert len(one) > 0
    np.testing.assert_allclose(one.boxes, other.boxes, atol=1e-3)
    np.testing.assert_array_equal(one.scores, other.scores)


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.99])
def test_a_file_that_is_cut_short_is_left_to_the_engine(tiny_bytes, share):
    assert leave_offsets(tiny_bytes[: int(share * len(tiny_bytes))]) is None


def test_what_is_no_onnx_file_is_left_to_the_engine():
    assert leave_offsets(b"no model at all" * 100) is None


def altered(data, change):
    onnx = pytest.importorskip("onnx")
    proto = onnx.load_from_string(data)
    change(proto.graph)
    return proto.SerializeToString()


def last(graph, kind):
    return [n for n in graph.node if n.op_type == kind][-1]


@pytest.mark.parametrize(
    "change",
    [
        lambda g: setattr(last(g, "Exp"), "op_type", "Abs"),
        lambda g: setattr(last(g, "Sub"), "op_type", "Add"),
        lambda g: g.output.reverse(),
        lambda g: g.output.pop(),
        lambda g: setattr(g.output[0], "name", "corners"),
    ],
    ids=["another function", "another sum", "another order", "one output", "another name"],
)
def test_another_end_than_ours_is_left_as_it_is(tiny_bytes, change):
    assert leave_offsets(altered(tiny_bytes, change)) is None


def test_a_localisers_file_is_left_as_it_is():
    from passerby.runtime.model_file import find_model

    assert leave_offsets(find_model("person-map").read_bytes()) is None


def test_weights_in_another_file_stay_where_they_are(tiny_bytes, tiny_spec, tmp_path):
    onnx = pytest.importorskip("onnx")
    path = tmp_path / "two.onnx"
    proto = onnx.load_from_string(tiny_bytes)
    onnx.save_model(proto, path, save_as_external_data=True, location="weights.bin", size_threshold=1024)
    assert leave_offsets(path.read_bytes()) is None
    found = open_engine(path, "two.onnx", "onnxruntime", 1, spec=tiny_spec).run(noise(1))
    np.testing.assert_allclose(found[0], open_engine(tiny_bytes, "tiny", "onnxruntime", 1).run(noise(1))[0], atol=1e-3)


def test_default_boxes_that_are_not_the_files_are_said(tiny_bytes, tiny_spec):
    wrong = tiny_spec.with_(anchors=tiny_spec.anchors[:-1])
    with pytest.raises(ModelError, match=r"tiny: gives \(\d+, 4\) offsets, want \(\d+, 4\); export the model again"):
        open_engine(tiny_bytes, "tiny", "onnxruntime", 1, spec=wrong).run(noise(1))


@pytest.mark.parametrize("precision", [{}, {"INFERENCE_PRECISION_HINT": "f32"}], ids=["best", "float32"])
def test_openvino_normalises_before_it_turns_and_says_the_same(precision):
    openvino = pytest.importorskip("openvino")
    from passerby.runtime.model_file import find_model
    from passerby.runtime.openvino_front import normalise_first
    from passerby.runtime.session import openvino_core

    core = openvino_core()
    graphs = [core.read_model(find_model("head-tiny")) for _ in range(2)]
    normalise_first(graphs[1])
    first = [next(iter(g.get_parameters()[0].output(0).get_target_inputs())).get_node().get_type_name() for g in graphs]
    assert first == ["Transpose", "Convert"]
    kept = openvino.Model(graphs[1].get_results(), graphs[1].get_parameters(), "same")
    normalise_first(kept)  # a second time there is nothing to do
    assert len(kept.get_ops()) == len(graphs[1].get_ops())
    pixels = np.random.default_rng(2).integers(0, 256, graphs[0].input(0).shape, np.uint8)
    one, other = (core.compile_model(g, "CPU", precision)(pixels) for g in graphs)
    for k in range(2):
        np.testing.assert_array_equal(one[k], other[k])


def test_channels_that_are_normalised_apart_keep_their_order():
    pytest.importorskip("openvino")
    from passerby.runtime.model_file import find_model
    from passerby.runtime.openvino_front import normalise_first
    from passerby.runtime.session import openvino_core

    def apart(graph):
        onnx = pytest.importorskip("onnx")
        by_name = {t.name: t for t in graph.initializer}
        mean = by_name[last(graph, "Div").input[1]]
        mean.CopyFrom(onnx.numpy_helper.from_array(np.array([1, 2, 3], np.float32).reshape(1, 3, 1, 1), mean.name))

    whole = find_model("head-tiny").read_bytes()
    for data, changes in ((whole, True), (altered(whole, apart), False)):
        graph = openvino_core().read_model(data)
        before = [node.get_friendly_name() for node in graph.get_ordered_ops()]
        normalise_first(graph)
        assert ([node.get_friendly_name() for node in graph.get_ordered_ops()] != before) == changes
