"""Weights of INT8 layers in four bits: what the file holds, what engines make of it, and which layers are taken."""

from __future__ import annotations

import numpy as np
import pytest
import quantise_fixtures

pytest.importorskip("onnx")

import onnx
import onnxruntime
from onnx import numpy_helper

from passerby.deploy.quantise import four_bits, smaller
from passerby.deploy.quantise import search as search_room
from passerby.deploy.quantise.graph import Layer
from passerby.deploy.quantise.int8 import write_int8
from passerby.deploy.quantise.search import search
from passerby.deploy.quantise.sensitivity import Damage
from passerby.deploy.targets.base import Job
from passerby.deploy.targets.onnx_file import write_onnx
from passerby.runtime.costs import costs_of_layers
from passerby.runtime.model_file import read_spec
from passerby.runtime.session import open_engine

graph, pixels = quantise_fixtures.graph, quantise_fixtures.pixels
seen, ranges = quantise_fixtures.seen, quantise_fixtures.ranges
Judged, Told = quantise_fixtures.Judged, quantise_fixtures.Told


@pytest.fixture(scope="module")
def largest(graph):
    """The layers with most weights that are not at an end, the largest first."""
    able = [x for x in graph.layers if not x.end and x.parameters % 2 == 0]
    return sorted(able, key=lambda x: -x.parameters)


@pytest.fixture(scope="module")
def packed(graph, ranges, largest):
    """The tiny model in INT8, the weights of its two largest layers in four bits."""
    return write_int8(graph, ranges, {x.node for x in graph.ends()}, {x.node for x in largest[:2]})


def weights_in(proto):
    return {i.name: numpy_helper.to_array(i) for i in proto.graph.initializer}


def test_sixteen_values_are_kept_as_they_are():
    values = np.sort(np.random.default_rng(0).choice(np.arange(-127, 128), 16, replace=False))
    weights = np.random.default_rng(1).choice(values, (32, 8)).astype(np.float64)
    fitted = four_bits.fit_values(weights, np.ones((32, 1)))
    assert fitted[four_bits.nearest_of(weights, fitted)].tolist() == weights.tolist()


def test_fitted_values_are_nearer_than_even_steps():
    weights = np.rint(np.clip(np.random.default_rng(0).normal(0, 40, (64, 64)), -127, 127))
    even = np.rint(np.linspace(-127, 127, 16)).astype(np.int8)
    values = four_bits.fit_values(weights, np.ones((64, 1)))
    assert values.dtype == np.int8
    assert (np.diff(values.astype(int)) >= 0).all()
    off = [np.square(v[four_bits.nearest_of(weights, v)] - weights).mean() for v in (values, even)]
    assert off[0] < 0.8 * off[1]


def test_channels_of_large_weights_count_for_more():
    """Two channels with values of their own: a step of the second is worth a hundred of the first."""
    weights = np.stack([np.linspace(-127, -1, 400), np.linspace(1, 127, 400)]).round()
    values = four_bits.fit_values(weights, np.array([[1.0], [100.0]]))
    assert (values > 0).sum() > (values < 0).sum()


def test_the_file_holds_what_biases_are_corrected_for(graph, largest, packed):
    proto = onnx.load_from_string(packed)
    four_bits.spell_out(proto)
    name = graph.weights_of([largest[0].node])[0]
    before = numpy_helper.to_array(next(i for i in graph.proto.graph.initializer if i.name == name))
    node = next(n for n in proto.graph.node if n.op_type == "DequantizeLinear" and n.input[0] == name)
    stored = weights_in(proto)
    axis = next(a.i for a in node.attribute if a.name == "axis")
    scale = stored[node.input[1]].reshape([-1 if k == axis else 1 for k in range(before.ndim)])
    assert len(np.unique(stored[name])) <= 16
    assert np.abs(four_bits.in_four_bits(before, axis) - stored[name] * scale).mean() < 0.01 * np.abs(before).mean()


def test_two_weights_share_a_byte_and_answers_are_those_of_plain_int8(graph, largest, packed, pixels):
    plain = onnx.load_from_string(packed)
    four_bits.spell_out(plain)
    onnx.checker.check_model(plain, full_check=True)
    stored, spelt = weights_in(onnx.load_from_string(packed)), weights_in(plain)
    for name in graph.weights_of([x.node for x in largest[:2]]):
        assert spelt[name].dtype == np.int8
        assert stored[name + four_bits.PACKED].nbytes * 2 == spelt[name].nbytes
    saved = sum(x.parameters for x in largest[:2]) // 2
    assert 0 < saved - (len(plain.SerializeToString()) - len(packed)) < 2 * smaller.BESIDE
    spec = graph.spec.with_(precision="int8")
    for engine in ("onnxruntime", "openvino"):
        if engine != "onnxruntime":
            pytest.importorskip(engine)
        answers = [
            open_engine(data, "int8", engine, 1, spec=spec).run(pixels[0])
            for data in (packed, plain.SerializeToString())
        ]
        for a, b in zip(*answers, strict=True):
            assert np.array_equal(a, b), engine


def test_costs_are_those_of_the_layers_in_half_the_bytes(graph, ranges, largest, packed, tmp_path):
    paths = tmp_path / "eight.onnx", tmp_path / "four.onnx"
    paths[0].write_bytes(write_int8(graph, ranges, {x.node for x in graph.ends()}))
    paths[1].write_bytes(packed)
    eight, four = (costs_of_layers(p) for p in paths)
    assert (eight.parameters, eight.macs, len(eight.layers)) == (four.parameters, four.macs, len(four.layers))
    assert [x.precision for x in eight.layers] == [x.precision for x in four.layers]
    saved = sum(a.weights - b.weights for a, b in zip(eight.layers, four.layers, strict=True))
    assert saved == sum(x.parameters for x in largest[:2]) // 2


def test_converters_get_plain_int8(tiny_four, tmp_path):
    for convolutions in (True, False):
        out = tmp_path / f"{convolutions}.onnx"
        write_onnx(Job(tiny_four, read_spec(tiny_four), out), out, bytes_in=not convolutions, convolutions=convolutions)
        kinds = [i.data_type for i in onnx.load(out).graph.initializer if i.name.endswith(four_bits.PACKED)]
        assert len(kinds) == (0 if convolutions else 3)


def test_weights_that_two_layers_share_are_stored_once_and_any_batch_may_come(graph, ranges, largest, tmp_path, pixels):
    path, out = tmp_path / "four.onnx", tmp_path / "free.onnx"
    proto = onnx.load_from_string(write_int8(graph, ranges, {x.node for x in graph.ends()}))
    name = graph.weights_of([largest[0].node])[0]
    node = next(n for n in proto.graph.node if n.op_type == "DequantizeLinear" and n.input[0] == name)
    twin = onnx.helper.make_node("DequantizeLinear", list(node.input), [f"{node.output[0]}_twin"])
    twin.attribute.extend(node.attribute)
    proto.graph.node.append(twin)
    four_bits.store(proto, [name])
    assert sum(n.output[0] == name for n in proto.graph.node) == 1
    path.write_bytes(proto.SerializeToString())
    spec = read_spec(path)
    write_onnx(Job(path, spec, out, free=True), out)
    alone = open_engine(path, "four", "onnxruntime", 1, spec=spec).run(pixels[0])
    session = onnxruntime.InferenceSession(str(out), providers=["CPUExecutionProvider"])
    both = session.run(None, {session.get_inputs()[0].name: np.concatenate(pixels[:2])})
    for a, b in zip(alone, both, strict=True):
        assert np.allclose(a, b[0], atol=1e-4)


def layer_of(name, parameters):
    return Layer(name, name, parameters, 1, "")


def test_the_fewest_layers_are_taken_and_none_that_the_others_do_without():
    rows = [Damage(layer_of(n, p), d, 0) for n, p, d in (("a", 20_000, 0.1), ("b", 30_000, 0.2), ("c", 200_000, 2.0))]
    names = [[x.name for x in smaller.fewest(rows, over)] for over in (5_000, 20_000, 90_000, 99_000, 999_999)]
    assert names == [["a"], ["a", "b"], ["c"], ["a", "c"], ["a", "b", "c"]]
    assert smaller.fewest(rows, 0) == []


def fours_in(data):
    return sum(name.endswith(four_bits.PACKED) for name in weights_in(onnx.load_from_string(data)))


@pytest.fixture
def told(monkeypatch, graph):
    """The order of damage is told, not measured."""
    rows = [Damage(x, 0.1, 0) for x in graph.layers]
    monkeypatch.setattr(search_room, "measure", lambda *_: rows)
    return Told()


def test_weights_go_into_four_bits_until_the_file_is_small_enough(graph, seen, pixels, largest, told):
    judge = Judged(lambda *_: 0.8)
    eight = search(graph, seen, pixels, judge, 0.3, ["minmax"], told)
    most = eight.chosen.size - smaller.saved(largest[0]) // 2
    found = search(graph, seen, pixels, judge, 0.3, ["minmax"], told, 1, most)
    assert eight.chosen.packed == ()
    assert len(found.data) == found.chosen.size <= most
    assert len(found.chosen.packed) == fours_in(found.data) == 1
    assert found.chosen.kept == eight.chosen.kept
    assert not any("of --size" in line for line in told.lines)


def test_as_many_weights_go_into_four_bits_as_the_budget_allows(graph, seen, pixels, told):
    judge = Judged(lambda data, _: 0.8 if fours_in(data) <= 2 else 0.7)
    found = search(graph, seen, pixels, judge, 0.3, ["minmax"], told, 1, 1000)
    assert len(found.chosen.packed) == fours_in(found.data) == 2
    assert "over the 0.00 MB of --size" in told.lines[-1]
    none = search(
        graph, seen, pixels, Judged(lambda data, _: 0.8 - 0.1 * fours_in(data)), 0.3, ["minmax"], told, 1, 1000
    )
    assert none.chosen.packed == ()
    assert fours_in(none.data) == 0
