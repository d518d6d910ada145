"""Files written whole or not at all: under a temporary name first, renamed last."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from passerby.errors import OutputError


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, of the same extension; renamed to `path` when the block ends well.

    When the block raises, the temporary file is removed and `path` stays as it was.
    Raises OutputError when the folder cannot be made or written to.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.stem[:80]}-{os.urandom(4).hex()}{path.suffix}")
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    except OSError as e:
        raise OutputError(f"{path}: cannot be written ({e.strerror or e})") from e
    try:
        yield temporary
        temporary.replace(path)
    except OSError as e:
        if e.filename is not None and Path(os.fsdecode(e.filename)) not in (temporary, path):
            raise  # the block's own, about another file
        raise OutputError(f"{path}: cannot be written ({e.strerror or e})") from e
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def made_whole(folder: Path) -> Iterator[Path]:
    """A temporary folder beside `folder`, renamed to it when the block ends well, removed when it does not.

    Raises OutputError when `folder` cannot be made.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = folder.with_name(f".{folder.name}-{os.urandom(4).hex()}")
        temporary.mkdir()
    except OSError as e:
        raise OutputError(f"{folder}: cannot be made ({e.strerror or e})") from e
    try:
        yield temporary
        if folder.exists():
            folder.rmdir()
        temporary.replace(folder)
    except OSError as e:
        raise OutputError(f"{folder}: cannot be written ({e.strerror or e})") from e
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
