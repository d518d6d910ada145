"""The network's parts: order of its rows, multipliers, gradients, freezing, names."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from passerby.errors import SettingError
from passerby.geometry.anchors import default_boxes
from passerby.geometry.boxes import decode
from passerby.learn.backbones.mobilenet_v2 import MobileNetV2, scaled
from passerby.learn.heads.ssd import SSDLite, _rows
from passerby.learn.network import build, spec_of
from passerby.learn.optimise import make_optimiser
from passerby.recipe import Model, Optimiser
from passerby.spec import ModelSpec


class Fixed(nn.Module):
    """A module that gives the same map whatever it is given."""

    def __init__(self, value):
        super().__init__()
        self.value = value

    def forward(self, _):
        return self.value


def make_transparent(predictor, row):
    """Let a predictor copy channel 0 of its map into output channel `row`, and give 0 in all others."""
    depthwise, norm, _ = predictor[0]
    nn.init.zeros_(depthwise.weight)
    depthwise.weight.data[0, 0, 1, 1] = 1
    norm.eps = 0.0
    nn.init.zeros_(predictor[1].weight)
    nn.init.zeros_(predictor[1].bias)
    predictor[1].weight.data[row, 0] = 1


def place_of(spec, level, row, column, box):
    """The default box at that place, found by its centre and size, not by counting."""
    anchors = default_boxes(spec.anchors, spec.height, spec.width)
    m = spec.anchors[level]
    want = ((column + 0.5) / m.columns * spec.width, (row + 0.5) / m.rows * spec.height, *m.sizes[box])
    found = np.flatnonzero(np.isclose(anchors, np.array(want), atol=1e-3).all(axis=1))
    assert len(found) == 1
    return int(found[0])


SIDES = (75, 38, 19, 10, 5)  # of the maps that the head reads; the finest carries no default boxes
# map of default boxes, row, column, box, coordinate
PLACES = [(0, 3, 17, 1, 0), (0, 37, 0, 0, 2), (1, 18, 2, 1, 1), (1, 0, 18, 0, 3), (2, 4, 9, 0, 2), (3, 4, 1, 1, 3)]


@pytest.mark.parametrize(("level", "row", "column", "box", "coordinate"), PLACES)
@torch.no_grad()
def test_a_bump_at_one_cell_comes_out_at_its_default_box(level, row, column, box, coordinate):
    spec = spec_of(Model(labels=("head", "person")))
    channels, classes = (3, 4, 6, 8), 2
    head = SSDLite(channels, spec).eval()
    maps = [torch.zeros(1, c, n, n) for c, n in zip((*channels, 256), SIDES, strict=True)]
    maps[level + 1][0, 0, row, column] = 3.0
    head.extra = Fixed(maps[-1])
    for i, (logit, offset) in enumerate(zip(head.logits, head.offsets, strict=True)):
        make_transparent(logit, box * classes + 1 if i == level else 0)
        make_transparent(offset, box * 4 + coordinate if i == level else 0)
    logits, offsets = head(maps[:-1])
    at = place_of(spec, level, row, column, box)
    assert torch.nonzero(logits[0]).tolist() == [[at, 1]]
    assert torch.nonzero(offsets[0]).tolist() == [[at, coordinate]]
    assert logits[0, at, 1] == offsets[0, at, coordinate] == 3.0


def test_rows_go_cell_by_cell_then_box_by_box():
    x = torch.tensor([[[[0.0, 1], [2, 3]], [[10, 11], [12, 13]], [[20, 21], [22, 23]], [[30, 31], [32, 33]]]])
    # two boxes of two numbers: channels are (box 0: 0, 10), (box 1: 20, 30), units are the cell
    assert _rows(x, 2)[0].tolist() == [[0, 10], [20, 30], [1, 11], [21, 31], [2, 12], [22, 32], [3, 13], [23, 33]]


@torch.no_grad()
def test_decoding_in_the_graph_is_the_decoding_of_geometry(tiny):
    spec = spec_of(tiny())
    generator = torch.Generator().manual_seed(1)
    offsets = torch.randn(1, 170, 4, generator=generator)
    logits = torch.randn(1, 170, 1, generator=generator)
    boxes, scores = build(spec).head.decode((logits, offsets))
    want = decode(offsets[0].numpy(), default_boxes(spec.anchors, 64, 64), spec.variance)
    np.testing.assert_allclose(boxes[0].numpy(), want, atol=1e-3)
    np.testing.assert_allclose(scores[0].numpy(), 1 / (1 + np.exp(-logits[0].numpy())), atol=1e-6)


@torch.no_grad()
def test_softmax_scoring_drops_the_background_column(tiny):
    spec = spec_of(tiny(loss="mining", labels=("head", "person")))
    logits = torch.tensor([[[2.0, 1.0, 0.0]]]).repeat(1, 170, 1)
    _, scores = build(spec).head.decode((logits, torch.zeros(1, 170, 4)))
    e = np.exp([2.0, 1.0, 0.0])
    np.testing.assert_allclose(scores[0, 0].numpy(), e[1:] / e.sum(), atol=1e-6)
    assert build(spec)(torch.zeros(1, 64, 64, 3, dtype=torch.uint8).repeat(2, 1, 1, 1))[0].shape == (2, 170, 3)


@torch.no_grad()
def test_bytes_are_normalised_by_mean_and_deviation_of_the_channels_in_rgb_order(tiny):
    network = build(spec_of(tiny())).eval()
    seen = []
    network.backbone.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    network(torch.tensor([255, 0, 51], dtype=torch.uint8).expand(1, 64, 64, 3))
    # (x / 255 - mean) / std by hand
    want = [(1 - 0.485) / 0.229, (0 - 0.456) / 0.224, (0.2 - 0.406) / 0.225]
    np.testing.assert_allclose(seen[0][0, :, 5, 7].numpy(), want, atol=1e-5)


@pytest.mark.parametrize(
    ("channels", "width", "want"),
    [
        *[(32, 1.0, 32), (32, 0.35, 16), (16, 0.35, 8), (24, 0.35, 8), (64, 0.35, 24), (160, 0.35, 56)],
        *[(320, 0.35, 112), (24, 1.4, 32), (32, 1.4, 48), (320, 0.5, 160), (32, 0.1, 8), (24, 0.75, 24)],
    ],
)
def test_width_rounds_channels_to_eights_never_under_nine_tenths(channels, width, want):
    assert scaled(channels, width) == want


def test_width_multiplier_scales_every_stage_as_the_published_035_network():
    backbone = MobileNetV2(0.35, 1.0)
    outputs = [backbone.features[0][0].out_channels] + [b.conv[-2].out_channels for b in backbone.features[1:]]
    assert outputs == [16, 8, 8, 8, 16, 16, 16, 24, 24, 24, 24, 32, 32, 32, 56, 56, 56, 112]
    assert backbone.channels == (6 * 8, 6 * 16, 6 * 32, 112)
    assert backbone.strides == (4, 8, 16, 32)


@pytest.mark.parametrize(
    ("depth", "blocks"),
    [
        (1.0, [1, 2, 3, 4, 3, 3, 1]),
        (0.5, [1, 1, 2, 2, 2, 2, 1]),
        (0.34, [1] * 7),
        (0.01, [1] * 7),
        (2.0, [2, 4, 6, 8, 6, 6, 2]),
    ],
)
def test_depth_multiplier_scales_the_blocks_of_each_stage_and_keeps_one(depth, blocks):
    backbone = MobileNetV2(0.25, depth)
    assert [sum(s == stage for s, _ in backbone.places) for stage in range(7)] == blocks
    assert len(backbone.features) == 1 + sum(blocks)
    maps = backbone(torch.zeros(2, 3, 64, 64))
    sides = [64 // s for s in backbone.strides]
    assert [tuple(m.shape[1:]) for m in maps] == [(c, n, n) for c, n in zip(backbone.channels, sides, strict=True)]


@pytest.mark.parametrize("blocks", [(1, 1, 2, 3, 2, 1, 0), (0, 1, 1, 1, 0, 2, 3), (1, 2, 3, 4, 3, 3, 1)])
def test_blocks_say_how_many_each_stage_has(blocks):
    backbone = MobileNetV2(0.25, 0.5, blocks)
    assert [sum(s == stage for s, _ in backbone.places) for stage in range(7)] == list(blocks)
    maps = backbone(torch.zeros(2, 3, 64, 64))
    sides = [64 // s for s in backbone.strides]
    assert [tuple(m.shape[1:]) for m in maps] == [(c, n, n) for c, n in zip(backbone.channels, sides, strict=True)]


@pytest.mark.parametrize("blocks", [(1, 2, 3), (1, 0, 3, 4, 3, 3, 1), (1, 2, 3, 4, 3, 3, -1)])
def test_blocks_that_make_no_trunk_are_refused(blocks):
    with pytest.raises(SettingError, match=r"model\.blocks: .* want 7 numbers"):
        MobileNetV2(1.0, 1.0, blocks)


def test_blocks_travel_in_the_spec_and_only_where_they_are_stated(tiny):
    assert "blocks" not in spec_of(tiny()).network
    spec = ModelSpec.from_json(spec_of(tiny(blocks=(1, 1, 1, 1, 1, 1, 0))).to_json())
    assert spec.network["blocks"] == [1, 1, 1, 1, 1, 1, 0]
    assert len(build(spec).backbone.features) == 7


@pytest.mark.parametrize("changes", [{}, {"fusion": 16}, {"loss": "mining"}], ids=["plain", "fusion", "mining"])
def test_every_parameter_gets_a_gradient(tiny, changes):
    network = build(spec_of(tiny(**changes))).train()
    logits, offsets = network(torch.randint(0, 256, (4, 64, 64, 3), dtype=torch.uint8))
    ((logits * torch.randn_like(logits)).sum() + (offsets * torch.randn_like(offsets)).sum()).backward()
    idle = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert idle == []


@pytest.mark.parametrize(
    ("field", "value", "nearest"),
    [
        ("backbone", "mobilenet_v3", "mobilenet_v2"),
        ("head", "sssd", "ssd"),
        ("loss", "fokal", "focal"),
        ("resize", "strech", "stretch"),
    ],
)
def test_an_unknown_name_is_an_error_that_names_the_nearest(tiny, field, value, nearest):
    with pytest.raises(SettingError, match=rf"^model\.{field}: '{value}' is unknown \(did you mean '{nearest}'\?\)$"):
        spec_of(tiny(**{field: value}))


@pytest.mark.parametrize("changes", [{"height": 63, "width": 96}, {"width": 32}, {"labels": ()}])
def test_an_input_or_labels_out_of_range_are_refused(tiny, changes):
    with pytest.raises(SettingError, match=r"^model"):
        spec_of(tiny(**changes))


@pytest.mark.parametrize("fusion", [0, 16])
@pytest.mark.parametrize(("height", "width"), [(96, 160), (65, 131)])
def test_an_input_that_is_no_square_gives_as_many_outputs_as_default_boxes(tiny, height, width, fusion):
    spec = spec_of(tiny(height=height, width=width, fusion=fusion))
    assert [(m.rows, m.columns) for m in spec.anchors] == [
        (math.ceil(height / s), math.ceil(width / s)) for s in (8, 16, 32, 64)
    ]
    logits, offsets = build(spec).eval()(torch.zeros(1, height, width, 3, dtype=torch.uint8))
    boxes = sum(map(len, spec.anchors))
    assert (logits.shape, offsets.shape) == ((1, boxes, 1), (1, boxes, 4))


def test_shapes_stand_instead_of_sizes_and_ratio(tiny):
    shapes = (((6.5, 9.5),), ((12.0, 20.0), (16.0, 16.0)), ((30.0, 40.0),), ((50.0, 60.0),))
    spec = spec_of(tiny(shapes=shapes, ratio=-1.0))
    assert tuple(m.sizes for m in spec.anchors) == shapes
    logits, _ = build(spec).eval()(torch.zeros(1, 64, 64, 3, dtype=torch.uint8))
    assert logits.shape[1] == 8 * 8 * 1 + 4 * 4 * 2 + 2 * 2 * 1 + 1


@pytest.mark.parametrize(
    ("shapes", "words"),
    [
        ((((6.5, 9.5),),), r"4 maps but shapes for 1"),
        ((((6.5, 9.5),), (), ((1.0, 2.0),), ((1.0, 2.0),)), r"map 2 of 4 has no shape"),
        ((((6.5, 9.5),), ((0.0, 2.0),), ((1.0, 2.0),), ((1.0, 2.0),)), r"\(0.0, 2.0\) of map 2 is no \(w, h\) over 0"),
        ((((6.5, float("nan")),),) * 4, r"of map 1 is no"),
    ],
)
def test_shapes_that_cannot_be_are_refused_by_name(tiny, shapes, words):
    with pytest.raises(SettingError, match=r"^model\.shapes: .*" + words):
        spec_of(tiny(shapes=shapes))


def test_freezing_keeps_weights_and_statistics_of_the_first_blocks_through_a_step(tiny):
    network = build(spec_of(tiny()))
    network.backbone.freeze(3)
    network.train()
    before = {k: v.clone() for k, v in network.state_dict().items()}
    optimiser = make_optimiser(network, Optimiser(rate=0.1, decay=0.1))
    logits, offsets = network(torch.randint(0, 256, (4, 64, 64, 3), dtype=torch.uint8))
    ((logits * torch.randn_like(logits)).sum() + (offsets * torch.randn_like(offsets)).sum()).backward()
    optimiser.step()
    same = {k for k, v in network.state_dict().items() if torch.equal(v, before[k])}
    frozen = {k for k in before if k.startswith(tuple(f"backbone.features.{i}." for i in range(3)))}
    assert len(frozen) > 20
    assert same == frozen


def test_frozen_blocks_stay_in_evaluation_mode_when_the_network_goes_back_to_training(tiny):
    network = build(spec_of(tiny()))
    network.backbone.freeze(2)
    network.eval()
    network.train()
    assert [entry.training for entry in network.backbone.features[:3]] == [False, False, True]
    assert network.head.training
