"""The classifier with maps: its map by hand, its size, its finer maps, its loss."""

from __future__ import annotations

import math

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from passerby.errors import ParityError, SettingError
from passerby.learn import to_onnx
from passerby.learn.backbones import BACKBONES
from passerby.learn.engine import Decoded
from passerby.learn.heads.base import Targets
from passerby.learn.heads.pooled import Pooled
from passerby.learn.layers import layers_of
from passerby.learn.network import build, spec_of
from passerby.learn.to_onnx import MAP_LIMIT, compare, export, to_bytes
from passerby.recipe import Model, Optimiser, load_recipe
from passerby.runtime.model_file import read_spec

# f_0 and f_1 over 2 x 2 places
FEATURES = torch.tensor([[[[1.0, 2], [3, 4]], [[0, 1], [0, 5]]]])
DENSE = [[1.0, -1.0], [0.5, 2.0]]  # w_{k,c}: row c = 0 background, c = 1 the class
BIAS = [0.25, -3.0]


def classifier(**changes):
    """The smallest Model with maps, 64 x 64 pixels."""
    settings = {"backbone": "mobilenet_v1", "width_multiplier": 0.1, "head": "pooled", "loss": "cross_entropy"}
    settings["labels"] = ("person",)
    return Model(name="tiny", height=64, width=64, **(settings | changes))


class Halves(nn.Module):
    """A backbone of no weights: a pixel's red and green, of the mean over each quarter of the picture."""

    def forward(self, x):
        return [nn.functional.adaptive_avg_pool2d(x[:, :2], 2)]


@pytest.fixture
def by_hand():
    """A network whose features are red and green bytes of each quarter of the picture, and its spec."""
    spec = spec_of(classifier())
    network = build(spec)
    network.backbone = Halves()
    network.mean.zero_()
    network.std.fill_(1)
    network.head = Pooled([2], spec)
    with torch.no_grad():
        network.head.dense.weight.copy_(torch.tensor(DENSE))
        network.head.dense.bias.copy_(torch.tensor(BIAS))
    return network.eval(), spec


@pytest.fixture
def quarters():
    """A picture (64, 64, 3) whose quarters have the red and green of FEATURES."""
    pixels = np.zeros((64, 64, 3), np.uint8)
    for k in range(2):
        pixels[:, :, k] = FEATURES[0, k].numpy().astype(np.uint8).repeat(32, 0).repeat(32, 1)
    return pixels


# background: f_0 - f_1; class: 0.5 f_0 + 2 f_1
MAPS = [[[1.0, 1], [3, -1]], [[0.5, 3], [1.5, 12]]]
# means of the maps, 1 and 4.25, with the bias: 1.25 and 1.25, so a softmax says half and half
SCORE = 0.5


def test_the_map_is_the_sum_of_features_times_weights_worked_out_by_hand(by_hand, quarters):
    network, _ = by_hand
    scores, maps = Decoded(network)(torch.from_numpy(quarters[None]))
    assert maps.tolist() == [MAPS]
    assert scores.tolist() == [[SCORE]]


def test_the_exported_graph_gives_the_same_map_and_score(by_hand, quarters):
    network, spec = by_hand
    session = onnxruntime.InferenceSession(to_bytes(network, spec))
    assert [(o.name, o.shape) for o in session.get_outputs()] == [("scores", [1, 1]), ("maps", [1, 2, 2, 2])]
    scores, maps = session.run(None, {"pixels": quarters[None]})
    assert np.abs(maps - np.array([MAPS])).max() <= 1e-5
    assert abs(scores[0, 0] - SCORE) <= 1e-5


@pytest.mark.parametrize("stride", [0, 16, 8])
def test_a_logit_is_the_mean_of_its_map_and_the_bias(stride):
    network = build(spec_of(classifier(map_stride=stride, labels=("cat", "dog")))).eval()
    nn.init.normal_(network.head.dense.bias)
    logits, maps = network(torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8))
    assert torch.allclose(logits, maps.mean((2, 3)) + network.head.dense.bias, atol=1e-5)


def test_the_reference_has_as_many_parameters_as_published():
    # as Keras counts, which has the running mean and variance of batch norm among them
    network = build(spec_of(load_recipe("person-map-reference").model))
    statistics = sum(2 * m.num_features for m in network.modules() if isinstance(m, nn.BatchNorm2d))
    trunk = sum(p.numel() for p in network.backbone.parameters()) + statistics
    head = sum(p.numel() for p in network.head.parameters())
    assert (trunk, head, trunk + head) == (829_536, 512 * 2 + 2, 830_562)


@pytest.mark.parametrize("backbone", ["mobilenet_v1", "mobilenet_v2"])
@pytest.mark.parametrize(("stride", "every"), [(16, 2), (8, 4), (4, 8)])
@pytest.mark.parametrize("padding", ["same", "symmetric"])
def test_a_finer_map_read_at_every_so_many_cells_is_the_coarse_one(backbone, stride, every, padding):
    # weights and what they look at are the same; TensorFlow's padding starts to count one cell later
    start = every - 1 if padding == "same" else 0
    torch.manual_seed(0)
    fine, coarse = (build(_padded(spec_of(classifier(backbone=backbone, map_stride=s)), padding)) for s in (stride, 0))
    coarse.load_state_dict(fine.state_dict())
    pixels = torch.randint(0, 256, (1, 64, 64, 3), dtype=torch.uint8)
    with torch.no_grad():
        (_, many), (_, few) = fine.eval()(pixels), coarse.eval()(pixels)
    assert few.shape[2:] == (2, 2)
    assert many.shape[2:] == (2 * every, 2 * every)
    assert few.std() > 0
    assert torch.allclose(many[:, :, start::every, start::every], few, rtol=1e-4, atol=1e-5 * float(few.abs().max()))


def _padded(spec, padding):
    return spec.with_(network={**spec.network, "padding": padding})


def test_the_cost_of_finer_maps_is_counted():
    layers = {s: layers_of(build(spec), spec) for s in (0, 16) if (spec := spec_of(classifier(map_stride=s)))}
    assert [x.parameters for x in layers[0]] == [x.parameters for x in layers[16]]
    last = layers[16][-1]
    assert (last.kind, last.shape, last.parameters) == ("class activation maps", (2, 4, 4), 0)
    assert last.macs == 2 * 4 * 4 * BACKBONES["mobilenet_v1"](0.1).channels[-1]
    blocks = [n for n, x in enumerate(layers[0]) if x.name.startswith("backbone.features.13")]
    assert len(blocks) == 2
    assert all(layers[16][n].macs == 4 * layers[0][n].macs for n in blocks)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"map_stride": 12}, r"model\.map_stride is 12, mobilenet_v1 can have 4, 8, 16, 32, or 0: 32"),
        ({"map_stride": 64}, r"model\.map_stride is 64"),
        ({"map_stride": 8, "backbone": "vgg16"}, r"model\.map_stride: vgg16 halves its maps by pooling.*set 0"),
        ({"loss": "focal"}, r"model\.loss: focal is not for model\.head=pooled; set cross_entropy"),
        ({"head": "ssd"}, r"model\.loss: cross_entropy is for model\.head=pooled, not ssd"),
        ({"head": "ssd", "loss": "focal", "map_stride": 8}, r"model\.map_stride is for model\.head=pooled, not ssd"),
        ({"fusion": 16}, r"model\.fusion: model\.head=pooled has no default boxes; leave it out"),
        ({"sizes": ((8,),)}, r"model\.sizes: model\.head=pooled has no default boxes"),
    ],
)
def test_settings_that_do_not_fit_are_refused_by_name(changes, message):
    with pytest.raises(SettingError, match=message) as e:
        build(spec_of(classifier(**changes)))
    assert "\n" not in str(e.value)


def targets(*outputs):
    count = len(outputs)
    nothing = torch.zeros(count, 0, 4), torch.zeros(count, 0, 4), torch.zeros(count, 0)
    return Targets(torch.tensor(outputs).view(-1, 1), *nothing)


def test_the_loss_by_hand(by_hand):
    head = by_hand[0].head
    # both logits are 1.25, so each picture loses log 2; three of the background weigh 4 / (2 x 3), one of the class 2
    maps = [FEATURES.expand(4, -1, -1, -1)]
    plain = head.losses(maps, targets(0, 0, 0, 1), Optimiser())
    assert plain.score.item() == pytest.approx(math.log(2))
    assert plain.box.item() == 0
    head.balance([3, 1])
    assert head.weights.tolist() == pytest.approx([2 / 3, 2.0])
    assert head.losses(maps, targets(0, 0, 0, 1), Optimiser()).score.item() == pytest.approx(math.log(2))
    assert head.losses(maps, targets(0, 0, 0, 0), Optimiser()).score.item() == pytest.approx(math.log(2) * 2 / 3)
    # squares of the dense layer's weights: 1 + 1 + 0.25 + 4, not of its bias
    assert head.losses(maps, targets(0, 0, 0, 1), Optimiser(l2=0.1)).box.item() == pytest.approx(0.625)


def test_how_many_pictures_are_taken_for_what_they_are(by_hand):
    head = by_hand[0].head
    with torch.no_grad():
        head.dense.bias[1] = 0  # now the class wins
    right = head.losses([FEATURES.expand(4, -1, -1, -1)], targets(0, 1, 1, 1), Optimiser()).right
    assert right.item() == pytest.approx(0.75)


def test_balance_does_not_travel_in_a_checkpoint(by_hand):
    assert set(by_hand[0].head.state_dict()) == {"dense.weight", "dense.bias"}


def test_a_file_whose_maps_differ_is_not_written(make_checkpoint, tmp_path, monkeypatch):
    path, _, _ = make_checkpoint(head="pooled", loss="cross_entropy")
    real = to_onnx.to_bytes

    def wrong(network, spec):
        with torch.no_grad():
            network.head.dense.weight[0] *= 1 + 10 * MAP_LIMIT
        data = real(network, spec)
        with torch.no_grad():
            network.head.dense.weight[0] /= 1 + 10 * MAP_LIMIT
        return data

    monkeypatch.setattr(to_onnx, "to_bytes", wrong)
    with pytest.raises(ParityError, match=r"not written: over 1 pictures .* in its maps \(limit 1e-05\)"):
        export(path, tmp_path / "x.onnx", [])
    assert not (tmp_path / "x.onnx").exists()


def test_the_exported_file_says_what_it_is(make_checkpoint, tmp_path):
    path, network, spec = make_checkpoint(head="pooled", loss="cross_entropy", map_stride=16)
    found, parity = export(path, tmp_path / "x.onnx", [])
    assert parity.good()
    assert parity.maps is not None
    there = read_spec(tmp_path / "x.onnx")
    assert there == found
    assert (there.task, there.network["map_stride"]) == ("localise", 16)
    assert compare(network, spec, to_bytes(network, spec), []).maps == 0
