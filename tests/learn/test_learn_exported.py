"""Exported files as networks again: the same answers, batch norm put back, and runs that begin with what ships."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from passerby.errors import ModelError, SettingError
from passerby.learn.exported import fold, load_exported, load_trained, settle_statistics
from passerby.learn.loop import prepare, train
from passerby.learn.network import spec_of
from passerby.learn.teaching import load_teacher
from passerby.learn.to_onnx import to_bytes
from passerby.records import Sample, Truth
from passerby.runtime.model_file import find_model, read_spec, write_spec

KINDS = {
    "MobileNetV2, SSD-Lite": {},
    "MobileNetV1, top-down path": {"backbone": "mobilenet_v1", "depth_multiplier": 1.0, "fusion": 16},
    "classifier": {"head": "pooled", "loss": "cross_entropy", "labels": ("person",)},
}


def pixels_of(spec, count=2):
    rng = np.random.default_rng(5)
    return torch.from_numpy(rng.integers(0, 256, (count, spec.height, spec.width, 3), np.uint8))


@pytest.fixture
def file_of(make_checkpoint, tmp_path):
    """A network and its exported file, as `file_of(fusion=16)`."""

    def make(**changes):
        _, network, spec = make_checkpoint(**changes)
        with torch.no_grad():
            for m in network.modules():
                if isinstance(m, torch.nn.Conv2d | torch.nn.Linear) and m.bias is not None:
                    m.bias += torch.empty_like(m.bias).uniform_(-0.1, 0.1)  # zeros would be left out of the graph
        path = tmp_path / "net.onnx"
        path.write_bytes(to_bytes(network, spec))
        return path, network, spec

    return make


@pytest.mark.parametrize("kind", list(KINDS))
def test_it_answers_as_the_network_that_was_exported(file_of, kind):
    path, network, spec = file_of(**KINDS[kind])
    again, same = load_trained(path)
    assert same == spec
    assert not again.training
    with torch.no_grad():
        for a, b in zip(network(pixels_of(spec)), again(pixels_of(spec)), strict=True):
            torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)


def test_settled_statistics_are_those_of_the_pictures_and_no_answer_changes(file_of, make_pixels):
    path, _, spec = file_of(fusion=16)
    network, _ = load_exported(path)
    pictures = [make_pixels(90 + k, 70) for k in range(20)]
    with torch.no_grad():
        before = network(pixels_of(spec))
        settle_statistics(network, spec, pictures)
        for a, b in zip(before, network(pixels_of(spec)), strict=True):
            torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)
        first, norm = network.backbone.features[0][0], network.backbone.features[0][1]
        from passerby.geometry.resize import fit

        fitted = torch.stack([torch.from_numpy(fit(p, spec.width, spec.height)[0].copy()) for p in pictures])
        came = first((fitted.permute(0, 3, 1, 2).float() - network.mean) / network.std)
    torch.testing.assert_close(norm.running_mean, came.mean((0, 2, 3)), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(norm.running_var, came.var((0, 2, 3), correction=0), atol=1e-4, rtol=1e-3)


def test_a_first_step_sees_nearly_the_network_that_was_exported(file_of, make_pixels):
    path, _, spec = file_of()
    pictures = [make_pixels(64, 64) for _ in range(16)]
    apart = {}
    for settled in (False, True):
        network, _ = load_exported(path)
        if settled:
            settle_statistics(network, spec, pictures)
        batch = torch.stack([torch.from_numpy(p.copy()) for p in pictures])
        with torch.no_grad():
            still = network(batch)[0].sigmoid()
            apart[settled] = (network.train()(batch)[0].sigmoid() - still).abs().max().item()
    assert apart[True] < 1e-3
    assert apart[False] > 10 * apart[True]


def test_folding_changes_no_answer_and_leaves_no_batch_norm(make_checkpoint):
    _, network, spec = make_checkpoint(backbone="mobilenet_v1", depth_multiplier=1.0)
    with torch.no_grad():
        before = network(pixels_of(spec))
        fold(network)
        for a, b in zip(before, network(pixels_of(spec)), strict=True):
            torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in network.modules())


def test_a_run_begins_with_an_exported_file(file_of, make_recipe, heads_voc, teller, tmp_path, no_curves):
    path, network, spec = file_of()
    recipe = make_recipe(heads_voc(4), f"model.start={path}")
    picture = tmp_path / "heads" / "JPEGImages" / "p0.png"
    samples = [Sample(picture, 96, 96, Truth.of([]))]
    trainee = prepare(recipe, told := teller(), samples)
    assert told.lines[-1].startswith(f"start, from {path}: ")
    assert "it has no" not in told.lines[-1]
    with torch.no_grad():
        for a, b in zip(network(pixels_of(spec)), trainee.network.eval()(pixels_of(spec)), strict=True):
            torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)
    best = train(recipe, tmp_path / "run", teller())
    _, spec = load_trained(best)
    assert len(spec.provenance["started_from"]) == 1


def test_a_run_begins_with_a_shipped_model_by_its_name(make_recipe, heads_voc, teller):
    sets = (
        "model.start=head-tiny",
        "model.backbone=mobilenet_v1",
        "model.blocks=[1,2,2,2,2]",
        "model.depth_multiplier=1",
        "model.width_multiplier=0.25",
        "model.layout=f75",
        "model.fusion=44",
    )
    trainee = prepare(make_recipe(heads_voc(2), *sets), told := teller())
    assert "it has no" not in told.lines[-1]
    (run,) = trainee.spec.provenance["started_from"][:1]
    assert run["recipe"] == "head-tiny"
    assert {"epoch", "trained_on"} <= set(run)


def test_a_shipped_model_teaches_at_another_size_with_default_boxes_of_its_own(tiny):
    """Both see one picture: the boxes that the teacher is sure of are where it says, in the student's offsets."""
    from passerby.learn.boxes import corners

    student = spec_of(
        tiny(
            backbone="mobilenet_v1",
            depth_multiplier=1.0,
            layout="f75",
            height=192,
            width=288,
            shapes=(((5, 6), (8, 9)),) * 5,
        )
    )
    teacher = load_teacher("head-tiny", student)
    import cv2

    from passerby.geometry.anchors import default_boxes
    from passerby.geometry.resize import fit
    from passerby.runtime.model_file import MODELS

    picture = cv2.imread(str(MODELS.parent.parent / "examples" / "pictures" / "astronaut.jpg"))[..., ::-1]
    pixels = torch.from_numpy(fit(picture, 288, 192, student.resize)[0][None].copy())
    logits, offsets = teacher.ask(pixels)
    with torch.no_grad():
        said, own = teacher.network(pixels)
    assert torch.equal(logits, said)
    sure = said[0, :, 0].sigmoid() > 0.3
    assert sure.any()
    mine = torch.from_numpy(default_boxes(student.anchors, 192, 288))
    theirs = torch.from_numpy(default_boxes(teacher.theirs.anchors, 192, 288))
    assert not torch.equal(mine, theirs)
    torch.testing.assert_close(
        corners(offsets[0], mine, student.variance)[sure], corners(own[0], theirs, (0.1, 0.2))[sure], atol=1e-2, rtol=0
    )


def test_files_that_no_training_can_begin_with_are_refused(file_of, tmp_path):
    path, _, spec = file_of()
    half = tmp_path / "half.onnx"
    write_spec(path, spec.with_(precision="int8"), half)
    with pytest.raises(ModelError, match=r"half\.onnx: its weights are int8.*float32"):
        load_exported(half)
    other = tmp_path / "other.onnx"
    write_spec(path, spec.with_(network={**spec.network, "width_multiplier": 0.5}), other)
    with pytest.raises(ModelError, match=r"other\.onnx: its weights are not those that its spec describes \(no "):
        load_exported(other)
    with pytest.raises(ModelError, match="no such model file"):
        load_trained(tmp_path / "gone.onnx")
    with pytest.raises(SettingError, match=r"no model 'heda'.*head"):
        load_trained("heda")


def test_a_teacher_of_another_layout_is_refused(tiny):
    with pytest.raises(SettingError, match=r"optimiser.teacher: head: its layout: f75; the recipe's: f38"):
        load_teacher("head", spec_of(tiny()))


@pytest.mark.parametrize("name", ["head", "head-f38", "head-tiny", "person", "person-map"])
def test_every_shipped_model_is_a_network_again(name):
    network, spec = load_exported(find_model(name))
    assert spec == read_spec(find_model(name))
    assert sum(p.numel() for p in network.parameters()) > 100_000
