"""ModelSpec: to JSON and back, and each way in which it can be wrong."""

from __future__ import annotations

import json

import pytest

from passerby.errors import ModelError
from passerby.spec import FORMAT, AnchorMap, ModelSpec

SPEC = ModelSpec(
    name="head",
    height=300,
    width=320,
    resize="letterbox",
    labels=("head", "tête"),
    anchors=(AnchorMap(38, 19, ((12.5, 21.25), (24.0, 42.0))), AnchorMap(1, 1, ((100.0, 170.0),))),
    variance=(0.1, 0.25),
    scoring="softmax",
    threshold=0.37,
    nms_iou=0.5,
    max_detections=300,
    network={"backbone": "mobilenet_v2", "width": 0.5, "sizes": [1, 2]},
    provenance={"data": {"name": "SCUT-HEAD"}, "hours": 1.5, "resumed": None},
)


def raw(**changes):
    """The JSON of SPEC as a dict with some fields changed; a field set to `raw` is left out."""
    fields = json.loads(SPEC.to_json()) | changes
    return json.dumps({k: v for k, v in fields.items() if v is not raw}, default=str)


def test_json_round_trip_is_exact():
    assert ModelSpec.from_json(SPEC.to_json()) == SPEC
    assert "\n" not in SPEC.to_json()
    assert json.loads(SPEC.to_json())["format"] == FORMAT


def test_files_from_before_there_were_localisers_are_detectors():
    back = ModelSpec.from_json(raw(task=raw, map_threshold=raw))
    assert (back.task, back.map_threshold) == ("detect", 0.5)


def test_a_localiser_has_no_default_boxes_and_a_softmax():
    localiser = SPEC.with_(task="localise", anchors=(), map_threshold=0.35)
    assert ModelSpec.from_json(localiser.to_json()) == localiser
    with pytest.raises(ModelError, match="field 'anchors'"):
        SPEC.with_(task="localise").check()
    with pytest.raises(ModelError, match="field 'scoring'"):
        localiser.with_(scoring="sigmoid").check()


def test_an_anchor_map_counts_its_boxes():
    assert [len(m) for m in SPEC.anchors] == [38 * 19 * 2, 1]


def test_fields_with_a_default_that_says_nothing_may_be_missing():
    back = ModelSpec.from_json(raw(threshold=raw, nms_iou=raw, provenance=raw))
    assert (back.threshold, back.nms_iou, back.provenance) == (0.5, 0.45, {})


def test_with_changes_a_copy():
    assert SPEC.with_(threshold=0.6).threshold == 0.6
    assert SPEC.threshold == 0.37


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "is not JSON"),
        ("", "is not JSON"),
        ("[1]", "is no JSON object"),
        (raw(format=99), "metadata format 99, this passerby reads 1; update passerby"),
        (raw(format=raw), "metadata format None"),
        (raw(colour="red"), "unknown field 'colour'"),
        (raw(name=raw), "incomplete.*name"),
        (raw(labels=raw), "incomplete.*labels"),
        (raw(anchors=raw), "incomplete.*anchors"),
        (raw(labels=3), "incomplete"),
        (raw(anchors=[{"rows": 1, "columns": 1}]), "incomplete.*sizes"),
        (raw(anchors=[{"rows": 1, "columns": 1, "sizes": [[1, 2, 3]]}]), "incomplete"),
        (raw(anchors=[{"rows": "x", "columns": 1, "sizes": []}]), "incomplete"),
        (raw(anchors=3), "incomplete"),
        (raw(height="tall"), "incomplete"),
    ],
)
def test_what_is_no_spec_is_refused_with_the_file(text, words):
    with pytest.raises(ModelError, match=words) as caught:
        ModelSpec.from_json(text, "heads.onnx")
    assert str(caught.value).startswith("heads.onnx: ")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("height", 0),
        ("width", -300),
        ("resize", "crop"),
        ("labels", []),
        ("anchors", []),
        ("scoring", "logits"),
        ("threshold", 1.5),
        ("threshold", float("nan")),
        ("nms_iou", -0.1),
        ("nms", "diou"),
        ("max_detections", 0),
        ("task", "classify"),
        ("map_threshold", 1.01),
    ],
)
def test_a_field_out_of_range_is_named(field, value):
    with pytest.raises(ModelError, match=f"heads.onnx: field '{field}' of its metadata is .*, out of range"):
        ModelSpec.from_json(raw(**{field: value}), "heads.onnx")


def test_check_passes_a_sound_spec_and_names_a_bad_one():
    SPEC.check()
    with pytest.raises(ModelError, match="field 'scoring'"):
        SPEC.with_(scoring="relu").check()


@pytest.mark.parametrize(
    "changes",
    [{"variance": [0.1]}, {"variance": []}, {"anchors": [{"rows": float("inf"), "columns": 1, "sizes": [[1, 2]]}]}],
)
def test_other_nonsense_is_a_model_error_too(changes):
    with pytest.raises(ModelError, match=r"heads\.onnx"):
        ModelSpec.from_json(raw(**changes), "heads.onnx")


def test_labels_must_be_a_list():
    with pytest.raises(ModelError, match=r"labels|incomplete"):
        ModelSpec.from_json(raw(labels="head"))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("variance", [0.0, 0.2]),
        ("anchors", [{"rows": 0, "columns": 1, "sizes": [[1, 2]]}]),
        ("anchors", [{"rows": 1, "columns": 1, "sizes": []}]),
        ("anchors", [{"rows": 1, "columns": 1, "sizes": [[0, 2]]}]),
    ],
)
def test_default_boxes_and_variance_out_of_range_are_named(field, value):
    with pytest.raises(ModelError, match=f"field '{field}'"):
        ModelSpec.from_json(raw(**{field: value}))
