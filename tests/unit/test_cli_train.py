"""passerby train and export, as far as they go without training."""

from __future__ import annotations

import json

import pytest

RECIPE = """
from passerby.recipe import Model, Recipe, Run

RECIPE = Recipe(name="small", model=Model(name="small", height=64, width=64), run=Run(epochs=3))
"""
NO_TORCH = "sys.modules['torch'] = None"


@pytest.fixture
def recipe(tmp_path):
    """A recipe's file."""
    path = tmp_path / "small.py"
    path.write_text(RECIPE)
    return path


def test_show_prints_the_recipe_as_json(cli, recipe):
    ran = cli("train", recipe, "--show")
    assert (ran.code, ran.err) == (0, "")
    shown = json.loads(ran.out)
    assert set(shown) == {"name", "model", "data", "augment", "optimiser", "run"}
    assert (shown["name"], shown["model"]["height"], shown["run"]["epochs"]) == ("small", 64, 3)


def test_show_prints_the_overrides(cli, recipe):
    words = ("--set", "run.epochs=7", "--set", "optimiser.rate=0.5", "--set", "data.val=voc:x#a,voc:x#b")
    ran = cli("train", recipe, *words, "--set", "model.sizes=[[4,8],[16]]", "--set", "optimiser.nesterov=no", "--show")
    assert ran.code == 0, ran.err
    shown = json.loads(ran.out)
    assert (shown["run"]["epochs"], shown["optimiser"]["rate"], shown["optimiser"]["nesterov"]) == (7, 0.5, False)
    assert shown["data"]["val"] == ["voc:x#a", "voc:x#b"]
    assert shown["model"]["sizes"] == [[4, 8], [16]]


def test_the_last_override_wins(cli, recipe):
    ran = cli("train", recipe, "--set", "run.epochs=7", "--set", "run.epochs=9", "--show")
    assert json.loads(ran.out)["run"]["epochs"] == 9


def test_show_writes_nothing(cli, recipe, tmp_path):
    cli("train", recipe, "--show")
    assert [p.name for p in tmp_path.iterdir() if p.name != "__pycache__"] == ["small.py"]


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("optimiser.rat=1", ("optimiser.rat", "did you mean 'rate'?")),
        ("run.epoch=1", ("run.epoch", "did you mean 'epochs'?")),
        ("optimizer.rate=1", ("optimizer.rate", "did you mean 'optimiser'?")),
        ("run.epochs=many", ("run.epochs", "'many' is no whole number")),
        ("run.epochs=1.5", ("run.epochs", "'1.5' is no whole number")),
        ("optimiser.rate=fast", ("optimiser.rate", "'fast' is no number")),
        ("optimiser.nesterov=perhaps", ("optimiser.nesterov", "neither true nor false")),
        ("augment.crop_scale=0.3", ("augment.crop_scale", "wants 2 values, got 1")),
        ("run.epochs", ("--set run.epochs", "SECTION.FIELD=VALUE")),
        ("epochs=3", ("--set epochs=3", "SECTION.FIELD=VALUE")),
    ],
)
def test_a_wrong_override_is_one_line_that_helps(cli, refused, recipe, override, words):
    refused(cli("train", recipe, "--set", override, "--show"), 2, *words)


def test_a_missing_recipe_file_is_one_line(cli, refused):
    refused(cli("train", "gone.py", "--show"), 2, "gone.py: no such recipe file")


def test_a_file_without_a_recipe_is_one_line(cli, refused, tmp_path):
    (tmp_path / "empty.py").write_text("x = 1\n")
    refused(cli("train", "empty.py", "--show"), 2, "empty.py: sets no RECIPE")


def test_an_unknown_recipe_is_one_line(cli, refused):
    refused(cli("train", "nothing-like-it", "--show"), 2, "no recipe 'nothing-like-it'")


def test_show_needs_no_torch(shell, recipe):
    ran = shell("train", recipe, "--show", before=NO_TORCH)
    assert ran.code == 0, ran.err
    assert json.loads(ran.out)["name"] == "small"


@pytest.mark.parametrize("package", ["torch", "safetensors"])
@pytest.mark.parametrize("words", [("train", "small.py"), ("export", "best.safetensors")], ids=["train", "export"])
def test_a_missing_package_is_named_with_the_pip_line(shell, recipe, words, package):
    ran = shell(*words, before=f"sys.modules[{package!r}] = None")
    assert (ran.code, ran.out) == (7, "")
    (line,) = ran.err.splitlines()
    assert line == f"passerby: this needs {package}, which is not installed: pip install 'passerby[train]'"


@pytest.fixture
def checkpoint(tmp_path):
    """A checkpoint of an untrained network."""
    torch = pytest.importorskip("torch")
    from passerby.learn.checkpoint import State, save
    from passerby.learn.network import build, spec_of
    from passerby.recipe import Model, Recipe

    torch.manual_seed(0)
    model = Model(height=64, width=64, width_multiplier=0.25, depth_multiplier=0.34, name="tiny")
    spec = spec_of(model)
    save(tmp_path / "best.safetensors", build(spec), None, None, spec, Recipe(model=model), State())
    return tmp_path / "best.safetensors"


@pytest.mark.parametrize("package", ["onnx", "onnxscript"])
def test_export_without_its_packages_names_the_pip_line(shell, checkpoint, package):
    ran = shell("export", checkpoint, before=f"sys.modules[{package!r}] = None")
    assert "Traceback" not in ran.err
    assert (ran.code, ran.out) == (7, "")
    assert "pip install 'passerby[train]'" in ran.err
    assert not checkpoint.with_suffix(".onnx").exists()


def test_a_missing_checkpoint_is_one_line(cli, refused):
    pytest.importorskip("torch")
    refused(cli("export", "gone.safetensors"), 5, "gone.safetensors: no such checkpoint")


@pytest.mark.parametrize("data", [b"", b"I am no checkpoint", b"\0" * 500], ids=["empty", "text", "zeros"])
def test_a_file_that_is_no_checkpoint_is_one_line(cli, refused, tmp_path, data):
    pytest.importorskip("torch")
    (tmp_path / "best.safetensors").write_bytes(data)
    refused(cli("export", "best.safetensors"), 5, "best.safetensors: not a checkpoint, or cut short")


def test_a_checkpoint_cut_short_is_one_line(cli, refused, checkpoint):
    checkpoint.write_bytes(checkpoint.read_bytes()[:-1])
    refused(cli("export", checkpoint), 5, "best.safetensors: not a checkpoint, or cut short")


def test_pictures_to_check_that_are_missing_are_one_line(cli, refused, checkpoint):
    refused(cli("export", checkpoint, "--check", "gone.jpg"), 3, "gone.jpg: no such file")


def test_pictures_of_a_data_set_are_put_through_both(cli, checkpoint, make_voc):
    names = ("a", "b", "c")
    root = make_voc({n: [("head", 5, 5, 25, 25)] for n in names}, {"val": ["a", "b"]})
    for data, count in ((f"voc:{root}#val", 3), (f"voc:{root}", 4), (root / "JPEGImages", 4), (f"{root}#val", 3)):
        ran = cli("export", checkpoint, "--check", data)
        assert ran.code == 0, ran.err
        assert f"over {count} pictures" in ran.err  # those, and noise
        checkpoint.with_suffix(".onnx").unlink()


def test_a_data_set_to_check_with_that_is_missing_is_one_line(cli, refused, checkpoint):
    refused(cli("export", checkpoint, "--check", "voc:gone#val"), 4, "'voc:gone#val': no such file or folder")


def test_splits_cut_at_their_comma_are_told_of_with_the_way_to_write_them(cli, refused, recipe):
    pytest.importorskip("torch")
    words = "a comma ends a data set, so 'train_B' was read as one", "'data.train=[\"voc:heads#train_A,train_B\"]'"
    refused(cli("train", recipe, "--set", "data.train=voc:heads#train_A,train_B"), 2, *words)
