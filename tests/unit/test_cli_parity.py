"""passerby parity: what it prints, what it stores, how it ends; and layers, where two graphs part."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from passerby.deploy.parity_limits import LIMITS


@pytest.fixture
def data(make_voc):
    """A small labelled data set of noise."""
    return make_voc({name: [("head", 5, 5, 25, 25)] for name in "ab"})


@pytest.fixture
def rounded(tiny_model, tmp_path):
    """The tiny model with the weights of its first convolution rounded to 3 digits of two: it answers otherwise."""
    onnx = pytest.importorskip("onnx")
    model = onnx.load(tiny_model)
    node = next(n for n in model.graph.node if n.op_type == "Conv")
    stored = next(t for t in model.graph.initializer if t.name == node.input[1])
    weights = onnx.numpy_helper.to_array(stored)
    stored.CopyFrom(onnx.numpy_helper.from_array(np.round(weights * 8) / 8, stored.name))
    onnx.save(model, tmp_path / "rounded.onnx")
    return tmp_path / "rounded.onnx", node.output[0]


def test_a_file_beside_itself_holds_and_ends_well(cli, tiny_model, data):
    ran = cli("parity", tiny_model, tiny_model, f"voc:{data}", "--threads", 1)
    assert ran.code == 0, ran.err
    assert "before: tiny by onnxruntime" in ran.out
    assert "limits for float32:" in ran.out
    assert "BROKEN" not in ran.out


def test_files_that_differ_end_with_9_and_say_why(cli, tiny_model, rounded, data):
    ran = cli("parity", tiny_model, rounded[0], f"voc:{data}", "--threads", 1, "--limit", "score_p99=0.0001")
    assert ran.code == 9
    assert "BROKEN" in ran.out
    assert ran.err.splitlines()[-1].startswith("passerby: tiny answers differently from tiny: ")


def test_json_is_one_document_with_the_layers_where_they_part(cli, tiny_model, rounded, data):
    path, first = rounded
    words = [
        "--threads",
        1,
        "--layers",
        "--json",
        *(f"--limit={n}=none" for n in ("score_p99", "changed", "ap50", "mr2")),
    ]
    ran = cli("parity", tiny_model, path, f"voc:{data}", *words, "--limit", "box_p99=none")
    assert ran.code == 0, ran.err
    raw = json.loads(ran.out)
    layers = raw["layers"]
    assert layers["how"] == "by name"
    apart = [row for row in layers["layers"] if row["ratio"] is not None]
    assert apart[0]["name"] == first  # nothing before the convolution that was changed
    assert apart[0]["ratio"] > 0
    assert layers["layers"][0]["ratio"] is None


def test_layers_of_a_file_beside_itself_are_equal(cli, tiny_model, data):
    pytest.importorskip("onnx")
    ran = cli("parity", tiny_model, tiny_model, f"voc:{data}", "--threads", 1, "--layers")
    assert ran.code == 0
    assert "no layer is under 20 dB" in ran.out
    assert "equal" in ran.out


def test_a_quantised_graph_is_compared_at_what_its_next_layers_read(tiny_model, tmp_path, data):
    quantisation = pytest.importorskip("onnxruntime.quantization")
    pytest.importorskip("onnx")
    from passerby.data import load_data
    from passerby.deploy.parity_layers import SAID, find_parting
    from passerby.runtime.detector import Detector
    from passerby.runtime.model_file import read_spec

    class Noise(quantisation.CalibrationDataReader):
        left = 2

        def get_next(self):
            self.left -= 1
            noise = np.random.default_rng(abs(self.left)).integers(0, 256, (1, 64, 64, 3), np.uint8)
            return {"pixels": noise} if self.left >= 0 else None

    small = tmp_path / "int8.onnx"
    quantisation.quantize_static(tiny_model, small, Noise())
    detector = Detector(tiny_model, engine="onnxruntime", threads=1)
    assert read_spec(tiny_model)
    found = find_parting((tiny_model, small), (detector, detector), load_data(f"voc:{data}", ["head"]))
    assert found.how == "by name"
    ratios = [x.ratio for x in found.layers if x.operator in ("Conv", "Clip")]
    assert len(ratios) > 10
    assert all(math.isfinite(r) for r in ratios)  # equal would mean that floats were compared, not integers
    assert not any(x.name.endswith(SAID) for x in found.layers)


def test_the_certificate_is_stored_and_info_tells_it(cli, tiny_model, tiny_bytes, data, tmp_path):
    (tmp_path / "mine.onnx").write_bytes(tiny_bytes)
    ran = cli("parity", tiny_model, "mine.onnx", f"voc:{data}", "--threads", 1, "--first", 1, "--store")
    assert ran.code == 0, ran.err
    assert "the certificate is in mine.onnx" in ran.err
    told = cli("info", "mine.onnx").out
    assert "certificate: against tiny by onnxruntime" in told
    assert "1 pictures of voc:voc" in told
    assert "all limits kept" in told


def test_a_folder_without_labels_will_do(cli, tiny_model, tmp_path, make_picture):
    make_picture(tmp_path / "plain" / "a.png")
    ran = cli("parity", tiny_model, tiny_model, "plain", "--threads", 1)
    assert ran.code == 0, ran.err
    assert "accuracy is not measured" in ran.out


def test_refusals_name_what_is_wrong(cli, refused, tiny_model, data):
    start = ("parity", tiny_model, tiny_model, f"voc:{data}")
    refused(cli(*start, "--limit", "ap5=1"), 2, "no limit 'ap5'", "did you mean 'ap50'?")
    refused(cli(*start, "--limit", "ap50"), 2, "--limit ap50: want NAME=NUMBER or NAME=none")
    refused(cli(*start, "--change", "int7"), 2, "no such precision", "did you mean 'int8'?")
    refused(cli(*start, "--engine", "a,b,c"), 2, "want one engine, or two")
    refused(cli("parity", tiny_model, "gone.onnx", f"voc:{data}"), 5, "gone.onnx: no such model file")


def test_the_help_states_the_limits_that_hold(cli):
    out = cli("parity", "--help").out
    rows = {words[0]: words[1:5] for line in out.splitlines() if len(words := line.split()) > 5}
    for name in ("box_p99", "score_p99", "changed", "ap50", "mr2", "maps_p99"):
        stated = [float(v) for v in rows[name]]
        assert stated == [getattr(LIMITS[k], name) for k in ("float32", "float16", "bfloat16", "int8")], name
