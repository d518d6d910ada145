"""A Python callable as a predictor: functions, factories, and one line for everything that goes wrong."""

from __future__ import annotations

import numpy as np
import pytest

from passerby.errors import ModelError
from passerby.runtime.function import Function

START = """
import numpy as np
from passerby import Detections

def one(pixels):
    boxes = np.array([[1, 2, 11, 22], [0, 0, 5, 5]], np.float32)
    return Detections(boxes, np.array([0.9, 0.2], np.float32), np.zeros(2, np.int64), ("head",))
"""
PICTURE = np.zeros((40, 60, 3), np.uint8)


@pytest.fixture
def function(tmp_path):
    """Opens a name of a file with the code above and more."""

    def make(name, code=""):
        path = tmp_path / "mine.py"
        path.write_text(START + code)
        return Function(f"{path}:{name}")

    return make


def test_a_function_is_asked_with_the_picture_as_it_is(function):
    found = function("one")(PICTURE)
    assert found.names == ("head",)
    np.testing.assert_array_equal(found.boxes[0], [1, 2, 11, 22])


def test_the_threshold_of_the_last_stage_holds_for_it_too(function):
    one = function("one")
    pixels, placement = one.prepare(PICTURE)
    answer = one.run(pixels)
    assert len(one.finish(answer, placement)) == 2
    assert len(one.finish(answer, placement, 0.5)) == 1


@pytest.mark.parametrize(
    "code",
    ["def make():\n    return one", "class make:\n    def __call__(self, pixels):\n        return one(pixels)"],
    ids=["a function", "a class"],
)
def test_a_factory_is_called_without_arguments(function, code):
    assert len(function("make", code)(PICTURE)) == 2


def test_a_function_that_may_take_an_argument_is_the_callable_itself(function):
    with pytest.raises(ModelError, match="gave a function, want passerby"):
        function("make", "def make(size=3):\n    return one")(PICTURE)


def test_what_a_callable_says_of_itself_is_known(function):
    code = """
class Known:
    name, labels, threshold = "best", ("head", "hand"), 0.3
class make:
    spec, threshold, engine_name = Known, 0.01, "mine 1.0"
    def __call__(self, pixels):
        return one(pixels)
"""
    made = function("make", code)
    assert (made.spec.name, made.spec.labels, made.spec.threshold) == ("best", ("head", "hand"), 0.3)
    assert (made.threshold, made.nms_iou, made.engine_name) == (0.01, None, "mine 1.0")


@pytest.mark.parametrize(
    ("name", "code", "words"),
    [
        ("none", "def none(pixels):\n    return None", "gave None, want passerby.Detections"),
        ("pair", "def pair(pixels):\n    return (1, 2)", "gave a tuple of length 2"),
        ("array", "def array(pixels):\n    return np.zeros((3, 4))", r"gave a ndarray of shape \(3, 4\)"),
        ("fails", "def fails(pixels):\n    return 1 / 0", r"60 x 40, it raised ZeroDivisionError at mine.py:\d+"),
        ("lazy", "def lazy():\n    return 5", "a factory that gave a int, want a callable"),
        ("five", "five = 5", "is a int, want a callable"),
        ("oen", "", r"has no 'oen' \(did you mean 'one'\?\)"),
        ("one", "import no_such_thing", "loading it, it raised ModuleNotFoundError"),
        ("one", "def broken(:", "loading it, it raised SyntaxError"),
    ],
)
def test_what_goes_wrong_is_one_line_that_names_the_callable(function, name, code, words):
    with pytest.raises(ModelError, match=words) as e:
        function(name, code)(PICTURE)
    assert f"mine.py:{name}: " in str(e.value)
    assert "\n" not in str(e.value)


def test_a_missing_file_and_a_missing_module_are_named():
    with pytest.raises(ModelError, match=r"no such file: gone\.py"):
        Function("gone.py:f")
    with pytest.raises(ModelError, match="importing it, it raised ModuleNotFoundError"):
        Function("no_such_module_here:f")
