"""What a score hangs on: gradient maps by hand, and everything that is borrowed given back."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from passerby.errors import ModelError, SettingError, ShapeError
from passerby.geometry.anchors import default_boxes
from passerby.geometry.boxes import to_corners
from passerby.geometry.resize import place
from passerby.learn import explain
from passerby.learn.explain import gradient_map, gradients_of, pick_score, spread, weigh
from passerby.learn.network import build, spec_of

PIXELS = np.random.default_rng(3).integers(0, 256, (48, 80, 3), dtype=np.uint8)
# two channels over 2 x 2 places, and the gradients of a score there
FEATURES = torch.tensor([[[1.0, 2], [3, 4]], [[0, 1], [0, 5]]])
GRADIENTS = torch.tensor([[[4.0, 0], [0, 0]], [[0, -2], [0, 1]]])


class Cells(nn.Module):
    """A backbone of no weights: red and green of each quarter, as bytes."""

    def forward(self, x):
        return [nn.functional.adaptive_avg_pool2d(x[:, :2], 2)]


class TwoBoxes(nn.Module):
    """A head with a box on the left and one on the right half; logits 2 red of the upper left, 3 green of the right."""

    def forward(self, maps):
        (f,) = maps
        return torch.stack([2 * f[:, 0, 0, 0] - 3, 3 * f[:, 1, :, 1].mean(1) - 3], 1)

    def decode(self, logits):
        boxes = torch.tensor([[[0.0, 0, 32, 64], [32, 0, 64, 64]]])
        return boxes, logits.sigmoid().unsqueeze(-1)


@pytest.fixture
def two_boxes(tiny):
    """A network that says why: see TwoBoxes; and its spec."""
    spec = spec_of(tiny())
    network = build(spec)
    network.backbone, network.head = Cells(), TwoBoxes()
    network.mean.zero_()
    network.std.fill_(1)
    return network.train(), spec


@pytest.fixture
def picture():
    """(64, 64, 3): red 1 on the left, 2 on the right; green 1 everywhere."""
    pixels = np.ones((64, 64, 3), np.uint8)
    pixels[:, 32:, 0] = 2
    return pixels


def test_both_rules_by_hand():
    # at each place: 4 x 1 + 0 x 0, 0 x 2 - 2 x 1, 0, 0 x 4 + 1 x 5
    assert weigh(FEATURES, GRADIENTS, "points").tolist() == [[4, -2], [0, 5]]
    # mean gradients: 1 and -1/4
    assert weigh(FEATURES, GRADIENTS, "channels").tolist() == [[1, 1.75], [3, 2.75]]


def test_gradients_are_those_of_the_logit_of_the_detection_asked_for(two_boxes, picture):
    network, spec = two_boxes
    left, right = (np.array([b], np.float32) for b in ((0, 0, 32, 64), (32, 0, 64, 64)))
    (features,), (gradients,) = gradients_of(network, spec, picture, 0, left)
    assert features.tolist() == [[[1, 2], [1, 2]], [[1, 1], [1, 1]]]
    assert torch.allclose(gradients, torch.tensor([[[2.0, 0], [0, 0]], [[0, 0], [0, 0]]]), atol=1e-4)
    _, (gradients,) = gradients_of(network, spec, picture, 0, right)
    assert torch.allclose(gradients, torch.tensor([[[0.0, 0], [0, 0]], [[0, 1.5], [0, 1.5]]]), atol=1e-4)


def test_without_a_box_the_highest_score_is_explained(two_boxes, picture):
    network, spec = two_boxes  # left 2 - 3 = -1, right 3 - 3 = 0
    _, (gradients,) = gradients_of(network, spec, picture, 0, None)
    assert gradients[1, 0, 1] > 1
    assert gradients[0, 0, 0] == 0


def test_a_detection_is_picked_by_score_times_overlap():
    boxes = torch.tensor([[[0.0, 0, 10, 10], [0, 0, 10, 8], [40, 40, 50, 50]]])
    scores = torch.tensor([[[0.5], [0.6], [0.9]]])
    box = np.array([[0, 0, 10, 10]], np.float32)  # 0.5 x 1 is more than 0.6 x 0.8
    assert pick_score((boxes, scores), "detect", 0, box).item() == 0.5
    assert pick_score((boxes, scores), "detect", 0, None).item() == pytest.approx(0.9)
    with pytest.raises(SettingError, match=r"no detection lies on the box \[80"):
        pick_score((boxes, scores), "detect", 0, np.array([[80, 80, 90, 90]], np.float32))


def test_hooks_modes_and_gradients_are_given_back(two_boxes, picture, monkeypatch):
    network, spec = two_boxes
    network.head.weight = nn.Parameter(torch.zeros(1), requires_grad=True)
    network.head.still = nn.Parameter(torch.zeros(1), requires_grad=False)

    def same():
        assert network.training
        assert not network.backbone._forward_hooks
        assert (network.head.weight.requires_grad, network.head.still.requires_grad) == (True, False)

    gradients_of(network, spec, picture, 0, None)
    same()
    monkeypatch.setattr(explain, "pick_score", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        gradients_of(network, spec, picture, 0, None)
    same()


def test_a_map_lies_over_the_picture_without_the_padding_of_a_letterbox(tiny):
    spec = spec_of(tiny(resize="letterbox"))
    heat = np.zeros((4, 4), np.float32)
    heat[1, 0] = 1  # input y 16 to 32, x 0 to 16
    over = spread(heat, spec, place(128, 64, 64, 64, "letterbox"))  # input y = picture y / 2 + 16
    assert over.shape == (64, 128)
    y, x = np.unravel_index(over.argmax(), over.shape)
    assert 8 <= y < 24
    assert x < 32
    assert (over.min(), over.max()) == (0, 1)


@pytest.mark.parametrize("rule", ["points", "channels"])
@pytest.mark.parametrize(
    "changes",
    [{}, {"resize": "letterbox"}, {"loss": "mining", "labels": ("cat", "dog")},
     {"head": "two_stage", "layout": "f38", "loss": "sampled", "fusion": 16, "proposals": 8, "box_head": 8},
     {"head": "pooled", "loss": "cross_entropy"}],
    ids=["ssd", "letterbox", "softmax", "two stages", "classifier"],
)  # fmt: skip
def test_every_head_can_be_asked(make_checkpoint, changes, rule):
    path, _, spec = make_checkpoint(**changes)
    for k in range(len(spec.labels)):
        heat = gradient_map(path, PIXELS, k, rule=rule)
        assert heat.shape == (48, 80)
        assert heat.dtype == np.float32
        assert np.isfinite(heat).all()
        assert 0 <= heat.min() <= heat.max() <= 1


def test_what_is_drawn_lies_near_the_detection_asked_for(make_checkpoint):
    path, _, spec = make_checkpoint()
    corners = to_corners(default_boxes(spec.anchors, 64, 64)) * np.array([80 / 64, 48 / 64] * 2)
    box = corners[0]  # of the finest map's first cell: the upper left corner
    heat = gradient_map(path, PIXELS, 0, box.tolist())
    y, x = np.unravel_index(heat.argmax(), heat.shape)
    assert heat.max() in (0, 1)
    assert x < 40
    assert y < 24


def test_what_cannot_be_asked_is_refused_in_one_line(make_checkpoint, tmp_path):
    path, _, _ = make_checkpoint()
    with pytest.raises(SettingError, match=r"class 1: tiny has 1, want 0 to 0"):
        gradient_map(path, PIXELS, 1)
    with pytest.raises(SettingError, match=r"rule 'pixels' is unknown"):
        gradient_map(path, PIXELS, 0, rule="pixels")
    for box in ([4, 4, 4, 9], [1, 2, 3], [0, 0, np.nan, 4]):
        with pytest.raises(ShapeError, match=r"want x0 y0 x1 y1"):
            gradient_map(path, PIXELS, 0, box)
    with pytest.raises(ModelError, match=r"no such checkpoint"):
        gradient_map(tmp_path / "none.safetensors", PIXELS, 0)
