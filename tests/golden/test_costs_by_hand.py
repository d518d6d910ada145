"""Costs and peak memory of small graphs that a reader can count on paper."""

from __future__ import annotations

import pytest

from passerby.runtime.blueprint import Blueprint, Operator, Tensor
from passerby.runtime.layer_costs import count_layers


def graph(operators, shapes, constants=(), outputs=("out",), kinds=None):
    """A Blueprint of operators (kind, inputs, outputs); float32 where `kinds` says nothing else; "in" goes in."""
    kinds = kinds or {}
    tensors = {n: Tensor(n, s, kinds.get(n, "float32"), n in constants) for n, s in shapes.items()}
    rows = tuple(Operator(outs[0], kind, ins, outs) for kind, ins, outs in operators)
    return Blueprint(rows, tensors, ("in",), outputs, "by hand")


BIG, SMALL = (1, 4, 8, 8), (1, 2, 8, 8)  # 1024 and 512 bytes at float32


def test_the_peak_is_where_input_and_output_of_a_layer_are_alive_together():
    # 1024 in, 1024 out; then 1024 in, 512 out
    found = count_layers(
        graph([("Conv", ("in",), ("a",)), ("Conv", ("a",), ("out",))], {"in": BIG, "a": BIG, "out": SMALL})
    )
    assert (found.peak.bytes, found.peak.at, found.peak.tensors) == (2048, "a", 2)
    assert found.memory == 1024 + 512


def test_what_is_read_again_later_stays_alive():
    # a waits for the addition: at the second convolution a, b and c are alive
    steps = [
        ("Conv", ("in",), ("a",)), ("Conv", ("a",), ("b",)), ("Conv", ("b",), ("c",)), ("Add", ("c", "a"), ("out",)),
    ]  # fmt: skip
    found = count_layers(graph(steps, dict.fromkeys(("in", "a", "b", "c", "out"), BIG)))
    assert (found.peak.bytes, found.peak.at) == (3 * 1024, "c")


def test_an_activation_writes_over_its_input_unless_somebody_else_reads_it():
    alone = [("Conv", ("in",), ("a",)), ("Relu", ("a",), ("b",)), ("Conv", ("b",), ("out",))]
    shapes = {"in": SMALL, "a": BIG, "b": BIG, "out": SMALL}
    found = count_layers(graph(alone, shapes))
    assert [x.memory for x in found.layers] == [1024, 0, 512]
    assert found.peak.bytes == 1536
    shared = [*alone[:2], ("Add", ("b", "a"), ("out",))]
    found = count_layers(graph(shared, {**shapes, "out": BIG}))
    assert [x.memory for x in found.layers] == [1024, 1024, 0]


def test_an_output_stays_alive_to_the_end():
    steps = [("Conv", ("in",), ("a",)), ("Conv", ("a",), ("b",)), ("Conv", ("b",), ("out",))]
    found = count_layers(graph(steps, dict.fromkeys(("in", "a", "b", "out"), BIG), outputs=("a", "out")))
    assert (found.peak.bytes, found.peak.at) == (3 * 1024, "out")


def test_what_is_quantised_right_away_lies_in_memory_as_integers():
    # 256 numbers: 1024 bytes as float32, 256 as uint8; weights 4 x 4 of one byte, their scale is no parameter
    steps = [
        ("QuantizeLinear", ("in", "s"), ("q",)), ("DequantizeLinear", ("q", "s"), ("d",)),
        ("DequantizeLinear", ("w", "s"), ("wd",)), ("Conv", ("d", "wd"), ("a",)),
        ("QuantizeLinear", ("a", "s"), ("aq",)), ("DequantizeLinear", ("aq", "s"), ("out",)),
    ]  # fmt: skip
    shapes = {
        "in": BIG,
        "q": BIG,
        "d": BIG,
        "w": (4, 4, 1, 1),
        "wd": (4, 4, 1, 1),
        "s": (),
        "a": BIG,
        "aq": BIG,
        "out": BIG,
    }
    kinds = {"q": "uint8", "aq": "uint8", "w": "int8"}
    found = count_layers(graph(steps, shapes, ("w", "s"), kinds=kinds))
    (row,) = found.layers
    assert (row.operator, row.precision, row.parameters, row.weights, row.memory) == ("Conv", "int8", 16, 16, 256)
    assert found.stored == 16 + 4
    # the input is read as float32 while it is quantised, then only 256 + 256 are alive
    assert (found.peak.bytes, found.peak.at) == (1024 + 256, "q")


def test_weights_alone_in_another_precision_are_said_to_be_so():
    steps = [("DequantizeLinear", ("w", "s"), ("wd",)), ("Conv", ("in", "wd"), ("out",))]
    shapes = {"in": BIG, "w": (4, 4, 1, 1), "wd": (4, 4, 1, 1), "s": (), "out": BIG}
    found = count_layers(graph(steps, shapes, ("w", "s"), kinds={"w": "int8"}))
    assert [x.precision for x in found.layers] == ["int8 weights"]


@pytest.mark.parametrize(("shape", "counted"), [((1, 4, 1, 1), 4), ((1, 4, 8, 8), 0), ((), 0), ((1,), 0)])
def test_a_constant_that_is_added_counts_where_it_is_one_number_a_channel(shape, counted):
    steps = [("Add", ("in", "b"), ("out",))]
    found = count_layers(graph(steps, {"in": BIG, "b": shape, "out": BIG}, ("b",)))
    assert found.parameters == counted


def test_a_weight_that_two_layers_share_is_counted_once():
    steps = [("Conv", ("in", "w"), ("a",)), ("Conv", ("a", "w"), ("out",))]
    found = count_layers(graph(steps, {"in": BIG, "w": (4, 4, 1, 1), "a": BIG, "out": BIG}, ("w",)))
    assert [x.parameters for x in found.layers] == [16, 0]
