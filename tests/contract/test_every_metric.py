"""Every row of METRICS keeps the promise of the table: names and floats, whatever it is given."""

from __future__ import annotations

import inspect
import math

import pytest

from passerby.measure.evaluate import METRICS

ROWS = sorted(METRICS)
ONE, TWO, FAR = [0, 0, 10, 10], [20, 10, 60, 40], [100, 100, 140, 150]
FOUND = [(0.9, ONE, 0), (0.8, FAR, 0), (0.7, TWO, 1), (0.1, TWO, 0)]
CASES = {
    "all": [{"truth": [ONE, TWO], "labels": [0, 1], "found": FOUND}, {"truth": [FAR]}],
    "no detections": [{"truth": [ONE, TWO]}, {"truth": [FAR]}],
    "no objects": [{"found": FOUND}, {"found": FOUND[:1]}],
    "nothing in the pictures": [{}, {}],
    "no pictures": [],
    "only difficult": [{"truth": [ONE], "difficult": [True], "found": FOUND}],
    "only ignored": [{"truth": [ONE], "ignore": [True], "found": FOUND}],
    "one class has no object": [{"truth": [TWO], "labels": [1], "found": FOUND}],
    "equal scores": [{"truth": [ONE, TWO], "found": [(0.5, ONE), (0.5, TWO), (0.5, FAR)]}],
}
SHARES = ("ap", "coco_ap", "mr2", "miss", "precision", "recall", "f1")  # names that start so lie in 0..1


@pytest.fixture
def scores(judge):
    def work_out(row, case, labels=("head", "person")):
        return METRICS[row](judge(CASES[case], labels))

    return work_out


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("row", ROWS)
def test_it_gives_names_and_floats(scores, row, case):
    got = scores(row, case)
    assert got
    for name, value in got.items():
        assert type(name) is str
        assert type(value) is float, name
        assert not math.isinf(value), name
        if name.startswith(SHARES):
            assert math.isnan(value) or 0 <= value <= 1 + 1e-9, name


@pytest.mark.parametrize("row", ROWS)
def test_its_names_do_not_depend_on_the_data(scores, row):
    assert len({tuple(scores(row, case)) for case in CASES}) == 1


def test_no_two_metrics_give_one_name(scores):
    names = [name for row in ROWS for name in scores(row, "all")]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("row", ROWS)
def test_the_same_data_gives_the_same_numbers_and_is_left_alone(judge, row):
    judged = judge(CASES["all"], ("head", "person"))
    before = [p.found.boxes.copy() for p in judged.pairs]
    first = METRICS[row](judged)
    assert METRICS[row](judged) == pytest.approx(first, abs=0, nan_ok=True)
    assert METRICS[row](judge(CASES["all"], ("head", "person"))) == pytest.approx(first, abs=0, nan_ok=True)
    assert all((p.found.boxes == b).all() for p, b in zip(judged.pairs, before, strict=True))


@pytest.mark.parametrize("row", ROWS)
def test_the_order_of_pictures_does_not_matter_where_scores_differ(judge, row):
    one_found, all_found = [(0.9, ONE), (0.6, FAR)], [(0.8, FAR), (0.7, ONE)]
    pictures = [{"truth": [ONE, TWO], "found": one_found}, {"truth": [FAR], "found": all_found}]
    one, other = METRICS[row](judge(pictures)), METRICS[row](judge(pictures[::-1]))
    assert one == pytest.approx(other, nan_ok=True)


@pytest.mark.parametrize("row", ROWS)
def test_it_says_what_its_names_mean(scores, row):
    text = inspect.getdoc(METRICS[row])
    assert text
    assert "`" in text
