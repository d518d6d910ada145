"""Picture files of every kind, whole and broken."""

from __future__ import annotations

import struct
import zlib

import cv2
import numpy as np
import pytest

from passerby.errors import SourceError
from passerby.pictures import EXTENSIONS, decode_picture, is_picture_name, picture_size, read_bytes, read_picture


def write(path, pixels):
    """A picture of BGR (or grey, or BGRA) pixels as OpenCV keeps them."""
    path.write_bytes(cv2.imencode(path.suffix, pixels)[1].tobytes())
    return path


def both_refuse(path, words):
    for reader in (read_picture, picture_size):
        with pytest.raises(SourceError, match=words) as caught:
            reader(path)
        assert str(caught.value).startswith(str(path))
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("extension", [e for e in EXTENSIONS if e not in (".jpg", ".jpeg")])
def test_a_picture_without_loss_reads_back_as_rgb(tmp_path, make_pixels, extension):
    bgr = make_pixels(31, 17)
    if extension == ".webp":
        bgr[:] = (10, 120, 240)  # WebP is written with loss: one colour survives it nearly
    path = write(tmp_path / f"a{extension}", bgr)
    pixels = read_picture(path)
    assert (pixels.shape, pixels.dtype) == ((17, 31, 3), np.uint8)
    np.testing.assert_allclose(pixels, bgr[..., ::-1], atol=6 if extension == ".webp" else 0)
    assert picture_size(path) == (31, 17)


@pytest.mark.parametrize("extension", [".jpg", ".jpeg", ".png"])
def test_red_stays_red(tmp_path, extension):
    bgr = np.zeros((16, 16, 3), np.uint8)
    bgr[..., 2] = 255
    r, g, b = read_picture(write(tmp_path / f"red{extension}", bgr)).reshape(-1, 3).mean(axis=0)
    assert r > 240
    assert max(g, b) < 15


def test_grey_becomes_three_equal_channels(tmp_path, make_pixels):
    grey = make_pixels(20, 10)[..., 0]
    pixels = read_picture(write(tmp_path / "g.png", grey))
    np.testing.assert_array_equal(pixels, np.repeat(grey[..., None], 3, axis=2))


def test_16_bits_are_cut_to_the_upper_8(tmp_path, make_pixels):
    bgr = make_pixels(20, 10)
    path = write(tmp_path / "deep.png", bgr.astype(np.uint16) * 257)
    np.testing.assert_array_equal(read_picture(path), bgr[..., ::-1])
    assert picture_size(path) == (20, 10)


def test_alpha_is_dropped(tmp_path, make_pixels):
    bgr = make_pixels(20, 10)
    alpha = np.dstack([bgr, np.full((10, 20), 7, np.uint8)])
    np.testing.assert_array_equal(read_picture(write(tmp_path / "a.png", alpha)), bgr[..., ::-1])


def test_cmyk_becomes_rgb(tmp_path):
    image = pytest.importorskip("PIL.Image")
    rgb = np.zeros((16, 24, 3), np.uint8)
    rgb[:] = (200, 60, 30)
    image.fromarray(rgb).convert("CMYK").save(tmp_path / "c.jpg", quality=95)
    pixels = read_picture(tmp_path / "c.jpg")
    assert picture_size(tmp_path / "c.jpg") == (24, 16)
    np.testing.assert_allclose(pixels, rgb, atol=8)


@pytest.mark.parametrize("extension", [".png", ".jpg", ".bmp"])
def test_one_pixel_is_a_picture(make_picture, tmp_path, extension):
    path = make_picture(tmp_path / f"one{extension}", 1, 1)
    assert read_picture(path).shape == (1, 1, 3)
    assert picture_size(path) == (1, 1)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_jpeg_is_upright_in_size_and_pixels(tmp_path, turn_jpeg, orientation):
    stored = np.zeros((32, 64, 3), np.uint8)
    stored[:16, :32] = 255  # white in the upper left of what is stored
    path = turn_jpeg(write(tmp_path / "a.jpg", stored), orientation)
    turned = orientation >= 5
    pixels = read_picture(path)
    assert pixels.shape[:2] == ((64, 32) if turned else (32, 64))
    assert picture_size(path) == ((32, 64) if turned else (64, 32))
    # EXIF 2.32, tag 0x0112: where the stored row 0 and column 0 are to be seen
    corner = {1: (0, 0), 2: (0, -1), 3: (-1, -1), 4: (-1, 0), 5: (0, 0), 6: (0, -1), 7: (-1, -1), 8: (-1, 0)}
    bright = pixels[..., 0] > 127
    assert bright[corner[orientation]]
    assert 0.2 < bright.mean() < 0.3


def test_a_turned_png_has_one_size(make_picture, exif, tmp_path):
    path = make_picture(tmp_path / "a.png", 60, 40)
    chunk = b"eXIf" + exif(6)
    whole = struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
    data = path.read_bytes()
    path.write_bytes(data[:33] + whole + data[33:])  # after the signature (8) and IHDR (25)
    height, width = read_picture(path).shape[:2]
    assert picture_size(path) == (width, height)


def test_a_turned_webp_has_one_size(make_pixels, tmp_path):
    image = pytest.importorskip("PIL.Image").fromarray(make_pixels(60, 40))
    tags = image.getexif()
    tags[0x0112] = 6
    image.save(tmp_path / "a.webp", exif=tags)
    height, width = read_picture(tmp_path / "a.webp").shape[:2]
    assert picture_size(tmp_path / "a.webp") == (width, height)


def test_what_is_no_picture_is_refused(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(b"<html>not a picture</html>")
    both_refuse(path, "not a picture that can be read")


def test_no_bytes_and_no_file_and_no_permission_to_read_a_folder(tmp_path):
    empty = tmp_path / "empty.png"
    empty.write_bytes(b"")
    both_refuse(empty, "0 bytes")
    both_refuse(tmp_path / "gone.png", "no such file")
    both_refuse(tmp_path, "cannot be read")


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("extension", [".jpg", ".png"])
def test_a_truncated_picture_is_refused(make_picture, tmp_path, extension, share):
    path = make_picture(tmp_path / f"a{extension}", 200, 100)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(SourceError, match="cut short"):
        read_picture(path)
    assert picture_size(path) == (200, 100)  # the header is whole


@pytest.mark.parametrize("missing", [1, 2])
def test_a_jpeg_without_its_last_bytes_is_refused(make_picture, tmp_path, missing):
    path = make_picture(tmp_path / "a.jpg")
    path.write_bytes(path.read_bytes()[:-missing])
    with pytest.raises(SourceError, match="cut short"):
        read_picture(path)


@pytest.mark.parametrize("length", [2, 3, 10, 100])
def test_a_jpeg_cut_in_its_header_is_refused_by_both(make_picture, tmp_path, length):
    path = make_picture(tmp_path / "a.jpg")
    path.write_bytes(path.read_bytes()[:length])
    both_refuse(path, "cut short")


def test_the_end_mark_of_a_thumbnail_is_not_the_pictures(make_picture, turn_jpeg, tmp_path):
    thumbnail = make_picture(tmp_path / "thumb.jpg", 16, 12).read_bytes()
    path = turn_jpeg(make_picture(tmp_path / "a.jpg", 200, 100), 1, thumbnail)
    assert read_picture(path).shape == (100, 200, 3)
    data = path.read_bytes()
    assert data.count(b"\xff\xd9") >= 2
    path.write_bytes(data[: int(len(data) * 0.7)])
    assert b"\xff\xd9" in path.read_bytes()
    with pytest.raises(SourceError, match="cut short"):
        read_picture(path)


def test_bytes_after_the_end_mark_do_no_harm(make_picture, tmp_path):
    path = make_picture(tmp_path / "a.jpg", 60, 40)
    clean = read_picture(path)
    path.write_bytes(path.read_bytes() + b"\0" * 500)
    np.testing.assert_array_equal(read_picture(path), clean)


def test_a_wrong_extension_does_not_matter(make_picture, tmp_path):
    path = make_picture(tmp_path / "a.png", 60, 40).rename(tmp_path / "a.jpg")
    assert read_picture(path).shape == (40, 60, 3)
    assert picture_size(path) == (60, 40)


def test_decode_picture_reads_memory_and_names_where(make_picture, tmp_path):
    data = read_bytes(make_picture(tmp_path / "a.png", 60, 40))
    assert decode_picture(data, "upload").shape == (40, 60, 3)
    with pytest.raises(SourceError, match=r"^upload: the file is empty"):
        decode_picture(b"", "upload")


def test_picture_names_are_known_by_their_extension(tmp_path):
    assert is_picture_name(tmp_path / "A.JPG")
    assert not is_picture_name(tmp_path / "jpg")
    assert not is_picture_name(tmp_path / "a.jpg.txt")
