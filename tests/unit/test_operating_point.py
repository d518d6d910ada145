"""Rules that choose a threshold: what they choose, and what they say when they cannot."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from passerby.errors import SettingError
from passerby.measure.matching import Judged, Pair
from passerby.measure.miss_rate import at_threshold
from passerby.measure.operating_point import RULES, best_f1, between, choose, numbers_at, parse_rule
from passerby.records import Detections, Truth

BOXES = [[20 * i, 0, 20 * i + 10, 10] for i in range(4)]
FAR = [200, 200, 210, 210]


@pytest.fixture
def four(judge):
    """Ten pictures, four objects: hit 0.9, alarm 0.8, hit 0.7, hit 0.6, alarm 0.5; one object is never found."""
    found = [(0.9, BOXES[0]), (0.8, FAR), (0.7, BOXES[1]), (0.6, BOXES[2])]
    return judge([{"truth": BOXES, "found": found}, {"found": [(0.5, FAR)]}, *[{}] * 8], floor=0.01)


@pytest.mark.parametrize(
    ("by", "want"),
    [
        ("f1", 0.55),  # 2/5, 2/6, 4/7, 6/8, 6/9
        ("count", 0.55),  # of picture 1: 3, 2, 1, 0 too few; of picture 2 one too many from 0.5 on
        ("fppi=0", 0.85),  # false alarms: 0, 1, 1, 1, 2 in ten pictures
        ("fppi=0.1", 0.55),
        ("fppi=0.19", 0.55),
        ("fppi=0.2", 0.255),  # all; halfway from 0.5 to the floor of 0.01
        ("precision=1", 0.85),  # 1, 1/2, 2/3, 3/4, 3/5
        ("precision=0.7", 0.55),  # under 0.7 in between, and reached again
        ("precision=0.75", 0.55),
        ("precision=0.6", 0.255),
        ("recall=0.25", 0.85),  # 1/4, 1/4, 2/4, 3/4, 3/4
        ("recall=0.3", 0.65),
        ("recall=0.75", 0.55),
        ("recall=0", 0.85),
    ],
)
def test_each_rule_by_hand(four, by, want):
    assert choose(four, by).threshold == pytest.approx(want, abs=1e-9)


@pytest.mark.parametrize(
    ("by", "words"),
    [
        ("recall=0.8", ["recall=0.8: not reachable", "all scores from 0.01 on give 0.75"]),
        ("recall=1", ["0.75"]),
    ],
)
def test_a_recall_that_is_never_reached_names_the_best(four, by, words):
    with pytest.raises(SettingError) as e:
        choose(four, by)
    assert all(w in str(e.value) for w in words)
    assert "\n" not in str(e.value)


def test_a_precision_that_is_never_reached_names_the_best_and_asking_for_that_succeeds(judge):
    # alarm, hit, hit, alarm, hit: 0, 1/2, 2/3, 2/4, 3/5
    found = [(0.9, FAR), (0.8, BOXES[0]), (0.7, BOXES[1]), (0.6, [220, 0, 230, 10]), (0.5, BOXES[2])]
    judged = judge([{"truth": BOXES, "found": found}])
    with pytest.raises(SettingError, match=r"precision=0\.9: not reachable: the best is 0\.6666, at threshold 0\.65;"):
        choose(judged, "precision=0.9")
    assert choose(judged, "precision=0.6666").threshold == 0.65


def test_an_fppi_under_that_of_the_highest_score_is_refused_with_it(judge):
    judged = judge([{"truth": BOXES, "found": [(0.9, FAR), (0.8, BOXES[0])]}, {}])
    with pytest.raises(SettingError, match=r"fppi=0\.1: not reachable: the highest score alone, 0\.9, has 0\.5 false"):
        choose(judged, "fppi=0.1")
    assert choose(judged, "fppi=0.5").threshold == pytest.approx(0.4)


@pytest.mark.parametrize("by", ["f1", "count", "fppi=1", "precision=0.5", "recall=0.5"])
def test_no_object_no_detection_no_picture_are_refused(judge, by):
    for pictures, why in (
        ([{"found": [(0.9, FAR)]}], "no object in these pictures"),
        ([], "no object in these pictures"),
        ([{"truth": BOXES}], "finds nothing with a score of 0.01 or more"),
    ):
        with pytest.raises(SettingError, match=why):
            choose(judge(pictures, floor=0.01), by)


def test_no_hit_has_no_best_f1(judge):
    with pytest.raises(SettingError, match="f1: no object is found at any score"):
        choose(judge([{"truth": BOXES, "found": [(0.9, FAR)]}]), "f1")


@pytest.mark.parametrize(
    ("by", "words"),
    [
        ("fpi=0.1", "no rule 'fpi' (did you mean 'fppi'?)"),
        ("", "no rule ''"),
        ("f1=0.5", "'f1' takes no number; write f1"),
        ("count=", "'count' takes no number"),
        ("fppi", "want fppi= and a number of 0 or more, e.g. fppi=0.1"),
        ("fppi=", "want fppi="),
        ("fppi=-1", "want fppi="),
        ("fppi=inf", "want fppi="),
        ("fppi=nan", "want fppi="),
        ("precision=90%", "want precision= and a number from 0 to 1, e.g. precision=0.9"),
        ("precision=90", "a number from 0 to 1"),
        ("recall=1.0001", "a number from 0 to 1"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused_with_the_cure(by, words):
    with pytest.raises(SettingError) as e:
        parse_rule(by)
    assert words in str(e.value)


def test_the_words_of_a_rule_name_its_goal(four):
    assert choose(four, "fppi=0.1").words == "lowest threshold with at most 0.1 false positives a picture"


def test_numbers_at_a_threshold_are_those_of_eval(four):
    assert numbers_at(four, 0.65) == {
        "precision": pytest.approx(2 / 3),
        "recall": 0.5,
        "f1": pytest.approx(4 / 7),
        "fppi": pytest.approx(0.1),
        "count_mae": pytest.approx(0.1),
        "count_bias": pytest.approx(-0.1),
    }
    assert four.threshold == 0.5


def rows_to_judged(rows, pictures=3, floor=0.01):
    """Rows of (score, is a hit), spread over pictures; one object a hit, and one that is never found."""
    pairs = []
    for i in range(pictures):
        mine = rows[i::pictures]
        boxes = np.array([[20 * k, 0, 20 * k + 10, 10] for k in range(len(mine) + 1)], np.float32)
        hits = np.array([hit for _, hit in mine] + [i == 0], bool)
        scores = np.array([s for s, _ in mine], np.float32)
        found = Detections(boxes[:-1], scores, np.zeros(len(mine), np.int64), ("head",))
        pairs.append(Pair(str(i), Truth.of(boxes[hits]), found))
    return Judged(pairs, ("head",), floor=floor)


ROWS = st.lists(st.tuples(st.integers(2, 99), st.booleans()), min_size=1, max_size=24)


@given(ROWS, st.sampled_from([0.0, 0.2, 0.5, 0.7, 1.0]))
def test_no_score_keeps_a_promise_better_than_the_one_chosen(rows, goal):
    judged = rows_to_judged([(s / 100, hit) for s, hit in rows])
    every = [float(np.float32(s / 100)) for s, _ in rows]
    numbers = {t: numbers_at(judged, t) for t in every}
    for by, name, sign in ((f"fppi={goal}", "fppi", -1), (f"precision={goal}", "precision", 1)):
        good = [t for t in every if sign * numbers[t][name] >= sign * goal]
        if not good:
            with pytest.raises(SettingError, match="not reachable"):
                choose(judged, by)
            continue
        at = choose(judged, by).threshold
        assert numbers_at(judged, at) == numbers[min(good)]
    good = [t for t in every if numbers[t]["recall"] >= goal]
    if good:
        assert numbers_at(judged, choose(judged, f"recall={goal}").threshold) == numbers[max(good)]
    least = min(n["count_mae"] for n in numbers.values())
    assert numbers_at(judged, choose(judged, "count").threshold)["count_mae"] == least


@given(ROWS)
def test_a_saved_and_loaded_threshold_draws_the_same_line(rows):
    rows = [(0.5 + s * 2**-24, hit) for s, hit in rows]  # neighbours among float32 numbers
    assume(any(hit for _, hit in rows))
    judged = rows_to_judged(rows)
    chosen = best_f1(judged)
    loaded = json.loads(json.dumps(chosen))
    best = max(at_threshold(judged.at(float(np.float32(s))))["f1"] for s, _ in rows)
    assert at_threshold(judged.at(loaded))["f1"] == best


@given(st.floats(2**-6, 1, width=32), st.integers(1, 9))
def test_between_two_neighbours_of_float32_it_lets_the_upper_one_in_only(above, steps):
    above = below = np.float32(above)
    for _ in range(steps):
        below = np.nextafter(below, np.float32(0))
    threshold = between(above, below)
    assert type(threshold) is float
    scores = np.array([above, below], np.float32)
    assert (scores >= json.loads(json.dumps(threshold))).tolist() == [True, False]


def test_it_is_never_under_the_floor(judge):
    judged = judge([{"truth": BOXES[:1], "found": [(0.3, BOXES[0])]}], floor=0.3)
    for by in ("f1", "recall=1", "fppi=5"):
        assert np.float32(choose(judged, by).threshold) == np.float32(0.3)


def test_best_f1_is_the_rule_f1(four):
    assert best_f1(four) == choose(four, "f1").threshold
    assert set(RULES) == {"f1", "count", "fppi", "precision", "recall"}
