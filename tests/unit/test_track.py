"""The tracker on sequences with known identities: gaps, crossings, misses, false alarms, odd frame rates."""

from __future__ import annotations

import numpy as np
import pytest
from made_sequences import sequence, walk

from passerby.errors import SettingError
from passerby.measure.tracking import score
from passerby.records import Detections
from passerby.track.tracker import Settings, Tracker


def run(truth, found, times, settings=None):
    tracker = Tracker(settings)
    return score(truth, [tracker(d, t) for d, t in zip(found, times, strict=True)])


SIDE_BY_SIDE = [walk((40, 60 * k + 40), (25 if k % 2 else -25 + 60, 0)) for k in range(5)]
CROSSING = [walk((20, 100), (40, 0)), walk((340, 106), (-40, 0)), walk((180, 20), (0, 22)), walk((60, 200), (30, -12))]


def test_people_who_are_always_seen_are_never_mixed_up():
    found = run(*sequence(SIDE_BY_SIDE))
    assert (found["mota"], found["idf1"], found["switches"]) == (1, 1, 0)


def test_people_who_cross_keep_their_identities():
    found = run(*sequence(CROSSING, noise=0.5))
    assert found["switches"] == 0
    assert found["idf1"] > 0.99


@pytest.mark.parametrize("rate", [3.0, 10.0, 29.97])
def test_the_frame_rate_does_not_matter(rate):
    found = run(*sequence(CROSSING, rate=rate, noise=0.5))
    assert found["switches"] == 0
    assert found["idf1"] > 0.97


@pytest.mark.parametrize("rate", [5.0, 10.0])
def test_who_moves_by_more_than_a_width_a_frame_is_followed(rate):
    paths = [walk((20, 40 * k + 30), (160 if k % 2 else 120, 10 * (k % 3 - 1)), begin=0.7 * k) for k in range(6)]
    found = run(*sequence(paths, rate=rate, noise=1.0))
    assert found["switches"] == 0
    assert found["idf1"] > 0.95


def test_frames_may_come_unevenly():
    truth, found, times = sequence(CROSSING, rate=30, noise=0.5)
    kept = np.flatnonzero(np.random.default_rng(1).random(len(times)) < 0.4)
    parts = [[column[i] for i in kept] for column in (truth, found, times)]
    assert run(*parts)["switches"] == 0


@pytest.mark.parametrize("seed", range(3))
def test_misses_weak_scores_noise_and_false_alarms(seed):
    errors = {"missed": 0.1, "weak": 0.2, "noise": 1.0, "alarms": 0.2, "seed": seed}
    found = run(*sequence([*CROSSING, *SIDE_BY_SIDE], **errors))
    # one in ten is not seen, so IDF1 cannot pass 0.95
    assert found["idf1"] > 0.8
    assert found["mota"] > 0.84
    assert found["switches"] <= 5


def test_weak_detections_go_on_with_an_identity_but_begin_none():
    paths = [walk((50, 50), (20, 0))]
    truth, found, times = sequence(paths)
    weak = [Detections(d.boxes, d.scores * 0 + 0.2, d.labels, d.names) for d in found]
    assert score(truth, list(map(Tracker(), weak, times)))["misses"] == len(times)
    mixed = found[:5] + weak[5:]
    assert run(truth, mixed, times)["mota"] == 1
    assert run(truth, mixed, times, Settings(unsure=0.4))["misses"] == len(times) - 5


def gap(seconds):
    """Who is hidden for a while in the middle, walking on."""
    _truth, found, times = sequence([walk((20, 100), (40, 0))])
    hidden = [3.0 <= t < 3.0 + seconds for t in times]
    found = [Detections.none(("head",)) if h else d for d, h in zip(found, hidden, strict=True)]
    tracker = Tracker()
    ids = [tracker(d, t).ids for d, t in zip(found, times, strict=True)]
    return {int(i) for row in ids for i in row}


def test_who_comes_back_within_the_time_is_known_again():
    assert gap(1.0) == {1}
    assert gap(3.0) == {1, 2}


def test_after_an_outage_nobody_is_taken_for_who_stood_there_before():
    _truth, found, _times = sequence([walk((100, 100), (0, 0))])
    tracker = Tracker(Settings(keep=1.5))
    assert [int(tracker(found[0], t).ids[0]) for t in (0.0, 1.5)] == [1, 1]
    assert len(tracker(found[0], 9.5)) == 0  # somebody new in the same place, not confirmed yet
    assert int(tracker(found[0], 9.6).ids[0]) == 2


def test_a_false_alarm_of_one_frame_is_never_told():
    truth, found, times = sequence([walk((20, 100), (10, 0))])
    alarm = np.array([[300, 300, 320, 326]], np.float32)
    extra = found[10]
    found[10] = Detections(
        np.concatenate([extra.boxes, alarm]), np.float32([0.8, 0.9]), np.zeros(2, np.int64), ("head",)
    )
    assert run(truth, found, times)["false_alarms"] == 0
    assert run(truth, found, times, Settings(confirm=1))["false_alarms"] == 1


def shoulder(*scores):
    """Somebody whose shoulder is taken for a head, with one score a frame."""
    boxes = np.array([[100, 100, 120, 126]], np.float32)
    return [Detections(boxes, np.float32([s]), np.zeros(1, np.int64), ("head",)) for s in scores]


def told(found, **settings):
    """How many detections are told of in each frame."""
    tracker = Tracker(Settings(sure=0.35, **settings))
    return [len(tracker(d, 0.1 * k)) for k, d in enumerate(found)]


def test_what_is_never_seen_surely_is_not_told_however_long_it_stays():
    alarm = [0.36, 0.39, 0.38, 0.39, *[0.2] * 20]
    assert told(shoulder(*alarm)) == [0] * 24
    assert told(shoulder(*alarm), surer=0.0) == [1] * 24
    # once above 0.35 + 0.15 * 0.65 = 0.4475 it is told of from then on
    assert told(shoulder(*alarm, 0.44, 0.45, 0.36, 0.2)) == [0] * 25 + [1] * 3


def frames_told(frames, settings=None):
    """The boxes told of in each frame, of frames of (boxes, scores), a tenth of a second apart."""
    tracker, told = Tracker(settings), []
    for k, (boxes, scores) in enumerate(frames):
        found = Detections(np.float32(boxes), np.float32(scores), np.zeros(len(boxes), np.int64), ("head",))
        seen = tracker(found, 0.1 * k)
        told.append({int(i): b.astype(int).tolist() for i, b in zip(seen.ids, seen.boxes, strict=True)})
    return told


@pytest.mark.parametrize(("fresh", "ids"), [(0.5, [[1], [1], [1]]), (1.0, [[1], [1], []])])
def test_a_second_box_on_somebody_does_not_take_his_detections(fresh, ids):
    """A box on head and shoulders, not sure enough to be told of, fits the next detection better than the head did."""
    head, both = [100, 100, 120, 126], [100, 108, 124, 140]
    frames = [([head], [0.9]), ([head, both], [0.8, 0.45]), ([[100, 106, 123, 137]], [0.46])]
    assert [list(told) for told in frames_told(frames, Settings(fresh=fresh))] == ids


@pytest.mark.parametrize(
    ("scores", "part", "goes_on"),
    [
        ((0.35, 0.12), 0.8, "whole"),
        ((0.12, 0.35), 0.8, "inner"),
        ((0.35, 0.12), 1.0, "inner"),  # it sticks out a little, so it counts as somebody's of its own
    ],
)
def test_of_two_faint_boxes_one_in_the_other_the_stronger_goes_on(scores, part, goes_on):
    """The head comes nearer; a box of part of it is more like what it was before than the right one is."""
    before, boxes = [100, 100, 120, 126], {"inner": [101, 96, 121, 122], "whole": [97, 97, 125, 131]}
    frames = [([before], [0.9]), ([before], [0.9]), ([boxes["whole"], boxes["inner"]], scores)]
    assert frames_told(frames, Settings(part=part))[2] == {1: boxes[goes_on]}


@pytest.mark.parametrize(
    ("score", "moved", "followed"),
    [
        (0.12, 8, True),
        (0.12, 12, False),
        (0.25, 12, True),
        (0.25, 14, False),
        (0.39, 14, True),
        (0.39, 18, False),
        (0.9, 14, True),
        (0.9, 18, False),
    ],
)
def test_the_fainter_a_detection_the_better_it_has_to_fit(score, moved, followed):
    before, after = [100, 100, 120, 126], [100 + moved, 100, 120 + moved, 126]
    told = frames_told([([before], [0.9])] * 4 + [([after], [score])])
    assert told[4] == ({1: after} if followed else {})


def test_a_faint_box_before_a_stronger_one_that_is_somebody_elses_goes_on():
    """A child before its mother: his box lies in hers, she is sure, he is not for a while."""
    mother, child = [100, 100, 160, 260], [115, 180, 145, 258]
    frames = [([mother, child], [0.9, 0.8])] * 2 + [([mother, child], [0.9, 0.2])] * 5
    assert frames_told(frames) == [{1: mother, 2: child}] * 7


def test_numbers_are_given_to_those_who_are_told_of_only():
    truth, found, times = sequence([walk((20, 100), (10, 0)), walk((20, 200), (10, 0), begin=4.0)], alarms=1.0, seed=3)
    tracker = Tracker()
    ids = {int(i) for d, t in zip(found, times, strict=True) for i in tracker(d, t).ids}
    assert ids == set(range(1, tracker.given + 1))
    assert tracker.given < sum(len(d) for d in found) - sum(len(t.ids) for t in truth)


def test_newly_told_are_given_as_they_were_first_seen():
    _truth, found, times = sequence([walk((20, 100), (100, 0)), walk((20, 200), (100, 0), begin=0.5)])
    tracker, newly = Tracker(), []
    for d, t in zip(found, times, strict=True):
        tracker(d, t)
        newly += [
            (round(t, 1), int(i), *b) for i, b in zip(tracker.newly.ids, tracker.newly.boxes.tolist(), strict=True)
        ]
    # the first frame needs no confirming; the other is told of in his second frame, with the box of his first
    assert newly == [(0.0, 1, 10, 87, 30, 113), (0.6, 2, 10, 187, 30, 213)]


def test_two_classes_in_one_place_are_two_identities():
    boxes = np.array([[0, 0, 20, 20], [0, 0, 20, 20]], np.float32)
    both = Detections(boxes, np.float32([0.9, 0.8]), np.array([0, 1]), ("head", "person"))
    tracker = Tracker()
    first, second = tracker(both, 0.0), tracker(both[[1, 0]], 0.1)
    assert dict(zip(first.labels.tolist(), first.ids.tolist(), strict=True)) == dict(
        zip(second.labels.tolist(), second.ids.tolist(), strict=True)
    )


def test_told_detections_are_the_detected_boxes_best_first():
    _truth, found, times = sequence(SIDE_BY_SIDE, noise=1.0, weak=0.3)
    tracker = Tracker()
    for d, t in zip(found, times, strict=True):
        told = tracker(d, t)
        assert (np.diff(told.scores) <= 0).all()
        assert {tuple(b) for b in told.boxes.tolist()} <= {tuple(b) for b in d.boxes.tolist()}
        assert len(set(told.ids.tolist())) == len(told)
    assert told.to_list()[0]["id"] == told.ids[0]


def test_memory_stays_flat_and_empty_frames_are_fine():
    tracker = Tracker()
    rng = np.random.default_rng(0)
    for k in range(300):
        low = rng.uniform(0, 2000, (20, 2)).astype(np.float32)
        boxes = np.concatenate([low, low + 10], axis=1)
        tracker(Detections(boxes, np.full(20, 0.9, np.float32), np.zeros(20, np.int64), ("head",)), k * 0.1)
    assert len(tracker.ids) < 20 * 20
    assert len(tracker.motion) == len(tracker.ids) == len(tracker.seen) == len(tracker.labels) == len(tracker.hits)
    for k in range(20):
        assert len(tracker(Detections.none(("head",)), 100.0 + k)) == 0
    assert len(tracker.ids) == 0


def test_time_must_rise_and_settings_be_in_range():
    tracker = Tracker()
    tracker(Detections.none(), 1.0)
    for time in (1.0, 0.5, float("nan")):
        with pytest.raises(SettingError, match="times must rise"):
            tracker(Detections.none(), time)
    for wrong in (
        {"sure": 2},
        {"unsure": 0.5, "sure": 0.4},
        {"confirm": 0},
        {"keep": -1},
        {"reach": 0.0},
        {"fresh": 0.0},
        {"part": 0.0},
        {"surer": 2},
    ):
        with pytest.raises(SettingError, match="tracking:"):
            Tracker(Settings(**wrong))
