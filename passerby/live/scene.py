"""Lines and zones of one stream, in shares of the picture, so that they hold whatever its size is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, TypeVar

from passerby.errors import SettingError, did_you_mean
from passerby.track.counting import Line, Point, Zone

MOST = 32  # lines and zones of one scene; each costs time in every frame


@dataclass(frozen=True)
class LineSpec:
    """A line to count over: start and end in shares of the picture (0 to 1); the rest as of `track.counting.Line`."""

    name: str
    start: Point
    end: Point
    point: str = "centre"
    slack: float = 0.25

    def made(self, width: int, height: int) -> Line:
        """The line in a picture of this many pixels. Raises SettingError for what is no line."""
        return Line(_scaled(self.start, width, height), _scaled(self.end, width, height), *self._rest())

    def _rest(self) -> tuple[str, str, float]:
        return self.name, self.point, self.slack


@dataclass(frozen=True)
class ZoneSpec:
    """A zone to watch: corners in shares of the picture (0 to 1); the rest as of `track.counting.Zone`."""

    name: str
    corners: tuple[Point, ...]
    point: str = "foot"
    settle: float = 0.5

    def made(self, width: int, height: int) -> Zone:
        """The zone in a picture of this many pixels. Raises SettingError for what is no zone."""
        return Zone([_scaled(c, width, height) for c in self.corners], self.name, self.point, self.settle)


Spec = TypeVar("Spec", LineSpec, ZoneSpec)


@dataclass(frozen=True)
class Scene:
    """The lines and zones of one stream. Raises SettingError for two of one name, or what is no line or zone."""

    lines: tuple[LineSpec, ...] = ()
    zones: tuple[ZoneSpec, ...] = ()

    def __post_init__(self) -> None:
        parts: list[LineSpec | ZoneSpec] = [*self.lines, *self.zones]
        names = [part.name for part in parts]
        if len(names) > MOST:
            raise SettingError(f"a scene of {len(names)} lines and zones, at most {MOST} are possible")
        for part in parts:
            if not part.name or len(part.name) > 60 or not part.name.isprintable():
                raise SettingError(f"'{part.name[:60]}' is no name of a line or zone; want 1 to 60 characters")
            if names.count(part.name) > 1:
                raise SettingError(f"two lines or zones are called '{part.name}'; give each a name of its own")
            part.made(1000, 1000)

    @classmethod
    def from_dict(cls, raw: Any, where: str = "scene") -> Scene:
        """Read what `to_dict` gives. Raises SettingError naming where, the entry and the field."""
        raw = _fields(raw, {"lines", "zones"}, where)
        lines = tuple(_read(LineSpec, row, f"{where}: line {k}") for k, row in enumerate(_rows(raw, "lines", where)))
        zones = tuple(_read(ZoneSpec, row, f"{where}: zone {k}") for k, row in enumerate(_rows(raw, "zones", where)))
        try:
            return cls(lines, zones)
        except SettingError as e:
            raise SettingError(f"{where}: {e}") from e

    def to_dict(self) -> dict[str, Any]:
        """As plain Python, for JSON; `from_dict` is the inverse."""
        return {"lines": [asdict(part) for part in self.lines], "zones": [asdict(part) for part in self.zones]}


def parse_line(text: str) -> LineSpec:
    """A line of "NAME=x0,y0,x1,y1", shares of the picture. Raises SettingError for anything else."""
    name, points = _named_points(text, "line", "door=0.1,0.5,0.9,0.5")
    if len(points) != 2:
        raise SettingError(f"line '{text}': {len(points)} points, want 2, e.g. door=0.1,0.5,0.9,0.5")
    return LineSpec(name, points[0], points[1])


def parse_zone(text: str) -> ZoneSpec:
    """A zone of "NAME=x0,y0,x1,y1,x2,y2,...", shares of the picture. Raises SettingError for anything else."""
    name, points = _named_points(text, "zone", "desk=0,0,1,0,1,1")
    if len(points) < 3:
        raise SettingError(f"zone '{text}': {len(points)} corners, want 3 or more, e.g. desk=0,0,1,0,1,1")
    return ZoneSpec(name, tuple(points))


def _named_points(text: str, kind: str, example: str) -> tuple[str, list[Point]]:
    name, equals, rest = text.partition("=")
    try:
        numbers = [float(part) for part in rest.split(",")]
    except ValueError:
        numbers = []
    if not name.strip() or not equals or not numbers or len(numbers) % 2:
        raise SettingError(f"{kind} '{text}': want NAME=x,y,x,y... in shares of the picture, e.g. {example}")
    points = list(zip(numbers[::2], numbers[1::2], strict=True))
    return name.strip(), [_share(point, f"{kind} '{text}'") for point in points]


def _read(kind: type[Spec], raw: Any, where: str) -> Spec:
    known = {f.name for f in fields(kind)}
    raw = _fields(raw, known, where)
    points = {"start", "end", "corners"} & known
    if missing := sorted(({"name"} | points) - set(raw)):
        raise SettingError(f"{where}: '{missing[0]}' is missing")
    values: dict[str, Any] = {}
    for name, value in raw.items():
        if name == "corners":
            if not _is_list(value) or len(value) > 100:
                raise SettingError(f"{where}: corners: want a list of 3 to 100 points")
            values[name] = tuple(_point(v, f"{where}: corners") for v in value)
        elif name in points:
            values[name] = _point(value, f"{where}: {name}")
        elif name in ("name", "point"):
            if not isinstance(value, str):
                raise SettingError(f"{where}: {name} is {value!r}, want a text")
            values[name] = value
        else:
            values[name] = _number(value, f"{where}: {name}")
    return kind(**values)


def _fields(raw: Any, known: set[str], where: str) -> Mapping[str, Any]:
    if not isinstance(raw, Mapping):
        raise SettingError(f"{where}: want an object with {', '.join(sorted(known))}; got {type(raw).__name__}")
    if unknown := sorted(str(name) for name in set(raw) - known):
        raise SettingError(f"{where}: no field '{unknown[0]}'{did_you_mean(unknown[0], known)}")
    return raw


def _rows(raw: Mapping[str, Any], name: str, where: str) -> Sequence[Any]:
    rows = raw.get(name, [])
    if not _is_list(rows) or len(rows) > MOST:
        raise SettingError(f"{where}: {name}: want a list of at most {MOST}")
    return list(rows)


def _point(value: Any, where: str) -> Point:
    if not _is_list(value) or len(value) != 2:
        raise SettingError(f"{where}: {value!r} is no point; want [x, y] in shares of the picture")
    return _share((_number(value[0], where), _number(value[1], where)), where)


def _share(point: Point, where: str) -> Point:
    if not all(0 <= v <= 1 for v in point):
        raise SettingError(f"{where}: the point {point[0]:g}, {point[1]:g} is not in the picture; want shares, 0 to 1")
    return point


def _number(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise SettingError(f"{where}: {value!r} is no number")
    return float(value)


def _is_list(value: Any) -> bool:
    return isinstance(value, (list, tuple))


def _scaled(point: Point, width: int, height: int) -> Point:
    return point[0] * width, point[1] * height
