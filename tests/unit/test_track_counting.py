"""Lines and zones: each identity once a direction, nobody flickers, dwell times by hand."""

from __future__ import annotations

import numpy as np
import pytest

from passerby.errors import SettingError
from passerby.records import Detections
from passerby.track.counting import Line, Zone


def at(*people, size=20):
    """Detections of (id, x, y): boxes of a size whose centre is there."""
    boxes = np.array([[x - size / 2, y - size / 2, x + size / 2, y + size / 2] for _, x, y in people], np.float32)
    n = len(people)
    ids = np.array([p[0] for p in people], np.int64)
    return Detections(boxes.reshape(-1, 4), np.ones(n, np.float32), np.zeros(n, np.int64), ("head",), ids)


def play(thing, *frames):
    return [e for k, frame in enumerate(frames) for e in thing.update(frame, k * 0.5)]


def test_left_to_right_of_the_line_is_in_and_back_is_out():
    line = Line((100, 0), (100, 200))  # looking down; its left hand is where x is larger
    events = play(line, at((1, 130, 50)), at((1, 70, 50)), at((1, 130, 50)))
    assert [(e.kind, e.id, e.time, e.where, e.label) for e in events] == [
        ("in", 1, 0.5, "line", "head"),
        ("out", 1, 1.0, "line", "head"),
    ]
    assert line.counts == {"in": 1, "out": 1}


def test_an_identity_counts_once_a_direction():
    line = Line((100, 0), (100, 200))
    there_and_back = [at((1, 130, 50)), at((1, 70, 50))] * 5
    assert len(play(line, *there_and_back)) == 2
    assert line.counts == {"in": 1, "out": 1}


def test_who_stands_on_the_line_does_not_flicker():
    line = Line((100, 0), (100, 200), slack=0.25)  # 5 px for a box of 20
    trembling = [at((1, 100 + d, 50)) for d in (-3, 3, -4, 4, -4.9, 4.9)]
    assert play(line, at((1, 120, 50)), *trembling) == []
    assert len(play(line, at((1, 94, 50)))) == 1


def test_who_appears_close_to_the_line_counts_when_surely_over_it():
    near = Line((100, 0), (100, 200), slack=0.25)  # 5 px for a box of 20
    assert [e.kind for e in play(near, at((1, 102, 50)), at((1, 96, 50)), at((1, 94, 50)))] == ["in"]
    # first seen on the side where he stays, or on the line itself: nothing is crossed
    assert play(near, at((2, 98, 50)), at((2, 102, 50)), at((2, 80, 50)), at((3, 100, 50)), at((3, 80, 50))) == []


def test_only_between_the_ends():
    line = Line((100, 0), (100, 200))
    assert play(line, at((1, 130, 250)), at((1, 70, 250))) == []
    assert len(play(line, at((2, 130, 190)), at((2, 70, 190)))) == 1


def test_several_people_and_a_slanted_line():
    line = Line((0, 0), (200, 200))
    before, after = at((1, 60, 20), (2, 20, 60), (3, 150, 100)), at((1, 20, 60), (2, 60, 20), (3, 170, 100))
    events = play(line, before, after)
    assert {(e.id, e.kind) for e in events} == {(1, "in"), (2, "out")}


def test_another_point_of_the_box():
    feet = Line((0, 100), (200, 100), point="foot")
    assert len(play(feet, at((1, 50, 70)), at((1, 50, 100)))) == 1
    centre = Line((0, 100), (200, 100))
    assert play(centre, at((1, 50, 70)), at((1, 50, 100))) == []


def test_forgotten_identities_leave_no_trace():
    line = Line((100, 0), (100, 200))
    play(line, at((1, 130, 50)), at((1, 70, 50)))
    line.forget(set())
    assert line._last == {}
    assert line._counted == set()
    assert line.counts == {"in": 1, "out": 0}


SQUARE = [(0, 0), (100, 0), (100, 100), (0, 100)]


def test_entering_staying_and_leaving_a_zone():
    zone = Zone(SQUARE, point="centre", settle=0.5)
    events = play(
        zone, at((1, 150, 50)), at((1, 50, 50)), at((1, 50, 50)), at((1, 60, 50)), at((1, 150, 50)), at((1, 150, 50))
    )
    assert [(e.kind, e.time) for e in events] == [("entered", 1.0), ("left", 2.5)]
    assert events[1].dwell == 1.5  # from 0.5, when first inside, to 2.0, when first outside
    assert zone.visitors == 1
    assert zone.present() == []


def test_dwell_while_inside():
    zone = Zone(SQUARE, point="centre", settle=0)
    play(zone, at((1, 50, 50), (2, 20, 20)), at((1, 50, 50), (2, 20, 20)))
    assert zone.present() == [1, 2]
    assert zone.dwell(3.0) == {1: 3.0, 2: 3.0}


def test_who_is_on_the_border_does_not_flicker():
    zone = Zone(SQUARE, point="centre", settle=1.0)
    trembling = [at((1, x, 50)) for x in (98, 102) * 6]
    assert play(zone, *trembling) == []


def test_who_is_hidden_stays_and_who_is_gone_has_left():
    zone = Zone(SQUARE, point="centre", settle=0)
    play(zone, at((1, 50, 50)), at((1, 50, 50)), at(), at())
    assert zone.present() == [1]
    assert zone.dwell(3.0) == {1: 3.0}
    events = zone.forget(set(), 4.0)
    assert [(e.time, e.kind, e.dwell) for e in events] == [(4.0, "left", 0.5)]  # seen there at 0.0 and 0.5


def test_who_was_on_his_way_out_when_he_vanished_left_when_seen_inside_last():
    zone = Zone(SQUARE, point="centre", settle=1.0)
    play(zone, *[at((1, 50, 50))] * 5, at((1, 150, 50)), at())
    assert [e.dwell for e in zone.forget(set(), 5.0)] == [2.0]


def test_who_comes_twice_is_one_visitor_as_long_as_he_is_known():
    zone = Zone(SQUARE, point="centre", settle=0)
    there_and_back = [at((1, 50, 50)), at((1, 150, 50))] * 3
    assert [e.kind for e in play(zone, *there_and_back)] == ["entered", "left"] * 3
    assert zone.visitors == 1
    zone.forget(set(), 9.0)
    assert (zone._inside, zone._changed, zone._seen, zone._visited) == ({}, {}, {}, set())


def test_a_zone_with_a_bay():
    zone = Zone([(0, 0), (100, 0), (100, 100), (50, 20), (0, 100)], point="centre", settle=0)
    assert [e.id for e in play(zone, at((1, 50, 10), (2, 50, 60), (3, 10, 60), (4, 90, 60), (5, 110, 10)))] == [1, 3, 4]


@pytest.mark.parametrize(
    "make",
    [
        lambda: Line((1, 1), (1, 1)),
        lambda: Line((1, 1), (float("nan"), 1)),
        lambda: Line((0, 0), (1, 1), point="knee"),
        lambda: Line((0, 0), (1, 1), slack=-1),
        lambda: Zone([(0, 0), (1, 1)]),
        lambda: Zone(SQUARE, settle=float("nan")),
    ],
)
def test_lines_and_zones_that_are_none_are_refused(make):
    with pytest.raises(SettingError):
        make()


def test_detections_without_ids_cannot_be_counted():
    with pytest.raises(SettingError, match="track the detections first"):
        Line((0, 0), (1, 1)).update(Detections.none(("head",)), 0.0)
