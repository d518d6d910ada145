"""Odd pictures that are good: each is read, and its upright size is told."""

from __future__ import annotations

import json
import struct
import zlib

import cv2
import numpy as np
import pytest


@pytest.fixture
def size(cli, tiny_model):
    """Width and height as `detect --json` tells them; the picture is written too."""

    def call(path, to="out"):
        ran = cli(
            "detect",
            path,
            "--json",
            "--to",
            to,
            "--model",
            tiny_model,
            "--threshold",
            0,
            "--engine",
            "onnxruntime",
            "--threads",
            1,
        )
        assert ran.code == 0, ran.err
        assert len(ran.err.splitlines()) == 1, ran.err
        row = json.loads(ran.out)
        assert len(row["detections"]) > 0
        for one in row["detections"]:
            x0, y0, x1, y1 = one["box"]
            assert 0 <= x0 <= x1 <= row["width"]
            assert 0 <= y0 <= y1 <= row["height"]
        written = cv2.imread(f"{to}/{path.name}", cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION)
        assert written.shape[:2] == (row["height"], row["width"])
        return row["width"], row["height"]

    return call


def encoded(path, pixels):
    done, data = cv2.imencode(path.suffix, pixels)
    assert done
    path.write_bytes(data.tobytes())
    return path


def noise(shape, dtype=np.uint8):
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape, dtype)


def test_a_cmyk_jpeg(size, tmp_path):
    image = pytest.importorskip("PIL.Image")
    image.frombytes("CMYK", (60, 40), noise((40, 60, 4)).tobytes()).save(tmp_path / "p.jpg")
    assert size(tmp_path / "p.jpg") == (60, 40)


def test_a_grey_jpeg(size, tmp_path):
    assert size(encoded(tmp_path / "p.jpg", noise((40, 60)))) == (60, 40)


def test_a_grey_png(size, tmp_path):
    assert size(encoded(tmp_path / "p.png", noise((40, 60)))) == (60, 40)


def test_a_16_bit_png(size, tmp_path):
    assert size(encoded(tmp_path / "p.png", noise((40, 60, 3), np.uint16))) == (60, 40)


def test_a_16_bit_grey_png(size, tmp_path):
    assert size(encoded(tmp_path / "p.png", noise((40, 60), np.uint16))) == (60, 40)


def test_a_png_with_alpha(size, tmp_path):
    assert size(encoded(tmp_path / "p.png", noise((40, 60, 4)))) == (60, 40)


def test_a_png_of_one_bit_with_a_palette(size, tmp_path):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 60, 40, 1, 3, 0, 0, 0)
    lines = zlib.compress(b"".join(b"\0" + bytes([0b10110010]) * 8 for _ in range(40)))
    parts = chunk(b"IHDR", header), chunk(b"PLTE", b"\xff\0\0\0\0\xff"), chunk(b"IDAT", lines), chunk(b"IEND", b"")
    (tmp_path / "p.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    assert size(tmp_path / "p.png") == (60, 40)


@pytest.mark.parametrize(("orientation", "upright"), [(1, (60, 40)), (3, (60, 40)), (6, (40, 60)), (8, (40, 60))])
def test_a_jpeg_turned_by_exif(size, tmp_path, make_picture, turn_jpeg, orientation, upright):
    assert size(turn_jpeg(make_picture(tmp_path / "p.jpg", 60, 40), orientation)) == upright


def test_1_x_1_pixel(size, tmp_path, make_picture):
    assert size(make_picture(tmp_path / "p.png", 1, 1)) == (1, 1)


def test_20_000_x_20_pixels(size, tmp_path, make_picture):
    assert size(make_picture(tmp_path / "p.png", 20_000, 20)) == (20_000, 20)


def test_20_x_20_000_pixels(size, tmp_path, make_picture):
    assert size(make_picture(tmp_path / "p.jpg", 20, 20_000)) == (20, 20_000)


@pytest.mark.parametrize("suffix", [".bmp", ".webp", ".tif", ".tiff", ".JPG", ".jpeg"])
def test_every_extension_that_is_promised(cli, tiny_model, tmp_path, make_picture, suffix):
    make_picture(tmp_path / f"in/p{suffix}")
    ran = cli("detect", "in", "--json", "--model", tiny_model, "--engine", "onnxruntime", "--threads", 1)
    assert ran.code == 0, ran.err
    assert (json.loads(ran.out)["width"], json.loads(ran.out)["height"]) == (60, 40)


def test_a_picture_under_another_pictures_extension(size, tmp_path, make_picture):
    path = make_picture(tmp_path / "real.png").rename(tmp_path / "p.jpg")
    assert size(path) == (60, 40)


def test_a_picture_without_an_extension(cli, tiny_model, tmp_path, make_picture):
    make_picture(tmp_path / "p.png").rename(tmp_path / "photo")
    ran = cli(
        "detect", "photo", "--json", "--to", "out", "--model", tiny_model, "--engine", "onnxruntime", "--threads", 1
    )
    assert ran.code == 0, ran.err
    assert json.loads(ran.out)["width"] == 60
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["photo.jpg"]


def test_a_name_with_spaces_and_other_alphabets(size, tmp_path, make_picture):
    assert size(make_picture(tmp_path / "élève 頭 1.png")) == (60, 40)
