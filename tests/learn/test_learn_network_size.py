"""The size of mb2-ssd-lite-f38, counted in independent ways: SPEC 1 promises it."""

from __future__ import annotations

import math

import onnx
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from passerby.geometry.anchors import default_boxes
from passerby.learn.layers import layers_of
from passerby.learn.network import build, spec_of
from passerby.learn.to_onnx import to_bytes
from passerby.recipe import Model

PARAMETERS, MACS = 2_750_864, 618_000_000  # SPEC 1, "published size"


FUSED = Model(sizes=((10, 17), (27, 42), (64, 95), (135, 190)), fusion=88)  # `head` of version 0.1.0


@pytest.fixture(scope="module", params=[Model(), FUSED], ids=["reference", "with a top-down path"])
def reference(request):
    torch.manual_seed(0)
    spec = spec_of(request.param)
    network = build(spec).eval()
    return network, spec, layers_of(network, spec)


def counted_by_torch(network, spec):
    pixels = torch.zeros(1, spec.height, spec.width, 3, dtype=torch.uint8)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(pixels)
    flops = counter.get_total_flops()
    assert flops % 2 == 0
    return flops // 2


def counted_in_onnx(data):
    """Multiply-adds of the Conv nodes, and elements of their weights, from the shapes that ONNX infers."""
    graph = onnx.shape_inference.infer_shapes(onnx.load_from_string(data), strict_mode=True).graph
    shapes = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in [*graph.value_info, *graph.output]}
    weights = {t.name: list(t.dims) for t in graph.initializer}
    convolutions = [n for n in graph.node if n.op_type == "Conv"]
    assert {n.op_type for n in graph.node}.isdisjoint({"MatMul", "Gemm", "ConvTranspose"})
    macs = sum(math.prod(shapes[n.output[0]]) * math.prod(weights[n.input[1]][1:]) for n in convolutions)
    return macs, sum(math.prod(weights[n.input[1]]) for n in convolutions), len(convolutions)


def test_the_reference_design_has_at_most_the_published_parameters(reference):
    network, _, _ = reference
    assert sum(p.numel() for p in network.parameters()) <= PARAMETERS


def test_the_reference_design_has_at_most_the_published_multiply_adds(reference):
    network, spec, _ = reference
    assert 300_000_000 < counted_by_torch(network, spec) <= MACS


def test_the_layer_table_counts_the_multiply_adds_that_torch_counts(reference):
    network, spec, layers = reference
    assert sum(layer.macs for layer in layers) == counted_by_torch(network, spec)


def test_the_layer_table_holds_every_parameter(reference):
    network, _, layers = reference
    assert sum(layer.parameters for layer in layers) == sum(p.numel() for p in network.parameters())


def test_the_layer_table_has_a_row_for_each_convolution_named_as_in_the_network(reference):
    network, _, layers = reference
    convolutions = {n: m for n, m in network.named_modules() if isinstance(m, torch.nn.Conv2d)}
    assert sorted(layer.name for layer in layers) == sorted(convolutions)
    for layer in layers:
        assert layer.shape[0] == convolutions[layer.name].out_channels
        assert layer.memory == 4 * math.prod(layer.shape)


def test_the_layer_table_leaves_no_hook_behind(reference):
    network, _, _ = reference
    assert not [m for m in network.modules() if m._forward_hooks]


def test_the_first_layers_cost_what_a_hand_calculation_says(reference):
    _, _, layers = reference
    stem, depthwise, project = layers[:3]
    # 32 filters of 3 x 3 x 3, and a weight and a bias of batch norm each, on 150 x 150 places
    assert (stem.parameters, stem.macs) == (32 * 27 + 64, 150 * 150 * 32 * 27)
    assert stem.kind == "convolution 3 x 3, stride 2"
    assert (depthwise.parameters, depthwise.macs) == (32 * 9 + 64, 150 * 150 * 32 * 9)
    assert depthwise.kind == "depthwise 3 x 3"
    assert (project.parameters, project.macs) == (32 * 16 + 32, 150 * 150 * 32 * 16)


def test_the_exported_graph_multiplies_and_adds_as_often_as_the_layer_table_says(reference):
    network, spec, layers = reference
    macs, weights, convolutions = counted_in_onnx(to_bytes(network, spec))
    assert macs == sum(layer.macs for layer in layers)
    assert convolutions == len(layers)
    assert weights == sum(m.weight.numel() for m in network.modules() if isinstance(m, torch.nn.Conv2d))


def test_maps_have_38_19_10_and_5_cells_with_two_boxes_each(reference):
    _, spec, _ = reference
    assert [(m.rows, m.columns, len(m.sizes)) for m in spec.anchors] == [(n, n, 2) for n in (38, 19, 10, 5)]


def test_the_backbone_and_the_extra_layer_give_maps_of_those_cells(reference):
    network, spec, _ = reference
    with torch.no_grad():
        maps = network.backbone(torch.zeros(1, 3, spec.height, spec.width))
        maps.append(network.head.extra(maps[-1]))
    assert [tuple(m.shape[2:]) for m in maps] == [(n, n) for n in (75, 38, 19, 10, 5)]  # the first carries no boxes
    assert [m.shape[1] for m in maps[:4]] == [144, 192, 576, 320]  # 6 x 24, 6 x 32, 6 x 96, 320: table 2 of the paper


def test_output_has_3860_rows_one_for_each_default_box(reference):
    network, spec, _ = reference
    with torch.no_grad():
        logits, offsets = network(torch.zeros(2, 300, 300, 3, dtype=torch.uint8))
    assert logits.shape == (2, 3860, 1)
    assert offsets.shape == (2, 3860, 4)
    assert len(default_boxes(spec.anchors, 300, 300)) == 3860


def test_an_untrained_network_scores_every_box_near_the_prior(reference):
    network, _, _ = reference
    with torch.no_grad():
        logits, _ = network(torch.randint(0, 256, (1, 300, 300, 3), dtype=torch.uint8))
    assert logits.sigmoid().median().item() == pytest.approx(0.01, abs=0.002)
