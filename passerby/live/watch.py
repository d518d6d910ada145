"""One sequence of pictures watched: detections become identities, and are counted over lines and in zones."""

from __future__ import annotations

import math
import threading
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from passerby.errors import SettingError
from passerby.live.scene import LineSpec, Scene, ZoneSpec
from passerby.records import Detections
from passerby.track.counting import Event, Line, Zone
from passerby.track.tracker import Settings, Tracker

LOW = 0.1  # detections from this score on are what the tracker's second round works with
HOLD = 0.5  # seconds for which somebody counts as in view after he was seen last, so that the count does not flicker


@dataclass(frozen=True)
class Seen:
    """What one picture of a sequence told.

    found   detections of known identities, with ids
    events  that this picture made sure
    people  identities in view now
    total   identities so far
    lines   name -> {"in": n, "out": n}
    zones   name -> {"present": n, "visitors": n, "dwell": {identity: seconds there}}
    """

    found: Detections
    events: tuple[Event, ...] = ()
    people: int = 0
    total: int = 0
    lines: dict[str, dict[str, int]] | None = None
    zones: dict[str, dict[str, Any]] | None = None

    def to_dict(self) -> dict[str, Any]:
        """As plain Python, for JSON."""
        return {
            "detections": self.found.to_list(),
            "events": [asdict(event) for event in self.events],
            "people": self.people,
            "total": self.total,
            "lines": self.lines or {},
            "zones": self.zones or {},
        }


class Watcher:
    """Identities and counts of one sequence of pictures: a stream's, or those of one browser's camera.

    scene      lines and zones
    threshold  score from which a detection begins an identity
    settings   of the tracker; its `sure` and `unsure` follow from the threshold

    Scene and threshold may be set at any time, from any thread; a line or zone that stays as it was keeps its counts.
    """

    def __init__(self, scene: Scene | None = None, threshold: float = 0.35, settings: Settings | None = None) -> None:
        self._lock = threading.Lock()
        self._settings = settings or Settings()
        self._threshold = _checked(threshold)
        self._tracker = Tracker(self._used())
        self._scene = scene or Scene()
        self._size = (0, 0)
        self._lines: dict[LineSpec, Line] = {}
        self._zones: dict[ZoneSpec, Zone] = {}
        self._last: float | None = None

    @property
    def threshold(self) -> float:
        """Score from which a detection begins an identity. Raises SettingError when set to what is not 0 to 1."""
        return self._threshold

    @threshold.setter
    def threshold(self, value: float) -> None:
        with self._lock:
            self._threshold = _checked(value)
            self._tracker.settings = self._used()

    @property
    def scene(self) -> Scene:
        """Lines and zones that are counted."""
        return self._scene

    @scene.setter
    def scene(self, scene: Scene) -> None:
        with self._lock:
            self._scene = scene
            self._make(self._size)

    def begin_anew(self) -> None:
        """Forget who is who, as when another model looks or a video jumps; counts stay."""
        with self._lock:
            self._restart()

    def see(self, found: Detections, time: float, width: int, height: int) -> Seen:
        """Take the detections of the next picture.

        found          with scores down to LOW
        time           of the picture, seconds; one that is not after the last begins identities anew
        width, height  of the picture, pixels

        Raises SettingError for a time that is no number.
        """
        if not math.isfinite(time):
            raise SettingError(f"a picture's time is {time}, want seconds")
        with self._lock:
            if self._size != (width, height):
                self._make((width, height))
            events: list[Event] = []
            if self._last is not None and time <= self._last:
                events += self._restart(time)
            self._last = time
            tracked = self._tracker(found, time)
            alive = {int(n) for n in self._tracker.ids}
            for line in self._lines.values():
                if len(self._tracker.newly):
                    events += line.update(self._tracker.newly, time)  # who was quick crossed before he was told of
                events += line.update(tracked, time)
                line.forget(alive)
            for zone in self._zones.values():
                events += zone.update(tracked, time)
                events += zone.forget(alive, time)
            return Seen(tracked, tuple(events), self._in_view(time), self._tracker.given, *self._counts(time))

    def rest(self) -> Seen:
        """What holds while no picture comes: nobody in view, counts as they were."""
        with self._lock:
            return Seen(Detections.none(), (), 0, self._tracker.given, *self._counts(self._last or 0.0))

    def _used(self) -> Settings:
        return replace(self._settings, sure=self._threshold, unsure=min(LOW, self._threshold))

    def _in_view(self, time: float) -> int:
        tracker = self._tracker
        return int(np.count_nonzero(tracker.known() & (time - tracker.seen <= HOLD)))

    def _counts(self, time: float) -> tuple[dict[str, dict[str, int]], dict[str, dict[str, Any]]]:
        lines = {line.name: dict(line.counts) for line in self._lines.values()}
        zones = {
            zone.name: {
                "present": len(zone.present()),
                "visitors": zone.visitors,
                "dwell": {n: round(s, 3) for n, s in zone.dwell(time).items()},
            }
            for zone in self._zones.values()
        }
        return lines, zones

    def _make(self, size: tuple[int, int]) -> None:
        """Lines and zones of the scene in pixels; those that stay as they were stay, the others begin at 0."""
        same = size == self._size
        lines, zones = self._lines, self._zones
        self._size = size
        if size == (0, 0):
            return
        self._lines = {s: lines[s] if same and s in lines else s.made(*size) for s in self._scene.lines}
        self._zones = {s: zones[s] if same and s in zones else s.made(*size) for s in self._scene.zones}
        for spec, line in self._lines.items():
            if spec in lines:
                line.counts = lines[spec].counts
        for area, zone in self._zones.items():
            if area in zones:
                zone.visitors = zones[area].visitors

    def _restart(self, time: float | None = None) -> list[Event]:
        """A new tracker that goes on with the old one's numbers; who was in a zone has left it."""
        given = self._tracker.given
        self._tracker = Tracker(self._used())
        self._tracker.given = given
        for line in self._lines.values():
            line.forget(set())
        now = self._last if time is None else time
        return [event for zone in self._zones.values() for event in zone.forget(set(), now or 0.0)]


def _checked(threshold: float) -> float:
    if not 0 <= threshold <= 1:
        raise SettingError(f"threshold is {threshold}, want a number from 0 to 1")
    return float(threshold)
