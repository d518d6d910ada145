"""passerby compare: a table, one JSON document, a page; and one line for everything that it cannot compare."""

from __future__ import annotations

import json
from html.parser import HTMLParser

import pytest

OBJECTS = {"a": [("head", 5, 5, 25, 25), ("head", 30, 10, 50, 30)], "b": [("head", 1, 1, 11, 11)]}
FIXED = """
import numpy as np
from passerby import Detections

def fixed(pixels):
    boxes = np.array([[5, 5, 25, 25], [40, 20, 60, 40]], np.float32)
    return Detections(boxes, np.array([0.9, 0.6], np.float32), np.zeros(2, np.int64), ("head",))

def bodies(pixels):
    return Detections.none(("body",))

class Bodies:
    class spec:
        name, labels, threshold = "bodies", ("body", "hand"), 0.5
    def __call__(self, pixels):
        return Detections(np.array([[5, 5, 25, 25]], np.float32), np.ones(1, np.float32), np.zeros(1, np.int64),
                          ("body", "hand"))

def wrong(pixels):
    return [1, 2, 3]

def fails(pixels):
    raise KeyError("no such thing")
"""


@pytest.fixture
def data(make_voc):
    """Two pictures and three heads."""
    return f"voc:{make_voc(OBJECTS)}"


@pytest.fixture
def mine(tmp_path):
    """A file of Python callables."""
    path = tmp_path / "mine.py"
    path.write_text(FIXED)
    return path


@pytest.fixture
def compare(cli, data):
    """Runs a quick comparison on ONNX Runtime."""

    def call(*words, data=data):
        return cli("compare", *words[:1], *words[1:], data, "--quick", "--engine", "onnxruntime", "--threads", 1)

    return call


def test_the_table_has_a_row_a_model_units_settings_and_verdicts(compare, tiny_model, mine):
    ran = compare(tiny_model, f"{mine}:fixed")
    assert ran.code == 0, ran.err
    lines = ran.out.splitlines()
    assert "2 pictures, 3 objects (head)" in lines[0]
    head, units = lines[2].split(), lines[3].split()
    assert head[0] == "AP50"
    assert units[0] == "%"
    assert "ms" in units
    rows = {line.split()[0]: line.split() for line in lines[4:6]}
    assert set(rows) == {"tiny", "fixed"}
    assert rows["fixed"][1] == "33.3"  # one of three heads, the first detection
    for words in (
        "IoU 0.5 for a hit",
        "tiny: scores from 0.01, suppression at IoU 0.45, at most 200 detections",
        "fixed: scores from not said",
        "engines or precisions differ",
        "machine: ",
        "Python 3.",
        "AP50 differs by",
        "the time of",
    ):
        assert words in ran.out, words


def test_json_is_one_document_and_nothing_else(compare, tiny_model, mine):
    ran = compare(f"ours={tiny_model}", f"{mine}:fixed", "--json")
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)
    assert [m["name"] for m in found["models"]] == ["ours", "fixed"]
    ours, fixed = found["models"]
    assert ours["bytes"] == tiny_model.stat().st_size
    assert ours["costs"]["macs"] > 0
    assert (fixed["bytes"], fixed["costs"]["macs"]) == (None, None)
    assert fixed["scores"]["ap50"] == pytest.approx(1 / 3, abs=1e-6)
    assert ours["settings"]["engine"].startswith("onnxruntime ")
    assert {v["metric"] for v in found["verdicts"]} == {"ap50", "ms"}


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.seen, self.words = [], []

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words.append(data)


def test_the_page_holds_everything_and_loads_nothing(compare, mine, tiny_model, tmp_path):
    ran = compare(f"{mine}:fixed", f"<b>={tiny_model}", "--html", tmp_path / "page.html", "--pictures", 2)
    assert ran.code == 0, ran.err
    text = (tmp_path / "page.html").read_text()
    tags = Tags()
    tags.feed(text)
    names = [t for t, _ in tags.seen]
    assert names.count("svg") >= 6
    assert names.count("img") >= 2
    assert not {"script", "link", "b"} & set(names)
    assert all(a.get("src", "data:").startswith("data:") for _, a in tags.seen)
    words = " ".join(tags.words)
    for part in (
        "Precision over recall",
        "Miss rate over false positives",
        "AP50 by size",
        "Time by stage",
        "Accuracy",
    ):
        assert part in words, part
    assert "Where they disagree" in words
    assert "false alarm" in words


def test_a_page_of_one_model_shows_what_it_missed(compare, mine, tmp_path):
    ran = compare(f"{mine}:fixed", "--html", tmp_path / "page.html")
    assert ran.code == 0, ran.err
    assert "Pictures in which" not in (text := (tmp_path / "page.html").read_text())
    assert "1 object missed" in text


def test_all_of_it_tells_memory_and_cold_start_too(cli, tiny_model, data):
    ran = cli("compare", tiny_model, data, "--engine", "onnxruntime", "--threads", 1, "--json")
    assert ran.code == 0, ran.err
    (model,) = json.loads(ran.out)["models"]
    assert 10 < model["process"]["before"] < model["process"]["peak"] < 4000
    assert model["process"]["cold_start"] > 0.05
    assert set(model["intervals"]) == {"ap50", "mr2", "count_mae"}


def test_a_model_that_is_named_twice_is_refused_with_the_cure(compare, refused, tiny_model):
    refused(compare(tiny_model, tiny_model), 2, "two models are called 'tiny'", "OTHER=")
    assert compare(tiny_model, f"again={tiny_model}").code == 0


def test_names_that_do_not_match_are_set_side_by_side(compare, refused, tiny_model, mine):
    ran = compare(tiny_model, f"{mine}:Bodies")
    assert ran.code == 4
    line = ran.err.splitlines()[-1]
    assert "tiny: head | Bodies: body, hand | " in line
    assert "--classes" in line


def test_classes_rename_the_models_labels_as_they_rename_the_datas(compare, tiny_model, mine):
    ran = compare(tiny_model, f"{mine}:Bodies", "--classes", "head=head+body", "--json")
    assert ran.code == 0, ran.err
    bodies = json.loads(ran.out)["models"][1]
    assert bodies["scores"]["ap50"] > 0


def test_classes_that_one_model_lacks_are_left_out_and_told(compare, make_voc, mine, tiny_model):
    both = make_voc({"a": [("head", 5, 5, 25, 25), ("body", 1, 1, 30, 35)]}, where="both")
    ran = compare(tiny_model, data=f"voc:{both}")
    assert ran.code == 0, ran.err
    assert "left out, since not every model finds them: body" in ran.err
    assert "1 objects (head)" in ran.out


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("wrong", "gave a list of length 3, want passerby.Detections"),
        ("fails", "it raised KeyError at mine.py:"),
        ("gone", "has no 'gone'"),
    ],
)
def test_a_callable_that_does_not_do_is_one_line(compare, refused, mine, name, words):
    refused(compare(f"{mine}:{name}"), 5, f"mine.py:{name}: ", words)


def test_missing_things_are_one_line(compare, cli, refused, tiny_model):
    refused(compare("gone.onnx"), 5, "gone.onnx: no such model file")
    refused(compare("haed"), 2, "no model 'haed'", "did you mean 'head'?")
    refused(compare(tiny_model, data="voc:nowhere"), 4, "no such file or folder")
    refused(compare("model.weights"), 5, "model.weights: a model is")
    refused(cli("compare", tiny_model), 2, "MODEL")


def test_data_without_boxes_is_one_line(compare, refused, tiny_model, make_voc):
    empty = make_voc({"a": [], "b": []}, where="empty")
    refused(compare(tiny_model, data=f"voc:{empty}"), 4, "has no boxes of any class")


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--rounds", 0, "--rounds is 0"),
        ("--coco-cap", 0, "--coco-cap is 0"),
        ("--pictures", -1, "--pictures is -1"),
        ("--threshold", "x", "--threshold x: want a number"),
        ("--threshold", "tniy=0.5", "did you mean 'tiny'?"),
        ("--labels", "other=a,b", "no model is called 'other'"),
        ("--floor", 2, "threshold is 2"),
    ],
)
def test_settings_out_of_range_are_one_line(compare, refused, tiny_model, option, value, words):
    refused(compare(tiny_model, option, value), 2, words)


def test_a_threshold_for_one_model_is_its_own(compare, tiny_model, mine):
    ran = compare(tiny_model, f"{mine}:fixed", "--threshold", "fixed=0.7", "--json")
    assert ran.code == 0, ran.err
    tiny, fixed = json.loads(ran.out)["models"]
    assert (tiny["settings"]["threshold"], fixed["settings"]["threshold"]) == (0.5, 0.7)


def test_a_checkpoint_without_torch_names_the_pip_line(shell, data):
    ran = shell("compare", "best.safetensors", data, before="sys.modules['torch'] = None")
    assert (ran.code, ran.out) == (7, "")
    assert "pip install 'passerby[train]'" in ran.err
