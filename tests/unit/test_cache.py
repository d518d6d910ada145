"""The cache of training pictures: the pixels that decoding gives, never those of another file, never half a file."""

from __future__ import annotations

import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
import zlib
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import passerby
from passerby.data import cache as room
from passerby.data.cache import HEAD, ROW, Cache, open_cache, shrunk_size, side_needed
from passerby.errors import DataError, OutputError, SourceError
from passerby.geometry.resize import scale_to
from passerby.learn.augment import crop
from passerby.pictures import read_picture
from passerby.recipe import Recipe
from passerby.records import Sample, Truth

SIZES = [(60, 40), (41, 33), (7, 5), (30, 90)]


class Tell:
    """Remembers what it is told; raises KeyboardInterrupt at the step number `stop`."""

    def __init__(self, stop=0):
        self.lines, self.steps, self.stop = [], [], stop

    def line(self, text):
        self.lines.append(text)

    def step(self, text):
        self.steps.append(text)
        if len(self.steps) == self.stop:
            raise KeyboardInterrupt


@pytest.fixture
def samples(tmp_path, make_picture):
    """Four pictures of unlike sizes."""
    found = []
    for i, (w, h) in enumerate(SIZES):
        path = make_picture(tmp_path / "pictures" / f"{i}.png", w, h)
        found.append(Sample(path, w, h, Truth.of([])))
    return found


@pytest.fixture
def opened(tmp_path, samples):
    """Open the cache of the four (or of others): the Cache, and what was told."""

    def go(which=None, side=0, stop=0, name="voc:heads#train"):
        tell = Tell(stop)
        return open_cache(tmp_path / "cache", name, which or samples, side, tell), tell

    return go


def assert_holds(cache, samples, side=0):
    assert len(cache) == len(samples)
    for i, sample in enumerate(samples):
        whole = read_picture(sample.path)
        size = shrunk_size(whole.shape[1], whole.shape[0], side)
        np.testing.assert_array_equal(cache[i], scale_to(whole, *size))
        assert cache[i].shape == (size[1], size[0], 3)
        assert cache.full_size(i) == (whole.shape[1], whole.shape[0])


def files(tmp_path):
    return sorted(p.name for p in (tmp_path / "cache").iterdir())


def test_it_holds_what_decoding_gives_to_the_byte(opened, samples):
    cache, _ = opened()
    assert_holds(cache, samples)
    assert cache.shrunk() == 0


def test_larger_pictures_are_shrunk_by_the_one_resize_and_smaller_ones_stay(opened, samples):
    cache, tell = opened(side=20)
    assert_holds(cache, samples, 20)
    assert [cache[i].shape[:2] for i in range(4)] == [(20, 30), (20, 25), (5, 7), (60, 20)]
    assert cache.shrunk() == 3
    assert "4 pictures, 3 of them shrunk" in tell.lines[-1]


def test_pixels_cannot_be_written_and_start_at_even_places(opened):
    cache, _ = opened()
    with pytest.raises(ValueError, match="read-only"):
        cache[0][0, 0, 0] = 1
    assert all(cache[i].ctypes.data % 64 == 0 for i in range(4))


def test_the_second_time_nothing_is_decoded_or_written(opened, tmp_path, samples, monkeypatch):
    _, first = opened()
    assert first.lines[-1].startswith("cache: built ")
    assert [s for s in first.steps if s.startswith("cache: 4/4 pictures")]
    (path,) = (tmp_path / "cache").iterdir()
    before = path.stat()
    monkeypatch.setattr(room, "read_picture", lambda path: pytest.fail("decoded again"))
    cache, tell = opened()
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert tell.lines == [f"cache: {path}: 4 pictures, 0 of them shrunk, 0.00 GB"]
    assert_holds(cache, samples)


def changed(samples, make_picture):
    make_picture(samples[1].path, 50, 30)
    return [samples[0], replace(samples[1], width=50, height=30), *samples[2:]]


def touched(samples, make_picture):
    stat = samples[2].path.stat()
    os.utime(samples[2].path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    os.utime(samples[3].path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    return samples


def added(samples, make_picture):
    path = make_picture(samples[0].path.with_name("new.png"), 20, 20)
    return [*samples, Sample(path, 20, 20, Truth.of([]))]


CHANGES = {
    "changed": (changed, r"1\.png changed$"),
    "touched": (touched, r"2\.png and 1 more changed$"),
    "added": (added, "1 pictures are new and 0 are gone$"),
    "taken away": (lambda s, _: s[:2], "0 pictures are new and 2 are gone$"),
    "turned round": (lambda s, _: s[::-1], "the pictures' order is another$"),
}


@pytest.mark.parametrize(("change", "why"), CHANGES.values(), ids=CHANGES)
def test_another_list_or_another_file_builds_it_anew_and_says_why(opened, samples, make_picture, tmp_path, change, why):
    old, _ = opened()
    kept = [old[i].copy() for i in range(4)]
    now = change(samples, make_picture)
    cache, tell = opened(now)
    assert_holds(cache, now)
    told = [line for line in tell.lines if "built anew" in line]
    assert len(told) == 1
    assert re.search(why, told[0]), told
    assert len(files(tmp_path)) == 1
    assert all((old[i] == kept[i]).all() for i in range(4))  # whoever has the old one open keeps it
    assert len(opened(now)[1].lines) == 1


def test_another_side_or_folder_of_pictures_is_another_file(opened, samples, tmp_path):
    opened()
    opened(side=20)
    shutil.copytree(tmp_path / "pictures", tmp_path / "others")
    elsewhere = [replace(s, path=tmp_path / "others" / s.path.name) for s in samples]
    opened(elsewhere)
    assert len(files(tmp_path)) == 3
    for which, side in ((samples, 0), (samples, 20), (elsewhere, 0)):
        cache, tell = opened(which, side)
        assert len(tell.lines) == 1
        assert_holds(cache, which, side)


def test_the_same_pictures_by_a_relative_path_are_the_same(opened, samples, tmp_path, monkeypatch):
    opened()
    monkeypatch.chdir(tmp_path)
    relative = [replace(s, path=s.path.relative_to(tmp_path)) for s in samples]
    assert len(opened(relative)[1].lines) == 1


def flip(at):
    def spoil(data):
        data[at] ^= 0x10
        return data

    return spoil


def another_version(data):
    head = HEAD.unpack(bytes(data[: HEAD.size]))
    packed = HEAD.pack(head[0], head[1] + 1, *head[2:-1], 0)[:-4]
    return packed + zlib.crc32(packed).to_bytes(4, "little") + data[HEAD.size :]


DAMAGE = {
    "empty": lambda data: b"",
    "a few bytes": lambda data: data[:20],
    "preamble only": lambda data: data[: HEAD.size],
    "cut short": lambda data: data[:-1],
    "cut in the pixels": lambda data: data[:5000],
    "longer": lambda data: data + b"\0",
    "another file": lambda data: b"\x89PNG\r\n\x1a\n" * 1000,
    "zeros": lambda data: bytes(len(data)),
    "preamble": flip(9),
    "a pixel": flip(64 + 1000),
    "the index": flip(-3),
    "another version": another_version,
}


@pytest.mark.parametrize("spoil", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_or_foreign_file_is_built_anew_in_one_line(opened, samples, tmp_path, spoil):
    opened()
    (path,) = (tmp_path / "cache").iterdir()
    path.write_bytes(spoil(bytearray(path.read_bytes())))
    cache, tell = opened()
    assert_holds(cache, samples)
    assert len([line for line in tell.lines if "is built anew: " in line]) == 1
    assert all("\n" not in line for line in tell.lines)
    assert len(opened()[1].lines) == 1


def test_no_flipped_bit_changes_a_pixel(opened, samples, tmp_path):
    tiny = [samples[2]]
    opened(tiny)
    (path,) = (tmp_path / "cache").iterdir()
    good = path.read_bytes()
    assert len(good) < 400
    for at in range(0, len(good), 3):
        path.write_bytes(flip(at)(bytearray(good)))
        assert_holds(opened(tiny)[0], tiny)


def test_a_picture_that_cannot_be_decoded_is_the_error_of_decoding_and_leaves_nothing(opened, samples, tmp_path):
    data = samples[1].path.read_bytes()
    samples[1].path.write_bytes(data[:-30])
    with pytest.raises(SourceError) as wanted:
        read_picture(samples[1].path)
    with pytest.raises(SourceError) as got:
        opened()
    assert str(got.value) == str(wanted.value)
    assert files(tmp_path) == []


def test_a_picture_that_is_gone_is_the_error_of_decoding(opened, samples):
    opened()
    samples[3].path.unlink()
    with pytest.raises(SourceError) as wanted:
        read_picture(samples[3].path)
    with pytest.raises(SourceError) as got:
        opened()
    assert str(got.value) == str(wanted.value)


def test_without_room_it_says_how_much_is_needed_before_it_decodes(opened, samples, tmp_path, monkeypatch):
    monkeypatch.setattr(room.shutil, "disk_usage", lambda path: SimpleNamespace(free=10_000))
    monkeypatch.setattr(room, "read_picture", lambda path: pytest.fail("decoded"))
    big = [replace(s, width=40_000, height=30_000) for s in samples]
    with pytest.raises(OutputError, match=r"needs 14\.40 GB and 0\.00 GB are free there; .*data\.cache") as e:
        opened(big)
    assert "\n" not in str(e.value)
    assert files(tmp_path) == []


def test_what_is_needed_is_what_is_written(opened, samples, tmp_path, monkeypatch):
    cache, _ = opened()
    size = cache.path.stat().st_size
    cache.path.unlink()
    free = SimpleNamespace(free=size + 4 * 64)
    monkeypatch.setattr(room.shutil, "disk_usage", lambda path: free)
    opened()
    cache.path.unlink()
    free.free = size - 4 * 64
    with pytest.raises(OutputError, match="make room"):
        opened()


def test_a_disk_that_fills_up_all_the_same_is_an_output_error(opened, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(room, "_align", full)
    with pytest.raises(OutputError, match=r"pixels: cannot be written \(No space left on device\)"):
        opened()
    assert files(tmp_path) == []


def test_a_folder_that_cannot_be_made_is_an_output_error(opened, tmp_path):
    (tmp_path / "cache").write_text("in the way")
    with pytest.raises(OutputError, match=r"cannot be written .*data\.cache"):
        opened()


@pytest.mark.parametrize("stop", [1, 3])
def test_stopped_while_it_is_built_it_leaves_nothing_and_the_old_one_stays(opened, samples, tmp_path, stop):
    with pytest.raises(KeyboardInterrupt):
        opened(stop=stop)
    assert files(tmp_path) == []
    opened()
    (path,) = (tmp_path / "cache").iterdir()
    before = path.read_bytes()
    with pytest.raises(KeyboardInterrupt):
        opened(samples[:3], stop=stop)
    assert path.read_bytes() == before
    assert_holds(opened()[0], samples)


SCRIPT = """
import sys
from pathlib import Path
from passerby.data.cache import open_cache
from passerby.records import Sample, Truth

class Wait:
    def line(self, text):
        pass
    def step(self, text):
        if "3/4 pictures" in text:
            print("half", flush=True)
            sys.stdin.readline()

sizes = [(60, 40), (41, 33), (7, 5), (30, 90)]
folder = Path(sys.argv[1])
samples = [Sample(folder / "pictures" / f"{i}.png", *size, Truth.of([])) for i, size in enumerate(sizes)]
print(len(open_cache(folder / "cache", "voc:heads#train", samples, 0, Wait())), flush=True)
"""


@pytest.fixture
def builder(tmp_path, samples):
    """A process that builds the cache and waits half way; ended with the test."""
    started = []

    def start():
        process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(Path(passerby.__file__).parents[1])},
        )
        started.append(process)
        assert process.stdout.readline() == "half\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_what_a_killed_build_leaves_is_not_taken_and_deleted(builder, opened, samples, tmp_path, how):
    process = builder()
    process.send_signal(how)
    process.communicate()
    (left,) = files(tmp_path)
    assert left.startswith(".")
    (tmp_path / "cache" / ".other-0123abcd.onnx").write_bytes(b"somebody else's")
    cache, tell = opened()
    assert tell.lines[-1].startswith("cache: built ")
    assert_holds(cache, samples)
    assert files(tmp_path) == [".other-0123abcd.onnx", cache.path.name]


def test_two_builders_at_once_both_end_well(builder, opened, samples, tmp_path):
    first, second = builder(), builder()
    cache, _ = opened()  # a third overtakes both, and deletes neither's unfinished file
    assert len(files(tmp_path)) == 3
    for process in (first, second):
        out, _ = process.communicate("go on\n")
        assert (process.returncode, out) == (0, "4\n")
    assert files(tmp_path) == [cache.path.name]
    assert_holds(cache, samples)
    again, tell = opened()
    assert len(tell.lines) == 1
    assert_holds(again, samples)


def test_it_is_pickled_as_its_path(opened, samples):
    cache, _ = opened()
    data = pickle.dumps(cache)
    assert len(data) < 500
    assert_holds(pickle.loads(data), samples)


def test_a_cache_replaced_before_a_worker_opens_it_is_refused(opened, samples):
    data = pickle.dumps(opened()[0])
    opened(samples[::-1])
    with pytest.raises(DataError, match="start this one again"):
        pickle.loads(data)


def test_a_gone_cache_is_no_cache(tmp_path):
    with pytest.raises(FileNotFoundError):
        Cache(tmp_path / "gone.pixels")


def test_the_rows_fill_whole_words():
    assert ROW.itemsize % 8 == 0


@pytest.mark.parametrize(
    ("overrides", "side"),
    [
        ((), 1154),  # 300 * sqrt(1.33) / 0.3 = 1153.3
        (("augment.crop=0",), 301),  # the whole picture, and one pixel against rounding
        (("augment.crop_ratio=1", "augment.crop_scale=0.5,1"), 601),
        (("model.width=640", "augment.crop_ratio=1", "augment.crop_scale=0.5,1"), 1281),
        (("augment.crop_scale=0,1",), 0),
    ],
)
def test_the_least_side_by_hand(overrides, side):
    assert side_needed(Recipe().set(*overrides)) == side


@given(st.integers(20, 3000), st.integers(20, 3000), st.floats(0.1, 1), st.floats(1, 2), st.integers(16, 320))
def test_the_smallest_part_of_a_cached_picture_has_the_inputs_size_or_that_of_the_whole(w, h, scale, ratio, size):
    recipe = Recipe().set(f"augment.crop_scale={scale},1", f"augment.crop_ratio={ratio}")
    recipe = recipe.set(f"model.width={size}", f"model.height={size // 2 + 1}")
    width, height = shrunk_size(w, h, side_needed(recipe))
    assert width <= w
    assert height <= h
    if (width, height) == (w, h):
        return

    class Least:
        """Draws the smallest part, in each of its two shapes."""

        def __init__(self, end):
            self.draws = [scale, end]

        def uniform(self, low, high):
            return self.draws.pop(0)

        def integers(self, low, high):
            return 0

    for end in (-0.5, 0.5):
        pixels = np.broadcast_to(np.uint8(0), (height, width, 3))
        part, _ = crop(pixels, Truth.of([]), recipe.augment, Least(end))
        assert part.shape[1] >= size
        assert part.shape[0] >= size // 2 + 1


@given(st.integers(1, 5000), st.integers(1, 5000), st.integers(1, 2000))
def test_a_shrunk_picture_keeps_its_shape_to_a_pixel(w, h, side):
    width, height = shrunk_size(w, h, side)
    assert min(width, height) == min(w, h, max(side, 1)) or min(width, height) == side
    assert abs(width * h - height * w) < max(w, h)
    assert shrunk_size(w, h, 0) == (w, h)
