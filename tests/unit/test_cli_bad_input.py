"""Bad input: one line on stderr that names it, the documented exit code, and no traceback."""

from __future__ import annotations

import json

import numpy as np
import pytest

from passerby.pictures import read_picture


@pytest.fixture
def detect(cli, tiny_model):
    """Runs detect with the tiny model, every score."""

    def call(*words):
        return cli("detect", *words, "--model", tiny_model, "--threshold", 0, "--engine", "onnxruntime", "--threads", 1)

    return call


def test_a_text_file_named_jpg(detect, refused, tmp_path):
    (tmp_path / "notes.jpg").write_text("I am no picture.\n")
    refused(detect("notes.jpg"), 3, "notes.jpg: not a picture")


@pytest.mark.parametrize("share", [0.05, 0.5, 0.99])
def test_a_jpeg_cut_short(detect, refused, tmp_path, make_picture, share):
    path = make_picture(tmp_path / "cut.jpg", 200, 150)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    refused(detect("cut.jpg"), 3, "cut.jpg", "cut short")


def test_a_png_cut_short(detect, refused, tmp_path, make_picture):
    path = make_picture(tmp_path / "cut.png", 200, 150)
    path.write_bytes(path.read_bytes()[:5000])
    refused(detect("cut.png"), 3, "cut.png", "cut short")


@pytest.mark.parametrize("missing", [1, 4, 12])
def test_a_png_that_lacks_its_last_bytes(detect, refused, tmp_path, make_picture, missing):
    # libpng writes lines of its own to stderr, below Python
    path = make_picture(tmp_path / "cut.png", 200, 150)
    path.write_bytes(path.read_bytes()[:-missing])
    refused(detect("cut.png"), 3, "cut.png")


def test_a_png_with_a_wrong_byte(detect, refused, tmp_path, make_picture):
    path = make_picture(tmp_path / "damaged.png", 200, 150)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    refused(detect("damaged.png"), 3, "damaged.png")


@pytest.mark.parametrize("suffix", [".bmp", ".tif", ".webp"])
def test_other_formats_cut_short(detect, refused, tmp_path, make_picture, suffix):
    path = make_picture(tmp_path / f"cut{suffix}", 200, 150)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    refused(detect(path.name), 3, path.name)


def test_a_file_of_0_bytes(detect, refused, tmp_path):
    (tmp_path / "zero.jpg").write_bytes(b"")
    refused(detect("zero.jpg"), 3, "zero.jpg", "empty (0 bytes)")


def test_a_missing_file(detect, refused):
    refused(detect("gone.jpg"), 3, "gone.jpg: no such file")


def test_an_empty_folder(detect, refused, tmp_path):
    (tmp_path / "nothing").mkdir()
    refused(detect("nothing"), 3, "nothing: no picture or video")


def test_a_pattern_that_nothing_fits(detect, refused):
    refused(detect("in/*.jpg"), 3, "in/*.jpg: no file fits")


def test_a_video_that_cannot_be_read(detect, refused, tmp_path):
    (tmp_path / "clip.mp4").write_bytes(np.random.default_rng(0).bytes(5000))
    refused(detect("clip.mp4", "--to", "out"), 3, "clip.mp4: cannot be read as video")


def test_a_video_of_0_bytes(detect, refused, tmp_path):
    (tmp_path / "clip.mp4").write_bytes(b"")
    refused(detect("clip.mp4", "--json"), 3, "clip.mp4: the file is empty")


def test_a_video_cut_short(detect, refused, tmp_path, make_video):
    path = make_video(tmp_path / "clip.mp4", frames=20)
    path.write_bytes(path.read_bytes()[:-300])
    refused(detect("clip.mp4", "--to", "out"), 3, "clip.mp4")


def test_a_model_file_that_is_not_ours(cli, refused, tmp_path, make_picture):
    path = make_picture(tmp_path / "p.png")
    refused(cli("detect", path, "--model", path), 5, f"{path}: not an ONNX file")


def test_an_onnx_file_of_others(cli, refused, tmp_path, make_picture):
    onnx = pytest.importorskip("onnx")
    values = [onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, [1]) for n in "xy"]
    graph = onnx.helper.make_graph([onnx.helper.make_node("Identity", ["x"], ["y"])], "g", values[:1], values[1:])
    (tmp_path / "theirs.onnx").write_bytes(onnx.helper.make_model(graph).SerializeToString())
    ran = cli("detect", make_picture(tmp_path / "p.png"), "--model", "theirs.onnx")
    refused(ran, 5, "theirs.onnx", "not one of passerby's", "passerby export")


@pytest.mark.parametrize("missing", [1, 1000, 100_000])
def test_a_model_file_cut_short(cli, refused, tmp_path, make_picture, tiny_bytes, missing):
    (tmp_path / "cut.onnx").write_bytes(tiny_bytes[:-missing])
    ran = cli("detect", make_picture(tmp_path / "p.png"), "--model", "cut.onnx")
    refused(ran, 5, "cut.onnx", "cut short")


def test_an_empty_model_file(cli, refused, tmp_path, make_picture):
    (tmp_path / "zero.onnx").write_bytes(b"")
    refused(cli("detect", make_picture(tmp_path / "p.png"), "--model", "zero.onnx"), 5, "zero.onnx", "0 bytes")


def test_a_missing_model_file(cli, refused, tmp_path, make_picture):
    refused(cli("detect", make_picture(tmp_path / "p.png"), "--model", "gone.onnx"), 5, "gone.onnx: no such")


def test_an_unknown_model_gets_the_nearest(cli, refused, monkeypatch, tmp_path, make_picture, tiny_model):
    from passerby.runtime import model_file

    monkeypatch.setattr(model_file, "shipped_models", lambda: {"head": tiny_model})
    ran = cli("detect", make_picture(tmp_path / "p.png"), "--model", "heda")
    refused(ran, 2, "no model 'heda'", "did you mean 'head'?")


@pytest.mark.parametrize(("typed", "nearest"), [("detct", "detect"), ("evla", "eval"), ("inof", "info")])
def test_an_unknown_verb_gets_the_nearest(cli, refused, typed, nearest):
    refused(cli(typed, "x"), 2, f"no verb '{typed}'", f"did you mean '{nearest}'?")


def test_an_unknown_engine_gets_the_nearest(cli, refused, tmp_path, make_picture, tiny_model):
    ran = cli("detect", make_picture(tmp_path / "p.png"), "--model", tiny_model, "--engine", "openvno")
    refused(ran, 2, "no engine 'openvno'", "did you mean 'openvino'?")


def test_an_unknown_option_is_one_line(cli, refused):
    refused(cli("detect", "p.png", "--treshold", "0.5"), 2, "--treshold", "--threshold")


def test_no_source_at_all_is_one_line(cli, refused):
    refused(cli("detect"), 2, "SOURCE")


def test_a_target_that_is_a_file(detect, refused, tmp_path, make_picture):
    (tmp_path / "out").write_text("a file")
    refused(detect(make_picture(tmp_path / "p.png"), "--to", "out"), 6, "out: is a file")


def test_a_target_under_a_file(detect, refused, tmp_path, make_picture):
    (tmp_path / "out").write_text("a file")
    refused(detect(make_picture(tmp_path / "p.png"), "--to", "out/deep"), 6, "out/deep: cannot be made")


def test_a_video_target_under_a_file(detect, refused, tmp_path, make_video):
    (tmp_path / "out").write_text("a file")
    make_video(tmp_path / "clip.mp4")
    refused(detect("clip.mp4", "--to", "out"), 6, "out")


@pytest.mark.parametrize("value", ["1.5", "-0.1", "nan"])
def test_a_threshold_out_of_range(cli, refused, tmp_path, make_picture, tiny_model, value):
    ran = cli("detect", make_picture(tmp_path / "p.png"), "--model", tiny_model, "--threshold", value)
    refused(ran, 2, f"threshold is {value}, want a number from 0 to 1")


def test_a_threshold_that_is_no_number(cli, refused, tmp_path, make_picture, tiny_model):
    ran = cli("detect", make_picture(tmp_path / "p.png"), "--model", tiny_model, "--threshold", "high")
    refused(ran, 2, "--threshold", "high")


def test_negative_threads(cli, refused, tmp_path, make_picture, tiny_model):
    ran = cli("detect", make_picture(tmp_path / "p.png"), "--model", tiny_model, "--threads", "-1")
    refused(ran, 2, "threads is -1")


def test_one_bad_file_in_a_folder_does_not_stop_the_rest(detect, tmp_path, make_picture):
    for name in "acd":
        make_picture(tmp_path / f"in/{name}.png")
    (tmp_path / "in/b.png").write_text("no picture")
    ran = detect("in", "--to", "out", "--json")
    assert ran.code == 3
    assert [json.loads(line)["source"] for line in ran.out.splitlines()] == ["in/a.png", "in/c.png", "in/d.png"]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a.png", "c.png", "d.png"]
    assert read_picture(tmp_path / "out/d.png").shape == (40, 60, 3)
    last = ran.err.splitlines()[-1]
    assert last.startswith("passerby: in/b.png: not a picture")
    assert ran.err.count("b.png") == 1


def test_several_bad_files_are_all_listed_at_the_end(detect, tmp_path, make_picture, make_video):
    make_picture(tmp_path / "in/a.png")
    (tmp_path / "in/b.png").write_text("no picture")
    (tmp_path / "in/c.jpg").write_bytes(b"")
    (tmp_path / "in/d.mp4").write_bytes(b"no video" * 99)
    make_video(tmp_path / "in/e.mp4", frames=2)
    ran = detect("in", "gone.jpg", "--to", "out")
    assert ran.code == 3
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a.png", "e.mp4"]
    lines = ran.err.splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("passerby: "))
    assert "4 sources" in lines[at]
    rest = "\n".join(lines[at + 1 :])
    for name in ("in/b.png", "in/c.jpg", "in/d.mp4", "gone.jpg"):
        assert rest.count(name) == 1
    assert "Traceback" not in ran.err


def test_a_video_that_breaks_off_does_not_stop_the_rest(detect, tmp_path, make_picture, make_video):
    make_picture(tmp_path / "in/b.png")
    path = make_video(tmp_path / "in/a.avi", 10, 40, code="MJPG")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    ran = detect("in", "--to", "out")
    assert ran.code == 3
    assert "b.png" in [p.name for p in (tmp_path / "out").iterdir()]
    assert ran.err.splitlines()[-1].startswith("passerby: in/a.avi: the video is cut short")


def test_in_a_process_of_its_own_an_error_is_one_line_and_its_exit_code(shell, tiny_model, tmp_path):
    (tmp_path / "notes.jpg").write_text("I am no picture.\n")
    ran = shell("detect", "notes.jpg", "--json", "--model", tiny_model, "--engine", "onnxruntime", "--threads", 1)
    assert (ran.code, ran.out) == (3, "")
    assert [line for line in ran.err.splitlines() if "notes.jpg" in line] == [ran.err.splitlines()[-1]]
    assert "Traceback" not in ran.err


def test_a_verb_unknown_in_a_process_of_its_own_ends_with_2(shell):
    ran = shell("detct")
    assert (ran.code, ran.out) == (2, "")
    assert "did you mean 'detect'?" in ran.err
    assert "Traceback" not in ran.err
