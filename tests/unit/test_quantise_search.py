"""The quantiser's graph, files and search on a tiny network; accuracy is told by the tests, not measured."""

from __future__ import annotations

import numpy as np
import pytest
import quantise_fixtures

pytest.importorskip("onnx")

import onnx

from passerby.deploy.quantise import search as search_room
from passerby.deploy.quantise.arrange import ROWS
from passerby.deploy.quantise.calibrate import observe
from passerby.deploy.quantise.graph import read_graph
from passerby.deploy.quantise.half import write_half
from passerby.deploy.quantise.int8 import write_int8, write_one
from passerby.deploy.quantise.search import search
from passerby.deploy.quantise.sensitivity import Damage, drift, measure
from passerby.errors import ModelError, ParityError, SettingError
from passerby.runtime.session import open_engine

graph, pixels = quantise_fixtures.graph, quantise_fixtures.pixels
seen, ranges = quantise_fixtures.seen, quantise_fixtures.ranges
Judged, Told = quantise_fixtures.Judged, quantise_fixtures.Told


def ends_of(graph):
    return {x.node for x in graph.ends()}


def made_by(proto):
    return {o: n for n in proto.graph.node for o in n.output}


def test_layers_are_those_of_the_spec_with_their_multiply_adds(graph, tiny_spec):
    assert {x.name: x.macs for x in graph.layers} == {x.name: x.macs for x in tiny_spec.layers}
    assert [x.name for x in graph.layers if x.end == "first"] == ["backbone.features.0.0"]
    assert [x.name for x in graph.layers if x.end == "second"] == ["backbone.features.1.conv.0.0"]
    assert len(graph.ends()) == 2


def test_normalising_and_decoding_are_never_quantised(graph, ranges):
    proto = onnx.load_from_string(write_int8(graph, ranges, ()))
    made = made_by(proto)
    for node in proto.graph.node:
        if node.op_type in ("Exp", "Sigmoid", "Concat", "Mul", "Sub", "Div", "Cast"):
            assert not any(i in made and made[i].op_type == "DequantizeLinear" for i in node.input), node.name
    assert sum(n.op_type == "Exp" for n in proto.graph.node) == 1


def test_every_branch_has_a_scale_of_its_own_and_its_sums_are_not_rounded(graph, ranges):
    proto = onnx.load_from_string(write_int8(graph, ranges, ()))
    made, after = made_by(proto), {i: n for n in proto.graph.node for i in n.input}
    rows = [n for n in proto.graph.node if n.op_type == ROWS]
    assert len(rows) == 8
    scales = [tuple(made[i].input[1] for i in n.input) for n in rows]  # of what it reads, and of its weights
    assert len(set(scales)) == 8
    assert {after[n.output[0]].op_type for n in rows} == {"Reshape"}


def test_weights_are_signed_per_channel_and_activations_unsigned(graph, ranges):
    proto = onnx.load_from_string(write_int8(graph, ranges, ()))
    values = {i.name: i for i in proto.graph.initializer}
    kinds = [values[n.input[0]] for n in proto.graph.node if n.op_type == "DequantizeLinear" and n.input[0] in values]
    assert {k.data_type for k in kinds} == {onnx.TensorProto.INT8}
    assert len(kinds) == len(graph.layers)
    points = {values[n.input[2]].data_type for n in proto.graph.node if n.op_type == "QuantizeLinear"}
    assert points == {onnx.TensorProto.UINT8}
    scales = [
        values[n.input[1]].dims for n in proto.graph.node if n.op_type == "DequantizeLinear" and n.input[0] in values
    ]
    assert all(len(s) == 1 and s[0] > 1 for s in scales)


def test_layers_that_are_kept_have_float_weights(graph, ranges):
    kept = ends_of(graph)
    proto = onnx.load_from_string(write_int8(graph, ranges, kept))
    floats = {i.name for i in proto.graph.initializer if i.data_type == onnx.TensorProto.FLOAT}
    for node in proto.graph.node:
        if node.op_type in ("Conv", ROWS):
            assert (node.input[1] in floats) == (node.name in kept), node.name


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_the_int8_file_runs_and_answers_almost_alike(graph, ranges, pixels, engine):
    if engine != "onnxruntime":
        pytest.importorskip(engine)
    before = open_engine(graph.proto.SerializeToString(), "float", engine, 1, spec=graph.spec)
    spec = graph.spec.with_(precision="int8")
    after = open_engine(write_int8(graph, ranges, ends_of(graph)), "int8", engine, 1, spec=spec)
    assert after.name.endswith(" int8")
    (boxes_a, scores_a), (boxes_b, scores_b) = before.run(pixels[0]), after.run(pixels[0])
    assert 0 < np.abs(scores_a - scores_b).mean() < 0.05
    assert np.abs(boxes_a[:] - boxes_b[:]).mean() < 1


def test_one_layer_alone_moves_the_answers_less_than_all(graph, ranges, pixels):
    rows = measure(graph, ranges, pixels[:1], 1)
    assert [d.total for d in rows] == sorted((d.total for d in rows), reverse=True)
    assert {d.layer for d in rows} == set(graph.layers)
    one = onnx.load_from_string(write_one(graph, ranges, graph.layers[3]))
    whole = [i for i in one.graph.initializer if i.data_type == onnx.TensorProto.INT8 and len(i.dims) == 4]
    assert [i.name.removesuffix(".weight") for i in whole] == [f"network.{graph.layers[3].name}"]


def test_what_the_quantiser_adds_has_short_names_and_equal_zero_points_are_stored_once(graph, ranges):
    proto = onnx.load_from_string(write_int8(graph, ranges, ends_of(graph)))
    used = {i for n in proto.graph.node for i in n.input}
    assert {i.name for i in proto.graph.initializer} <= used
    names = [o for n in proto.graph.node for o in n.output]
    assert len(set(names)) == len(names)
    assert not any("QuantizeLinear" in name or "quantized" in name or "zero_point" in name for name in used)
    points = [n.input[2] for n in proto.graph.node if n.op_type == "DequantizeLinear"]
    stored = [onnx.numpy_helper.to_array(i) for i in proto.graph.initializer if i.name in set(points)]
    keys = {(a.dtype, a.shape, a.tobytes()) for a in stored}
    assert len(keys) == len(stored) < len(points)


@pytest.fixture
def damaged(graph, monkeypatch):
    """The order of damage that the search is told: the smallest layers first."""
    ordered = sorted(graph.layers, key=lambda x: x.macs)
    monkeypatch.setattr(search_room, "measure", lambda *_: [Damage(x, 1 / (k + 1), 0) for k, x in enumerate(ordered)])
    return [x for x in ordered if not x.end]


def floats_in(data):
    proto = onnx.load_from_string(data)
    floats = {i.name for i in proto.graph.initializer if i.data_type == onnx.TensorProto.FLOAT}
    return {n.name for n in proto.graph.node if n.op_type in ("Conv", ROWS) and n.input[1] in floats}


def test_within_the_budget_only_the_ends_stay_float(graph, seen, pixels, damaged, monkeypatch):
    monkeypatch.setattr(search_room, "drift", lambda *_: 0.01)
    found = search(graph, seen, pixels, Judged(lambda *_: 0.8), 0.3, ["minmax", "percentile"], Told())
    assert set(found.chosen.kept) == {x.name for x in graph.ends()}
    assert found.chosen.method == "minmax"  # a tie: the first
    assert floats_in(found.data) == ends_of(graph)


def test_the_fewest_layers_that_keep_the_budget_stay_float(graph, seen, pixels, damaged):
    needed = {x.node for x in damaged[:5]}

    def score(data, spec):
        return 0.8 if needed <= floats_in(data) else 0.79

    found = search(graph, seen, pixels, Judged(score), 0.3, ["minmax"], Told())
    assert floats_in(found.data) == needed | ends_of(graph)
    assert found.chosen.lost == 0
    assert len(found.trials) <= 10


def test_layers_stay_float_until_what_must_hold_beside_accuracy_does(graph, seen, pixels, damaged):
    needed = {x.node for x in damaged[:3]}
    judge = Judged(lambda *_: 0.8, lambda data, _: 0.9 if needed <= floats_in(data) else 1.2)
    found = search(graph, seen, pixels, judge, 0.3, ["minmax"], Told())
    assert floats_in(found.data) == needed | ends_of(graph)
    with pytest.raises(ParityError, match=r"maps and scores at 1\.50 times their limits.*or a limit by --limit"):
        search(graph, seen, pixels, Judged(lambda *_: 0.8, lambda *_: 1.5), 0.3, ["minmax"], Told())


def test_the_method_that_strains_limits_least_is_taken(graph, seen, pixels, damaged):
    told = iter([0.0, 1.3, 1.1, 1.2, 1.4] + [0.5] * 20)  # float, the methods, every layer, more in float
    judge = Judged(lambda *_: 0.8, lambda *_: next(told))
    found = search(graph, seen, pixels, judge, 0.3, ["minmax", "percentile", "entropy"], Told())
    assert found.chosen.method == "percentile"
    assert len(found.chosen.kept) == len(graph.ends()) + 1


def test_the_best_method_is_taken(graph, seen, pixels, damaged):
    told = iter([0.8, 0.5, 0.799, 0.6, 0.7])  # float; min-max, percentile, entropy; every layer
    found = search(graph, seen, pixels, Judged(lambda *_: next(told)), 0.3, ["minmax", "percentile", "entropy"], Told())
    assert found.chosen.method == "percentile"
    assert found.chosen.lost == pytest.approx(0.1)


def test_of_methods_that_keep_the_budget_the_one_nearest_to_float_is_taken(graph, seen, pixels, damaged, monkeypatch):
    """Not the one with the best accuracy, which differs by chance."""
    accuracy = iter([0.8, 0.799, 0.81, 0.7, 0.8])  # float; min-max, percentile, entropy (over the budget); every layer
    apart = iter([0.02, 0.05, 0.01])
    monkeypatch.setattr(search_room, "drift", lambda *_: next(apart))
    methods = ["minmax", "percentile", "entropy"]
    found = search(graph, seen, pixels, Judged(lambda *_: next(accuracy)), 0.3, methods, Told())
    assert found.chosen.method == "minmax"


def test_how_far_a_file_is_from_float(graph, ranges, pixels):
    whole, ends = (drift(graph, write_int8(graph, ranges, kept), pixels, 1) for kept in ((), ends_of(graph)))
    assert drift(graph, graph.proto.SerializeToString(), pixels, 1) == 0
    assert ends > 0
    assert whole > 0


def test_a_budget_that_cannot_be_kept_is_refused_with_what_was_reached(graph, seen, pixels, damaged):
    def score(data, spec):
        return 0.8 if spec.precision == "float32" else 0.7

    with pytest.raises(ParityError, match=r"loses 10\.00 points of AP50, and 10\.00 with the \d+ most damaging"):
        search(graph, seen, pixels, Judged(score), 0.3, ["minmax"], Told())


def test_wrong_settings_are_refused(graph, seen, pixels):
    with pytest.raises(SettingError, match="did you mean 'percentile'"):
        search(graph, seen, pixels, Judged(lambda *_: 0.8), 0.3, ["percentil"], Told())
    with pytest.raises(SettingError, match="want a number from 0 on"):
        search(graph, seen, pixels, Judged(lambda *_: 0.8), float("nan"), ["minmax"], Told())


def test_what_is_quantised_already_is_refused(graph, ranges, tmp_path):
    path = tmp_path / "int8.onnx"
    path.write_bytes(write_int8(graph, ranges, ()))
    with pytest.raises(ModelError, match="is int8 already"):
        read_graph(path)
    with pytest.raises(ModelError, match="is int8 already"):
        write_half(path, "float16")


def test_weights_that_are_no_numbers_are_told(graph, pixels):
    proto = onnx.ModelProto()
    proto.CopyFrom(graph.proto)
    broken = next(i for i in proto.graph.initializer if len(i.dims) == 4)
    values = np.full(list(broken.dims), np.nan, np.float32)
    broken.CopyFrom(onnx.numpy_helper.from_array(values, broken.name))
    with pytest.raises(ModelError, match="holds values that are no numbers"):
        observe(type(graph)(proto, graph.spec, graph.layers, graph.carried, graph.tensors), pixels[:1], 1)


@pytest.mark.parametrize(("precision", "most"), [("float16", 0.002), ("bfloat16", 0.02)])
@pytest.mark.parametrize("engine", ["onnxruntime", "openvino-f32"])
def test_weights_in_half_precision_run_in_float32(tiny_bytes, tmp_path, pixels, precision, most, engine):
    if engine != "onnxruntime":
        pytest.importorskip("openvino")
    path = tmp_path / "tiny.onnx"
    path.write_bytes(tiny_bytes)
    data, spec = write_half(path, precision)
    assert spec.precision == precision
    assert len(data) < 0.65 * len(tiny_bytes)  # the spec and the default boxes stay as they are
    before, after = (open_engine(d, "half", engine, 1) for d in (tiny_bytes, data))
    assert 0 < np.abs(before.run(pixels[0])[1] - after.run(pixels[0])[1]).max() < most
