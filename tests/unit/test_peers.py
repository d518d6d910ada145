"""Detectors of other makers on real pictures: they find what is there, with the boxes where it is."""

from __future__ import annotations

import dataclasses

import pytest

from passerby.data import load_data
from passerby.measure.evaluate import evaluate
from passerby.runtime.open import open_word, parse_word

PEERS = [  # file, kind, label, data, least AP50 over 30 pictures: about two thirds of what was measured
    ("yolox_nano.onnx", "yolox", "person", "person", 0.5),
    ("nanodet_m.onnx", "nanodet", "person", "person", 0.45),
    ("person-detection-0200.xml", "ssd_output", "person", "person", 0.45),
    ("yolox_n_body_head_hand_post_256x320_float16.tflite", "pinto", "head", "head", 0.35),
]
FACES = [("version-RFB-320.onnx", "ssd_raw"), ("yunet_n_320_320.onnx", "yunet")]
ENGINE_OF = {".xml": "openvino", ".tflite": "ai_edge_litert"}


@pytest.fixture
def peers(shared):
    """The folder of other makers' files, or a skip."""
    folder = shared / "peers"
    if not folder.is_dir():
        pytest.skip("no folder ../shared/peers beside the repository")
    return folder


def pictures(shared, what, many=30):
    source = {"person": "coco:person_boxes#valid", "head": "voc:scut_head#val_B"}[what]
    samples = load_data(source, (what,), shared / "data")
    return dataclasses.replace(samples, samples=samples.samples[:many])


def opened(path, floor):
    if path.suffix in ENGINE_OF:
        pytest.importorskip(ENGINE_OF[path.suffix])
    return open_word(parse_word(str(path)), floor, "onnxruntime", 1)


@pytest.mark.shared
@pytest.mark.parametrize(("file", "kind", "label", "what", "least"), PEERS, ids=[p[1] for p in PEERS])
def test_it_is_known_and_finds_what_is_labelled(peers, shared, file, kind, label, what, least):
    predictor = opened(peers / file, 0.01)
    assert predictor.kind == kind
    predictor.only([label])
    report = evaluate(predictor, pictures(shared, what), ("average_precision",))
    assert report.scores["ap50"] > least


@pytest.mark.shared
@pytest.mark.parametrize(("file", "kind"), FACES, ids=[f[1] for f in FACES])
def test_a_face_lies_inside_a_head(peers, shared, file, kind):
    predictor = opened(peers / file, None)
    assert predictor.kind == kind
    from passerby.geometry.boxes import area, intersection
    from passerby.pictures import read_picture

    inside = found_in_all = 0
    for sample in pictures(shared, "head", 20):
        found = predictor(read_picture(sample.path))
        share = intersection(found.boxes, sample.truth.boxes) / area(found.boxes)[:, None].clip(1)
        found_in_all += len(found)
        inside += int((share.max(axis=1, initial=0) > 0.7).sum())
    assert found_in_all > 60
    assert inside > 0.8 * found_in_all
