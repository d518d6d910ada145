"""The networks that ship as recipes: their size counted apart from us, and what their parts promise."""

from __future__ import annotations

import dataclasses
from itertools import pairwise

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from passerby.errors import ModelError, SettingError
from passerby.geometry.anchors import default_boxes
from passerby.geometry.layouts import LAYOUTS
from passerby.learn.backbones.mobilenet_v1 import MobileNetV1
from passerby.learn.backbones.mobilenet_v2 import MobileNetV2
from passerby.learn.backbones.vgg16 import VGG16, L2Norm
from passerby.learn.network import build, spec_of
from passerby.learn.published import PUBLISHED, Size, compare_with_published, cost_of, size_like, size_of, sizes_table
from passerby.recipe import Model, load_recipe, shipped_recipes
from passerby.spec import ModelSpec

NAMED = {  # recipe: parameters, multiply-adds, default boxes
    "mb2-ssd-lite-f38": (2_768_936, 616_755_696, 3860),
    "mb2-ssd-lite": (3_055_512, 620_695_088, 3000),
    "mb1-ssd": (6_299_864, 1_215_148_480, 3000),
    "vgg16-ssd300": (23_745_908, 30_427_713_536, 8732),
    "vgg16-ssd512": (24_386_328, 87_541_250_048, 24564),
    "mb2-tiny-ssd-lite": (195_880, 73_740_032, 3860),
}
OF_SSD = {"mobilenet_v1": ("f38", "f38_wide", "f75", "six"), "mobilenet_v2": ("f38", "f38_wide", "f75", "six")}
OF_SSD["vgg16"] = ("ssd300", "ssd512")
ODD = [(64, 64), (65, 131), (97, 160), (257, 300), (301, 515)]


def counted_by_torch(network, spec):
    """Multiply-adds by torch's own counter, on tensors without memory."""
    with FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, spec.height, spec.width, 3, dtype=torch.uint8, device="meta"))
    assert counter.get_total_flops() % 2 == 0
    return counter.get_total_flops() // 2


@pytest.mark.parametrize("name", NAMED)
def test_a_named_network_has_its_size(name):
    network, spec, layers = cost_of(load_recipe(name).model)
    parameters, macs, boxes = NAMED[name]
    assert sum(p.numel() for p in network.parameters()) == sum(x.parameters for x in layers) == parameters
    assert counted_by_torch(network, spec) == sum(x.macs for x in layers) == macs
    assert len(default_boxes(spec.anchors, spec.height, spec.width)) == boxes


def test_a_size_is_the_sums_of_the_layers():
    model = load_recipe("mb2-tiny-ssd-lite").model
    _, _, layers = cost_of(model)
    assert size_of(model) == Size(*NAMED["mb2-tiny-ssd-lite"][:2], sum(x.memory for x in layers) / 2**20, 3860)


def test_the_reference_design_counts_as_published_once_batch_norm_is_folded():
    # SPEC 1: 2,750,864 parameters, 618 M multiply-adds, to the last parameter
    ours = size_like(load_recipe("mb2-ssd-lite-f38").model, PUBLISHED["mb2-ssd-lite-f38"][0])
    assert ours.parameters == 2_750_864
    assert round(ours.macs / 1e6) == 618
    one = size_of(load_recipe("mb2-ssd-lite-f38").model, fold=True)
    assert ours.parameters - one.parameters == 5128  # the background column: 2 boxes x (192 + 576 + 1280 + 512 + 4)


def test_ssd300_has_263_million_parameters_for_voc():
    boxes, usual, coco = PUBLISHED["vgg16-ssd300"]
    model = load_recipe("vgg16-ssd300").model
    assert size_like(model, boxes).boxes == boxes.boxes == 8732
    assert size_like(model, usual).parameters == 26_285_486
    ours = size_like(model, coco)
    assert abs(ours.parameters / coco.parameters - 1) < 0.04
    assert abs(ours.macs / coco.macs - 1) < 0.02
    large = PUBLISHED["vgg16-ssd512"][0]
    assert size_like(load_recipe("vgg16-ssd512").model, large).boxes == large.boxes == 24564


def test_with_1_x_1_predictors_mobilenet_ssd_counts_as_published():
    (published,) = PUBLISHED["mb1-ssd"]
    labels = tuple(map(str, range(80)))
    _, _, layers = cost_of(dataclasses.replace(load_recipe("mb1-ssd").model, labels=labels))
    parts = [x for x in layers if x.name.startswith(("head.logits", "head.offsets"))]
    biases = sum(x.shape[0] for x in parts)
    small = sum((x.parameters - x.shape[0]) / 9 for x in parts) + biases
    others = [x for x in layers if x not in parts]
    assert len(parts) == 12
    parameters = sum(x.parameters for x in others) + small
    macs = sum(x.macs for x in others) + sum(x.macs / 9 for x in parts)
    assert (round(parameters / 1e6, 2), round(macs / 1e9, 2)) == (6.80, 1.27)
    assert (round(parameters / 1e6, 1), published.parameters) == (6.8, 6.8e6)


def test_mobilenet_v2_ssd_lite_is_near_the_papers_size():
    (published,) = PUBLISHED["mb2-ssd-lite"]
    ours = size_like(load_recipe("mb2-ssd-lite").model, published)
    assert abs(ours.parameters / published.parameters - 1) < 0.05
    assert abs(ours.macs / published.macs - 1) < 0.06


def test_published_figures_are_told_beside_ours_with_the_difference():
    for name in ("mb2-ssd-lite-f38", "mb1-ssd"):
        figures, lines = PUBLISHED[name], compare_with_published(name)
        assert len(lines) == 3 * len(figures)
        assert [line.split()[0] for line in lines] == ["published", "ours", "difference:"] * len(figures)
    text = "\n".join(compare_with_published("mb2-ssd-lite-f38"))
    assert "2,750,864 parameters, 618 M multiply-adds, 345.9 MiB" in text
    assert "ours (1 class and background, 300 x 300, batch norm folded): 2,750,864 parameters, 618.0 M" in text
    assert compare_with_published("head") == []


def test_the_table_for_the_docs_has_a_row_for_every_recipe():
    table = sizes_table()
    assert [row.split("`")[1] for row in table.splitlines()[2:]] == list(shipped_recipes())
    assert "| `vgg16-ssd300` | 300 x 300 | 23,745,908 | 30,427.7 M |" in table


@pytest.mark.parametrize("name", ["mb1-ssd", "mb2-ssd-lite"])
def test_a_depthwise_separable_convolution_costs_1_over_n_and_1_over_k_squared(name):
    # SPEC 2; Howard et al. 2017, section 3.1: depthwise and pointwise over one k x k convolution
    layers = [x for x in cost_of(load_recipe(name).model)[2] if x.name.startswith("backbone")]
    pairs = [(a, b) for a, b in pairwise(layers) if a.kind.startswith("depthwise")]
    assert len(pairs) in (13, 17)
    for depthwise, pointwise in pairs:
        inputs, (outputs, rows, columns) = depthwise.shape[0], pointwise.shape
        standard = rows * columns * outputs * inputs * 9
        assert (depthwise.macs + pointwise.macs) / standard == pytest.approx(1 / outputs + 1 / 9, rel=1e-12)


@pytest.mark.parametrize("size", ODD)
@pytest.mark.parametrize(("backbone", "layout"), [(b, name) for b, names in OF_SSD.items() for name in names])
def test_outputs_are_as_many_as_default_boxes_at_odd_sizes(backbone, layout, size):
    for head in ("ssd", "plain_ssd"):
        model = Model(height=size[0], width=size[1], backbone=backbone, layout=layout, head=head, width_multiplier=0.25)
        spec = spec_of(model)
        with torch.device("meta"):
            network = build(spec).eval().to("meta")
        cells = {}
        for k, predictor in enumerate(network.head.logits):
            predictor.register_forward_hook(lambda _m, _a, out, k=k, cells=cells: cells.update({k: out.shape[2:]}))
        logits, offsets = network(torch.zeros(1, *size, 3, dtype=torch.uint8, device="meta"))
        assert [tuple(c) for c in cells.values()] == [(m.rows, m.columns) for m in spec.anchors]
        assert logits.shape[1] == offsets.shape[1] == sum(map(len, spec.anchors))


@pytest.mark.parametrize(("backbone", "layout"), [("mobilenet_v1", "ssd300"), ("vgg16", "six"), ("vgg16", "f38")])
def test_a_layout_that_does_not_go_with_the_backbone_is_refused_with_those_that_do(backbone, layout):
    with pytest.raises(SettingError, match=r"^model\.layout: .*; set ") as caught:
        build(spec_of(Model(backbone=backbone, layout=layout)))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("layout", ["ssd300", "ssd512"])
def test_maps_that_do_not_halve_are_not_fused(layout):
    with pytest.raises(SettingError, match=r"^model\.fusion: .* set model\.fusion=0$"):
        build(spec_of(Model(backbone="vgg16", head="plain_ssd", layout=layout, fusion=16)))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"depth_multiplier": 0.5}, r"model\.depth_multiplier: {} has none"),
        ({"last": True}, r"model\.last: {} has none"),
    ],
)
@pytest.mark.parametrize("backbone", ["mobilenet_v1", "vgg16"])
def test_what_only_mobilenet_v2_has_is_refused_elsewhere(backbone, changes, words):
    layout = OF_SSD[backbone][0]
    with pytest.raises(SettingError, match=words.format(backbone)):
        build(spec_of(Model(backbone=backbone, layout=layout, **changes)))


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
@pytest.mark.parametrize("field", ["width_multiplier", "depth_multiplier", "resolution_multiplier"])
def test_a_multiplier_that_is_no_number_over_0_is_refused(field, value):
    with pytest.raises(SettingError, match=rf"^model\.{field} is "):
        spec_of(Model(**{field: value}))


def test_the_resolution_multiplier_makes_input_and_boxes_smaller():
    # Howard et al. 2017, section 3.4: rho 0.5 takes a quarter of the multiply-adds
    whole, half = (Model(backbone="mobilenet_v1", layout="f38", resolution_multiplier=r) for r in (1.0, 0.5))
    spec = spec_of(half)
    assert (spec.height, spec.width) == (150, 150)
    larger = spec_of(whole).anchors
    assert [m.rows for m in spec.anchors] == [19, 10, 5, 3]
    assert [2 * m.sizes[0][0] for m in spec.anchors] == pytest.approx([m.sizes[0][0] for m in larger])
    macs = [sum(x.macs for x in cost_of(m)[2] if x.name.startswith("backbone")) for m in (half, whole)]
    assert 0.24 < macs[0] / macs[1] < 0.27  # sides are rounded up


def test_alpha_makes_mobilenet_v1_thinner_by_its_square():
    # Howard et al. 2017, table 6: 569, 325, 149 and 41 M multiply-adds at 224, classifier included
    for alpha, published in ((1.0, 569), (0.75, 325), (0.5, 149), (0.25, 41)):
        layers = cost_of(Model(backbone="mobilenet_v1", width_multiplier=alpha, height=224, width=224))[2]
        macs = sum(x.macs for x in layers if x.name.startswith("backbone")) + 1024 * alpha * 1000
        assert round(macs / 1e6) == pytest.approx(published, abs=1)


def test_mobilenet_v2s_last_convolution_keeps_1280_channels_under_width_1():
    assert MobileNetV2(0.35, 1.0, (), True).channels[-1] == 1280
    assert MobileNetV2(1.4, 1.0, (), True).channels[-1] == 1792
    assert MobileNetV2(1.0).channels[-1] == 320
    assert MobileNetV1(0.5).channels == (64, 128, 256, 512)


def test_vgg16_has_the_layers_of_the_paper():
    vgg = VGG16()
    convolutions = [i for i, m in enumerate(vgg.features) if isinstance(m, torch.nn.Conv2d)]
    assert convolutions == [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28]  # torchvision's numbers
    assert (vgg.fc6.dilation, vgg.fc6.padding, vgg.fc6.out_channels, vgg.fc7.kernel_size) == (
        (6, 6),
        (6, 6),
        1024,
        (1, 1),
    )
    assert (vgg.features[30].kernel_size, vgg.features[30].stride) == (3, 1)
    assert vgg.channels == (512, 1024)


def test_l2_norm_by_hand():
    norm = L2Norm(2)
    assert norm.scale.tolist() == [20, 20]
    x = torch.tensor([3.0, 4.0]).view(1, 2, 1, 1)  # length 5
    assert norm(x).flatten().tolist() == pytest.approx([12, 16])
    norm.scale.data = torch.tensor([5.0, 10.0])
    assert norm(x).flatten().tolist() == pytest.approx([3, 8])
    assert norm(torch.zeros(1, 2, 1, 1)).flatten().tolist() == [0, 0]


def test_a_spec_from_before_layouts_builds_f38_and_a_layout_unknown_here_is_a_model_error(tiny):
    spec = spec_of(tiny())
    old = spec.with_(network={k: v for k, v in spec.network.items() if k != "layout"})
    assert build(old).state_dict().keys() == build(spec).state_dict().keys()
    new = spec.with_(network={**spec.network, "layout": "hexagons"})
    with pytest.raises(ModelError, match=r"x\.onnx: its layout is 'hexagons' .*; update passerby"):
        build(ModelSpec.from_json(new.to_json()), "x.onnx")


@pytest.mark.parametrize("name", ["mb2_ssd_lite_f38", "mb2-ssd-lite-f38"])
def test_a_recipe_is_found_with_dashes_and_with_underscores(name):
    recipe = load_recipe(name)
    assert recipe.name == recipe.model.name == "mb2-ssd-lite-f38"
    assert recipe.model.layout in LAYOUTS


@pytest.mark.parametrize("backbone", ["mobilenet_v1", "mobilenet_v2"])
@pytest.mark.parametrize("size", [(64, 96), (97, 160)])
def test_layout_f75_adds_a_map_at_stride_4_of_half_the_width(backbone, size):
    height, width = size
    coarse, fine = (
        Model(backbone=backbone, width_multiplier=0.25, layout=layout, fusion=32, height=height, width=width)
        for layout in ("f38", "f75")
    )
    network, spec = build(spec_of(fine)), spec_of(fine)
    assert [(m.rows, m.columns) for m in spec.anchors[1:]] == [(m.rows, m.columns) for m in spec_of(coarse).anchors]
    assert (spec.anchors[0].rows, spec.anchors[0].columns) == (-(-height // 4), -(-width // 4))
    assert network.head.fuse.widths == [16, 32, 32, 32, 32]
    pixels = torch.randint(0, 256, (2, height, width, 3), dtype=torch.uint8)
    logits, offsets = network(pixels)
    assert logits.shape[1] == offsets.shape[1] == sum(map(len, spec.anchors))
    logits[:, : len(spec.anchors[0])].sum().backward()
    used = {n for n, p in network.head.fuse.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    assert {"finest.lateral.0.weight", "finest.context.0.weight", "lateral.3.0.weight"} <= used  # down from stride 64


def test_a_mobilenet_v1_of_fewer_blocks_takes_the_first_ones_at_each_stride():
    whole, short = MobileNetV1(0.25), MobileNetV1(0.25, blocks=(1, 2, 1, 3, 1))
    assert (len(whole.features), len(short.features)) == (14, 9)
    assert short.channels == whole.channels
    source = whole.state_dict()
    short.load_state_dict(short.own_names(source))
    for mine, theirs in enumerate((0, 1, 2, 3, 4, 6, 7, 8, 12)):
        weight = source[f"features.{theirs}.{'0' if theirs == 0 else '1.0'}.weight"]
        assert torch.equal(short.state_dict()[f"features.{mine}.{'0' if mine == 0 else '1.0'}.weight"], weight)


@pytest.mark.parametrize("blocks", [(1,) * 7, (0, 2, 2, 6, 2), (1, 2, 2, 7, 2)])
def test_other_numbers_of_mobilenet_v1_blocks_are_refused(blocks):
    with pytest.raises(SettingError, match=r"model\.blocks: .*at most the published \[1, 2, 2, 6, 2\]"):
        build(spec_of(Model(backbone="mobilenet_v1", blocks=blocks)))


def test_vgg16_refuses_blocks():
    with pytest.raises(SettingError, match=r"model\.blocks: vgg16 has none"):
        build(spec_of(Model(backbone="vgg16", layout="ssd300", blocks=(1,))))
