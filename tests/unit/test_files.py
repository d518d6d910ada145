"""Files are written whole or not at all."""

from __future__ import annotations

import os

import pytest

from passerby.errors import OutputError
from passerby.files import written_whole


class StopError(Exception):
    pass


def test_the_file_appears_when_the_block_ends_and_alone(tmp_path):
    path = tmp_path / "deep" / "er" / "model.onnx"
    with written_whole(path) as temporary:
        assert temporary.parent == path.parent
        assert temporary.suffix == ".onnx"
        assert temporary != path
        temporary.write_bytes(b"new")
        assert not path.exists()
    assert path.read_bytes() == b"new"
    assert [p.name for p in path.parent.iterdir()] == ["model.onnx"]


def test_an_old_file_is_replaced_only_at_the_end(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("old")
    with written_whole(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"


@pytest.mark.parametrize("failure", [StopError, KeyboardInterrupt])
def test_the_old_file_stays_when_the_block_raises(tmp_path, failure):
    path = tmp_path / "a.json"
    path.write_text("old")

    def half_way():
        with written_whole(path) as temporary:
            temporary.write_text("half")
            raise failure

    with pytest.raises(failure):
        half_way()
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_a_full_disk_is_an_output_error_that_names_the_file(tmp_path):
    path = tmp_path / "a.json"

    def full():
        with written_whole(path):
            raise OSError(28, "No space left on device")

    with pytest.raises(OutputError, match=r"a\.json: cannot be written \(No space left on device\)"):
        full()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_an_output_error(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match=r"a\.json: cannot be written"), written_whole(tmp_path / "file" / "a.json"):
        pytest.fail("the block must not run")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_an_output_error(tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(OutputError, match="cannot be written"), written_whole(tmp_path / "a.json"):
            pytest.fail("the block must not run")
    finally:
        tmp_path.chmod(0o700)


def test_a_folder_in_the_files_place_is_an_output_error(tmp_path):
    path = tmp_path / "a.json"
    path.mkdir()

    def write():
        with written_whole(path) as temporary:
            temporary.write_text("new")

    with pytest.raises(OutputError, match="cannot be written"):
        write()
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_others_may_read_the_file_as_the_umask_says(tmp_path):
    before = os.umask(0o022)
    try:
        with written_whole(tmp_path / "a.json") as temporary:
            temporary.write_text("new")
        assert (tmp_path / "a.json").stat().st_mode & 0o777 == 0o644
        assert os.umask(0o022) == 0o022
    finally:
        os.umask(before)
