"""What a user named -> streams by name, and their scenes."""

from __future__ import annotations

import json

import pytest

from passerby.errors import SettingError, SourceError
from passerby.live.plan import check_sources, name_sources, scenes_for


@pytest.mark.parametrize(
    ("texts", "named"),
    [
        (["0"], {"camera0": "0"}),
        (["/dev/video2"], {"camera2": "/dev/video2"}),
        (["rtsp://me:secret@cam.local:554/1"], {"cam.local": "rtsp://me:secret@cam.local:554/1"}),
        (["http://10.0.0.7/a.mjpg?x=1"], {"10.0.0.7": "http://10.0.0.7/a.mjpg?x=1"}),
        (["in/my clip.mp4"], {"my-clip": "in/my clip.mp4"}),
        (["door=rtsp://x/?a=b", "0"], {"door": "rtsp://x/?a=b", "camera0": "0"}),
        (
            ["a/clip.mp4", "b/clip.mp4", "c/clip.mp4"],
            {"clip": "a/clip.mp4", "clip-2": "b/clip.mp4", "clip-3": "c/clip.mp4"},
        ),
        (["a/clip.mp4", "clip=b.mp4"], {"clip-2": "a/clip.mp4", "clip": "b.mp4"}),
        (["rtsp://[::1]/x", "http://[x"], {"1": "rtsp://[::1]/x", "stream": "http://[x"}),
    ],
)
def test_streams_have_names_and_keep_their_order(texts, named):
    assert list(name_sources(texts).items()) == list(named.items())


def test_a_file_with_an_equals_sign_is_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a=b.mp4").write_bytes(b"")
    assert name_sources(["a=b.mp4"]) == {"a-b": "a=b.mp4"}


def test_a_name_given_twice_is_refused():
    with pytest.raises(SettingError, match="two streams are called 'a'"):
        name_sources(["a=0", "a=1"])
    with pytest.raises(SettingError, match="a source's name is empty"):
        name_sources([" "])


def test_files_are_looked_at_before_anything_runs(tmp_path, make_video):
    path = make_video(tmp_path / "a.mp4", rate=29.97)
    assert check_sources({"a": str(path), "cam": "0"}) == {"a": pytest.approx(29.97, abs=0.005), "cam": 0}
    with pytest.raises(SourceError, match=r"gone\.mp4: no such file"):
        check_sources({"a": str(tmp_path / "gone.mp4")})
    with pytest.raises(SourceError, match="a folder; name a video in it"):
        check_sources({"a": str(tmp_path)})
    (tmp_path / "no.mp4").write_bytes(b"no video")
    with pytest.raises(SourceError, match="cannot be read as video"):
        check_sources({"a": str(tmp_path / "no.mp4")})


def test_lines_and_zones_are_of_all_streams_or_of_one():
    scenes = scenes_for(["a", "b"], ["door=0,0,1,1", "b:gate=0,1,1,0"], ["a:desk=0,0,1,0,1,1"])
    assert [line.name for line in scenes["a"].lines] == ["door"]
    assert [line.name for line in scenes["b"].lines] == ["door", "gate"]
    assert [len(scenes[n].zones) for n in "ab"] == [1, 0]


def test_a_file_has_one_scene_or_one_a_stream(tmp_path):
    line = {"name": "door", "start": [0, 0], "end": [1, 1]}
    file = tmp_path / "scene.json"
    file.write_text(json.dumps({"lines": [line]}))
    scenes = scenes_for(["a", "b"], ["gate=0,1,1,0"], file=file)
    assert [[one.name for one in scenes[n].lines] for n in "ab"] == [["door", "gate"]] * 2
    file.write_text(json.dumps({"b": {"lines": [line]}}))
    scenes = scenes_for(["a", "b"], file=file)
    assert [len(scenes[n].lines) for n in "ab"] == [0, 1]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("door=0,0,1", "door=0,0,1"),
        ("door", "door"),
        ("c:door=0,0,1,1", "no stream 'c'"),
        ("gat:door=0,0,1,1", "did you mean 'gate'"),
        ("door=0,0,0,0", "door"),
        ("door=0,0,nan,1", "door"),
        ("door=0,0,2,1", "door"),
    ],
)
def test_a_bad_line_is_one_line(line, words):
    with pytest.raises(SettingError, match=words) as e:
        scenes_for(["a", "gate"], [line])
    assert "\n" not in str(e.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "scene.json: is no JSON"),
        ("[" * 100_000, "scene.json: is no JSON"),
        ("[]", "scene.json"),
        ('{"c": {}}', "no stream 'c'"),
        ('{"a": {"line": []}}', "did you mean 'lines'"),
        ('{"lines": [{"name": "x"}]}', "'end' is missing"),
        (None, "scene.json: cannot be read"),
    ],
)
def test_a_bad_file_is_one_line(tmp_path, text, words):
    file = tmp_path / "scene.json"
    if text is not None:
        file.write_text(text)
    with pytest.raises(SettingError, match=words) as e:
        scenes_for(["a", "b"], file=file)
    assert "\n" not in str(e.value)


def test_a_name_on_the_command_line_and_in_the_file_is_refused(tmp_path):
    file = tmp_path / "scene.json"
    file.write_text(json.dumps({"lines": [{"name": "door", "start": [0, 0], "end": [1, 1]}]}))
    with pytest.raises(SettingError, match="two lines or zones are called 'door'"):
        scenes_for(["a"], ["door=0,1,1,0"], file=file)
