"""The two-stage head: what it answers, what it learns from, and that it learns; SPEC 2, "Rival"."""

from __future__ import annotations

import json

import numpy as np
import pytest
import safetensors.torch
import torch
from torch.utils.flop_counter import FlopCounterMode

from passerby.errors import ModelError, SettingError
from passerby.geometry.anchors import default_boxes
from passerby.geometry.assign import assign
from passerby.geometry.boxes import decode, encode, to_centres, to_corners
from passerby.learn.boxes import centres_of, corners, offsets_of
from passerby.learn.heads.base import Targets
from passerby.learn.layers import layers_of
from passerby.learn.loop import train
from passerby.learn.losses import sampled_loss
from passerby.learn.network import build, spec_of
from passerby.recipe import Augment, Optimiser, load_recipe
from passerby.records import Truth
from passerby.runtime.heat import heat_map

TWO_STAGE = {"head": "two_stage", "loss": "sampled", "fusion": 16, "box_head": 32, "proposals": 20}
SET = tuple(f"model.{k}={v}" for k, v in TWO_STAGE.items())
LAYOUTS = ("f38", "c4")


@pytest.fixture(params=LAYOUTS)
def two_stage(request, tiny):
    """A Model of the tiny two-stage network, as `two_stage(labels=("a", "b"))`, on each layout."""
    return lambda **changes: tiny(**{**TWO_STAGE, "layout": request.param, **changes})


def targets_of(spec, truths, match_iou=0.5):
    """The targets of pictures, as the loader makes them."""
    anchors = default_boxes(spec.anchors, spec.height, spec.width)
    rows = [assign(t, anchors, match_iou, spec.variance) for t in truths]
    labels, offsets = (torch.from_numpy(np.stack(c)) for c in zip(*rows, strict=True))
    classes = [torch.from_numpy(np.where(t.ignore | t.difficult, -1, t.labels + 1)) for t in truths]
    objects = [torch.from_numpy(t.boxes) for t in truths]
    pad = torch.nn.utils.rnn.pad_sequence
    return Targets(labels, offsets, pad(objects, batch_first=True), pad(classes, batch_first=True))


def pictures(count, side=64):
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (count, side, side, 3), np.uint8))


def test_it_answers_with_so_many_proposals_and_scores_of_each_class(two_stage):
    spec = spec_of(two_stage(labels=("a", "b", "c")))
    network = build(spec).eval()
    with torch.no_grad():
        boxes, scores = network.head.decode(network(pictures(2)))
    assert boxes.shape == (2, 20, 4)
    assert scores.shape == (2, 20, 3)
    assert spec.scoring == "softmax"
    assert scores.sum(-1).max() < 1  # the rest is background's
    assert torch.isfinite(boxes).all()
    assert (boxes[..., 2:] >= boxes[..., :2]).all()


def test_rows_that_are_no_proposal_score_nothing(two_stage):
    spec = spec_of(two_stage(proposals=4000))  # more than there are default boxes
    network = build(spec).eval()
    with torch.no_grad():
        outputs = network(pictures(1))
        _, scores = network.head.decode(outputs)
    kept = outputs[1]
    assert 0 < kept.sum() < kept.numel() == sum(len(m) for m in spec.anchors)
    assert torch.equal(scores[..., 0] > 0, kept)


@pytest.mark.parametrize("box_loss", ["smooth_l1", "giou"])
def test_the_gradient_reaches_every_parameter_and_is_a_number(two_stage, box_loss):
    spec = spec_of(two_stage(labels=("a", "b")))
    network = build(spec).train()
    first = np.cumsum([0, *(len(m) for m in spec.anchors[:-1])])  # an object for each map, and one for no map's own
    objects = to_corners(default_boxes(spec.anchors, 64, 64))[first]
    truths = [Truth.of(objects, [k % 2 for k in range(len(objects))]), Truth.of([[4, 4, 24, 40]], [1])]
    losses = network.losses(pictures(2), targets_of(spec, truths), Optimiser(box_loss=box_loss))
    (losses.score + losses.box).backward()
    for name, p in network.named_parameters():
        assert p.grad is not None, name
        assert torch.isfinite(p.grad).all(), name
    still = [n for n, p in network.head.named_parameters() if not p.grad.any()]
    assert still == []


@pytest.mark.parametrize("truth", [Truth.of([]), Truth.of([[0, 0, 64, 64]], ignore=[True])], ids=["none", "ignored"])
def test_pictures_without_objects_train_without_nan(two_stage, truth):
    spec = spec_of(two_stage())
    network = build(spec).train()
    losses = network.losses(pictures(2), targets_of(spec, [truth, truth]), Optimiser(box_loss="giou"))
    (losses.score + losses.box).backward()
    assert losses.box == 0
    assert torch.isfinite(losses.score)
    assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)


def test_one_object_among_pictures_without_any_is_enough(two_stage):
    spec = spec_of(two_stage())
    network = build(spec).train()
    truths = [Truth.of([]), Truth.of([[10, 10, 30, 44]])]
    losses = network.losses(pictures(2), targets_of(spec, truths), Optimiser())
    assert losses.box > 0


def test_ignored_and_difficult_objects_neither_count_nor_punish(two_stage):
    """All of the picture is not judged but for one object: only its rows may be taught, and none as background."""
    spec = spec_of(two_stage())
    network = build(spec).train()
    whole, head = [-300, -300, 364, 364], [10, 10, 30, 44]
    truth = Truth.of([head, whole], ignore=[False, True])
    targets = targets_of(spec, [truth, truth])
    network.head.second.register_forward_hook(lambda _, __, out: seen.append(out))
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []
    losses = network.losses(pictures(2), targets, Optimiser())
    logits, _ = seen[0]
    logits.retain_grad()
    losses.score.backward()
    taught = logits.grad.flatten(0, 1).abs().sum(-1) > 0
    assert 0 < taught.sum() < taught.numel()
    assert (logits.grad.flatten(0, 1)[taught][:, 1] < 0).all()  # every taught row is taught that it is a head


def test_samples_are_a_function_of_the_seed_and_the_batch_number(two_stage):
    spec = spec_of(two_stage())
    targets = targets_of(spec, [Truth.of([[4, 4, 24, 40]]), Truth.of([[30, 10, 60, 60]])])

    def run(seed):
        torch.manual_seed(seed)
        network = build(spec).train()
        network.requires_grad_(False)
        return [network.losses(pictures(2), targets, Optimiser()).score.item() for _ in range(3)], network

    (one, network), (same, _), (other, _) = run(1), run(1), run(2)
    assert one == same
    assert one != other
    assert network.head.draws[1] == 3
    assert "head.draws" in network.state_dict()  # so that a resumed run goes on


@pytest.mark.usefixtures("no_curves")
@pytest.mark.parametrize("layout", LAYOUTS)
def test_four_pictures_are_learnt_by_heart(heads_voc, make_recipe, teller, tmp_path, layout):
    how = ("optimiser.kind=adamw", "optimiser.rate=0.01", "run.epochs=40", "run.evaluate_every=20")
    train(make_recipe(heads_voc(4), *SET, f"model.layout={layout}", *how), tmp_path / "run", teller())
    history = json.loads((tmp_path / "run" / "history.json").read_text())
    assert history[-1]["ap50"] == pytest.approx(1.0)


@pytest.mark.usefixtures("no_curves")
def test_a_run_stopped_and_resumed_gives_the_same_weights(heads_voc, make_recipe, teller, tmp_path):
    root = heads_voc(6)
    recipe = make_recipe(root, *SET, "run.epochs=3", "optimiser.average=0.9", augment=Augment())
    train(recipe, tmp_path / "whole", teller())
    with pytest.raises(KeyboardInterrupt):
        train(recipe, tmp_path / "broken", teller(5))
    train(recipe, tmp_path / "broken", teller(), resume=True)
    whole, broken = (safetensors.torch.load_file(tmp_path / d / "last.safetensors") for d in ("whole", "broken"))
    assert [k for k in whole if not torch.equal(whole[k], broken[k])] == []
    assert whole["network.head.draws"][1] == 9


def test_a_label_that_is_no_number_makes_the_loss_none_whichever_rows_are_drawn(two_stage):
    """So that the loop stops and names the file: SPEC 5, point 2. The loader marks default box 0 for it."""
    spec = spec_of(two_stage())
    network = build(spec).train()
    targets = targets_of(spec, [Truth.of([[4, 4, 24, 40]])] * 2)
    targets.labels[:] = 1  # more positives than are drawn
    sound = network.losses(pictures(2), targets, Optimiser())
    targets.offsets[0, 0] = np.nan
    broken = [network.losses(pictures(2), targets, Optimiser()).box for _ in range(5)]
    assert torch.isfinite(sound.box)
    assert not torch.isfinite(torch.stack(broken)).any()


def test_the_loss_of_a_sample_by_hand():
    # three judged rows: log 2 each where both logits are 0; the positive's first offset is 2 off: smooth L1 2 - 1/2
    labels = torch.tensor([1, 0, 0, -1])
    targets = torch.zeros(4, 4)
    targets[0, 0] = 2.0
    targets[3] = float("nan")
    anchors = torch.tensor([[5.0, 5, 10, 10]]).expand(4, -1)
    losses = sampled_loss(
        torch.zeros(4, 2), torch.zeros(4, 4), labels, targets, anchors, (0.1, 0.2), Optimiser(box_weight=2.0)
    )
    assert losses.score.item() == pytest.approx(np.log(2))
    assert losses.box.item() == pytest.approx(2 * 1.5 / 3)


def test_offsets_in_torch_are_those_of_geometry():
    boxes = torch.tensor([[0.0, 0, 10, 20], [5, 5, 6, 40]])
    anchors = torch.tensor([[4.0, 4, 9, 9], [7, 20, 3, 30]])
    found = offsets_of(boxes, anchors, (0.1, 0.2))
    np.testing.assert_allclose(found, encode(boxes.numpy(), anchors.numpy(), (0.1, 0.2)), rtol=1e-5)
    np.testing.assert_allclose(corners(found, anchors, (0.1, 0.2)), boxes, atol=1e-5)
    np.testing.assert_allclose(decode(found.numpy(), anchors.numpy(), (0.1, 0.2)), boxes, atol=1e-4)
    np.testing.assert_allclose(centres_of(boxes), to_centres(boxes.numpy()))


def test_the_layer_table_counts_every_parameter_and_what_each_proposal_costs(two_stage):
    spec = spec_of(two_stage())
    network = build(spec).eval()
    layers = layers_of(network, spec)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(pictures(1))
    assert sum(layer.macs for layer in layers) == counter.get_total_flops() // 2
    assert sum(layer.parameters for layer in layers) == sum(p.numel() for p in network.parameters())
    rows = {layer.name: layer for layer in layers}
    first = rows["head.second.layers.0"]  # 7 x 7 cells of 16 channels to 32 numbers, 20 proposals
    assert (first.parameters, first.macs) == (784 * 32 + 32, 20 * 784 * 32)
    assert first.shape == (32, 20, 1)
    assert rows["head.align"].shape == (784, 20, 1)
    assert rows["head.align"].macs > 0


def test_a_heat_map_of_proposals_is_empty(two_stage):
    spec = spec_of(two_stage(proposals=4000))  # as many rows as there are default boxes: they are still none
    scores = np.ones((sum(len(m) for m in spec.anchors), 1), np.float32)
    heat = heat_map(scores, spec)
    assert heat.shape == (spec.anchors[0].rows, spec.anchors[0].columns)
    assert not heat.any()


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"loss": "focal"}, r"model\.loss: focal is not for model\.head=two_stage; set sampled"),
        ({"head": "ssd"}, r"model\.loss: sampled is for model\.head=two_stage, not ssd"),
        ({"layout": "six"}, r"model\.layout: six is not for model\.head=two_stage; set f38 or c4"),
        ({"fusion": 0}, r"model\.fusion is 0; model\.head=two_stage wants at least 1"),
        ({"proposals": 0}, r"model\.proposals is 0"),
        ({"box_head": -1}, r"model\.box_head is -1"),
    ],
)
def test_settings_that_cannot_work_are_refused_in_one_line(tiny, changes, text):
    with pytest.raises(SettingError, match=text) as e:
        spec_of(tiny(**{**TWO_STAGE, **changes}))
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("name", ["proposals", "box_head"])
def test_a_spec_that_lacks_a_field_is_a_model_error_that_names_it(two_stage, name):
    spec = spec_of(two_stage())
    network = {k: v for k, v in spec.network.items() if k != name}
    with pytest.raises(ModelError, match=rf"lacks network\.{name}"):
        build(spec.with_(network=network))


@pytest.mark.parametrize("name", ["faster-rcnn-mb2-fpn", "faster-rcnn-mb2-c4"])
def test_the_shipped_recipes_describe_networks_that_can_be_built(name):
    spec = spec_of(load_recipe(name).model)
    network = build(spec)
    assert spec.network["proposals"] == 200
    assert sum(p.numel() for p in network.parameters()) < 6_000_000
    cells = {"faster-rcnn-mb2-fpn": [38, 19, 10, 5], "faster-rcnn-mb2-c4": [19]}[name]
    assert [m.rows for m in spec.anchors] == cells
