"""Model files: found by name or path, and the spec read from their metadata without any engine."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from pathlib import Path

from passerby.errors import ModelError, SettingError, did_you_mean
from passerby.files import written_whole
from passerby.runtime.formats import FORMATS
from passerby.runtime.protobuf import Field, read_fields, write_field
from passerby.spec import METADATA_KEY, ModelSpec

CHECKPOINT = ".safetensors"  # what training leaves
MODELS = Path(__file__).resolve().parent.parent / "models"
# Fields of ModelProto and StringStringEntryProto: onnx.proto3 of the ONNX specification.
_METADATA_PROPS, _KEY, _VALUE = 14, 1, 2


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
        raise ModelError(f"{text}: {'a folder; name a file in it' if path.is_dir() else 'no such model file'}")
    raise SettingError(f"no model '{text}'{did_you_mean(text, known)}; or give an .onnx file")


def read_spec(path: Path) -> ModelSpec:
    """The spec in a model file's metadata, or beside it; of an ONNX file only the pages that hold it are read.

    Raises ModelError when the file cannot be read, is cut short, or not exported by passerby.
    """
    text = _spec_text(path)
    if text is None:
        kind = "an ONNX file" if path.suffix.lower() not in FORMATS else f"a {path.suffix} file"
        raise ModelError(
            f"{path}: {kind}, but not one of passerby's (no '{METADATA_KEY}' in its metadata); "
            "make one with passerby export"
        )
    return ModelSpec.from_json(text, str(path))


def is_ours(path: Path) -> bool:
    """Whether passerby exported a file. Raises ModelError when it cannot be read."""
    if path.suffix.lower() == ".param" and not path.with_suffix(".json").is_file():
        return True  # no other maker's is read; that its spec is missing is told by `read_spec`
    return _spec_text(path) is not None


def _spec_text(path: Path) -> str | None:
    if kind := FORMATS.get(path.suffix.lower()):
        return kind.read(path)
    if path.suffix.lower() == CHECKPOINT and path.is_file():
        raise ModelError(f"{path}: a checkpoint; make a model file of it: passerby export {path}")
    return read_metadata(path).get(METADATA_KEY)


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

    path  a file that passerby exported, of any format in FORMATS or .onnx; out may be the same file
    out   of the same format; written whole or not at all; a link is followed

    Raises ModelError when `path` cannot be read or is no such file, or the spec has a field out of range, OutputError
    when `out` cannot be written, SettingError where `out` has another extension.
    """
    spec.check(str(out))
    if kind := FORMATS.get(path.suffix.lower()):
        if out.suffix.lower() != path.suffix.lower():
            raise SettingError(f"{out}: want a {path.suffix} file, as {path.name} is")
        kind.write(path, spec.to_json(), out)
        return
    try:
        data = memoryview(path.read_bytes())
    except OSError as e:
        raise ModelError(f"{path}: cannot be read ({e.strerror or e})") from e
    try:
        kept = [f.whole for f in read_fields(data) if not _is_ours(f)]
    except (IndexError, ValueError, UnicodeDecodeError) as e:
        raise ModelError(f"{path}: not an ONNX file, or cut short; copy or export it again") from e
    pair = ((_KEY, METADATA_KEY), (_VALUE, spec.to_json()))
    entry = b"".join(write_field(n, text.encode("utf-8")) for n, text in pair)
    with written_whole(out.resolve()) as temporary:
        temporary.write_bytes(b"".join([*kept, write_field(_METADATA_PROPS, entry)]))


def is_shipped(path: Path) -> bool:
    """Whether a file is one of the package's own models, which are never changed in place."""
    return path.resolve().parent == MODELS


def _is_ours(field: Field) -> bool:
    return field.number == _METADATA_PROPS and field.content is not None and _entry(field.content)[0] == METADATA_KEY


def _metadata(data: memoryview) -> Iterator[tuple[str, str]]:
    for field in read_fields(data):
        if field.number == _METADATA_PROPS and field.content is not None:
            yield _entry(field.content)


def _entry(content: memoryview) -> tuple[str, str]:
    pair = {f.number: bytes(f.content).decode("utf-8") for f in read_fields(content) if f.content is not None}
    return pair.get(_KEY, ""), pair.get(_VALUE, "")
