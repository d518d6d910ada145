"""Where a model's spec lies in files of other formats than .onnx. A format is one line in FORMATS."""

from __future__ import annotations

import html
import io
import re
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from passerby.errors import ModelError
from passerby.files import written_whole
from passerby.spec import METADATA_KEY

MEMBER = f"{METADATA_KEY}.json"
_RT_INFO = re.compile(rf'<{METADATA_KEY} value="([^"]*)" ?/>')


@dataclass(frozen=True)
class Format:
    """A file format that the runtime reads.

    read    the file -> the JSON of its spec; None where it has none, so that it is another maker's. Raises ModelError
    write   the file, the JSON, the new file -> a copy with that spec; every weight stays as it is
    parts   every file that belongs to it, the file itself first, whether there or not
    """

    read: Callable[[Path], str | None]
    write: Callable[[Path, str, Path], None]
    parts: Callable[[Path], list[Path]]


def read_rt_info(path: Path) -> str | None:
    """The spec in an OpenVINO .xml: `rt_info` of the model, written last in the file."""
    found = _RT_INFO.search(_text(path))
    return html.unescape(found.group(1)) if found else None


def write_rt_info(path: Path, text: str, out: Path) -> None:
    """A copy of an OpenVINO model, .xml and .bin, with another spec in its `rt_info`.

    Raises ModelError for a file without one, OutputError where `out` cannot be written.
    """
    before = _text(path)
    after, count = _RT_INFO.subn(lambda _: f'<{METADATA_KEY} value="{html.escape(text)}" />', before)
    if count != 1:
        raise ModelError(f"{path}: not one of passerby's OpenVINO files; make one with passerby export")
    _copy_second(path.with_suffix(".bin"), out.with_suffix(".bin"))
    with written_whole(out.resolve()) as temporary:
        temporary.write_text(after, encoding="utf-8")


def read_packed(path: Path) -> str | None:
    """The spec in a .tflite file: `passerby.json` in the zip at its end, where TFLite metadata keeps files as well."""
    try:
        with zipfile.ZipFile(path) as packed:
            return packed.read(MEMBER).decode("utf-8") if MEMBER in packed.namelist() else None
    except zipfile.BadZipFile:
        return None
    except (OSError, UnicodeDecodeError) as e:
        raise ModelError(f"{path}: cannot be read ({e})") from e


def write_packed(path: Path, text: str, out: Path) -> None:
    """A copy of a .tflite file with another spec, and no other file, in the zip at its end.

    Raises ModelError where it cannot be read, OutputError where `out` cannot be written.
    """
    try:
        data = path.read_bytes()
        with zipfile.ZipFile(path) as packed:  # its offsets count from the first byte of the zip or of the file
            first = min((i.header_offset for i in packed.infolist()), default=len(data))
    except zipfile.BadZipFile:
        first = len(data)
    except OSError as e:
        raise ModelError(f"{path}: cannot be read ({e.strerror or e})") from e
    file = io.BytesIO(data[:first])
    with zipfile.ZipFile(file, "a") as packed:
        packed.writestr(zipfile.ZipInfo(MEMBER), text)  # a ZipInfo has one date: the same spec, the same bytes
    with written_whole(out.resolve()) as temporary:
        temporary.write_bytes(file.getvalue())


def read_beside(path: Path) -> str:
    """The spec in NAME.json beside NAME.param, or another file that has no room for it."""
    beside = path.with_suffix(".json")
    if not beside.is_file():
        raise ModelError(f"{path}: its spec {beside.name} is not beside it; copy it there")
    return _text(beside)


def write_beside(path: Path, text: str, out: Path) -> None:
    """A copy of an ncnn model, .param and .bin, with another .json. Raises OutputError where it cannot be written."""
    for suffix in (".param", ".bin"):
        _copy_second(path.with_suffix(suffix), out.with_suffix(suffix))
    with written_whole(out.with_suffix(".json").resolve()) as temporary:
        temporary.write_text(text, encoding="utf-8")


FORMATS: dict[str, Format] = {
    ".xml": Format(read_rt_info, write_rt_info, lambda p: [p, p.with_suffix(".bin")]),
    ".tflite": Format(read_packed, write_packed, lambda p: [p]),
    ".param": Format(read_beside, write_beside, lambda p: [p, p.with_suffix(".bin"), p.with_suffix(".json")]),
}


def files_of(path: Path) -> list[Path]:
    """The files that a model is made of, its own path first: weights and spec may lie beside it, or all in a folder."""
    kind = FORMATS.get(path.suffix.lower())
    parts = kind.parts(path) if kind else sorted(path.rglob("*")) if path.is_dir() else [path]
    return [p for p in parts if p.is_file()]


def bytes_of(path: Path) -> int:
    """Bytes of all files that a model is made of."""
    return sum(p.stat().st_size for p in files_of(path))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as e:
        raise ModelError(f"{path}: cannot be read ({e}); copy or export it again") from e


def _copy_second(source: Path, target: Path) -> None:
    if source.resolve() == target.resolve():
        return
    if not source.is_file():
        raise ModelError(f"{source}: is not beside its model; copy it there")
    with written_whole(target.resolve()) as temporary:
        shutil.copyfile(source, temporary)
