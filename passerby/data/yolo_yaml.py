"""data.yaml of the YOLO format: where its splits lie and what its class numbers mean (docs.ultralytics.com)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from passerby.data.listing import MOST_NAMES, inside, printable, read_text
from passerby.data.places import entries
from passerby.errors import DataError, MissingExtraError

LARGEST = 1_000_000  # bytes
MOST_BRACKETS = 1_000
SPLITS = ("train", "val", "valid", "test")
_SPLIT = re.compile(r"^[\"']?(train|val|valid|test)[\"']?[ \t]*:", re.MULTILINE)
_CLASSES = re.compile(r"^[\"']?(names|nc)[\"']?[ \t]*:", re.MULTILINE)


@dataclass(frozen=True)
class DataYaml:
    """What data.yaml says: its `path`, {split: places as written}, {class number: name}, and whether it has a pose."""

    folder: str
    splits: dict[str, list[str]]
    names: dict[int, str] | None
    keypoints: bool


def is_data_yaml(path: Path) -> bool:
    """Whether a file is YAML that names splits and classes."""
    if path.suffix not in (".yaml", ".yml"):
        return False
    try:
        text = read_text(path, LARGEST)
    except DataError:
        return False
    return bool(_SPLIT.search(text) and _CLASSES.search(text))


def find_yaml(folder: Path) -> Path | None:
    """data.yaml of a folder, or another .yaml that names splits and classes."""
    files = sorted(p for p in entries(folder) if p.suffix in (".yaml", ".yml"))
    files.sort(key=lambda p: p.name not in ("data.yaml", "dataset.yaml"))
    return next((p for p in files if is_data_yaml(p)), None)


def read_yaml(path: Path) -> DataYaml:
    """Read data.yaml.

    Raises DataError in one line for a file that is too large, no YAML, has aliases, or holds other types than it
    should; MissingExtraError without PyYAML.
    """
    raw = _load(path)
    splits: dict[str, list[str]] = {}
    for key in SPLITS:
        value = raw.get(key)
        if value is None or value == "":
            continue
        places = value if isinstance(value, list) else [value]
        if not all(isinstance(p, str) and p.strip() for p in places):
            raise DataError(f"{path}: '{key}' is not a folder, a list of pictures, or several of them")
        splits[key] = places
    if not splits:
        raise DataError(f"{path}: none of {', '.join(SPLITS)} says where pictures are")
    folder = raw.get("path")
    return DataYaml(folder if isinstance(folder, str) else "", splits, _names(path, raw), "kpt_shape" in raw)


def parts_of(yaml: Path, folder: str, splits: Mapping[str, list[str]]) -> tuple[dict[str, list[Path]], dict[str, str]]:
    """{split: folders and lists that are there}, {split: why one of it is not}.

    A `folder` that does not exist or leads away gives way to the yaml's own.
    """
    base = yaml.parent
    if folder.strip(" ./"):
        try:
            named = inside(base, folder)
        except DataError:
            named = base
        base = named if named.is_dir() else base
    parts: dict[str, list[Path]] = {}
    missing = {}
    for split, places in splits.items():
        parts[split] = []
        for place in places:
            try:
                parts[split].append(_find(base, place))
            except DataError as e:
                missing[split] = str(e)
    return parts, missing


def _find(base: Path, place: str) -> Path:
    """A folder or list under `base`; "../" before it is dropped, for exports write it without meaning it."""
    if not place.strip(" ./"):
        return base
    try:
        path = inside(base, place)
    except DataError:
        if not place.startswith("../"):
            raise
        path = inside(base, place.removeprefix("../"))
    if path.is_dir() or (path.is_file() and path.suffix == ".txt"):
        return path
    raise DataError(f"no folder or .txt list {place:.200}")


def _names(path: Path, raw: Mapping[Any, Any]) -> dict[int, str] | None:
    """{class number: name}; None where neither names nor their number are given."""
    value, count = raw.get("names"), raw.get("nc")
    if value is None:
        if count is None:
            return None
        if not isinstance(count, int) or not 0 <= count <= MOST_NAMES:
            raise DataError(f"{path}: 'nc' is not a number of classes")
        return {k: str(k) for k in range(count)}
    rows = list(enumerate(value)) if isinstance(value, list) else list(value.items()) if isinstance(value, dict) else []
    if not rows or len(rows) > MOST_NAMES or any(isinstance(name, (dict, list, bytes)) for _, name in rows):
        raise DataError(f"{path}: 'names' is not a list of class names, nor number: name")
    try:
        return {int(number): printable(str(name)) for number, name in rows}
    except (TypeError, ValueError) as e:
        raise DataError(f"{path}: 'names' has a class number that is none") from e


def _load(path: Path) -> dict[Any, Any]:
    try:
        import yaml
    except ImportError as e:
        raise MissingExtraError("PyYAML", "data") from e
    try:
        text = read_text(path, LARGEST)
    except DataError as e:
        raise DataError(f"{path}: {e}") from e
    if text.count("[") + text.count("{") > MOST_BRACKETS:  # PyYAML takes the square of their number in time
        raise DataError(f"{path}: over {MOST_BRACKETS:,} brackets, which no data.yaml needs: refused")
    try:
        if "*" in text and any(isinstance(token, yaml.AliasToken) for token in yaml.scan(text)):
            raise DataError(f"{path}: it has aliases (*name), which no data.yaml needs: refused")
        raw = yaml.safe_load(text)
    except DataError:
        raise
    except Exception as e:  # PyYAML lets KeyError, IndexError, AttributeError and more out of its constructors
        told = " ".join(str(e).split())
        raise DataError(f"{path}: not readable YAML: {printable(told)[:200] or type(e).__name__}") from e
    if not isinstance(raw, dict):
        raise DataError(f"{path}: no data.yaml: it does not say where pictures are")
    return raw
