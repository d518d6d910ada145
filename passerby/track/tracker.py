"""Identities over time: detections of one frame after another get numbers that stay with who they were given to."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from passerby.errors import SettingError
from passerby.geometry.anchors import shape_iou
from passerby.geometry.boxes import Floats, area, intersection, to_centres
from passerby.geometry.pairing import pair_up
from passerby.records import Detections, Ints
from passerby.track.motion import Motion, Noise


@dataclass(frozen=True)
class Settings:
    """How detections become identities.

    sure     score from which a detection can begin an identity, and is matched in the first round
    unsure   score from which one can go on with an identity, in the second round
    near     least `nearness` of a match in the first round
    near_unsure  the same in the second round of a detection with score `unsure`; the surer it is, the less is asked,
             down to `near` at `sure`
    reach    widths (heights) from where a box was thought to be at which nothing is left of `nearness`; what the
             filter does not know is added
    part     an unsure box of which this share lies in a stronger one, or that covers this share of it, shows what that
             one shows: it is nobody's unless the stronger one is somebody else's. Detectors leave such boxes where they
             are in doubt, and one of them may look more like somebody's last box than the right one does
    fresh    share of its `nearness` that counts of one that was not told of yet, where others want the same detection:
             a second box on somebody would else take his detections, and his number with them
    confirm  frames in a row in which a new one must be seen before it is told of
    surer    what its best score must have reached before it is told of: share of the way from `sure` to 1. The frames
             of one false alarm err alike, so its number of frames proves little
    keep     seconds for which one that is not seen is looked for
    """

    sure: float = 0.4
    unsure: float = 0.1
    near: float = 0.2
    near_unsure: float = 0.5
    reach: float = 0.7
    part: float = 0.8
    fresh: float = 0.5
    confirm: int = 2
    surer: float = 0.15
    keep: float = 1.5

    def check(self) -> None:
        """Raises SettingError for the first field that is out of range."""
        for name in ("sure", "unsure", "near", "near_unsure", "surer"):
            if not 0 <= getattr(self, name) <= 1:
                raise SettingError(f"tracking: {name} is {getattr(self, name)}, want 0 to 1")
        if self.unsure > self.sure:
            raise SettingError(f"tracking: unsure is {self.unsure}, over sure ({self.sure})")
        for name in ("part", "fresh"):
            if not 0 < getattr(self, name) <= 1:
                raise SettingError(f"tracking: {name} is {getattr(self, name)}, want over 0, at most 1")
        if self.reach <= 0 or self.confirm < 1 or self.keep < 0:
            raise SettingError("tracking: reach must be over 0, keep not under 0, confirm not under 1")


class Tracker:
    """Gives identities to detections, in the manner of ByteTrack.

    Sure detections are matched first, to everybody who is looked for; those that are left over may be matched by unsure
    ones, which are often the same people half hidden; what is sure and matches nobody begins a new identity. Where
    people will be is predicted by a constant-velocity Kalman filter in seconds, so that frames may come at any rate.

    After a call `newly` holds those who were told of for the first time in it, as they were when they were first seen:
    somebody quick may have crossed a line before he was confirmed.

    Zhang et al. 2022, "ByteTrack: multi-object tracking by associating every detection box".
    """

    def __init__(self, settings: Settings | None = None, noise: Noise | None = None) -> None:
        self.settings = settings or Settings()
        self.settings.check()
        self.motion = Motion(noise)
        self.ids: Ints = np.zeros(0, np.int64)  # 0 for those who were not told of yet
        self.labels: Ints = np.zeros(0, np.int64)
        self.hits: Ints = np.zeros(0, np.int64)  # frames in which each was seen
        self.seen: NDArray[np.float64] = np.zeros(0)  # when each was seen last
        self.best: NDArray[np.float64] = np.zeros(0)  # each one's highest score so far
        self.first: Floats = np.zeros((0, 4), np.float32)  # each one's first box
        self.newly = replace(Detections.none(), ids=np.zeros(0, np.int64))
        self.time: float | None = None
        self.given = 0

    def __call__(self, found: Detections, time: float) -> Detections:
        """The detections that belong to known identities, with their `ids`; the boxes are those detected.

        found  of one frame, with scores down to `settings.unsure`
        time   of the frame, seconds; must rise from call to call

        Raises SettingError when time does not rise.
        """
        how = self.settings
        if self.time is not None and not time > self.time:
            raise SettingError(f"tracking: a frame at {time} s after one at {self.time} s; times must rise")
        first = self.time is None
        self.motion.predict(0.0 if first else time - float(self.time or 0.0))
        before, self.time = self.time, time
        self._keep(time - self.seen <= how.keep)  # after an outage nobody is taken for who stood there before
        sure = (found.scores >= how.sure).nonzero()[0]
        unsure = ((found.scores < how.sure) & (found.scores >= how.unsure)).nonzero()[0]
        near = self._table(found)
        pairs = _pairs(near, np.arange(len(self.ids)), sure)
        pairs += self._match_unsure(found, unsure, near, pairs, before)
        rows, columns = np.array(pairs, np.int64).reshape(-1, 2).T
        self.motion.correct(rows, found.boxes.take(columns, axis=0))
        self.seen[rows], self.hits[rows] = time, self.hits[rows] + 1
        self.best[rows] = np.maximum(self.best[rows], found.scores[columns])
        free = np.ones(len(found), bool)
        free[columns] = False
        new = sure[free[sure]]
        if len(new):
            rows, columns = np.concatenate([rows, len(self.ids) + np.arange(len(new))]), np.concatenate([columns, new])
            self._begin(found, new, time, how.confirm if first else 1)
        known = self.known()[rows]
        rows, columns = rows[known], columns[known]
        self._name(found, rows, columns)
        order = (-found.scores[columns]).argsort(kind="stable")
        rows, columns = rows[order], columns[order]
        told = Detections(
            found.boxes.take(columns, axis=0), found.scores[columns], found.labels[columns], found.names, self.ids[rows]
        )
        self._keep((self.hits >= how.confirm) | (self.seen == time))  # who was not confirmed in time was nobody
        return told

    def _name(self, found: Detections, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> None:
        """Give numbers to those of `rows` who are told of for the first time."""
        fresh = self.ids[rows] == 0
        count = int(np.count_nonzero(fresh))
        if not count:
            if len(self.newly) or self.newly.names != found.names:
                self.newly = replace(Detections.none(found.names), ids=np.zeros(0, np.int64))
            return
        rows, columns = rows[fresh], columns[fresh]
        self.ids[rows] = self.given + 1 + np.arange(count)
        self.given += count
        self.newly = replace(found[columns], boxes=self.first[rows], ids=self.ids[rows])

    def known(self) -> NDArray[np.bool_]:
        """Which of those who are looked for (N,) are sure enough to be told of, or were told of before."""
        limit = self.settings.sure + self.settings.surer * (1 - self.settings.sure)
        return np.asarray((self.ids > 0) | ((self.hits >= self.settings.confirm) & (self.best >= limit)))

    def _table(self, found: Detections) -> NDArray[np.float64]:
        """How much speaks for it that a detection is an identity, (N, M): 0 where that cannot be."""
        how = self.settings
        near = nearness(self.motion, found.boxes, how.reach)
        doubt = np.maximum(how.sure - found.scores, 0) / max(how.sure - how.unsure, 1e-6)
        near *= near >= how.near + (how.near_unsure - how.near) * doubt
        near *= self.labels[:, None] == found.labels
        near[self.ids == 0] *= how.fresh
        return near

    def _match_unsure(
        self,
        found: Detections,
        unsure: NDArray[np.int64],
        near: NDArray[np.float64],
        pairs: list[tuple[int, int]],
        before: float | None,
    ) -> list[tuple[int, int]]:
        """Pairs of the second round: of those who are in none of `pairs` and were in sight at `before`.

        The others may be found again by sure detections alone.
        """
        waiting = self.seen == before
        waiting[[row for row, _ in pairs]] = False
        left = waiting.nonzero()[0]
        if not (len(left) and len(unsure)):
            return []
        parts = part_of(found, unsure, self.settings.part)
        alone = ~parts.any(axis=1)
        second = _pairs(near, left, unsure[alone])
        nobodys = np.ones(len(found), bool)
        nobodys[[column for _, column in pairs + second]] = False
        rest = unsure[~alone & ~(parts & nobodys).any(axis=1)]
        waiting[[row for row, _ in second]] = False
        return second + _pairs(near, waiting.nonzero()[0], rest)

    def _begin(self, found: Detections, columns: NDArray[np.int64], time: float, hits: int) -> None:
        """New identities of the detections `columns`; those of the very first frame need no confirming."""
        count = len(columns)
        self.motion.add(found.boxes[columns])
        self.ids = np.concatenate([self.ids, np.zeros(count, np.int64)])
        self.labels = np.concatenate([self.labels, found.labels[columns]])
        self.hits = np.concatenate([self.hits, np.full(count, hits)])
        self.seen = np.concatenate([self.seen, np.full(count, time)])
        self.best = np.concatenate([self.best, found.scores[columns]])
        self.first = np.concatenate([self.first, found.boxes[columns]])

    def _keep(self, kept: NDArray[np.bool_]) -> None:
        """The others are not looked for any more."""
        if kept.all():
            return
        self.motion.keep(kept)
        for name in ("ids", "labels", "hits", "seen", "best", "first"):
            setattr(self, name, getattr(self, name)[kept])


def _pairs(near: NDArray[np.float64], rows: NDArray[np.int64], columns: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Pairs (identity, detection) of largest sum, of some rows and columns of the table."""
    if not (len(rows) and len(columns)):
        return []
    return [(int(rows[i]), int(columns[j])) for i, j in pair_up(near.take(rows, axis=0).take(columns, axis=1))]


def part_of(found: Detections, columns: NDArray[np.int64], share: float) -> NDArray[np.bool_]:
    """Of which detections of its class each of `columns` (N,) shows part, or the whole of a part: (N, M) of all M.

    Those of a higher score of which `share` of the smaller one's area lies in the other.
    """
    sizes = area(found.boxes)
    smaller = np.minimum(sizes.take(columns)[:, None], sizes)
    shared = intersection(found.boxes.take(columns, axis=0), found.boxes) >= share * smaller
    higher = found.scores.take(columns)[:, None] < found.scores
    return np.asarray(shared & higher & (found.labels.take(columns)[:, None] == found.labels))


def nearness(motion: Motion, boxes: Floats, reach: float) -> NDArray[np.float64]:
    """How well detections (M, 4) fit where the N filters think their boxes are: (N, M), 0 to 1.

    The product of three shares: how near the centres are across and down, 0 at a distance of `reach` mean widths
    (heights) and two standard deviations of what the filter does not know; and the IoU that the two shapes have when
    laid on each other. Plain IoU asks nothing of a filter's doubt: somebody seen once, whose speed is not known yet,
    would be lost when he moves by more than his width to the next frame.
    """
    here, there = motion.position, to_centres(boxes).astype(np.float64)
    doubt = 2 * np.sqrt(motion.pp[:, :2])
    size = (here[:, None, 2:] + there[None, :, 2:]) / 2
    share = 1 - np.abs(here[:, None, :2] - there[None, :, :2]) / (reach * size + doubt[:, None])
    shapes = shape_iou(here[:, 2:].astype(np.float32), there[:, 2:].astype(np.float32))
    share = np.maximum(share, 0)
    return np.asarray(share[..., 0] * share[..., 1] * shapes)
