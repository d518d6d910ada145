"""Scenes: lines and zones as given on the command line, in JSON, and in pixels."""

from __future__ import annotations

import json

import pytest

from passerby.errors import SettingError
from passerby.live.scene import LineSpec, Scene, ZoneSpec, parse_line, parse_zone

DOOR = LineSpec("door", (0.1, 0.5), (0.9, 0.5))
DESK = ZoneSpec("desk", ((0, 0), (1, 0), (1, 1)))


def test_scene_goes_through_json_and_back():
    scene = Scene((DOOR,), (DESK,))
    assert Scene.from_dict(json.loads(json.dumps(scene.to_dict()))) == scene


def test_command_line_words_give_the_same():
    assert parse_line("door=0.1,0.5,0.9,0.5") == DOOR
    assert parse_zone("desk=0,0,1,0,1,1") == DESK


def test_shares_become_pixels():
    line = DOOR.made(200, 100)
    assert (line.start, line.end) == ((20, 50), (180, 50))
    assert [tuple(c) for c in DESK.made(200, 100).corners] == [(0, 0), (200, 0), (200, 100)]


@pytest.mark.parametrize(
    "text",
    [
        "door",
        "door=",
        "=0,0,1,1",
        "door=0,0,1",
        "door=0,0,1,1,0,1",
        "door=0,0,1,two",
        "door=0,0,1,1.5",
        "door=0,0,1,nan",
    ],
)
def test_what_is_no_line_is_said_in_one_line(text):
    with pytest.raises(SettingError, match="line") as told:
        parse_line(text)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ([], "want an object"),
        ({"line": []}, "no field 'line' .did you mean 'lines'"),
        ({"lines": {}}, "lines: want a list"),
        ({"lines": [{"name": "a", "start": [0, 0]}]}, "line 0: 'end' is missing"),
        ({"lines": [{"name": "a", "start": [0, 0], "end": [0, 0]}]}, "is no line"),
        (
            {"lines": [{"name": "a", "start": [0, 0], "end": [2, 0]}]},
            "line 0: end: the point 2, 0 is not in",
        ),
        ({"lines": [{"name": "a", "start": [0, True], "end": [1, 0]}]}, "True is no number"),
        ({"lines": [{"name": 3, "start": [0, 0], "end": [1, 0]}]}, "name is 3"),
        ({"lines": [{"name": "a", "start": [0, 0], "end": [1, 0], "point": "nose"}]}, "no point 'nose'"),
        ({"lines": [{"name": "a", "start": [0, 0], "end": [1, 0], "slack": -1}]}, "slack"),
        ({"zones": [{"name": "z", "corners": [[0, 0], [1, 1]]}]}, "at least three corners"),
        ({"zones": [{"name": "", "corners": [[0, 0], [1, 1], [1, 0]]}]}, "is no name"),
        ({"zones": [{"name": "z", "corners": [[0, 0], [1, 1], [1, 0]]}] * 2}, "two lines or zones are called 'z'"),
        ({"zones": [{"name": str(k), "corners": [[0, 0], [1, 1], [1, 0]]} for k in range(33)]}, "at most 32"),
        ({"zones": [{"name": "z", "corners": [[0, 0]] * 101}]}, "3 to 100 points"),
    ],
)
def test_bad_scenes_are_named(raw, words):
    with pytest.raises(SettingError, match=words) as told:
        Scene.from_dict(raw, "gate.json")
    assert str(told.value).startswith("gate.json")
