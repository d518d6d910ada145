"""What became of the detections of a data set: found, false, or not counted; and of resamples of its pictures."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from passerby.measure.one_to_one import DROPPED, HIT, MISS
from passerby.records import Floats, Ints

Doubles = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Matches:
    """All detections of one class (or of all) over a data set, highest score first, and what became of them.

    scores      (D,) float32
    outcome     (D,) HIT, MISS or DROPPED
    picture     (D,) which picture
    objects_in  (P,) how many objects that count each picture has
    """

    scores: Floats
    outcome: NDArray[np.int8]
    picture: Ints
    objects_in: Ints

    @property
    def objects(self) -> int:
        """Number of objects that count."""
        return int(self.objects_in.sum())

    @property
    def pictures(self) -> int:
        """Number of pictures."""
        return len(self.objects_in)

    def counted(self) -> Matches:
        """The same without the detections that are not judged."""
        kept = self.outcome != DROPPED
        return Matches(self.scores[kept], self.outcome[kept], self.picture[kept], self.objects_in)

    def ends(self) -> NDArray[np.intp]:
        """Where each distinct score ends (K,): detections of one score cannot be told apart by a threshold."""
        if not len(self.scores):
            return np.zeros(0, np.intp)
        return np.flatnonzero(np.append(self.scores[1:] != self.scores[:-1], True))

    def curve(self) -> tuple[Floats, Doubles, Doubles]:
        """Hits and false alarms so far at each distinct score, from the highest down: (scores, hits, alarms).

        Detections of one score cannot be told apart by a threshold, so they enter together.
        """
        judged = self.counted()
        last = judged.ends()
        hits, alarms = (np.cumsum(judged.outcome == what, dtype=np.float64)[last] for what in (HIT, MISS))
        return judged.scores[last], hits, alarms

    def drawn(self, times: Ints) -> Matches:
        """What `match` would say of a data set in which each picture stands as often as drawn; nothing is rematched.

        times  (P,) how often
        """
        index, copy = self._copies(times[self.picture])
        picture = (np.cumsum(times) - times)[self.picture[index]] + copy
        return Matches(self.scores[index], self.outcome[index], picture, np.repeat(self.objects_in, times))

    def untangled(self, times: Ints) -> tuple[Matches, Ints]:
        """The same resamples, told so that copies of a hit stand side by side, with no false alarm in between.

        times    (R, P) how often each picture stands in each
        returns  matches of P + V pictures, and times (R, P + V): where hits and false alarms of one picture have one
                 score, each copy of them is of a picture of its own, which stands in a resample once or not at all
        """
        if not self.tangled.any():
            return self, times
        most = int(times.max(initial=0))
        index, copy = self._copies(np.where(self.tangled, most, 1))
        pictures = np.unique(self.picture[self.tangled])
        own = self.pictures + np.searchsorted(pictures, self.picture[index]) * most + copy
        picture = np.where(self.tangled[index], own, self.picture[index])
        more = (times[:, pictures, None] > np.arange(most)).reshape(len(times), -1).astype(times.dtype)
        objects = np.append(self.objects_in, np.zeros(more.shape[1], self.objects_in.dtype))
        return Matches(self.scores[index], self.outcome[index], picture, objects), np.hstack([times, more])

    def _copies(self, often: Ints) -> tuple[Ints, Ints]:
        """Which detection stands where when each stands `often` (D,) times, and which copy of it that is.

        Equal scores of one picture: all of the first copy, then all of the second, ...
        """
        index = np.repeat(np.arange(len(often)), often)
        starts = np.cumsum(often) - often
        copy = np.arange(len(index)) - starts[index]
        if self.twins is not None:
            first, nth, size = (column[index] for column in self.twins)
            place = starts[first] + copy * size + nth
            index[place], copy[place] = index.copy(), copy.copy()
        return index, copy

    @cached_property
    def twins(self) -> tuple[Ints, Ints, Ints] | None:
        """Of the run of equal scores of one picture that each detection is in: its first, the place in it, its size.

        None where all scores of a picture differ.
        """
        new = (self.scores[1:] != self.scores[:-1]) | (self.picture[1:] != self.picture[:-1])
        if new.all():
            return None
        firsts = np.flatnonzero(np.append(True, new))
        sizes = np.diff(firsts, append=len(self.scores))
        first = np.repeat(firsts, sizes)
        return first, np.arange(len(first)) - first, np.repeat(sizes, sizes)

    @cached_property
    def tangled(self) -> NDArray[np.bool_]:
        """Which detections (D,) have one score and picture with others, of which some are hits and some false alarms.

        Where a picture is drawn twice into a resample, their order matters.
        """
        if self.twins is None:
            return np.zeros(len(self.scores), np.bool_)
        first = self.twins[0]
        hits, alarms = (np.bincount(first[self.outcome == what], minlength=len(first)) for what in (HIT, MISS))
        return ((hits > 0) & (alarms > 0))[first]
