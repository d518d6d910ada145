"""Every source in SOURCES and every sink in SINKS keeps one contract; a row without an example here fails."""

from __future__ import annotations

import io
from contextlib import AbstractContextManager

import model_fixtures
import numpy as np
import pytest

from passerby import Frame
from passerby.errors import SourceError
from passerby.media.sinks import SINKS, open_sink
from passerby.media.sources import SOURCES, find_items, open_source

make_video, found = model_fixtures.make_video, model_fixtures.found

EXTENSION = {"picture": ".png", "video": ".mp4"}  # of an example of each source
TARGET = {"pictures": "out", "video": "out.mp4", "jsonl": None}  # of an example of each sink


@pytest.fixture(params=list(SOURCES))
def source(request, tmp_path, make_picture, make_video):
    """(kind, file) of each source."""
    path = tmp_path / f"example{EXTENSION[request.param]}"
    if request.param == "video":
        return request.param, make_video(path, frames=3, width=64, height=48)
    return request.param, make_picture(path, 64, 48)


@pytest.fixture(params=list(SINKS))
def sink(request, tmp_path):
    """(kind, target) of each sink."""
    name = TARGET[request.param]
    return request.param, io.StringIO() if name is None else tmp_path / name


@pytest.fixture
def frame():
    """A frame of a video of 64 x 48."""
    return Frame(np.full((48, 64, 3), 90, np.uint8), "in/clip.mp4", 0, 0.0)


def size_of(target):
    if isinstance(target, io.StringIO):
        return len(target.getvalue())
    files = [target] if target.is_file() else [p for p in target.rglob("*") if p.is_file()]
    return sum(p.stat().st_size for p in files)


def test_every_row_has_an_example():
    assert set(SOURCES) == set(EXTENSION)
    assert set(SINKS) == set(TARGET)


def test_a_source_is_found_by_its_extension(source):
    kind, path = source
    assert [(i.kind, i.path) for i in find_items(path)] == [(kind, path)]


def test_a_source_gives_frames_of_bytes_with_their_place(source):
    kind, path = source
    frames = list(SOURCES[kind](path))
    assert len(frames) == (3 if kind == "video" else 1)
    for i, f in enumerate(frames):
        assert (f.source, f.index) == (str(path), i)
        assert f.pixels.shape == (48, 64, 3)
        assert f.pixels.dtype == np.uint8
        assert f.pixels.flags.c_contiguous
        assert (f.time is None) == (kind == "picture")


def test_a_source_starts_again_from_its_first_frame(source):
    first, second = (list(open_source(source[1])) for _ in range(2))
    assert [f.index for f in first] == [f.index for f in second]
    np.testing.assert_array_equal(first[0].pixels, second[0].pixels)


@pytest.mark.parametrize("data", [b"", b"nothing of the kind" * 50], ids=["empty", "garbage"])
def test_a_source_that_cannot_be_read_is_named_in_one_line(source, data):
    kind, path = source
    path.write_bytes(data)
    with pytest.raises(SourceError) as e:
        list(SOURCES[kind](path))
    assert str(e.value).startswith(f"{path}: ")
    assert "\n" not in str(e.value)


def test_a_source_that_is_gone_is_named_in_one_line(source):
    kind, path = source
    path.unlink()
    with pytest.raises(SourceError) as e:
        list(SOURCES[kind](path))
    assert str(e.value).startswith(f"{path}: ")


def test_a_sink_takes_frames_with_and_without_detections(sink, frame, found):
    kind, target = sink
    with open_sink(kind, target, 25) as s:
        s.write(frame, found())
        s.write(Frame(frame.pixels, frame.source, 1, 0.04), found([[5, 5, 20, 20]], [0.9]))
    assert size_of(target) > 0


def test_a_sink_is_a_context_manager_that_gives_itself(sink, frame, found):
    kind, target = sink
    opened = open_sink(kind, target, 25)
    assert isinstance(opened, AbstractContextManager)
    with opened as s:
        assert s is opened
        s.write(frame, found())


def test_a_sink_does_not_change_the_frame(sink, frame, found):
    kind, target = sink
    with open_sink(kind, target, 25) as s:
        s.write(frame, found([[5, 5, 20, 20]], [0.9]))
    assert (frame.pixels == 90).all()


def test_a_sink_does_not_swallow_the_blocks_error(sink, frame, found):
    kind, target = sink
    with pytest.raises(ZeroDivisionError), open_sink(kind, target, 25) as s:  # noqa: PT012 (the block is the subject)
        s.write(frame, found())
        raise ZeroDivisionError


def test_no_temporary_file_stays(sink, frame, found, tmp_path):
    kind, target = sink
    with open_sink(kind, target, 25) as s:
        s.write(frame, found())
    assert list(tmp_path.rglob(".*")) == []
