"""Model files: found by name or path, and the spec read from their metadata without any engine."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from passerby.errors import ModelError, SettingError, did_you_mean
from passerby.files import written_whole
from passerby.spec import METADATA_KEY, ModelSpec

MODELS = Path(__file__).resolve().parent.parent / "models"
# Fields of ModelProto and StringStringEntryProto: onnx.proto3 of the ONNX specification.
_METADATA_PROPS, _KEY, _VALUE = 14, 1, 2
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def shipped_models() -> dict[str, Path]:
    """The models inside the package: name -> file."""
    return {p.stem: p for p in sorted(MODELS.glob("*.onnx"))}


def find_model(model: str | os.PathLike[str]) -> Path:
    """A shipped model by name, or a file by path.

    Raises ModelError for a missing file, SettingError for an unknown name (naming the nearest).
    """
    text = os.fspath(model)
    known = shipped_models()
    if text in known:
        return known[text]
    path = Path(text)
    if path.is_file():
        return path
    if path.suffix or len(path.parts) > 1:
        raise ModelError(f"{text}: no such model file")
    raise SettingError(f"no model '{text}'{did_you_mean(text, known)}; or give an .onnx file")


def read_spec(path: Path) -> ModelSpec:
    """The spec in a model file's metadata; only the pages that hold it are read.

    Raises ModelError when the file is cut short, no ONNX file, or not exported by passerby.
    """
    entries = read_metadata(path)
    if METADATA_KEY not in entries:
        raise ModelError(
            f"{path}: an ONNX file, but not one of passerby's (no '{METADATA_KEY}' in its metadata); "
            "make one with passerby export"
        )
    return ModelSpec.from_json(entries[METADATA_KEY], str(path))


def read_metadata(path: Path) -> dict[str, str]:
    """The metadata of any ONNX file, without an engine.

    Raises ModelError when the file cannot be read, is cut short, or no ONNX file.
    """
    try:
        size = path.stat().st_size
        if size == 0:
            raise ModelError(f"{path}: the file is empty (0 bytes)")
        with path.open("rb") as f:
            data = memoryview(mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ))
    except OSError as e:
        raise ModelError(f"{path}: cannot be read ({e.strerror or e})") from e
    try:
        return dict(_metadata(data))
    except (IndexError, ValueError, UnicodeDecodeError) as e:
        raise ModelError(f"{path}: not an ONNX file, or cut short ({size:,} bytes); copy or export it again") from e


def write_spec(path: Path, spec: ModelSpec, out: Path) -> None:
    """A copy of a model file with another spec; every other byte, and so every weight, stays as it is.

    path  an ONNX file that passerby exported; out may be the same file
    out   written whole or not at all; a link is followed

    Raises ModelError when `path` cannot be read or is no ONNX file, or the spec has a field out of range, OutputError
    when `out` cannot be written.
    """
    spec.check(str(out))
    try:
        data = memoryview(path.read_bytes())
    except OSError as e:
        raise ModelError(f"{path}: cannot be read ({e.strerror or e})") from e
    try:
        kept = [f.whole for f in _fields(data) if not _is_ours(f)]
    except (IndexError, ValueError, UnicodeDecodeError) as e:
        raise ModelError(f"{path}: not an ONNX file, or cut short; copy or export it again") from e
    entry = b"".join(_field(n, text.encode("utf-8")) for n, text in ((_KEY, METADATA_KEY), (_VALUE, spec.to_json())))
    with written_whole(out.resolve()) as temporary:
        temporary.write_bytes(b"".join([*kept, _field(_METADATA_PROPS, entry)]))


def is_shipped(path: Path) -> bool:
    """Whether a file is one of the package's own models, which are never changed in place."""
    return path.resolve().parent == MODELS


class _Field(NamedTuple):
    """One field of a protobuf message: its number, all its bytes, and its content where that is bytes."""

    number: int
    whole: memoryview
    content: memoryview | None


def _is_ours(field: _Field) -> bool:
    return field.number == _METADATA_PROPS and field.content is not None and _entry(field.content)[0] == METADATA_KEY


def _metadata(data: memoryview) -> Iterator[tuple[str, str]]:
    for field in _fields(data):
        if field.number == _METADATA_PROPS and field.content is not None:
            yield _entry(field.content)


def _entry(content: memoryview) -> tuple[str, str]:
    pair = {f.number: bytes(f.content).decode("utf-8") for f in _fields(content) if f.content is not None}
    return pair.get(_KEY, ""), pair.get(_VALUE, "")


def _fields(data: memoryview) -> Iterator[_Field]:
    """The fields of one protobuf message, in order. Raises ValueError or IndexError when malformed."""
    at = 0
    while at < len(data):
        start = at
        key, at = _varint(data, at)
        number, kind = key >> 3, key & 7
        content = None
        if number == 0:
            raise ValueError("field number 0")
        if kind == _VARINT:
            _, at = _varint(data, at)
        elif kind == _BYTES:
            length, at = _varint(data, at)
            content = data[at : at + length]
            at += length
        elif kind in (_FIXED64, _FIXED32):
            at += 8 if kind == _FIXED64 else 4
        else:
            raise ValueError(f"wire type {kind}")
        if at > len(data):
            raise ValueError("a field ends past the end")
        yield _Field(number, data[start:at], content)


def _field(number: int, content: bytes) -> bytes:
    return _as_varint(number << 3 | _BYTES) + _as_varint(len(content)) + content


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return value, at
    raise ValueError("a number of over 10 bytes")


def _as_varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])
