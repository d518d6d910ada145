"""Comparing predictors: turns, ties, names, and who disagrees about what, on cases done by hand."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from passerby.data import load_data
from passerby.errors import DataError, ModelError, SettingError
from passerby.geometry.resize import Placement
from passerby.measure.agreement import disagreement, look, most_disputed
from passerby.measure.compare import Contender, Verdict, compare
from passerby.measure.compare_report import best_of, sentence, to_json, to_text
from passerby.measure.fresh import Fresh, measure_fresh, peak_memory
from passerby.measure.interval import Difference
from passerby.measure.speed import Ratio, latency, ratio, take_turns
from passerby.records import Detections

METRICS = ("average_precision", "miss_rate", "at_threshold", "counting", "by_size")
A, B, C, FAR = [0, 0, 20, 20], [30, 0, 50, 20], [0, 22, 20, 38], [40, 25, 58, 38]


@dataclass
class Facts:
    labels: tuple[str, ...] = ("head",)
    threshold: float = 0.5
    name: str = "told"


@dataclass
class Told:
    """A predictor that gives every picture the same boxes, and writes down its turns."""

    rows: list
    log: list = field(default_factory=list)
    name: str = "told"
    spec: Facts = field(default_factory=Facts)
    threshold: float = 0.01
    nms_iou: float | None = 0.45
    max_detections: int = 200
    engine_name: str = "told 1"

    def __call__(self, picture):
        return self.finish(self.run(picture), None)

    def prepare(self, picture):
        self.log.append((self.name, "prepare"))
        return picture, Placement(60, 40, 1, 1)

    def run(self, pixels):
        self.log.append((self.name, "run"))
        return self.rows

    def finish(self, answer, placement, threshold=None):
        self.log.append((self.name, "finish", threshold))
        kept = [row for row in answer if row[0] >= (self.threshold if threshold is None else threshold)]
        return Detections(
            np.array([b for _, b in kept], np.float32).reshape(-1, 4),
            np.array([s for s, _ in kept], np.float32),
            np.zeros(len(kept), np.int64),
            self.spec.labels,
        )


@pytest.fixture
def samples(make_voc):
    """Three pictures with heads at A and B."""
    rows = [("head", *A), ("head", *B)]
    return load_data(f"voc:{make_voc({'a': rows, 'b': rows, 'c': rows})}")


GOOD, POOR = [(0.9, A), (0.8, B)], [(0.9, A), (0.7, FAR)]


def test_each_block_of_pictures_begins_with_another_predictor(samples, monkeypatch):
    monkeypatch.setattr("passerby.measure.speed.BLOCK", 1)
    log = []
    take_turns([Told(GOOD, log, n) for n in "xyz"], samples, [0.5] * 3)
    runs = [row[0] for row in log if row[1] == "run"]
    assert runs[9:] == list("xyzyzxzxy")  # after three warm-up runs each


def test_a_block_is_gone_through_by_one_predictor_after_another(samples, monkeypatch):
    monkeypatch.setattr("passerby.measure.speed.BLOCK", 2)
    log = []
    take_turns([Told(GOOD, log, n) for n in "xy"], samples, [0.5] * 2)
    assert [row[0] for row in log if row[1] == "run"][6:] == list("xxyyyx")


def test_the_network_runs_once_a_picture_and_the_last_stage_is_timed_at_the_threshold(samples):
    told = Told(GOOD)
    turns = take_turns([told], samples, [0.6], rounds=2)
    after = told.log[6:]  # three warm-up runs, of run and finish each
    assert sum(row[1] == "run" for row in after) == 6
    assert [row[2] for row in after if row[1] == "finish"] == [0.6, None] * 3 + [0.6] * 3
    assert (turns.decode.shape, turns.stages.shape, len(turns.found[0])) == ((2, 3), (1, 2, 3, 3), 3)
    assert (turns.stages >= 0).all()
    assert turns.totals(0).shape == (3,)


def test_no_round_is_refused(samples):
    with pytest.raises(SettingError, match="rounds is 0"):
        take_turns([Told(GOOD)], samples, [0.5], rounds=0)


def test_equal_times_are_a_tie_and_double_times_are_not():
    random = np.random.default_rng(1)
    base = random.uniform(5, 15, 100)
    noisy = base * random.normal(1, 0.05, 100)
    assert ratio(base, base).tie
    assert ratio(noisy, base).tie
    twice = ratio(2 * noisy, base)
    assert not twice.tie
    assert 1.9 < twice.low <= twice.value <= twice.high < 2.1


@given(st.lists(st.floats(0.1, 1000), min_size=1, max_size=30))
def test_a_quantile_lies_in_its_interval(values):
    found = latency(np.array(values))
    assert found.low <= found.high
    assert min(values) <= found.low
    assert found.high <= max(values)


def test_scores_verdicts_and_the_best_by_hand(samples):
    done = compare([Contender("good", Told(GOOD)), Contender("poor", Told(POOR))], samples, METRICS, tested=("ap50",))
    good, poor = (r.report.scores for r in done.results)
    assert (good["ap50"], poor["ap50"]) == (1.0, 0.5)
    assert (good["precision"], poor["precision"], poor["count_mae"]) == (1.0, 0.5, 0.0)
    first = done.verdicts[0]
    assert (first.metric, first.best, first.other) == ("ap50", "good", "poor")
    assert first.difference.value == pytest.approx(0.5)
    assert not first.difference.tie
    assert {0} == best_of(done.results)[0]
    assert {v.metric for v in done.verdicts} == {"ap50", "ms"}


def test_the_same_detector_twice_is_a_tie(samples):
    done = compare([Contender("a", Told(GOOD)), Contender("b", Told(GOOD))], samples, METRICS, tested=("ap50", "mr2"))
    assert all(v.difference.tie for v in done.verdicts if v.metric != "ms")
    assert "a and b: AP50 differs by 0.0 points, inside the noise (0.0 to 0.0): a tie" in to_text(done)
    assert best_of(done.results)[0] == {0, 1}


def test_one_alone_is_measured_without_verdicts(samples):
    done = compare([Contender("only", Told(GOOD))], samples, METRICS)
    assert done.verdicts == ()
    assert best_of(done.results)[0] == set()
    assert "only" in to_text(done)


def test_labels_that_are_called_otherwise_are_renamed_and_merged(samples):
    told = Told(GOOD, spec=Facts(labels=("face", "Head")))
    done = compare([Contender("x", told, {"face": "head", "Head": "head"})], samples, METRICS)
    assert done.results[0].report.scores["ap50"] == 1.0


def test_a_threshold_of_ones_own_moves_the_operating_point(samples):
    done = compare([Contender("x", Told(GOOD), threshold=0.85)], samples, METRICS)
    assert done.results[0].report.scores["recall"] == 0.5
    assert done.results[0].report.settings["threshold"] == 0.85


def test_two_of_one_name_none_and_data_without_objects_are_refused(samples, make_voc):
    with pytest.raises(SettingError, match="two models are called 'x'"):
        compare([Contender("x", Told(GOOD)), Contender("x", Told(POOR))], samples)
    with pytest.raises(SettingError, match="nothing to compare"):
        compare([], samples)
    empty = load_data(f"voc:{make_voc({'a': []}, where='empty')}", ("head",))
    with pytest.raises(DataError, match="there is nothing to measure"):
        compare([Contender("x", Told(GOOD))], empty)


def test_json_has_no_nan_and_says_what_was_left_out(samples):
    contender = Contender("x", Told(GOOD))
    text = to_json(compare([contender], samples, METRICS))
    found = json.loads(text, parse_constant=lambda word: pytest.fail(word))
    assert set(found) == {"settings", "machine", "models", "verdicts"}
    (model,) = found["models"]
    assert model["process"] is None
    assert model["scores"]["ap50"] == 1.0
    assert set(model["ms"]["stages"]["p50"]) == {"prepare", "network", "settle"}


@pytest.mark.parametrize(
    ("difference", "words"),
    [
        (Difference(0.003, -0.009, 0.014, True), "AP50 differs by 0.3 points, inside the noise (-0.9 to 1.4): a tie"),
        (Difference(0.05, 0.02, 0.08, False), "a is better than b: AP50 differs by 5.0 points (2.0 to 8.0)"),
        (Ratio(1.02, 0.98, 1.05, True), "time a picture differs by 1.02 times (0.98 to 1.05), inside the noise: a tie"),
        (Ratio(1.5, 1.4, 1.6, False), "b takes 1.50 times (1.40 to 1.60) the time of a"),
    ],
)
def test_verdicts_in_words(difference, words):
    metric = "ms" if isinstance(difference, Ratio) else "ap50"
    assert words in sentence(Verdict(metric, "a", "b", difference))


def test_a_difference_where_less_is_better_is_told_as_a_size():
    words = sentence(Verdict("mr2", "a", "b", Difference(-0.2, -0.3, -0.1, False)))
    assert words == "a is better than b: MR^-2 differs by 20.0 points (10.0 to 30.0)"


def test_who_found_what_by_hand(judge):
    truth = {"truth": [A, B, C], "difficult": [False, False, True]}
    one = judge([truth | {"found": [(0.9, A), (0.6, FAR), (0.55, C), (0.4, B)]}])
    seen = look(one, 0)
    assert seen.found.tolist() == [True, False, False]  # B was found under the threshold only
    assert seen.counts.tolist() == [True, True, False]
    assert seen.outcome.tolist() == [1, 0, -1]
    assert seen.alarms == 1
    other = look(judge([truth | {"found": [(0.9, B)]}]), 0)
    assert disagreement([seen, other]) == 2
    assert disagreement([seen, seen]) == 0
    assert disagreement([seen]) == 1  # alone: what it missed


def test_one_object_is_not_found_twice(judge):
    seen = look(judge([{"truth": [A, [4, 0, 24, 20]], "found": [(0.9, A), (0.8, A), (0.7, A)]}]), 0)
    assert (seen.outcome == 1).sum() == seen.found.sum() == 2


def test_the_most_disputed_picture_comes_first_and_agreement_is_left_out(judge):
    sure = [{"truth": [A, B], "found": [(0.9, A), (0.9, B)]}] * 3
    some = [{"truth": [A, B], "found": f} for f in ([(0.9, A)], [], [(0.9, A), (0.9, B)])]
    rows = most_disputed([judge(sure), judge(some)], 5)
    assert [(i, score) for i, score, _ in rows] == [(1, 2), (0, 1)]
    assert len(most_disputed([judge(sure), judge(some)], 1)) == 1


CHILD = """
import json, sys
from passerby.measure.fresh import answer_fresh
request = json.loads(sys.stdin.readline())
print("a user's own line")
def make():
    block = bytearray(50 * 2**20)
    block[::4096] = b"x" * len(block[::4096])
    return lambda pixels: block
answer_fresh(request, make)
"""


def test_a_process_of_its_own_tells_memory_and_cold_start(samples):
    pictures = [str(s.path) for s in samples]
    found = measure_fresh([sys.executable, "-c", CHILD], {"pictures": pictures}, "child")
    assert isinstance(found, Fresh)
    assert 45 < found.loaded - found.before < 70  # the 50 MiB that it takes
    assert found.peak >= found.loaded
    assert found.increment == found.peak - found.before
    assert 0.02 < found.cold_start < 60
    assert found.pictures == 3


def test_a_process_that_fails_is_one_line_with_its_last_words():
    with pytest.raises(ModelError, match="broken: failed in a process of its own: no weights"):
        measure_fresh([sys.executable, "-c", "import sys; sys.exit('no weights')"], {"pictures": ["a"]}, "broken")


def test_this_process_has_some_memory():
    assert 10 * 2**20 < peak_memory() < 2**40
    assert math.isfinite(peak_memory())
