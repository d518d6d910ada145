"""Identities, lines and a zone on a real video, against a count made by eye.

The video: a fixed camera over a standing table, 768 x 432, 10 frames a second, 1,394 frames. Six people come one at a
time: in through the lower border, to the table, where they stand with their backs to the camera, and out through the
right border. Nobody comes twice, no two are there at once.

The count was made on the frames without any boxes, before a detector saw them, with the lines and the zone drawn on
them. A head's centre is that of skull and face; long hair makes it a matter of opinion, by two frames at most.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import pytest

from passerby import Detector
from passerby.live.scene import LineSpec, Scene, ZoneSpec
from passerby.live.watch import LOW, Watcher
from passerby.runtime.model_file import find_model, read_spec

RATE = 10  # frames a second
STEPS = (1, 2)  # every frame is looked at, or every second; what becomes of fewer: benchmarks/counting.py
SIZE = (768, 432)


class Visit(NamedTuple):
    """Numbers of frames.

    first, last  with any of the head in the picture
    entry    the first with the head's centre over the line `entry`; leave: right of the line `exit`
    came, went   the first and the last with the head's centre in the zone `table`
    """

    first: int
    entry: int
    came: int
    went: int
    leave: int
    last: int


BY_EYE = [
    Visit(60, 66, 68, 184, 186, 194),  # woman, long hair, grey dress
    Visit(227, 231, 234, 436, 438, 443),  # man in black
    Visit(502, 507, 510, 684, 687, 695),  # woman, very long hair, black jacket
    Visit(745, 750, 755, 852, 855, 863),  # man, black T-shirt
    Visit(921, 928, 932, 1182, 1185, 1195),  # woman, long black hair, grey jacket
    Visit(1234, 1240, 1243, 1343, 1346, 1354),  # man, grey shirt
]

# `entry`: people who come go up over it. `exit`: people who leave go right over it. `both`: from the upper right to the
# lower left corner; everybody crosses it twice, upwards (to its right hand) when coming, downwards when leaving.
SCENE = Scene(
    (
        LineSpec("entry", (1.0, 0.55), (0.0, 0.55)),
        LineSpec("exit", (0.75, 0.0), (0.75, 1.0)),
        LineSpec("both", (0.95, 0.0), (0.0, 1.0)),
    ),
    (ZoneSpec("table", ((0.45, 0.0), (0.7, 0.0), (0.7, 0.4), (0.45, 0.4)), point="centre"),),
)


@pytest.fixture(scope="module")
def found(shared):
    """Frame number -> what the shipped model finds in it."""
    return look(shared, "onnxruntime")


def look(shared, engine):
    path = shared / "data" / "video" / "one-by-one-person-detection.mp4"
    if not path.is_file():
        pytest.skip(f"no {path.name}")
    detector, video = Detector("head", engine=engine), cv2.VideoCapture(str(path))
    found, number = {}, 0
    while video.grab():
        found[number] = detector(cv2.cvtColor(video.retrieve()[1], cv2.COLOR_BGR2RGB), LOW)
        number += 1
    assert number == 1394
    return found


def watch(found, order, step=1):
    """Events by frame, when each identity was there, and the last picture's counts."""
    watcher, events, frames = Watcher(SCENE, threshold=read_spec(find_model("head")).threshold), [], {}
    for k, number in enumerate(order):
        seen = watcher.see(found[number], k * step / RATE, *SIZE)
        events += [(number, event) for event in seen.events]
        for person in seen.found.ids:
            frames.setdefault(int(person), []).append(number)
    return events, frames, seen


@pytest.mark.shared
@pytest.mark.parametrize("step", STEPS)
def test_everybody_is_one_identity_and_counts_once_where_the_eye_counted(found, step):
    events, frames, last = watch(found, sorted(found)[::step], step)
    # No identity breaks and none is made up: six visits, numbered in the order in which people came.
    assert sorted(frames) == [1, 2, 3, 4, 5, 6]
    assert last.total == 6
    assert last.lines == {
        "entry": {"in": 6, "out": 0},
        "exit": {"in": 0, "out": 6},
        "both": {"in": 6, "out": 6},
    }
    assert (last.zones["table"]["visitors"], last.zones["table"]["present"]) == (6, 0)
    assert last.people == 0
    for person, visit in enumerate(BY_EYE, 1):
        # told of from the second look at most of the head, which may be the fourth frame of a part of it
        assert visit.first <= frames[person][0] <= visit.first + 8
        assert visit.last - 4 <= frames[person][-1] <= visit.last
        gaps = set(range(frames[person][0], frames[person][-1] + 1, step)) - set(frames[person])
        assert len(gaps) <= 3
        when = {(e.where, e.kind): (number, e) for number, e in events if e.id == person}
        # a crossing is sure a quarter of the head's size behind the line
        assert visit.entry - 2 <= when["entry", "in"][0] <= visit.entry + 4
        assert visit.leave - 2 <= when["exit", "out"][0] <= visit.leave + 4
        assert when["entry", "in"][0] - 2 <= when["both", "in"][0] < when["both", "out"][0]
        assert when["both", "out"][0] <= visit.leave + 8
        # in and out of a zone is sure half a second later, or 1.5 seconds after somebody vanished; the dwell tells when
        assert visit.came + 3 <= when["table", "entered"][0] <= visit.came + 10
        assert visit.went + 3 <= when["table", "left"][0] <= visit.last + 18
        assert when["table", "left"][1].dwell == pytest.approx((visit.went + 1 - visit.came) / RATE, abs=0.3)


@pytest.mark.shared
def test_another_engine_gives_the_same_identities_and_counts(shared):
    """In bfloat16, where the processor has it: scores differ by a few hundredths."""
    pytest.importorskip("openvino")
    found = look(shared, "openvino")
    for step in STEPS:
        _events, frames, last = watch(found, sorted(found)[::step], step)
        assert sorted(frames) == [1, 2, 3, 4, 5, 6]
        assert last.lines["entry"] == {"in": 6, "out": 0}
        assert last.lines["exit"] == {"in": 0, "out": 6}


@pytest.mark.shared
def test_played_backwards_every_count_is_the_other_way_round(found):
    _events, frames, last = watch(found, sorted(found, reverse=True))
    assert sorted(frames) == [1, 2, 3, 4, 5, 6]
    assert last.lines == {
        "entry": {"in": 0, "out": 6},
        "exit": {"in": 6, "out": 0},
        "both": {"in": 6, "out": 6},
    }
    assert last.zones["table"]["visitors"] == 6
