"""passerby info and --help: a model's card, its layers, and sums that are the sums."""

from __future__ import annotations

import json
import re
import shutil

import pytest
from device_fixtures import FILES, MACS

from passerby.geometry.layouts import LAYOUTS
from passerby.runtime import model_file
from passerby.runtime.protobuf import write_field

NUMBERS = re.compile(r"([\d,]+)\s+([\d,]+)\s+([\d,.]+)$")


def table(text):
    """{layer: (parameters, multiply-adds, KiB)} of the printed table."""
    lines = text.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("layer "))
    out = {}
    for line in lines[start + 1 :]:
        if match := NUMBERS.search(line):
            numbers = tuple(float(v.replace(",", "")) for v in match.groups())
            out[line.split()[0]] = numbers
    return out


def test_the_sums_are_the_sums_of_the_rows(cli, tiny_model, tiny_spec):
    rows = table(cli("info", tiny_model).out)
    parameters, macs, memory = rows.pop("sum")
    assert len(rows) == len(tiny_spec.layers) + 1  # what multiplies as the network has it, and all others in one row
    assert len(rows) > 10
    assert parameters == sum(r[0] for r in rows.values())
    assert macs == sum(r[1] for r in rows.values()) == sum(x.macs for x in tiny_spec.layers)
    assert memory == pytest.approx(sum(r[2] for r in rows.values()), abs=0.05 * len(rows) + 0.05)


def test_the_sum_of_parameters_is_the_networks_with_batch_norm_folded(cli, tiny_model, tiny_spec):
    pytest.importorskip("torch")
    from passerby.learn.layers import folded
    from passerby.learn.network import build

    out = cli("info", tiny_model).out
    shared = 3 * 2  # four biases of the tiny model hold the same two numbers, and its file keeps them once
    assert table(out)["sum"][0] == folded(build(tiny_spec)) - shared
    trained = sum(p.numel() for p in build(tiny_spec).parameters())
    assert f"as trained, batch norm not folded: {trained:,} parameters" in out


def test_the_first_layer_counts_as_by_hand(cli, tiny_model, tiny_spec):
    # 3 x 3 x 3 into n channels at 32 x 32: n * 27 weights and n biases, into which batch norm was folded
    channels, rows, columns = tiny_spec.layers[0].shape
    assert (rows, columns) == (32, 32)
    first = next(iter(table(cli("info", tiny_model).out).values()))
    assert first == (channels * 28, channels * 27 * 32 * 32, channels * 32 * 32 * 4 / 1024)


def test_every_operator_has_a_row_where_that_is_asked(cli, tiny_model):
    few, every = (cli("info", tiny_model, *more).out for more in ((), ("--all",)))
    assert "others" in few
    assert "others" not in every
    assert len(every.splitlines()) > len(few.splitlines()) + 20
    assert table(every)["sum"] == table(few)["sum"]
    assert "Sigmoid" in every


def test_what_was_published_stands_beside_models_of_that_family_only(cli, tiny_model, tmp_path):
    assert "published" not in cli("info", tiny_model).out
    shipped, path = model_file.find_model("head"), tmp_path / "v2.onnx"
    spec = model_file.read_spec(shipped)
    maps, network = LAYOUTS["f38"].published(1.7, 300, 300), {**spec.network, "backbone": "mobilenet_v2"}
    model_file.write_spec(shipped, spec.with_(anchors=maps, network=network), path)
    out = cli("info", path).out
    assert "2,750,864 parameters, 618 M multiply-adds, 345.9 MiB needed to run" in out


def test_another_makers_file_is_counted_too(cli, tmp_path):
    onnx = pytest.importorskip("onnx")
    make, kind = onnx.helper, onnx.TensorProto.FLOAT
    node = make.make_node("Relu", ["in"], ["out"])
    ports = [make.make_tensor_value_info(n, kind, (1, 3, 4, 4)) for n in ("in", "out")]
    graph = make.make_graph([node], "g", ports[:1], ports[1:])
    model = make.make_model(graph, opset_imports=[make.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "other.onnx")
    out = cli("info", "other.onnx").out
    assert "other: another maker's; other.onnx" in out
    assert "inputs: in (1 x 3 x 4 x 4) float32" in out


def test_info_needs_no_package_for_onnx_files(shell, tiny_model):
    ran = shell(
        "info", tiny_model, before="sys.modules['onnx'] = sys.modules['torch'] = sys.modules['openvino'] = None"
    )
    assert ran.code == 0, ran.err
    assert "Conv" in ran.out


def test_the_facts_of_the_model_are_told(cli, tiny_model):
    ran = cli("info", tiny_model)
    assert ran.code == 0
    assert ran.err == ""
    for words in ("tiny: head", "input 64 x 64 RGB bytes, stretch", "170 default boxes", "threshold 0.5"):
        assert words in ran.out, words
    assert re.search(r"8 x 8 +cells", ran.out)


def test_the_card_beside_the_model_comes_first(cli, tmp_path, tiny_bytes):
    (tmp_path / "m.onnx").write_bytes(tiny_bytes)
    (tmp_path / "m.md").write_text("# The card\n\nResearch only.\n")
    assert cli("info", "m.onnx").out.startswith("# The card\n\nResearch only.\n")


def test_json_gives_all_facts_as_one_document(cli, tiny_model, tiny_spec):
    ran = cli("info", tiny_model, "--json")
    assert ran.code == 0
    raw = json.loads(ran.out)
    file = raw.pop("file")
    assert raw == json.loads(tiny_spec.to_json())
    assert file["bytes"] == tiny_model.stat().st_size
    assert file["sums"]["macs"] == sum(x["macs"] for x in file["layers"]) == sum(x.macs for x in tiny_spec.layers)
    assert file["peak"]["bytes"] > 0


def test_without_a_name_the_shipped_models_are_listed(cli, monkeypatch, tiny_model):
    monkeypatch.setattr(model_file, "shipped_models", lambda: {"head": tiny_model, "tiny": tiny_model})
    lines = cli("info").out.splitlines()
    assert [line.split()[0] for line in lines] == ["head", "tiny"]
    assert all("64 x 64" in line and "MB" in line for line in lines)


def test_a_file_that_is_no_model_is_one_line(cli, refused, tmp_path, make_picture):
    refused(cli("info", make_picture(tmp_path / "p.png")), 5, "p.png: not an ONNX file")


@pytest.mark.parametrize(
    "words", [("info",), ("detect", "p.png", "--model"), ("tune",), ("live", "clip.mp4", "--model"), ("quantise",)]
)
def test_a_checkpoint_where_a_model_file_belongs_says_how_one_is_made(
    cli, refused, tmp_path, make_picture, make_video, words
):
    make_picture(tmp_path / "p.png")
    make_video(tmp_path / "clip.mp4")
    (tmp_path / "best.safetensors").write_bytes(b"0" * 100)
    more = ("--data", tmp_path) if words == ("quantise",) else ()
    refused(cli(*words, "best.safetensors", *more), 5, "best.safetensors: a checkpoint; ", "passerby export best.")


def test_a_folder_where_a_model_belongs_is_said_to_be_one(cli, refused, tmp_path, make_picture):
    make_picture(tmp_path / "runs" / "p.png")
    refused(cli("detect", tmp_path / "runs", "--model", tmp_path / "runs"), 5, "runs: a folder; name a file in it")


def test_an_unknown_name_gets_the_nearest(cli, refused, monkeypatch, tiny_model):
    monkeypatch.setattr(model_file, "shipped_models", lambda: {"head": tiny_model})
    refused(cli("info", "haed"), 2, "did you mean 'head'?")


@pytest.mark.parametrize("verb", ["detect", "eval", "info", "train", "export", "parity", "tune"])
def test_every_verb_has_help(cli, verb):
    ran = cli(verb, "--help")
    assert ran.code == 0
    assert ran.err == ""
    assert f"{verb} [OPTIONS]" in ran.out
    assert verb in cli("--help").out


def test_the_help_says_what_passerby_is_not_and_the_exit_codes(cli):
    out = cli("--help").out
    assert "never who they are" in out
    assert "Exit codes" in out


def test_the_version_is_the_packages(cli):
    import passerby

    ran = cli("--version")
    assert ran.code == 0
    assert passerby.__version__ in ran.out


def test_a_recipe_is_counted_untrained_and_set_beside_what_was_published(cli):
    pytest.importorskip("torch")
    ran = cli("info", "mb2_ssd_lite_f38")
    assert (ran.code, ran.err) == (0, "")
    assert "mb2-ssd-lite-f38: head; the untrained network of recipe mb2_ssd_lite_f38" in ran.out
    assert "3,860 default boxes" in ran.out
    rows = table(ran.out)
    assert rows.pop("sum")[0] == sum(r[0] for r in rows.values()) == 2_768_936
    assert "published (the reference design, counted in its converted DLC file): 2,750,864 parameters" in ran.out
    assert "  difference: counted so" in ran.out


def test_a_recipes_network_as_json(cli, tmp_path):
    pytest.importorskip("torch")
    (tmp_path / "mine.py").write_text(
        "from passerby.recipe import Model, Recipe\n"
        "RECIPE = Recipe('mine', model=Model(width_multiplier=0.25, labels=('cat',), height=64, width=64))\n"
    )
    raw = json.loads(cli("info", "mine.py", "--json").out)
    assert raw["labels"] == ["cat"]
    assert sum(x["parameters"] for x in raw["layers"]) > 100_000
    assert "published" not in cli("info", "mine.py").out


def test_a_name_of_neither_model_nor_recipe_gets_the_nearest_of_both(cli, refused):
    refused(cli("info", "mb1-sdd"), 2, "no model or recipe 'mb1-sdd'", "did you mean 'mb1-ssd'?")
    refused(cli("info", "gone.py"), 2, "no such recipe file")


def test_of_a_dlc_alone_the_card_and_the_networks_layers_are_printed(cli, refused, tiny_spec, tiny_model, tmp_path):
    path = tmp_path / "small.dlc"
    path.write_bytes(bytes(3_000_000))
    refused(cli("info", path), 5, "small.dlc: Qualcomm's format is not public")
    path.with_suffix(".json").write_text(tiny_spec.to_json())
    out = cli("info", path).out
    assert "small.dlc (3.00 MB)" in out
    assert "not public" in out
    assert table(out)["sum"][1] == sum(x.macs for x in tiny_spec.layers)
    shutil.copy(tiny_model, tmp_path / "small.onnx")
    assert "counted from small.onnx beside it" in cli("info", path).out


def test_a_core_ml_package_brings_its_spec_along(cli, refused, tiny_spec, tmp_path):
    path = shutil.copytree(FILES / "small.mlpackage", tmp_path / "moved.mlpackage")
    entry = write_field(1, b"passerby") + write_field(2, tiny_spec.to_json().encode())
    model = path / "Data" / "com.apple.CoreML" / "model.mlmodel"
    model.write_bytes(model.read_bytes() + write_field(2, write_field(100, write_field(100, entry))))
    out = cli("info", path).out
    assert f"{tiny_spec.name}: head; " in out
    assert f"threshold {tiny_spec.threshold:g}" in out
    (path / "Manifest.json").unlink()
    refused(cli("info", path), 5, "moved.mlpackage: cannot be read")


@pytest.mark.parametrize("name", ["small.pte", "small.mlpackage"])
def test_files_that_no_engine_here_runs_are_counted(cli, tiny_spec, tmp_path, name):
    path = tmp_path / name
    copy = shutil.copytree if name.endswith("package") else shutil.copy
    copy(FILES / name, path)
    out = cli("info", path).out
    assert "another maker's" in out
    assert table(out)["sum"][1] == MACS
    path.with_suffix(".json").write_text(tiny_spec.to_json())
    assert f"threshold {tiny_spec.threshold:g}" in cli("info", path).out
