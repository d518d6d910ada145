"""passerby quantise: writes files with their certificates, and refuses in one line."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

pytest.importorskip("onnx")

from passerby import Detector, Localiser
from passerby.runtime.model_file import find_model, read_spec

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
    assert len(card["stored_in_four_bits"]) > 1  # 0.25 is out of reach of so small a network: all that can be
    assert "no more weights go into four bits within the budget" in ran.err
    assert all(name in page.read_text() for name in ("backbone.features.0.0", *card["stored_in_four_bits"]))
    Detector(out, engine="onnxruntime")(np.zeros((40, 60, 3), np.uint8))


def test_the_pictures_that_calibrated_prove_nothing(cli, tiny_model, twenty, tmp_path):
    out = tmp_path / "small.onnx"
    words = ("--method", "minmax", "--budget", 99, *FEW[2:], *LOOSE)
    ran = cli("quantise", tiny_model, "--data", twenty, "--check", twenty, "--to", out, *words)
    assert ran.code == 0, ran.err
    assert "prove nothing" in ran.err
    assert "prove nothing" in ran.out
    assert read_spec(out).provenance["quantised"]["proof"] is False


def test_all_weights_stay_in_eight_bits_where_the_size_is_free(cli, tiny_model, twenty, tmp_path):
    out = tmp_path / "small.onnx"
    words = ("--method", "minmax", "--budget", 99, "--size", 1, *FEW, *LOOSE)
    ran = cli("quantise", tiny_model, "--data", twenty, "--to", out, *words)
    assert ran.code == 0, ran.err
    assert read_spec(out).provenance["quantised"]["stored_in_four_bits"] == []
    assert "four bits" not in ran.out


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
        (("--size", "0"), 2, "want a number over 0 and up to 1"),
        (("--size", "nan"), 2, "want a number over 0 and up to 1"),
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


@pytest.fixture
def folders(tmp_path, make_picture):
    """Class folders: 24 pictures each, called `person` and `none`; the first are half red."""
    random = np.random.default_rng(0)
    for name in ("person", "none"):
        for k in range(24):
            pixels = random.integers(60, 120, (48, 48, 3), dtype=np.uint8)
            if name == "person":
                pixels[8:40, 8:32] = (0, 0, 250)  # as OpenCV writes it: red
            path = tmp_path / "set" / name / f"{k:02d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), pixels)
    return f"classes:{tmp_path / 'set'}"


def test_int8_of_a_localiser_is_judged_by_auc_and_its_maps(cli, folders, tmp_path):
    out, page = tmp_path / "map.int8.onnx", tmp_path / "page.html"
    free = ("--limit", "score_p99=none", "--limit", "maps_p99=0.5")
    ran = cli(
        "quantise", "person-map", "--data", folders, "--to", out, "--method", "minmax", *FEW, *free, "--page", page
    )
    assert ran.code == 0, ran.err
    assert "AUC" in ran.out
    assert "of limits" in ran.out
    card = read_spec(out).provenance["quantised"]
    assert card["measure"] == "AUC"
    assert card["auc_float"] - card["auc_int8"] <= 0.003
    assert set(card["kept_in_float"]) >= {"backbone.features.0.0", "head.dense"}
    assert card["kept_in_float"]["head.dense"] == "last layer: its numbers are answers"
    assert out.stat().st_size < 0.6 * find_model("person-map").stat().st_size
    assert "how far the maps move" in page.read_text()
    there = Localiser(out, engine="onnxruntime").locate(np.zeros((48, 48, 3), np.uint8))
    assert there.map.shape == (48, 48)


def test_a_localiser_needs_pictures_with_and_without(cli, folders, twenty):
    words = ("--limit", "maps_p99=0.5")
    only = folders.removeprefix("classes:") + "/person"
    told = "pictures with person are needed and pictures without"
    for data in (("--data", twenty), ("--data", folders, "--check", only)):
        ran = cli("quantise", "person-map", *data, *FEW, *words)
        assert (ran.code, ran.out) == (4, "")
        assert told in ran.err


def test_without_onnx_the_line_to_install_it_is_told(shell, tiny_model, twenty):
    block = (
        "import importlib.util as u; real = u.find_spec; "
        "u.find_spec = lambda name, *rest: None if name == 'onnx' else real(name, *rest)"
    )
    ran = shell("quantise", tiny_model, "--data", twenty, before=block)
    assert ran.code == 7
    assert "pip install 'passerby[deploy]'" in ran.err
