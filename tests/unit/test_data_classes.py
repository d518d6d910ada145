"""Class names: chosen, merged, renamed, ignored, and slips of the pen."""

from __future__ import annotations

from collections import Counter

import pytest

from passerby.data.classes import Classes, looks_like, parse_classes, settle_names
from passerby.errors import SettingError


def test_what_classes_say():
    told = parse_classes(("head", "person = pedestrian + rider", "ignore=crowd+statue"))
    assert told.labels == ("head", "person")
    assert told.renamed == {"pedestrian": "person", "rider": "person"}
    assert told.ignored == {"crowd", "statue"}
    assert parse_classes(()) == Classes((), {}, frozenset())


def test_a_class_that_is_called_ignore_may_be_chosen():
    assert parse_classes(("ignore",)).labels == ("ignore",)


@pytest.mark.parametrize("text", ["", " ", "=", "head=", "=head", "head=a++b", "head=a+"])
def test_a_class_without_a_name_is_refused(text):
    with pytest.raises(SettingError, match="want NAME or NAME=OLD"):
        parse_classes((text,))


@pytest.mark.parametrize("texts", [("head", "head"), ("head", "head=skull"), ("head=a", "head=b")])
def test_a_label_named_twice_is_refused(texts):
    with pytest.raises(SettingError, match="class 'head' is named twice"):
        parse_classes(texts)


@pytest.mark.parametrize("texts", [("a=x", "b=x"), ("a=x+x",), ("a=x", "ignore=x"), ("ignore=x", "a=x")])
def test_a_name_that_is_to_become_two_things_is_refused(texts):
    with pytest.raises(SettingError, match="class 'x' is to become two things"):
        parse_classes(texts)


def settled(counts, *texts, own=()):
    return settle_names(Counter(counts), parse_classes(texts), own)


def test_without_wishes_all_names_are_labels_sorted():
    assert settled({"dog": 3, "cat": 5}) == (("cat", "dog"), {"cat": "cat", "dog": "dog"})


def test_the_sets_own_order_counts_and_names_its_empty_classes():
    assert settled({"dog": 3}, own=("dog", "", "cat", "dog")) == (("dog", "cat"), {"dog": "dog"})


def test_wishes_choose_and_order():
    assert settled({"dog": 3, "cat": 5, "cow": 1}, "cow", "cat") == (("cow", "cat"), {"cat": "cat", "cow": "cow"})


def test_merged_names_stand_for_the_label_and_the_label_for_itself_only_if_listed():
    counts = {"rider": 2, "pedestrian": 3, "person": 4}
    assert settled(counts, "person=rider+pedestrian")[1] == {"rider": "person", "pedestrian": "person"}
    assert settled(counts, "person=rider+person")[1] == {"rider": "person", "person": "person"}


def test_ignored_names_are_no_label():
    assert settled({"person": 3, "crowd": 9}, "ignore=crowd") == (("person",), {"person": "person"})
    assert settled({"person": 3}, "ignore=crowd", own=("crowd", "person"))[0] == ("person",)


@pytest.mark.parametrize("name", ["headdddd", "Head", " head ", "HEADS"])
def test_a_slip_of_a_wanted_label_is_put_right(name):
    assert settled({name: 1}, "head")[1] == {name: "head"}


def test_without_wishes_a_slip_is_one_only_beside_twenty_times_as_many():
    assert settled({"head": 20, "headd": 1})[0] == ("head",)
    assert settled({"head": 19, "headd": 1})[0] == ("head", "headd")


def test_of_two_labels_a_slip_is_of_the_longer():
    assert settled({"personal carr": 1}, "person", "personal car")[1] == {"personal carr": "personal car"}


def test_a_name_without_letters_is_no_class():
    assert settled({"": 3, " ": 2, "dog": 1}) == (("dog",), {"dog": "dog"})


def test_many_names_take_no_square_of_the_time():
    counts = {f"class {k}": 1 for k in range(20_000)}  # compared pair by pair these are 400 million
    assert len(settled(counts)[0]) == 20_000


@pytest.mark.parametrize(
    ("name", "near"), [("haed", "head"), ("Haed ", "head"), ("persom", "person"), ("hand", ""), ("zebra", "")]
)
def test_what_looks_like_a_slip(name, near):
    assert looks_like(name, ("head", "person")) == near
