"""One look at a picture: size, rotation, damage, and the small picture and hash that comparisons use."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from passerby.data import look as looking
from passerby.data.look import SIDE, hash_of, look, look_at_all, upright
from passerby.pictures import orientation, read_picture


def scene(width=320, height=200, seed=0):
    """Smooth blobs: what a photograph looks like to a hash."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (6, 8, 3), np.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


def save(path, pixels, quality=95):
    cv2.imwrite(str(path), pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return path


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".webp"])
def test_it_tells_size_digest_and_a_small_grey_picture(tmp_path, suffix):
    seen = look(save(tmp_path / f"a{suffix}", scene()))
    assert (seen.width, seen.height, seen.wrong, seen.damaged, seen.turned) == (320, 200, "", "", 1)
    assert len(seen.digest) == 16
    assert seen.small.shape == (SIDE, SIDE)
    grey = cv2.cvtColor(scene(), cv2.COLOR_RGB2GRAY)
    assert np.abs(seen.small.astype(int) - cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA)).mean() < 3


@pytest.mark.parametrize("way", range(1, 9))
@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_a_turned_picture_is_seen_as_it_is_read(tmp_path, turn_jpeg, way, suffix):
    path = tmp_path / f"a{suffix}"
    save(path, scene())
    if suffix == ".jpg":
        turn_jpeg(path, way)
    pixels = read_picture(path)
    seen = look(path)
    assert (seen.width, seen.height) == (pixels.shape[1], pixels.shape[0])
    assert seen.turned == (way if suffix == ".jpg" else 1)
    small = cv2.resize(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    assert np.abs(seen.small.astype(int) - small).mean() < 3


def test_orientation_reads_both_byte_orders_and_knows_no_ninth(tmp_path, make_picture, exif, turn_jpeg):
    path = turn_jpeg(make_picture(tmp_path / "a.jpg"), 9)
    assert orientation(path.read_bytes()) == 1
    big = b"MM\0*" + (8).to_bytes(4, "big") + (1).to_bytes(2, "big")
    big += (
        (0x0112).to_bytes(2, "big") + (3).to_bytes(2, "big") + (1).to_bytes(4, "big") + (6).to_bytes(2, "big") + b"\0\0"
    )
    body = b"Exif\0\0" + big
    data = make_picture(tmp_path / "b.jpg").read_bytes()
    assert orientation(data[:2] + b"\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + body + data[2:]) == 6
    assert orientation(b"") == orientation(b"\xff\xd8") == orientation(b"\xff\xd8\xff\xe1\0\x10Exif\0\0II*\0") == 1


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "0 bytes"), (b"no picture at all", "not a picture"), (b"\xff\xd8\xff\xe0\0\4ab", "cut short")],
)
def test_what_cannot_be_read_is_told_and_nothing_is_raised(tmp_path, content, words):
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    seen = look(path)
    assert words in seen.wrong
    assert str(path) not in seen.wrong
    assert seen.small is None
    assert "no such file" in look(tmp_path / "gone.jpg").wrong


def test_damage_in_the_middle_of_a_jpeg_is_told(tmp_path, capfd):
    pytest.importorskip("simplejpeg")
    path = save(tmp_path / "a.jpg", np.random.default_rng(0).integers(0, 256, (100, 100, 3), np.uint8))
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 40] = bytes(40)
    path.write_bytes(data)
    seen = look(path)
    assert seen.wrong == ""
    assert "Corrupt JPEG data" in seen.damaged
    assert (seen.width, seen.height) == (100, 100)
    assert capfd.readouterr().err == ""


def test_without_simplejpeg_opencv_reads_the_same(tmp_path, monkeypatch):
    path = save(tmp_path / "a.jpg", scene())
    with_it = look(path)
    monkeypatch.setattr(looking, "simplejpeg", None)
    assert not looking.finds_damage()
    without = look(path)
    assert (without.width, without.height, without.digest) == (with_it.width, with_it.height, with_it.digest)
    assert np.abs(without.small.astype(int) - with_it.small).mean() < 2


def test_a_cmyk_jpeg_is_no_damaged_jpeg(tmp_path):
    pillow = pytest.importorskip("PIL.Image")
    pillow.fromarray(scene()).convert("CMYK").save(tmp_path / "a.jpg")
    seen = look(tmp_path / "a.jpg")
    assert (seen.wrong, seen.damaged, seen.width) == ("", "", 320)


def test_all_are_looked_at_once_and_progress_ends_at_the_end(tmp_path):
    paths = [save(tmp_path / f"{k}.jpg", scene(seed=k)) for k in range(40)]
    told = []
    found = look_at_all([*paths, *paths], lambda done, n: told.append((done, n)))
    assert list(found) == paths
    assert told[-1] == (40, 40)
    assert look_at_all([]) == {}


def test_the_hash_has_63_bits_of_which_half_are_set():
    h = hash_of(cv2.resize(scene()[..., 0], (SIDE, SIDE)))
    assert 0 < h < 2**64
    assert h % 2 == 0
    assert h.bit_count() == 31


def test_upright_is_what_exif_says():
    raster = np.arange(4, dtype=np.uint8).reshape(2, 2)  # 0 1 / 2 3
    want = {1: "0123", 2: "1032", 3: "3210", 4: "2301", 5: "0213", 6: "2031", 7: "3120", 8: "1302"}
    assert {w: "".join(map(str, upright(raster, w).ravel())) for w in range(1, 9)} == want
