"""Model files: found by name or path, and the spec read from their metadata without any engine."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from pathlib import Path

from passerby.errors import ModelError, SettingError, did_you_mean
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
    try:
        size = path.stat().st_size
        if size == 0:
            raise ModelError(f"{path}: the file is empty (0 bytes)")
        with path.open("rb") as f:
            data = memoryview(mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ))
    except OSError as e:
        raise ModelError(f"{path}: cannot be read ({e.strerror or e})") from e
    try:
        entries = dict(_metadata(data))
    except (IndexError, ValueError, UnicodeDecodeError) as e:
        raise ModelError(f"{path}: not an ONNX file, or cut short ({size:,} bytes); copy or export it again") from e
    if METADATA_KEY not in entries:
        raise ModelError(
            f"{path}: an ONNX file, but not one of passerby's (no '{METADATA_KEY}' in its metadata); "
            "make one with passerby export"
        )
    return ModelSpec.from_json(entries[METADATA_KEY], str(path))


def _metadata(data: memoryview) -> Iterator[tuple[str, str]]:
    for number, value in _fields(data):
        if number == _METADATA_PROPS:
            pair = {n: bytes(v).decode("utf-8") for n, v in _fields(value)}
            yield pair.get(_KEY, ""), pair.get(_VALUE, "")


def _fields(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    """The fields of one protobuf message; numbers are passed over. Raises ValueError or IndexError when malformed."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, kind = key >> 3, key & 7
        if number == 0:
            raise ValueError("field number 0")
        if kind == _VARINT:
            _, at = _varint(data, at)
        elif kind == _BYTES:
            length, at = _varint(data, at)
            if at + length > len(data):
                raise ValueError("a field ends past the end")
            yield number, data[at : at + length]
            at += length
        elif kind in (_FIXED64, _FIXED32):
            at += 8 if kind == _FIXED64 else 4
        else:
            raise ValueError(f"wire type {kind}")
    if at != len(data):
        raise ValueError("ends inside a field")


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return value, at
    raise ValueError("a number of over 10 bytes")
