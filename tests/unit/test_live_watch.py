"""A watched sequence: identities, counts, and what stays when scene, threshold or time change."""

from __future__ import annotations

import json

import numpy as np
import pytest

from passerby.errors import SettingError
from passerby.live.scene import LineSpec, Scene, ZoneSpec
from passerby.live.watch import HOLD, Watcher
from passerby.records import Detections

WIDTH, HEIGHT = 400, 200
DOOR = LineSpec("door", (0.5, 1.0), (0.5, 0.0))  # looking up: the right hand is the right half
HALL = ZoneSpec("hall", ((0.5, 0), (1, 0), (1, 1), (0.5, 1)), point="centre", settle=0.2)


def at(*centres, score=0.8):
    boxes = np.array([[x - 10, 90, x + 10, 110] for x in centres], np.float32).reshape(-1, 4)
    return Detections(boxes, np.full(len(boxes), score, np.float32), np.zeros(len(boxes), np.int64), ("head",))


def walk(watcher, xs, begin=0.0, score=0.8):
    """One person at each x, ten pictures a second; everything that was told."""
    return [watcher.see(at(x, score=score), begin + k / 10, WIDTH, HEIGHT) for k, x in enumerate(xs)]


def test_somebody_who_walks_through_is_one_identity_counted_once():
    told = walk(Watcher(Scene((DOOR,), (HALL,))), range(100, 300, 10))
    last = told[-1]
    assert (last.people, last.total) == (1, 1)
    assert last.lines == {"door": {"in": 1, "out": 0}}
    assert last.zones["hall"]["present"] == last.zones["hall"]["visitors"] == 1
    events = [e for seen in told for e in seen.events]
    assert [(e.kind, e.where) for e in events] == [("in", "door"), ("entered", "hall")]


def test_dict_is_json_with_the_documented_keys():
    seen = walk(Watcher(Scene((DOOR,), (HALL,))), range(100, 300, 10))[-1]
    row = json.loads(json.dumps(seen.to_dict()))
    assert sorted(row) == ["detections", "events", "lines", "people", "total", "zones"]
    assert row["detections"][0]["id"] == 1
    assert list(row["zones"]["hall"]["dwell"]) == ["1"]


def test_threshold_decides_who_begins_and_may_change():
    watcher = Watcher(threshold=0.5)
    assert walk(watcher, [100] * 5, score=0.45)[-1].total == 0
    watcher.threshold = 0.3
    assert walk(watcher, [100] * 5, begin=1, score=0.45)[-1].total == 1
    with pytest.raises(SettingError, match=r"threshold is 1\.2"):
        watcher.threshold = 1.2


def test_count_of_people_does_not_flicker_when_one_picture_misses_them():
    watcher = Watcher()
    walk(watcher, [100] * 5)
    assert watcher.see(at(), 0.5, WIDTH, HEIGHT).people == 1
    assert watcher.see(at(), 0.45 + HOLD, WIDTH, HEIGHT).people == 0


def test_a_line_that_stays_keeps_its_counts_and_a_new_one_begins_at_nought():
    watcher = Watcher(Scene((DOOR,)))
    walk(watcher, range(100, 300, 10))
    other = LineSpec("gate", (0.25, 1.0), (0.25, 0.0))
    watcher.scene = Scene((other, DOOR))
    assert watcher.rest().lines == {"gate": {"in": 0, "out": 0}, "door": {"in": 1, "out": 0}}
    watcher.scene = Scene((LineSpec("door", (0.4, 1.0), (0.4, 0.0)),))
    assert watcher.rest().lines == {"door": {"in": 0, "out": 0}}


def test_counts_survive_another_picture_size():
    watcher = Watcher(Scene((DOOR,), (HALL,)))
    walk(watcher, range(100, 300, 10))
    seen = watcher.see(at(), 3.0, 2 * WIDTH, 2 * HEIGHT)
    assert seen.lines == {"door": {"in": 1, "out": 0}}
    assert seen.zones["hall"]["visitors"] == 1


def test_time_that_jumps_back_begins_identities_anew_with_other_numbers():
    watcher = Watcher(Scene(zones=(HALL,)))
    first = walk(watcher, [300] * 6)[-1]
    again = walk(watcher, [300] * 6)
    assert first.found.ids.tolist() == [1]
    assert again[-1].found.ids.tolist() == [2]
    assert again[-1].total == 2
    assert [(e.kind, e.id) for e in again[0].events] == [("left", 1)]


def test_begin_anew_forgets_who_but_not_how_many():
    watcher = Watcher(Scene((DOOR,)))
    walk(watcher, range(100, 300, 10))
    watcher.begin_anew()
    assert watcher.rest().lines["door"]["in"] == 1
    assert walk(watcher, [300] * 3, begin=3)[-1].found.ids.tolist() == [2]


@pytest.mark.parametrize("time", [float("nan"), float("inf")])
def test_time_must_be_a_number(time):
    with pytest.raises(SettingError, match="time"):
        Watcher().see(at(), time, WIDTH, HEIGHT)


def test_memory_stays_flat_over_many_people():
    watcher = Watcher(Scene((DOOR,), (HALL,)))
    for person in range(60):
        walk(watcher, range(100, 300, 10), begin=person * 10)
    assert watcher.rest().total == 60
    assert watcher.rest().lines["door"]["in"] == 60
    assert len(watcher._lines[DOOR]._last) + len(watcher._zones[HALL]._inside) <= 3
