"""passerby info and --help: a model's card, its layers, and sums that are the sums."""

from __future__ import annotations

import json
import re

import pytest

from passerby.runtime import model_file

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
    assert len(rows) == len(tiny_spec.layers)
    assert len(rows) > 10
    assert parameters == sum(r[0] for r in rows.values())
    assert macs == sum(r[1] for r in rows.values())
    assert memory == pytest.approx(sum(r[2] for r in rows.values()), abs=0.05 * len(rows) + 0.05)


def test_the_sum_of_parameters_is_the_networks(cli, tiny_model, tiny_spec):
    pytest.importorskip("torch")
    from passerby.learn.network import build

    expected = sum(p.numel() for p in build(tiny_spec).parameters())
    assert table(cli("info", tiny_model).out)["sum"][0] == expected


def test_the_first_layer_counts_as_by_hand(cli, tiny_model, tiny_spec):
    # 3 x 3 x 3 into n channels at 32 x 32: n * 27 weights and 2 n of batch norm
    first = tiny_spec.layers[0]
    channels, rows, columns = first.shape
    assert (rows, columns) == (32, 32)
    assert first.parameters == channels * 27 + channels * 2
    assert first.macs == channels * 27 * 32 * 32
    assert first.memory == channels * 32 * 32 * 4
    printed = table(cli("info", tiny_model).out)[first.name]
    assert printed[:2] == (first.parameters, first.macs)


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
    assert json.loads(ran.out) == json.loads(tiny_spec.to_json())


def test_without_a_name_the_shipped_models_are_listed(cli, monkeypatch, tiny_model):
    monkeypatch.setattr(model_file, "shipped_models", lambda: {"head": tiny_model, "tiny": tiny_model})
    lines = cli("info").out.splitlines()
    assert [line.split()[0] for line in lines] == ["head", "tiny"]
    assert all("64 x 64" in line and "MB" in line for line in lines)


def test_a_file_that_is_no_model_is_one_line(cli, refused, tmp_path, make_picture):
    refused(cli("info", make_picture(tmp_path / "p.png")), 5, "p.png: not an ONNX file")


def test_an_unknown_name_gets_the_nearest(cli, refused, monkeypatch, tiny_model):
    monkeypatch.setattr(model_file, "shipped_models", lambda: {"head": tiny_model})
    refused(cli("info", "haed"), 2, "did you mean 'head'?")


@pytest.mark.parametrize("verb", ["detect", "eval", "info", "train", "export"])
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
