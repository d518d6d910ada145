"""Fixtures for every test: the data beside the repository, and builders of tiny pictures and data sets."""

from __future__ import annotations

import json
import struct
import tempfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import settings
from hypothesis.configuration import set_hypothesis_home_dir

from passerby.measure.matching import Judged, Pair
from passerby.records import Detections, Truth

# Nothing is written into the checkout, and a slow machine is no failure.
set_hypothesis_home_dir(Path(tempfile.gettempdir()) / "passerby-hypothesis")
settings.register_profile("passerby", max_examples=60, deadline=None, database=None)
settings.load_profile("passerby")

HEAD = [{"id": 1, "name": "head"}]


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder `shared` beside the repository, or a skip."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not (folder / "data").is_dir():
        pytest.skip("no folder ../shared/data beside the repository")
    return folder


@pytest.fixture
def make_pixels():
    """Builder of noise, the same every time: width, height -> (H, W, 3) uint8."""

    def make(width=60, height=40):
        return np.random.default_rng(width * 10_007 + height).integers(0, 256, (height, width, 3), np.uint8)

    return make


@pytest.fixture
def make_picture(make_pixels):
    """Builder of a picture file: path, width, height -> path; the extension decides the format."""

    def make(path, width=60, height=40):
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        done, data = cv2.imencode(path.suffix, make_pixels(width, height))
        assert done
        path.write_bytes(data.tobytes())
        return path

    return make


@pytest.fixture
def exif():
    """Builder of a TIFF block that says only "orientation n"; `thumbnail` bytes come after it."""

    def make(orientation, thumbnail=b""):
        entry = struct.pack("<HHII", 0x0112, 3, 1, orientation)
        return b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", 1) + entry + struct.pack("<I", 0) + thumbnail

    return make


@pytest.fixture
def turn_jpeg(exif):
    """Puts an APP1 segment with an EXIF orientation into a JPEG file: path, orientation -> path."""

    def turn(path, orientation, thumbnail=b""):
        body = b"Exif\0\0" + exif(orientation, thumbnail)
        data = path.read_bytes()
        path.write_bytes(data[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + data[2:])
        return path

    return turn


@pytest.fixture
def voc_xml():
    """Builder of an annotation from rows ("head", 1, 2, 11, 22); a sixth value is `difficult`, size None says none."""

    def make(objects, size=(60, 40)):
        parts = []
        for name, x0, y0, x1, y1, *difficult in objects:
            hard = f"<difficult>{difficult[0]}</difficult>" if difficult else ""
            box = f"<xmin>{x0}</xmin><ymin>{y0}</ymin><xmax>{x1}</xmax><ymax>{y1}</ymax>"
            parts.append(f"<object><name>{name}</name>{hard}<bndbox>{box}</bndbox></object>")
        told = f"<size><width>{size[0]}</width><height>{size[1]}</height></size>" if size else ""
        return f"<annotation>{told}{''.join(parts)}</annotation>"

    return make


@pytest.fixture
def make_voc(tmp_path, make_picture, voc_xml):
    """Builder of a VOC folder from {"a": rows of `voc_xml`, "b": XML or bytes}, splits={"train": ["a"]} -> its root."""

    def make(annotations, splits=None, without_picture=(), size=(60, 40), where="voc"):
        root = tmp_path / where
        for folder in ("Annotations", "JPEGImages", "ImageSets/Main"):
            (root / folder).mkdir(parents=True, exist_ok=True)
        for name, content in annotations.items():
            text = voc_xml(content, size) if isinstance(content, list) else content
            data = text if isinstance(text, bytes) else text.encode()
            (root / "Annotations" / f"{name}.xml").write_bytes(data)
            if name not in without_picture:
                make_picture(root / "JPEGImages" / f"{name}.jpg")
        for split, names in (splits or {}).items():
            (root / "ImageSets" / "Main" / f"{split}.txt").write_text("".join(f"{n}\n" for n in names))
        return root

    return make


@pytest.fixture
def make_coco(tmp_path, make_picture):
    """Builder of a COCO file beside its pictures from annotations; a list that is "missing" is left out -> the file."""

    def make(annotations=(), categories=None, images=None, where="coco", pictures=("a.png",)):
        listed = [{"id": 1, "file_name": "a.png", "width": 60, "height": 40}] if images is None else images
        for name in pictures:
            make_picture(tmp_path / where / name)
        raw = {
            "images": listed,
            "annotations": annotations if annotations == "missing" else list(annotations),
            "categories": HEAD if categories is None else categories,
        }
        file = tmp_path / where / "train.json"
        file.write_text(json.dumps({k: v for k, v in raw.items() if v != "missing"}))
        return file

    return make


@pytest.fixture
def judge():
    """Builder of Judged from pictures {"truth": [box], "found": [(score, box), (score, box, label)]} and labels."""

    def make(pictures, labels=("head",), **settings):
        pairs = []
        for i, picture in enumerate(pictures):
            rows = [(*row, 0)[:3] for row in picture.get("found", ())]
            found = Detections(
                np.array([box for _, box, _ in rows], np.float32).reshape(-1, 4),
                np.array([score for score, _, _ in rows], np.float32),
                np.array([label for _, _, label in rows], np.int64),
                tuple(labels),
            )
            columns = {k: picture.get(k) for k in ("labels", "difficult", "ignore")}
            pairs.append(Pair(f"{i}.jpg", Truth.of(picture.get("truth", []), **columns), found))
        return Judged(pairs, tuple(labels), **settings)

    return make
