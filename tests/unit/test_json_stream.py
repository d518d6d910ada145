"""JSON read piece by piece gives what json.loads gives, with lines, and says where it is none."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from passerby.data.json_stream import JsonFile, four, text_of
from passerby.errors import DataError

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def file_of(tmp_path_factory):
    """Builder of a JsonFile of this text or these bytes."""
    path = tmp_path_factory.mktemp("json") / "x.json"

    def make(content):
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return JsonFile(path)

    return make


@given(
    st.dictionaries(st.text(max_size=5), VALUES | st.lists(VALUES, max_size=5), max_size=4), st.sampled_from([None, 1])
)
def test_the_lists_of_an_object_come_as_json_reads_them(file_of, raw, indent):
    text = json.dumps(raw, indent=indent)  # escaped, so that texts are the same whatever the encoding
    file = file_of(text)
    assert file.is_object()
    found: dict = {key: [] for key, value in raw.items() if value == []}
    for key, number, value, line in file.lists():
        assert 1 <= line <= text.count("\n") + 1
        if number < 0:
            found[key] = value
        else:
            found.setdefault(key, []).append(value)
            assert number == len(found[key]) - 1
    assert found == raw


@given(st.lists(VALUES, max_size=5), st.sampled_from([None, 1]))
def test_the_elements_of_a_list_come_as_json_reads_them(file_of, raw, indent):
    file = file_of(json.dumps(raw, indent=indent))
    assert file.is_list()
    assert [(n, value) for n, value, _ in file.elements()] == list(enumerate(raw))


def test_an_element_knows_its_line(file_of):
    file = file_of('{"a": [1,\n\n 2,\n{"b":\n 3}, 4],\n "c": 5}')
    assert [(key, n, line) for key, n, _, line in file.lists()] == [
        ("a", 0, 1),
        ("a", 1, 3),
        ("a", 2, 4),
        ("a", 3, 5),
        ("c", -1, 6),
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "Expecting value (line 1, column 2)"),
        ('{"a"', "no colon after a key (line 1, column 5)"),
        ('{"a" 1}', "no colon after a key"),
        ("{1: 2}", "a key is no text"),
        ('{"a": [1 2]}', "neither a comma nor the end of the list (line 1, column 10)"),
        ('{"a": [1,]}', "Expecting value"),
        ('{"a": [1\n', "neither a comma nor the end of the list (line 2"),
        ('{"a": 1 "b": 2}', "neither a comma nor the end of the object"),
        ('{"a": 1,}', "Expecting value"),
        ('{"a": 1} x', "something follows the end"),
        ("{} {}", "something follows the end"),
        ('{"a": ' + "[" * 100_000, "brackets nested too deeply"),
        ('{"a": [' + "9" * 5_000 + "]}", "Exceeds the limit"),
        ('{"a": ["\\x"]}', "Invalid \\escape"),
        ('{"a": ["\n"]}', "Invalid control character at"),
    ],
)
def test_what_is_no_json_is_told_with_its_place(file_of, text, words):
    with pytest.raises(DataError) as caught:
        list(file_of(text).lists())
    assert str(caught.value).startswith(str(file_of("").path))
    assert words in str(caught.value)
    assert str(caught.value).isprintable()


def test_the_end_of_a_list_is_looked_at_too(file_of):
    with pytest.raises(DataError, match="something follows the end"):
        list(file_of("[1] 2").elements())


def test_a_missing_file_is_a_data_error(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        JsonFile(tmp_path / "gone.json")


def test_a_byte_order_mark_is_passed_over_and_the_outermost_value_told(file_of):
    assert file_of(b"\xef\xbb\xbf {}").is_object()
    assert file_of(b" []").is_list()
    for content in (b"", b"7", b"\xff"):
        assert not file_of(content).is_object()
        assert not file_of(content).is_list()


@pytest.mark.parametrize("escaped", [True, False])
def test_texts_come_back_as_they_were_meant(file_of, escaped):
    words = ["Zoë", "人", "😀", "plain", "é"]
    file = file_of(json.dumps(words, ensure_ascii=escaped))
    assert [text_of(value) for _, value, _ in file.elements()] == words


def test_a_file_in_latin_1_is_read_as_it_is(file_of):
    assert [text_of(v) for _, v, _ in file_of('["Zoë"]'.encode("latin-1")).elements()] == ["Zoë"]


@pytest.mark.parametrize(
    ("value", "shown"), [(None, "None"), (7, "7"), ([1], "[1]"), (list(range(99)), "[0, 1, 2, 3, 4, 5, ...]")]
)
def test_a_value_that_is_no_text_is_shown_short(value, shown):
    assert text_of(value) == shown


@pytest.mark.parametrize(
    "value", [None, "1234", [1, 2, 3], [1, 2, 3, 4, 5], {"a": 1}, [1, 2, 3, None], [1, 2, 3, [4]], 7]
)
def test_four_numbers_are_wanted(value):
    with pytest.raises(DataError, match=r"^is .*, want \[x, y, width, height\]$"):
        four(value)


def test_four_numbers_may_be_written_as_texts():
    assert four([1, "2.5", 3.0, 4]) == (1.0, 2.5, 3.0, 4.0)
