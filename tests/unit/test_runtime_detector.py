"""The detector, with an engine that says what it is told, and numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from passerby import Detector, Frame
from passerby.errors import SettingError, ShapeError, SourceError
from passerby.pictures import read_picture

ONE = ([[16, 16, 32, 48]], [[0.9]])


def picture(width=128, height=32):
    return np.zeros((height, width, 3), np.uint8)


@pytest.mark.parametrize("as_path", [str, lambda p: p], ids=["str", "Path"])
def test_a_path_a_frame_and_an_array_give_the_same(tiny_model, tmp_path, make_picture, as_path):
    path = make_picture(tmp_path / "p.png", 90, 70)
    detector = Detector(tiny_model, 0.0, "onnxruntime", 1)
    pixels = read_picture(path)
    expected = detector(pixels)
    assert len(expected) > 0
    for given in (as_path(path), Frame(pixels, "p.png")):
        found = detector(given)
        np.testing.assert_array_equal(found.boxes, expected.boxes)
        np.testing.assert_array_equal(found.scores, expected.scores)


def test_detections_have_their_documented_types_and_order(tiny_model, make_pixels):
    found = Detector(tiny_model, 0.0, "onnxruntime", 1)(make_pixels(90, 70))
    assert (found.boxes.dtype, found.scores.dtype, found.labels.dtype) == (np.float32, np.float32, np.int64)
    assert found.names == ("head",)
    assert (np.diff(found.scores) <= 0).all()


def test_a_grey_array_is_shown_as_three_equal_channels(make_spec, told):
    engine = told(*ONE)
    grey = np.arange(64 * 64, dtype=np.uint32).reshape(64, 64).astype(np.uint8)
    Detector.of(make_spec(), engine)(grey)
    (shown,) = engine.shown
    assert shown.shape == (1, 64, 64, 3)
    for channel in range(3):
        np.testing.assert_array_equal(shown[0, ..., channel], grey)


def test_the_engine_is_shown_rgb_bytes_of_the_input_size(make_spec, told):
    engine = told(*ONE)
    red = picture(20, 10)
    red[:] = (200, 10, 30)
    Detector.of(make_spec(), engine)(red)
    (shown,) = engine.shown
    assert shown.dtype == np.uint8
    assert (shown == (200, 10, 30)).all()


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((8, 8, 3), np.float32),
        np.zeros((8, 8, 3), np.int64),
        np.zeros((8, 8, 4), np.uint8),
        np.zeros((8, 8, 1), np.uint8),
        np.zeros((1, 8, 8, 3), np.uint8),
        np.zeros(8, np.uint8),
        np.zeros((0, 8, 3), np.uint8),
        np.zeros((8, 0), np.uint8),
        [[1, 2], [3, 4]],
        None,
    ],
    ids=["float", "int64", "RGBA", "one channel", "batch", "row", "no rows", "no columns", "list", "None"],
)
def test_an_array_that_is_no_picture_is_refused_with_its_shape(make_spec, told, wrong):
    with pytest.raises(ShapeError, match=r"\(H, W, 3\) uint8 RGB, not \("):
        Detector.of(make_spec(), told(*ONE))(wrong)


def test_a_missing_file_is_a_source_error(make_spec, told, tmp_path):
    with pytest.raises(SourceError, match=r"gone\.jpg: no such file"):
        Detector.of(make_spec(), told(*ONE))(tmp_path / "gone.jpg")


@pytest.mark.parametrize("name", ["threshold", "nms_iou"])
@pytest.mark.parametrize("value", [-0.01, 1.01, float("nan"), float("inf")])
def test_a_share_out_of_range_is_refused_by_name(make_spec, told, name, value):
    with pytest.raises(SettingError, match=f"{name} is .*want a number from 0 to 1"):
        Detector.of(make_spec(), told(*ONE), **{name: value})


def test_max_detections_under_one_is_refused(make_spec, told):
    with pytest.raises(SettingError, match="max_detections is 0"):
        Detector.of(make_spec(), told(*ONE), max_detections=0)


def test_settings_left_out_are_the_models_own(make_spec, told):
    spec = make_spec(threshold=0.3, nms_iou=0.6, max_detections=7)
    detector = Detector.of(spec, told(*ONE))
    assert (detector.threshold, detector.nms_iou, detector.max_detections) == (0.3, 0.6, 7)
    detector = Detector.of(spec, told(*ONE), 0.0, 0.0, 1)
    assert (detector.threshold, detector.nms_iou, detector.max_detections) == (0.0, 0.0, 1)
    assert detector.engine_name == "told 1.0"


def test_stretch_puts_boxes_back_on_each_axis_alone(make_spec, told):
    # 128 x 32 in 64 x 64: x is halved, y doubled
    found = Detector.of(make_spec(), told(*ONE))(picture())
    assert found.boxes.tolist() == [[32, 8, 64, 24]]


def test_letterbox_takes_the_padding_off_and_scales_both_axes_alike(make_spec, told):
    # 128 x 32 in 64 x 64: 64 x 16, 24 grey rows above
    engine = told([[16, 28, 32, 36]], [[0.9]])
    found = Detector.of(make_spec(resize="letterbox"), engine)(picture())
    assert found.boxes.tolist() == [[32, 8, 64, 24]]
    (shown,) = engine.shown
    assert (shown[0, 24:40] == 0).all()
    assert len(np.unique(np.concatenate([shown[0, :24], shown[0, 40:]]))) == 1
    assert shown[0, 0, 0, 0] != 0


def test_letterbox_of_a_tall_picture_pads_left_and_right(make_spec, told):
    # 32 x 128 in 64 x 64: 16 x 64, 24 grey columns on the left
    found = Detector.of(make_spec(resize="letterbox"), told([[28, 16, 36, 32]], [[0.9]]))(picture(32, 128))
    assert found.boxes.tolist() == [[8, 32, 24, 64]]


@pytest.mark.parametrize("rule", ["stretch", "letterbox"])
def test_boxes_are_cut_at_the_pictures_border(make_spec, told, rule):
    found = Detector.of(make_spec(resize=rule), told([[-10, -10, 80, 80]], [[0.9]]))(picture())
    assert found.boxes.tolist() == [[0, 0, 128, 32]]


def test_scores_under_the_threshold_go_and_the_threshold_itself_stays(make_spec, told):
    engine = told([[0, 0, 8, 8], [16, 0, 24, 8], [32, 0, 40, 8]], [[0.25], [0.5], [0.4]])
    found = Detector.of(make_spec(), engine, threshold=0.5)(picture(64, 64))
    assert found.scores.tolist() == [0.5]
    assert found.boxes.tolist() == [[16, 0, 24, 8]]
    assert len(Detector.of(make_spec(), engine, threshold=0.75)(picture())) == 0


def test_nothing_found_keeps_its_shapes_and_names(make_spec, told):
    found = Detector.of(make_spec(), told([], np.zeros((0, 1))))(picture())
    assert (found.boxes.shape, found.scores.shape, found.labels.shape) == ((0, 4), (0,), (0,))
    assert found.names == ("head",)
    assert found.to_list() == []


def test_suppression_is_per_class(make_spec, told):
    # two boxes of IoU 7/9 = 0.78, in two classes
    boxes = [[0, 0, 8, 8], [1, 0, 9, 8]]
    spec = make_spec(labels=("head", "person"))
    one_class = Detector.of(spec, told(boxes, [[0.75, 0], [0.5, 0]]), threshold=0.25)(picture(64, 64))
    assert one_class.to_list() == [{"box": [0, 0, 8, 8], "score": 0.75, "label": "head"}]
    two_classes = Detector.of(spec, told(boxes, [[0.5, 0], [0, 0.75]]), threshold=0.25)(picture(64, 64))
    assert two_classes.to_list() == [
        {"box": [1, 0, 9, 8], "score": 0.75, "label": "person"},
        {"box": [0, 0, 8, 8], "score": 0.5, "label": "head"},
    ]


def test_suppression_uses_its_iou(make_spec, told):
    engine = told([[0, 0, 8, 8], [1, 0, 9, 8]], [[0.75], [0.5]])  # IoU 7/9
    assert len(Detector.of(make_spec(), engine, nms_iou=0.77)(picture(64, 64))) == 1
    assert len(Detector.of(make_spec(), engine, nms_iou=0.78)(picture(64, 64))) == 2


def test_a_model_lowers_scores_instead_of_dropping_boxes_where_that_is_its_way(make_spec, told):
    engine = told([[0, 0, 8, 8], [1, 0, 9, 8]], [[0.75], [0.5]])  # IoU 7/9
    found = Detector.of(make_spec(nms="soft"), engine, 0.1)(picture(64, 64))
    assert found.scores.tolist() == pytest.approx([0.75, 0.5 * 2 / 9])
    assert len(Detector.of(make_spec(nms="soft"), engine, 0.2)(picture(64, 64))) == 1


def test_max_detections_keeps_the_best(make_spec, told):
    boxes = [[i * 8, 0, i * 8 + 8, 8] for i in range(5)]
    engine = told(boxes, [[0.5], [0.75], [0.625], [0.875], [0.5625]])
    found = Detector.of(make_spec(), engine, max_detections=2)(picture(64, 64))
    assert found.scores.tolist() == [0.875, 0.75]
    assert found.boxes[:, 0].tolist() == [24, 8]


@pytest.mark.parametrize("rule", ["stretch", "letterbox"])
@pytest.mark.parametrize(("width", "height"), [(1, 1), (20_000, 20), (20, 20_000), (1, 500)])
def test_pictures_of_odd_shapes_give_boxes_inside_them(tiny_bytes, tiny_spec, make_pixels, rule, width, height):
    from passerby.runtime.session import open_engine

    engine = open_engine(tiny_bytes, "tiny", "onnxruntime", 1)
    found = Detector.of(tiny_spec.with_(resize=rule), engine, threshold=0.0)(make_pixels(width, height))
    assert len(found) > 0
    assert np.isfinite(found.boxes).all()
    assert (found.boxes[:, :2] >= 0).all()
    assert (found.boxes[:, 2:] <= (width, height)).all()
    assert (found.boxes[:, 2:] >= found.boxes[:, :2]).all()
