"""passerby detect: what it writes, what it prints, and to which of the two streams."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from model_fixtures import REPOSITORY

from passerby import Detector
from passerby.media.sources import frame_rate, video
from passerby.pictures import read_picture

FIELDS = ["source", "frame", "width", "height", "detections"]


@pytest.fixture
def detect(cli, tiny_model):
    """Runs detect with the tiny model, every score, on the engine that starts fastest."""

    def call(*words):
        return cli("detect", *words, "--model", tiny_model, "--threshold", 0, "--engine", "onnxruntime", "--threads", 1)

    return call


def rows(ran):
    assert ran.code == 0, ran.err
    return [json.loads(line) for line in ran.out.splitlines()]


def names(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_a_picture_is_written_with_its_boxes_into_found(detect, tmp_path, make_picture):
    path = make_picture(tmp_path / "photo.png", 120, 90)
    before = path.read_bytes()
    ran = detect(path)
    assert ran.code == 0
    assert ran.out == ""
    assert names(tmp_path / "found") == ["photo.png"]
    out = read_picture(tmp_path / "found/photo.png")
    assert out.shape == (90, 120, 3)
    assert (out != read_picture(path)).any()
    assert path.read_bytes() == before


def test_one_line_on_stderr_says_what_was_done(detect, tmp_path, make_picture):
    ran = detect(make_picture(tmp_path / "photo.png"), "--to", "boxes")
    (line,) = ran.err.splitlines()
    assert " found (head) in 1 picture, scores from 0, onnxruntime " in line
    assert line.endswith("written to boxes/")


def test_to_names_the_folder(detect, tmp_path, make_picture):
    detect(make_picture(tmp_path / "photo.png"), "--to", tmp_path / "a/b")
    assert names(tmp_path / "a") == ["b/photo.png"]
    assert not (tmp_path / "found").exists()


def test_a_folder_with_the_results_of_an_earlier_run_is_read_as_before(detect, tmp_path, make_picture):
    make_picture(tmp_path / "a.png")
    make_picture(tmp_path / "sub" / "b.png")
    for _ in range(2):
        ran = detect(".")
        assert ran.code == 0, ran.err
        assert " in 2 pictures" in ran.err
        assert names(tmp_path / "found") == ["a.png", "b.png"]


def test_json_is_one_object_a_line_with_the_documented_fields(detect, tmp_path, make_picture, tiny_model):
    path = make_picture(tmp_path / "photo.jpg", 120, 90)
    (row,) = rows(detect(path, "--json"))
    assert list(row) == FIELDS
    assert (row["source"], row["frame"], row["width"], row["height"]) == (str(path), 0, 120, 90)
    assert row["detections"] == Detector(tiny_model, 0.0, "onnxruntime")(path).to_list()
    assert len(row["detections"]) > 5
    for one in row["detections"]:
        assert list(one) == ["box", "score", "label"]
        x0, y0, x1, y1 = one["box"]
        assert 0 <= x0 <= x1 <= 120
        assert 0 <= y0 <= y1 <= 90
        assert 0 <= one["score"] <= 1
        assert one["label"] == "head"


def test_json_alone_writes_no_picture(detect, tmp_path, make_picture):
    detect(make_picture(tmp_path / "photo.jpg"), "--json")
    assert names(tmp_path) == ["photo.jpg"]


def test_json_with_to_does_both(detect, tmp_path, make_picture):
    ran = detect(make_picture(tmp_path / "photo.jpg"), "--json", "--to", "boxes")
    assert len(rows(ran)) == 1
    assert names(tmp_path / "boxes") == ["photo.jpg"]


def test_the_threshold_is_kept(detect, cli, tiny_model, tmp_path, make_picture):
    path = make_picture(tmp_path / "photo.jpg")
    everything = rows(detect(path, "--json"))[0]["detections"]
    middle = everything[len(everything) // 2]["score"]
    ran = cli(
        "detect",
        path,
        "--json",
        "--model",
        tiny_model,
        "--threshold",
        middle,
        "--engine",
        "onnxruntime",
        "--threads",
        1,
    )
    some = rows(ran)[0]["detections"]
    assert 0 < len(some) < len(everything)
    assert min(d["score"] for d in some) >= middle


def test_without_a_threshold_the_models_own_holds(cli, tiny_model, tmp_path, make_picture):
    ran = cli(
        "detect",
        make_picture(tmp_path / "p.jpg"),
        "--json",
        "--model",
        tiny_model,
        "--engine",
        "onnxruntime",
        "--threads",
        1,
    )
    assert all(d["score"] >= 0.5 for d in rows(ran)[0]["detections"])
    assert "scores from 0.5," in ran.err


def test_a_folder_a_pattern_and_a_picture_may_follow_each_other(detect, tmp_path, make_picture):
    for name in ("in/b.jpg", "in/a.jpg", "more/1.png", "more/2.png", "last.bmp"):
        make_picture(tmp_path / name)
    ran = detect("in", "more/*.png", "last.bmp", "--json")
    assert [r["source"] for r in rows(ran)] == ["in/a.jpg", "in/b.jpg", "more/1.png", "more/2.png", "last.bmp"]


def test_pictures_of_one_name_are_all_kept(detect, tmp_path, make_picture):
    detect(make_picture(tmp_path / "x/a.png"), make_picture(tmp_path / "y/a.png"), "--to", "out")
    assert names(tmp_path / "out") == ["a-2.png", "a.png"]


def test_videos_of_one_name_are_all_kept(detect, tmp_path, make_video):
    for folder, frames in (("x", 2), ("y", 3)):
        (tmp_path / folder).mkdir()
        make_video(tmp_path / folder / "clip.mp4", frames=frames)
    detect("x/clip.mp4", "y/clip.mp4", "--to", "out")
    counts = sorted(len(list(video(p))) for p in (tmp_path / "out").iterdir())
    assert counts == [2, 3]


def test_no_source_is_ever_written_over(detect, tmp_path, make_picture):
    # x/b.png comes first and has the name of a picture that lies in the target folder and is a source itself
    make_picture(tmp_path / "x/b.png", 50, 50)
    original = make_picture(tmp_path / "in/b.png", 60, 40)
    before = original.read_bytes()
    ran = detect("x/b.png", "in/b.png", "--to", "in")
    assert original.read_bytes() == before
    assert ran.code in (0, 6)


@pytest.mark.parametrize("rate", [29.97, 12.5])
def test_a_video_comes_out_with_its_frames_and_its_rate(detect, tmp_path, make_video, rate):
    make_video(tmp_path / "clip.mp4", rate, frames=7, width=96, height=64)
    ran = detect("clip.mp4", "--to", "out")
    assert ran.code == 0
    assert names(tmp_path / "out") == ["clip.mp4"]
    assert frame_rate(tmp_path / "out/clip.mp4") == pytest.approx(rate, abs=0.005)
    frames = list(video(tmp_path / "out/clip.mp4"))
    assert len(frames) == 7
    assert (frames[0].width, frames[0].height) == (96, 64)


def test_a_video_of_another_container_comes_out_as_mp4(detect, tmp_path, make_video):
    make_video(tmp_path / "clip.avi", 10, frames=4, code="MJPG")
    assert detect("clip.avi", "--to", "out").code == 0
    assert names(tmp_path / "out") == ["clip.mp4"]


def test_json_of_a_video_numbers_its_frames(detect, tmp_path, make_video):
    make_video(tmp_path / "clip.mp4", frames=5, width=96, height=64)
    found = rows(detect("clip.mp4", "--json"))
    assert [r["frame"] for r in found] == [0, 1, 2, 3, 4]
    assert {(r["source"], r["width"], r["height"]) for r in found} == {("clip.mp4", 96, 64)}
    assert all(list(r) == FIELDS for r in found)


def test_frames_of_a_video_are_counted_as_frames_or_pictures_on_stderr(detect, tmp_path, make_video):
    make_video(tmp_path / "clip.mp4", frames=5)
    assert " in 5 " in detect("clip.mp4", "--json").err


def test_the_video_itself_is_not_written_over(detect, refused, tmp_path, make_video):
    path = make_video(tmp_path / "clip.mp4")
    before = path.read_bytes()
    refused(detect("clip.mp4", "--to", "."), 6, "clip.mp4", "not written over")
    assert path.read_bytes() == before


@pytest.mark.parametrize("engine", ["auto", "onnxruntime", "openvino"])
def test_every_engine_can_be_named(cli, tiny_model, tmp_path, make_picture, engine):
    if engine == "openvino":
        pytest.importorskip("openvino")
    path = make_picture(tmp_path / "p.png")
    ran = cli("detect", path, "--json", "--model", tiny_model, "--engine", engine, "--threads", 1, "--threshold", 0)
    assert len(rows(ran)[0]["detections"]) > 5
    assert engine in ran.err or engine == "auto"


def test_in_a_process_of_its_own_stdout_is_json_and_nothing_else(shell, tiny_model, tmp_path, make_picture, make_video):
    make_picture(tmp_path / "in/a.jpg")
    make_video(tmp_path / "in/b.mp4", frames=2)
    ran = shell("detect", "in", "--json", "--to", "out", "--model", tiny_model, "--threshold", 0)
    assert [list(json.loads(line)) for line in ran.out.splitlines()] == [FIELDS] * 3
    assert ran.code == 0
    assert len(ran.err.splitlines()) == 1
    assert names(tmp_path / "out") == ["a.jpg", "b.mp4"]


def test_a_reader_that_stops_reading_is_no_crash(tiny_model, tmp_path, make_picture):
    for i in range(3):
        make_picture(tmp_path / f"in/{i}.png")
    words = [
        "detect",
        "in",
        "--json",
        "--model",
        str(tiny_model),
        "--threshold",
        "0",
        "--engine",
        "onnxruntime",
        "--threads",
        "1",
    ]
    start = f"import sys; sys.path.insert(0, {str(REPOSITORY)!r}); from passerby.cli.main import run; run()"
    with subprocess.Popen(
        [sys.executable, "-c", start, *words], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        process.stdout.close()
        err = process.stderr.read()
        code = process.wait(60)
    assert "Traceback" not in err
    assert "Exception ignored" not in err
    assert code == 141


def test_pixels_without_boxes_stay_as_they_were(cli, tiny_model, tmp_path, make_picture):
    path = make_picture(tmp_path / "p.png")
    assert (
        cli("detect", path, "--model", tiny_model, "--threshold", 1, "--engine", "onnxruntime", "--threads", 1).code
        == 0
    )
    np.testing.assert_array_equal(read_picture(tmp_path / "found/p.png"), read_picture(path))


def test_tiles_look_at_parts_too(cli, tiny_model, tmp_path, make_picture):
    make_picture(tmp_path / "p.png", 90, 70)
    ran = cli("detect", tmp_path / "p.png", "--model", tiny_model, "--tiles", "2x1", "--json", "--threshold", "0.2")
    assert ran.code == 0, ran.err
    assert "2x1 tiles and the whole picture" in ran.err


@pytest.mark.parametrize(("tiles", "word"), [("3", "ACROSSxDOWN"), ("90x90", "at most 64"), ("0x1", "ACROSSxDOWN")])
def test_tiles_that_cannot_be_are_refused(cli, refused, tiny_model, tmp_path, make_picture, tiles, word):
    make_picture(tmp_path / "p.png", 90, 70)
    ran = cli("detect", tmp_path / "p.png", "--model", tiny_model, "--tiles", tiles)
    refused(ran, 2, word)


def test_tiles_are_not_for_a_localiser(cli, refused, red_model, tmp_path, make_picture):
    make_picture(tmp_path / "p.png", 90, 70)
    refused(cli("detect", tmp_path / "p.png", "--model", red_model, "--tiles", "2x2"), 2, "localises")
