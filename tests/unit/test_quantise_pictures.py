"""Calibration pictures: which they are, which judge, and what is refused in one line."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

pytest.importorskip("onnx")

from passerby.data import load_data
from passerby.deploy.quantise.calibrate import read_inputs
from passerby.deploy.quantise.judging import DetectorJudge
from passerby.deploy.quantise.pictures import split_pictures, spread
from passerby.errors import DataError, SettingError


@pytest.fixture
def forty(make_voc, make_picture):
    """40 different pictures of noise with one head each."""
    names = [f"p{k:02d}" for k in range(40)]
    root = make_voc({n: [("head", 5, 5, 25, 25)] for n in names})
    for k, name in enumerate(names):
        make_picture(root / "JPEGImages" / f"{name}.jpg", 60 + k, 40)
    return load_data(f"voc:{root}", ("head",))


@pytest.fixture
def spec(make_spec):
    return make_spec()


def black(path, width=60, height=40):
    cv2.imwrite(str(path), np.zeros((height, width, 3), np.uint8))
    return path


def test_pictures_that_calibrate_do_not_judge(forty):
    split = split_pictures(forty, None, 16, 300)
    assert len(split.calibrate) == 16
    assert len(split.judge) == 24
    assert not set(split.calibrate) & {s.path for s in split.judge}
    assert split.proof
    assert split.told == ()


def test_a_copy_under_another_name_does_not_judge_either(forty, tmp_path):
    data = replace(forty, samples=forty.samples[:20])
    copy = tmp_path / "copy.jpg"
    copy.write_bytes(forty[0].path.read_bytes())
    check = replace(forty, samples=(replace(forty[0], path=copy), *forty.samples[20:]))
    split = split_pictures(data, check, 20, 300)
    assert copy not in {s.path for s in split.judge}
    assert split.proof
    assert "1 of 21 pictures calibrated: left out of judging" in split.told[0]


def test_the_same_pictures_twice_are_said_to_prove_nothing(forty):
    split = split_pictures(forty, forty, 40, 300)
    assert not split.proof
    assert len(split.judge) == 40
    assert "prove nothing" in split.told[0]


def test_pictures_are_spread_evenly(forty):
    assert [s.name for s in spread(forty.samples, 4)] == ["p00", "p10", "p20", "p30"]
    assert len(spread(forty.samples, 100)) == 40


def test_no_picture_no_object_and_no_number_are_refused(forty):
    with pytest.raises(DataError, match="has no picture"):
        split_pictures(replace(forty, samples=()), None)
    empty = replace(forty[0].truth, **{k: v[:0] for k, v in vars(forty[0].truth).items()})
    split = split_pictures(replace(forty, samples=tuple(replace(s, truth=empty) for s in forty)), None, 16)
    with pytest.raises(DataError, match="no labelled object"):
        DetectorJudge(split.judge)
    with pytest.raises(SettingError, match="at least 1"):
        split_pictures(forty, None, 0)


def test_one_picture_is_too_few(forty, spec):
    with pytest.raises(DataError, match=r"set: 1 picture to calibrate with; want at least 16"):
        read_inputs([forty[0].path], spec, "set")


def test_black_pictures_are_counted_and_refused(spec, tmp_path):
    paths = [black(tmp_path / f"{k}.png") for k in range(20)]
    with pytest.raises(DataError, match=r"0 pictures to calibrate with \(20 of 20 pictures are of one colour"):
        read_inputs(paths, spec, "set")


def test_pictures_that_cannot_be_read_are_named_and_left_out(forty, spec, tmp_path):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no picture")
    inputs = read_inputs([broken, black(tmp_path / "b.png"), *(s.path for s in forty)], spec, "set")
    assert len(inputs.pixels) == 40
    assert any("1 of 42 pictures cannot be read" in t and "broken.jpg" in t for t in inputs.told)
    assert any("1 of 42 pictures are of one colour" in t for t in inputs.told)


def test_pictures_much_smaller_than_the_input_are_told(make_picture, tmp_path, spec):
    paths = [make_picture(tmp_path / f"{k}.png", 20 + k, 20) for k in range(3)]
    inputs = read_inputs([*paths, make_picture(tmp_path / "real.png", 64, 64)], spec, "set", least=4)
    assert inputs.pixels[0].shape == (1, 64, 64, 3)
    assert "3 of 4 calibration pictures are less than half as large" in inputs.told[0]
