"""What a user named on the command line -> streams by name, and the scene of each."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from passerby.errors import SettingError, did_you_mean
from passerby.live.scene import LineSpec, Scene, ZoneSpec, parse_line, parse_zone
from passerby.media.live import kind_of, need_file
from passerby.media.sources import frame_rate

_NAMED = re.compile(r"([\w.-]{1,40})=(.+)", re.DOTALL)
Spec = TypeVar("Spec", LineSpec, ZoneSpec)


def name_sources(texts: Sequence[str]) -> dict[str, str]:
    """Sources by name: of "NAME=SOURCE", or a name made from the source (camera0, a file's stem, an address' host).

    Raises SettingError for a name that is given twice or an empty source.
    """
    named: dict[str, str] = {}
    made: list[tuple[str, str]] = []
    for text in texts:
        match = None if Path(text).is_file() else _NAMED.fullmatch(text)
        name, uri = match.groups() if match else (_name_of(text), text)
        if not uri.strip():
            raise SettingError("a source's name is empty; want a camera's number, an address or a video file")
        if not match:
            made.append((name, uri))
        elif name in named:
            raise SettingError(f"two streams are called '{name}'; give each a name of its own")
        named[name if match else f"\0{len(made)}"] = uri  # a place for it, in order
    return _filled(named, made)


def check_sources(sources: Mapping[str, str]) -> dict[str, float]:
    """Frames a second of each source by name, 0 where only the source itself knows.

    Raises SourceError for a video file that is not there or cannot be read; cameras and streams may come later.
    """
    rates = {}
    for name, uri in sources.items():
        rates[name] = 0.0
        if kind_of(uri) == "file":
            need_file(uri)
            rates[name] = frame_rate(Path(uri))
    return rates


def scenes_for(
    names: Sequence[str], lines: Sequence[str] = (), zones: Sequence[str] = (), file: Path | None = None
) -> dict[str, Scene]:
    """The scene of each stream.

    lines, zones  "NAME=x0,y0,x1,y1" of every stream, "STREAM:NAME=..." of one; in shares of the picture
    file          JSON: one scene for all streams, or {stream: scene}

    Raises SettingError for what is no line, zone or scene, and for a stream that is not there.
    """
    scenes = {name: Scene() for name in names} | (_read(file, names) if file else {})
    found: dict[str, tuple[list[LineSpec], list[ZoneSpec]]] = {n: ([], []) for n in names}
    for text in lines:
        for name, line in _meant(text, names, parse_line):
            found[name][0].append(line)
    for text in zones:
        for name, zone in _meant(text, names, parse_zone):
            found[name][1].append(zone)
    return {
        name: Scene((*scenes[name].lines, *more_lines), (*scenes[name].zones, *more_zones))
        for name, (more_lines, more_zones) in found.items()
    }


def _meant(text: str, names: Sequence[str], parse: Callable[[str], Spec]) -> list[tuple[str, Spec]]:
    """The part for each stream that it is meant for."""
    before, equals, after = text.partition("=")
    stream, colon, name = before.partition(":")
    if not colon:
        return [(n, parse(text)) for n in names]
    if stream not in names:
        raise SettingError(f"'{text}': no stream '{stream}'{did_you_mean(stream, names)}")
    return [(stream, parse(name + equals + after))]


def _read(file: Path, names: Sequence[str]) -> dict[str, Scene]:
    try:
        raw: Any = json.loads(file.read_text(encoding="utf-8"))
    except OSError as e:
        raise SettingError(f"{file}: cannot be read ({e.strerror or e})") from e
    except (ValueError, RecursionError) as e:
        raise SettingError(f"{file}: is no JSON ({e})") from e
    if not isinstance(raw, dict) or not raw.keys() - {"lines", "zones"}:
        return dict.fromkeys(names, Scene.from_dict(raw, str(file)))
    for name in raw:
        if name not in names:
            raise SettingError(f"{file}: no stream '{name}'{did_you_mean(name, names)}")
    return {name: Scene.from_dict(scene, f"{file}: {name}") for name, scene in raw.items()}


def _name_of(uri: str) -> str:
    kind = kind_of(uri)
    if kind == "camera":
        return f"camera{int(uri.removeprefix('/dev/video'))}"
    try:
        plain = (urlsplit(uri).hostname or "") if kind == "stream" else Path(uri).stem
    except ValueError:  # of an address such as "http://[x"
        plain = ""
    return re.sub(r"[^\w.-]+", "-", plain)[:40].strip("-.") or "stream"


def _filled(named: dict[str, str], made: list[tuple[str, str]]) -> dict[str, str]:
    """The same in order, names that were made up put in, each once."""
    taken = set(named)
    result = {}
    for key, uri in named.items():
        name, number = key, 1
        if key.startswith("\0"):
            base = name = made.pop(0)[0]
            while name in taken:
                number += 1
                name = f"{base}-{number}"
            taken.add(name)
        result[name] = uri
    return result
