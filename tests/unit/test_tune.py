"""passerby tune: what is measured, what is kept, when it is used, and that nothing of it can break a run."""

from __future__ import annotations

import json
import logging

import numpy as np
import pytest

from passerby.deploy import tune as tuning
from passerby.deploy.tune import Candidate, list_candidates, tune
from passerby.errors import SettingError
from passerby.runtime import tuned
from passerby.runtime.session import ENGINES, open_engine
from passerby.runtime.tuned import Choice, find_choice, machine_key, read_choices, sha256_of, tuned_path, write_choices


@pytest.fixture(autouse=True)
def own_config(tmp_path, monkeypatch):
    """A config folder of the test's own."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv(tuned.IGNORE, raising=False)


@pytest.fixture
def chosen(tiny_model):
    """Stores a choice for the tiny model: ONNX Runtime with one thread; fields by keyword."""

    def store(**changes):
        fields = {
            "model": "tiny.onnx", "sha256": sha256_of(tiny_model), "bytes": tiny_model.stat().st_size,
            "machine": machine_key(), "goal": "latency", "engine": "onnxruntime", "threads": 1,
        }  # fmt: skip
        write_choices([Choice(**(fields | changes))])

    return store


class Paced:
    """An engine that takes so long, by a clock of the test's own: a busy machine changes nothing."""

    def __init__(self, name, pause, clock):
        self.name, self.pause, self.clock = name, pause, clock

    def run(self, pixels):
        self.clock[0] += self.pause


@pytest.fixture
def paced(monkeypatch):
    """Makes every engine take the seconds that are said for its name."""
    clock = [0.0]
    monkeypatch.setattr(tuning.time, "perf_counter", lambda: clock[0])

    def make(pauses):
        monkeypatch.setattr(tuning, "open_engine", lambda *a: Paced(a[2], pauses[a[2]], clock))

    return make


def candidates(spec, path, names):
    return [Candidate(path, spec, n, 0) for n in names]


NOISE = [np.zeros((64, 64, 3), np.uint8)]


def test_what_is_clearly_faster_is_chosen(paced, tiny_spec, tiny_model):
    paced({"slow": 0.004, "fast": 0.001, "middle": 0.003})
    done = tune(candidates(tiny_spec, tiny_model, ["slow", "fast", "middle"]), NOISE, "latency", 4)
    assert done.chosen is not None
    assert done.chosen.name == "fast"
    assert done.again.value == pytest.approx(4)
    assert not done.again.tie


def test_the_default_stays_where_it_is_the_fastest_and_in_a_tie(paced, monkeypatch, tiny_spec, tiny_model):
    paced({"default": 0.001, "slow": 0.003})
    assert tune(candidates(tiny_spec, tiny_model, ["default", "slow"]), NOISE, "latency", 3).chosen is None
    times = np.array([[2.0, 1.0, 2.0, 1.0], [1.9, 1.1, 1.8, 1.2]])  # faster by its median, not by more than noise
    monkeypatch.setattr(tuning, "_take_turns", lambda *a: times)
    done = tune(candidates(tiny_spec, tiny_model, ["default", "slow"]), NOISE, "latency", 4)
    assert done.again.tie
    assert done.chosen is None


def test_another_file_is_measured_and_never_chosen(paced, tiny_spec, tiny_model, tmp_path):
    paced({"default": 0.003, "int8": 0.0005})
    rows = [Candidate(tiny_model, tiny_spec, "default", 0), Candidate(tmp_path / "i.onnx", tiny_spec, "int8", 0, False)]
    done = tune(rows, NOISE, "latency", 3)
    assert done.rows[1].share.value > 2
    assert done.chosen is None


def test_throughput_runs_as_many_at_once_as_there_are_cores(monkeypatch, tiny_spec, tiny_model):
    import threading

    class Meeting:
        """Answers only when three callers are inside at once."""

        name = "meeting"
        together = threading.Barrier(3, timeout=30)

        def run(self, pixels):
            self.together.wait()

    monkeypatch.setattr(tuning, "cores", lambda: 3)
    asked = []
    monkeypatch.setattr(tuning, "open_engine", lambda *a: asked.append(a[4]) or Meeting())
    tune(candidates(tiny_spec, tiny_model, ["default"]), NOISE, "throughput", 3)
    assert asked == [3]


def test_the_candidates_are_the_engines_that_are_there_by_threads_the_default_first(monkeypatch, tiny_spec, tiny_model):
    monkeypatch.setattr(tuning, "cores", lambda: 4)
    monkeypatch.setattr(tuning.importlib.util, "find_spec", lambda name: name == "onnxruntime" or None)
    rows = list_candidates(tiny_model, tiny_spec, "latency", [])
    assert [(r.engine, r.threads) for r in rows] == [("onnxruntime", n) for n in (0, 1, 2, 4)]
    monkeypatch.setattr(tuning.importlib.util, "find_spec", lambda name: object())
    assert {r.engine for r in list_candidates(tiny_model, tiny_spec, "latency", [])} == set(ENGINES)
    assert list_candidates(tiny_model, tiny_spec, "latency", [])[0].engine == "openvino"
    assert {r.threads for r in list_candidates(tiny_model, tiny_spec, "throughput", [])} == {0}
    with pytest.raises(SettingError, match="did you mean 'latency'"):
        list_candidates(tiny_model, tiny_spec, "latencies", [])


def test_auto_uses_the_choice_and_says_so(tiny_model, chosen):
    chosen()
    name = open_engine(tiny_model, "tiny").name
    assert name.startswith("onnxruntime")
    assert name.endswith(", tuned: 1 thread")


def test_a_choice_is_for_one_file_one_machine_and_one_goal(tiny_model, chosen, tmp_path):
    chosen()
    assert find_choice(tiny_model) is not None
    assert find_choice(tiny_model, streams=2) is None
    other = tmp_path / "other.onnx"
    other.write_bytes(tiny_model.read_bytes()[:-1] + b"?")
    assert find_choice(other) is None
    assert find_choice(b"bytes") is None
    chosen(machine="another machine")
    assert find_choice(tiny_model) is None


def test_by_hand_and_by_the_environment_it_is_ignored(tiny_model, chosen, monkeypatch):
    chosen()
    assert "tuned" not in open_engine(tiny_model, "tiny", "onnxruntime").name
    assert "tuned" not in open_engine(tiny_model, "tiny", "auto", threads=1).name
    monkeypatch.setenv(tuned.IGNORE, "1")
    assert "tuned" not in open_engine(tiny_model, "tiny").name


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"format": 2, "choices": []}', '{"format": 1}', '{"format": 1, "choices": [{"a": 1}]}',
     '{"format": 1, "choices": 3}', '{"format": 1, "choices": [3]}', "\x00\xff"],
)  # fmt: skip
def test_a_broken_file_of_choices_is_one_line_and_breaks_nothing(tiny_model, text, caplog):
    tuned_path().parent.mkdir(parents=True)
    tuned_path().write_bytes(text.encode("latin-1"))
    with caplog.at_level(logging.WARNING, "passerby"):
        assert "tuned" not in open_engine(tiny_model, "tiny").name
    assert [r.levelname for r in caplog.records] == ["WARNING"]
    assert "passerby tune --forget" in caplog.text


def test_a_choice_whose_engine_is_gone_is_told_and_not_used(tiny_model, chosen, caplog):
    chosen(engine="nothere")
    assert "tuned" not in open_engine(tiny_model, "tiny").name
    assert "nothere, chosen by passerby tune for tiny.onnx, is not installed" in caplog.text


def test_the_whole_command_keeps_lists_and_forgets(cli, tiny_model, monkeypatch):
    def times(engines, *rest):  # the third candidate is the fastest
        return np.array([[1.0 if k == 2 or (len(engines) == 2 and k == 1) else 3.0] * 3 for k in range(len(engines))])

    names = [("openvino", 0), ("openvino", 1), ("onnxruntime", 1)]
    monkeypatch.setattr(
        tuning, "list_candidates", lambda path, spec, *a: [Candidate(path, spec, e, n) for e, n in names]
    )
    monkeypatch.setattr(tuning, "_take_turns", times)
    monkeypatch.setattr(tuning, "open_engine", lambda *a: Paced(f"{a[2]} 1.0 float32", 0, [0]))
    ran = cli("tune", tiny_model, "--rounds", 3)
    assert ran.code == 0, ran.err
    assert "the default" in ran.out
    assert "kept in" in ran.out
    assert "undo: passerby tune --forget" in ran.out
    assert "another file: passerby export MODEL --input WxH" in ran.out
    (kept,) = read_choices()
    assert (kept.engine, kept.threads, kept.model) == ("onnxruntime", 1, "tiny.onnx")
    assert kept.facts["low"] > 1
    assert "tiny.onnx, latency: onnxruntime, tuned: 1 thread" in cli("tune").out
    assert "for latency on this machine, --engine auto: onnxruntime, tuned: 1 thread" in cli("info", tiny_model).out
    assert "1 choice forgotten" in cli("tune", "--forget", tiny_model).err
    assert not tuned_path().exists()
    assert "nothing is kept" in cli("tune").out


def test_json_tells_every_candidate(cli, tiny_model, monkeypatch):
    monkeypatch.setattr(tuning, "_take_turns", lambda engines, *a: np.ones((len(engines), 3)))
    raw = json.loads(cli("tune", tiny_model, "--rounds", 3, "--json").out)
    assert raw["chosen"] is None
    assert {r["kind"] for r in raw["rows"]} >= {"onnxruntime"}
    assert all(r["ms"] == 1 for r in raw["rows"])


def test_refusals(cli, refused, tiny_model, tmp_path):
    refused(cli("tune", tiny_model, "--rounds", 2), 2, "rounds is 2, want at least 3")
    refused(cli("tune", tiny_model, "--for", "speed"), 2, "no goal 'speed'")
    refused(cli("tune", "gone.onnx"), 5, "gone.onnx: no such model file")
    tuned_path().parent.mkdir(parents=True)
    tuned_path().write_text("{")
    refused(cli("tune"), 2, "tuned.json: cannot be read", "passerby tune --forget")
    assert cli("tune", "--forget").code == 0
    assert not tuned_path().exists()
