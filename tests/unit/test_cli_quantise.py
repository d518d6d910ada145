"""passerby quantise: writes files with their certificates, and refuses in one line."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

pytest.importorskip("onnx")

from passerby import Detector
from passerby.runtime.model_file import read_spec

FREE = ("box_p99", "score_p99", "changed", "mr2")  # limits that an untrained network on noise does not keep
LOOSE = tuple(word for name in FREE for word in ("--limit", f"{name}=none"))
FEW = ("--pictures", 16, "--threads", 1)


@pytest.fixture
def twenty(make_voc, make_picture):
    """A data set of 20 different pictures of noise."""
    names = [f"p{k:02d}" for k in range(20)]
    root = make_voc({n: [("head", 5, 5, 25, 25)] for n in names})
    for k, name in enumerate(names):
        make_picture(root / "JPEGImages" / f"{name}.jpg", 60 + k, 40)
    return f"voc:{root}"


@pytest.fixture
def paint(twenty):
    """Makes all pictures of the set anew: one colour, or a text that is no picture."""

    def make(content):
        from pathlib import Path

        for path in sorted((Path(twenty.removeprefix("voc:")) / "JPEGImages").iterdir()):
            height, width = cv2.imread(str(path)).shape[:2]
            blank = cv2.imencode(".jpg", np.zeros((height, width, 3), np.uint8))[1].tobytes()
            path.write_bytes(blank if content == "black" else path.read_bytes()[:200])

    return make


def test_int8_is_written_with_its_report_and_certificate(cli, tiny_model, tiny_spec, twenty, tmp_path):
    out, page = tmp_path / "small.onnx", tmp_path / "page.html"
    ran = cli(
        "quantise", tiny_model, "--data", twenty, "--to", out, "--budget", 99, *FEW, *LOOSE, "--json", "--page", page
    )
    assert ran.code == 0, ran.err
    told = json.loads(ran.out)
    spec = read_spec(out)
    assert spec.precision == "int8"
    assert (spec.anchors, spec.labels, spec.threshold) == (tiny_spec.anchors, tiny_spec.labels, tiny_spec.threshold)
    card = spec.provenance["quantised"]
    assert card["proof"] is True
    assert card["kept_in_float"] == told["quantised"]["kept_in_float"]
    assert card["calibrated_on"] == "voc:voc: 16 pictures"
    assert card["judged_on"] == "voc:voc: 4 pictures"
    assert spec.provenance["certificate"]["after"]["precision"] == "int8"
    assert {t["method"] for t in told["quantised"]["trials"]} == {"minmax", "percentile", "entropy"}
    assert len(told["quantised"]["layers"]) == len(tiny_spec.layers)
    assert out.stat().st_size < 0.6 * tiny_model.stat().st_size
    assert "backbone.features.0.0" in page.read_text()
    Detector(out, engine="onnxruntime")(np.zeros((40, 60, 3), np.uint8))


def test_the_pictures_that_calibrated_prove_nothing(cli, tiny_model, twenty, tmp_path):
    out = tmp_path / "small.onnx"
    words = ("--method", "minmax", "--budget", 99, *FEW[2:], *LOOSE)
    ran = cli("quantise", tiny_model, "--data", twenty, "--check", twenty, "--to", out, *words)
    assert ran.code == 0, ran.err
    assert "prove nothing" in ran.err
    assert "prove nothing" in ran.out
    assert read_spec(out).provenance["quantised"]["proof"] is False


@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
def test_half_precision_halves_the_file(cli, tiny_model, twenty, tmp_path, precision):
    ran = cli("quantise", tiny_model, "--data", twenty, "--to", "half.onnx", "--precision", precision, *FEW[2:], *LOOSE)
    assert ran.code == 0, ran.err
    out = tmp_path / "half.onnx"
    spec = read_spec(out)
    assert spec.precision == precision
    assert spec.provenance["certificate"]["pictures"] == 20
    assert out.stat().st_size < 0.7 * tiny_model.stat().st_size
    assert "of 0." in ran.err  # MB of MB


def test_a_broken_limit_leaves_no_file(cli, tiny_model, twenty, tmp_path, refused):
    words = ("--precision", "bfloat16", "--limit", "score_p99=0", *FEW[2:])
    ran = cli("quantise", tiny_model, "--data", twenty, "--to", "half.onnx", *words)
    assert ran.code == 9
    assert "half.onnx: not written: it answers differently from tiny.onnx" in ran.err
    assert not (tmp_path / "half.onnx").exists()


def test_black_pictures_are_refused(cli, tiny_model, twenty, paint, tmp_path):
    paint("black")
    ran = cli("quantise", tiny_model, "--data", twenty, "--to", "x.onnx", *FEW)
    assert ran.code == 4
    assert "of one colour (black, for example)" in ran.err.splitlines()[-1]
    assert not (tmp_path / "x.onnx").exists()


def test_pictures_that_cannot_be_read_are_refused(cli, tiny_model, twenty, paint):
    paint("broken")
    ran = cli("quantise", tiny_model, "--data", twenty, "--to", "x.onnx", *FEW)
    assert ran.code in (3, 4)
    assert "Traceback" not in ran.err


def test_one_picture_is_refused(cli, tiny_model, twenty):
    ran = cli("quantise", tiny_model, "--data", twenty, "--check", twenty, "--to", "x.onnx", "--pictures", 1)
    assert ran.code == 4
    assert "1 picture to calibrate with; want at least 16" in ran.err.splitlines()[-1]


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("--precision", "int4"), 2, "no precision 'int4' (did you mean 'int8'?)"),
        (("--method", "entropi"), 2, "did you mean 'entropy'"),
        (("--budget", "-1"), 2, "budget is -1"),
        (("--to", "x.tflite"), 2, ".onnx"),
        (("--limit", "ap50=1"), 2, "set --budget"),
        (("--precision", "float16", "--page", "x.html"), 2, "--page and --check are for int8"),
        (("--data", "no/such"), 4, "no such file or folder"),
    ],
)
def test_wrong_words_are_refused_in_one_line(cli, tiny_model, twenty, refused, words, code, told):
    refused(cli("quantise", tiny_model, "--data", twenty, "--to", "x.onnx", *words), code, told)


def test_the_float_file_is_never_written_over(cli, tiny_model, twenty, refused):
    refused(cli("quantise", tiny_model, "--data", twenty, "--to", tiny_model), 2, "the float file is kept")


def test_a_localiser_is_refused_for_int8(cli, twenty, refused):
    refused(cli("quantise", "person-map", "--data", twenty), 5, "localiser", "--precision float16")


def test_without_onnx_the_line_to_install_it_is_told(shell, tiny_model, twenty):
    block = (
        "import importlib.util as u; real = u.find_spec; "
        "u.find_spec = lambda name, *rest: None if name == 'onnx' else real(name, *rest)"
    )
    ran = shell("quantise", tiny_model, "--data", twenty, before=block)
    assert ran.code == 7
    assert "pip install 'passerby[deploy]'" in ran.err
