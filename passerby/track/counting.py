"""Who crosses a line, who is in a zone and for how long: counts that do not flicker."""

from __future__ import annotations

import math
from dataclasses import dataclass

from passerby.errors import SettingError
from passerby.records import Detections

POINTS = {"centre": (0.5, 0.5), "foot": (0.5, 1.0), "top": (0.5, 0.0)}  # of a box: shares of its width and height
Point = tuple[float, float]


@dataclass(frozen=True)
class Event:
    """Something that was counted.

    time   seconds, of the frame in which it was sure
    kind   "in" or "out" of a line; "entered" or "left" a zone
    where  name of the line or zone
    id     who; label: of what class
    dwell  seconds in the zone, of "left"
    """

    time: float
    kind: str
    where: str
    id: int
    label: str
    dwell: float | None = None


class Line:
    """Counts identities that cross from one side of a segment to the other.

    start, end  of the segment, pixels. Looking from start to end, "in" is from the left to the right hand
    name        in events
    point       of a box that has to cross: a key of POINTS
    slack       share of the box's size (square root of the area) by which the point must be beyond the line before the
                side counts as changed, so that somebody who stands on it is not counted again and again

    An identity counts once in each direction. Where it is seen first it is on that side, however near the line is:
    else somebody who appears close to it, as in a door, would never be counted.
    """

    def __init__(
        self, start: Point, end: Point, name: str = "line", point: str = "centre", slack: float = 0.25
    ) -> None:
        _need(point, slack, name)
        if not all(math.isfinite(v) for v in (*start, *end)) or start == end:
            raise SettingError(f"line '{name}': from {start} to {end} is no line; want two points apart")
        self.start, self.end, self.name, self.point, self.slack = start, end, name, point, slack
        self.counts = {"in": 0, "out": 0}
        self._last: dict[int, tuple[int, Point]] = {}  # side on which each was seen first, or surely last; and where
        self._counted: set[tuple[int, str]] = set()

    def update(self, found: Detections, time: float) -> list[Event]:
        """Crossings that this frame makes sure. `found` has ids; time in seconds."""
        events = []
        for number, label, at, size in _people(found, self.point):
            before = self._last.get(number)
            side = self._side(at, self.slack * size if before else 0.0)
            if side == 0:
                continue
            self._last[number] = side, at
            if before is None or before[0] == side or not self._between(before[1], at):
                continue
            kind = "in" if side > 0 else "out"
            if (number, kind) not in self._counted:
                self._counted.add((number, kind))
                self.counts[kind] += 1
                events.append(Event(time, kind, self.name, number, label))
        return events

    def forget(self, alive: set[int]) -> None:
        """Drop what is remembered of identities that are gone, so that memory stays flat over days."""
        self._last = {n: v for n, v in self._last.items() if n in alive}
        self._counted = {c for c in self._counted if c[0] in alive}

    def _side(self, at: Point, slack: float) -> int:
        """1: on the right hand of the line, -1: on the left, 0: too near to say. y grows downwards."""
        (x0, y0), (x1, y1) = self.start, self.end
        distance = ((x1 - x0) * (at[1] - y0) - (y1 - y0) * (at[0] - x0)) / math.hypot(x1 - x0, y1 - y0)
        return 0 if abs(distance) <= slack else 1 if distance > 0 else -1

    def _between(self, before: Point, now: Point) -> bool:
        """Whether the way from one point to the other meets the line between its ends, not its prolongation."""
        (x0, y0), (x1, y1) = self.start, self.end
        dx, dy = now[0] - before[0], now[1] - before[1]
        cross = dx * (y1 - y0) - dy * (x1 - x0)
        if cross == 0:
            return False
        along = (dx * (before[1] - y0) - dy * (before[0] - x0)) / cross
        return 0 <= along <= 1


class Zone:
    """Who is in a polygon, and for how long.

    corners  at least three, pixels; name, point as for a line
    settle   seconds for which somebody must be inside (or outside) before that counts, so that nobody flickers at its
             border

    An identity is one visitor, however often it comes and goes.
    """

    def __init__(self, corners: list[Point], name: str = "zone", point: str = "foot", settle: float = 0.5) -> None:
        _need(point, settle, name)
        if len(corners) < 3 or not all(math.isfinite(v) for c in corners for v in c):
            raise SettingError(f"zone '{name}': want at least three corners of two numbers, got {corners}")
        self.corners = [(float(x), float(y)) for x, y in corners]
        self._sides = list(zip(self.corners, self.corners[1:] + self.corners[:1], strict=True))
        self.name, self.point, self.settle = name, point, settle
        self.visitors = 0
        self._inside: dict[int, tuple[float, str]] = {}  # since when, and what class
        self._changed: dict[int, float] = {}  # since when somebody is on the other side, not yet for sure
        self._seen: dict[int, float] = {}  # when each was seen in it last
        self._visited: set[int] = set()

    def present(self) -> list[int]:
        """Identities that are in it."""
        return sorted(self._inside)

    def dwell(self, time: float) -> dict[int, float]:
        """Seconds that each who is in it has been there."""
        return {n: time - since for n, (since, _) in self._inside.items()}

    def update(self, found: Detections, time: float) -> list[Event]:
        """Who entered or left for sure. `found` has ids; one who is not seen stays where he was, until `forget`."""
        events = []
        for number, label, at, _ in _people(found, self.point):
            holds = self._holds(at)
            if holds:
                self._seen[number] = time
            if holds == (number in self._inside):
                self._changed.pop(number, None)
                continue
            since = self._changed.setdefault(number, time)
            if time - since < self.settle:
                continue
            del self._changed[number]
            if number in self._inside:
                events.append(self._leave(number, since, time))
            else:
                self._inside[number] = since, label
                self.visitors += number not in self._visited
                self._visited.add(number)
                events.append(Event(time, "entered", self.name, number, label))
        return events

    def forget(self, alive: set[int], time: float) -> list[Event]:
        """Who is gone altogether has left, when he was seen in it last; that is sure now."""
        events = [self._leave(n, self._seen[n], time) for n in sorted(set(self._inside) - alive)]
        self._changed = {n: t for n, t in self._changed.items() if n in alive}
        self._seen = {n: t for n, t in self._seen.items() if n in alive}
        self._visited &= alive
        return events

    def _leave(self, number: int, at: float, time: float) -> Event:
        since, label = self._inside.pop(number)
        return Event(time, "left", self.name, number, label, round(at - since, 3))

    def _holds(self, at: Point) -> bool:
        """Whether a point lies in the polygon: a ray to the right crosses its border an odd number of times."""
        x, y = at
        inside = False
        for (x0, y0), (x1, y1) in self._sides:
            if (y0 > y) != (y1 > y) and x < (x1 - x0) * (y - y0) / (y1 - y0) + x0:
                inside = not inside
        return inside


def _people(found: Detections, point: str) -> list[tuple[int, str, Point, float]]:
    """Identity, class, point and size (square root of the area) of each detection that has an identity."""
    if found.ids is None:
        raise SettingError("counting needs identities: track the detections first")
    across, down = POINTS[point]
    rows = zip(found.ids.tolist(), found.labels.tolist(), found.boxes.tolist(), strict=True)
    return [
        (
            number,
            found.names[label],
            (x0 + (x1 - x0) * across, y0 + (y1 - y0) * down),
            math.sqrt(max((x1 - x0) * (y1 - y0), 0.0)),
        )
        for number, label, (x0, y0, x1, y1) in rows
    ]


def _need(point: str, number: float, name: str) -> None:
    if point not in POINTS:
        raise SettingError(f"'{name}': no point '{point}' of a box (known: {', '.join(POINTS)})")
    if not (math.isfinite(number) and number >= 0):
        raise SettingError(f"'{name}': slack and settle must not be under 0, got {number}")
