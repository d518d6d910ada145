"""Outputs of live streams: what is written where, under which name, and what happens when it cannot be."""

from __future__ import annotations

import csv
import json
import threading
from dataclasses import replace

import numpy as np
import pytest

from passerby import Detections, Frame
from passerby.errors import OutputError, SettingError
from passerby.live.log import Log
from passerby.live.outputs import COLUMNS, Outputs, kind_of_target, note, shown, stamp
from passerby.live.scene import Scene, parse_line, parse_zone
from passerby.live.stream import Moment
from passerby.live.watch import Seen
from passerby.media.live import Status
from passerby.pictures import read_picture
from passerby.track.counting import Event

WALL = 1767268800.25  # 2026-01-01 12:00:00.250 UTC
LEFT = Event(3.0, "left", "desk", 7, "head", 2.5)
IN = Event(2.0, "in", "door", 7, "head")


def moment(number=1, stream="cam", time=None, state="live", events=(), age=0.0, frames=1, grey=60, **seen):
    found = Detections(
        np.array([[10, 20, 40, 60]], np.float32), np.array([0.9], np.float32), np.zeros(1, np.int64), ("head",)
    )
    found = replace(found, ids=np.array([7]))
    frame = Frame(np.full((96, 128, 3), grey, np.uint8), "rtsp://cam/1", number, number / 10 if time is None else time)
    status = Status(state, frames, 0, 0, age, "")
    told = Seen(found if state == "live" else Detections.none(), tuple(events), 1, 3, {"door": {"in": 1, "out": 0}}, {})
    return Moment(stream, number, frame, replace(told, **seen), status, 0.02, 10.0, WALL)


def names(folder):
    return sorted(p.name for p in folder.iterdir())


def times(path):
    av = pytest.importorskip("av")
    with av.open(str(path)) as box:
        stream = box.streams.video[0]
        return [float(f.pts * stream.time_base) for f in box.decode(stream)]


def test_json_lines_are_the_moments_of_all_streams(tmp_path):
    with Outputs([str(tmp_path / "deep/a.jsonl")], {"a": 0, "b": 0}) as out:
        for one in (moment(1, "a", events=[IN]), moment(1, "b", state="stale", age=3.5)):
            out.write(one)
            assert json.loads((tmp_path / "deep/a.jsonl").read_text().splitlines()[-1]) == one.to_dict()  # at once
    first, second = map(json.loads, (tmp_path / "deep/a.jsonl").read_text().splitlines())
    assert (first["stream"], first["events"][0]["where"], first["lines"]) == (
        "a",
        "door",
        {"door": {"in": 1, "out": 0}},
    )
    assert (second["stream"], second["state"], second["age"]) == ("b", "stale", 3.5)


def test_json_lines_go_to_stdout(capsys):
    with Outputs(["-"], {"cam": 0}) as out:
        out.write(moment())
    assert json.loads(capsys.readouterr().out)["stream"] == "cam"


def test_csv_has_a_row_an_event_and_one_header_for_ever(tmp_path):
    for _ in range(2):
        with Outputs([str(tmp_path / "e.csv")], {"cam": 0}) as out:
            out.write(moment())
            out.write(moment(2, events=[IN, LEFT]))
    rows = list(csv.reader((tmp_path / "e.csv").read_text().splitlines()))
    event = ["2026-01-01T12:00:00.250Z", "cam", "in", "door", "7", "head", ""]
    left = ["2026-01-01T12:00:00.250Z", "cam", "left", "desk", "7", "head", "2.500"]
    assert rows == [list(COLUMNS), event, left, event, left]


def test_csv_keeps_odd_names_in_their_column(tmp_path):
    odd = replace(IN, where='a, "b"')
    with Outputs([str(tmp_path / "e.csv")], {"cam": 0}) as out:
        out.write(moment(events=[odd]))
    assert list(csv.reader((tmp_path / "e.csv").read_text().splitlines()))[1][3] == 'a, "b"'


def test_frames_are_numbered_and_only_the_last_stay(tmp_path):
    with Outputs([f"{tmp_path}/f/"], {"cam": 0, "gate": 0}, keep=3) as out:
        for k in range(1, 6):
            out.write(moment(k))
        out.write(moment(1, "gate"))
    assert names(tmp_path / "f") == [*(f"cam-{k:08d}.jpg" for k in (3, 4, 5)), "gate-00000001.jpg"]
    assert read_picture(tmp_path / "f/cam-00000003.jpg").shape == (96, 128, 3)


def test_frames_of_an_earlier_run_are_gone_on_with(tmp_path):
    (tmp_path / "f").mkdir()
    (tmp_path / "f/cam-00000001.txt").write_text("not ours")
    (tmp_path / "f/other-00000001.jpg").write_text("not ours")
    for _ in range(3):
        with Outputs([str(tmp_path / "f")], {"cam": 0}, keep=2) as out:
            out.write(moment())
    ours = ["cam-00000002.jpg", "cam-00000003.jpg"]
    assert names(tmp_path / "f") == ["cam-00000001.txt", *ours, "other-00000001.jpg"]


def test_all_frames_stay_with_keep_0(tmp_path):
    with Outputs([f"{tmp_path}/f/"], {"cam": 0}, keep=0) as out:
        for k in range(1, 6):
            out.write(moment(k))
    assert len(names(tmp_path / "f")) == 5


def test_an_outage_is_one_frame(tmp_path):
    with Outputs([f"{tmp_path}/f/"], {"cam": 0}) as out:
        out.write(moment(1))
        for k in range(2, 6):
            out.write(moment(k, state="lost", age=float(k)))
        out.write(moment(6))
    assert len(names(tmp_path / "f")) == 3


def test_a_video_has_the_times_of_its_frames_and_tells_an_outage_in_them(tmp_path):
    pytest.importorskip("av")
    with Outputs([str(tmp_path / "v.mp4")], {"cam": 10.0}) as out:
        out.write(moment(1, state="connecting", frames=0, time=0.0))  # nothing was seen yet: nothing to record
        for k in (1, 2, 3):
            out.write(moment(k, time=5 + k / 10))
        for age in (2.0, 3.0):
            out.write(moment(4, time=5.3, state="stale", age=age))
        out.write(moment(6, time=9.3))
    assert names(tmp_path) == ["v.mp4"]
    assert times(tmp_path / "v.mp4") == pytest.approx([0, 0.1, 0.2, 2.2, 3.2, 4.2], abs=1e-5)


def test_each_stream_has_its_video(tmp_path):
    pytest.importorskip("av")
    with Outputs([str(tmp_path / "v.mp4")], {"a": 0, "b": 0}) as out:
        assert str(out) == f"{tmp_path}/v-a.mp4, {tmp_path}/v-b.mp4"
        out.write(moment(1, "a"))
        out.write(moment(2, "a"))
        out.write(moment(1, "b"))
    assert [len(times(tmp_path / name)) for name in names(tmp_path)] == [2, 1]


def test_the_picture_shows_boxes_lines_zones_and_what_is_wrong():
    scene = Scene((parse_line("door=0.5,0,0.5,1"),), (parse_zone("desk=0.6,0.6,1,0.6,1,1,0.6,1"),))
    plain, drawn = shown(moment(), Scene()), shown(moment(), scene)
    assert (plain[:, 70:] != drawn[:, 70:]).any()
    assert plain[30, 10].tolist() != [60, 60, 60]
    stale = shown(moment(state="stale", age=12.4), scene)
    red = (stale == (200, 20, 30)).all(axis=2)
    assert red[48].sum() > 30
    assert not (drawn == (200, 20, 30)).all(axis=2).any()


def test_the_banner_says_how_it_is():
    assert note(moment()) == ""
    assert note(moment(state="ended")) == ""
    assert note(moment(state="stale", age=12.4)) == "STALE 12 s"
    assert note(moment(state="lost", age=70.0)) == "LOST 70 s"
    assert note(moment(state="connecting", age=None)) == "NO PICTURE YET"


def test_a_picture_is_drawn_once_for_all_outputs(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr("passerby.live.outputs.shown", lambda m, s: drawn.append(m) or m.frame.pixels)
    with Outputs([f"{tmp_path}/a/", f"{tmp_path}/b/", str(tmp_path / "c.jsonl")], {"cam": 0}) as out:
        out.write(moment())
    assert len(drawn) == 1


def test_the_scene_drawn_is_the_one_that_the_stream_has_now(tmp_path):
    asked = []
    with Outputs([f"{tmp_path}/a/"], {"cam": 0}, lambda name: asked.append(name) or Scene()) as out:
        out.write(moment())
    assert asked == ["cam"]


def test_what_fails_stops_everything_and_is_kept_as_one_error(tmp_path):
    with Outputs([f"{tmp_path}/f/", str(tmp_path / "a.jsonl")], {"cam": 0}) as out:
        out.write(moment(1))
        assert not out.failed.is_set()
        for path in (tmp_path / "f").iterdir():
            path.unlink()
        (tmp_path / "f").rmdir()
        (tmp_path / "f").write_text("a file in the folder's place")
        out.write(moment(2))
        out.write(moment(3))
        assert out.failed.is_set()
    assert isinstance(out.error, OutputError)
    assert "\n" not in str(out.error)
    assert len((tmp_path / "a.jsonl").read_text().splitlines()) == 1


def test_a_full_disk_is_one_error(tmp_path):
    (tmp_path / "a.jsonl").symlink_to("/dev/full")
    with Outputs([str(tmp_path / "a.jsonl")], {"cam": 0}) as out:
        out.write(moment())
    assert "a.jsonl: cannot be written (No space left" in str(out.error)


def test_a_target_that_cannot_be_made_is_told_before_anything_runs(tmp_path):
    (tmp_path / "x").write_text("a file")
    for target in (f"{tmp_path}/x/", f"{tmp_path}/x/a.jsonl", f"{tmp_path}/x/a.csv"):
        with pytest.raises(OutputError, match="x"), Outputs([target], {"cam": 0}):
            pass


def test_lines_of_many_threads_stay_whole(tmp_path):
    streams = {f"s{k}": 0.0 for k in range(6)}
    with Outputs([str(tmp_path / "a.jsonl"), str(tmp_path / "a.csv")], streams) as out:

        def run(name):
            for k in range(50):
                out.write(moment(k, name, events=[IN]))

        threads = [threading.Thread(target=run, args=[name]) for name in streams]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    rows = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    for name in streams:
        assert [r["frame"] for r in rows if r["stream"] == name] == list(range(50))
    assert len((tmp_path / "a.csv").read_text().splitlines()) == 301


@pytest.mark.parametrize(
    ("target", "kind"),
    [("-", "-"), ("a.MP4", ".mp4"), ("x/a.jsonl", ".jsonl"), ("a.csv", ".csv"), ("frames/", "/"), ("a.mp4/", "/")],
)
def test_a_target_tells_what_it_is(target, kind):
    assert kind_of_target(target) == kind


@pytest.mark.parametrize(("target", "word"), [("pag", "did you mean 'page'"), ("a.avi", r"FILE\.mp4"), ("", "FILE")])
def test_another_target_is_refused(target, word):
    with pytest.raises(SettingError, match=f"--to {target}: want .*{word}"):
        kind_of_target(target)


def test_a_time_is_written_in_utc():
    assert stamp(WALL) == "2026-01-01T12:00:00.250Z"


def test_the_log_has_events_and_begins_a_new_file_when_one_is_full(tmp_path):
    with Log(tmp_path / "logs/a.log", size=2000, keep=2) as log:
        log.write(moment(events=[LEFT]))
        assert (tmp_path / "logs/a.log").read_text().endswith("Z cam: left desk: head 7 after 2.5 s\n")
        for k in range(100):
            log.line(f"line {k}\nof one moment")
    assert names(tmp_path / "logs") == ["a.log", "a.log.1", "a.log.2"]
    assert all(p.stat().st_size <= 2000 for p in (tmp_path / "logs").iterdir())
    assert (tmp_path / "logs/a.log").read_text().splitlines()[-1].endswith(" line 99 of one moment")


def test_a_log_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "x").write_text("a file")
    with pytest.raises(OutputError, match=r"a\.log: cannot be written"), Log(tmp_path / "x/a.log"):
        pass
    (tmp_path / "full").symlink_to("/dev/full")
    with Log(tmp_path / "full") as log, pytest.raises(OutputError, match=r"full: cannot be written \(No space left"):
        log.line("anything")
