"""How far two predictors' answers lie apart: boxes paired one to one, and raw outputs row by row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from passerby.errors import DataError
from passerby.geometry.boxes import iou
from passerby.geometry.pairing import pair_up
from passerby.measure.matching import Doubles
from passerby.pictures import read_picture
from passerby.records import Detections, Floats, Ints, SampleSet
from passerby.runtime.predictor import Predictor
from passerby.runtime.undecoded import Undecoded

Mask = NDArray[np.bool_]
SAME = 0.5  # IoU from which on two detections can be of one object, as everywhere in measuring
RAW_PICTURES = 32  # whose raw outputs are compared
FLOOR = 0.01  # default boxes that neither file scores so are never seen


@dataclass(frozen=True)
class Spread:
    """Of many differences: the median, the value that 1 in 100 exceeds, and the largest. NaN of none."""

    p50: float
    p99: float
    most: float

    @classmethod
    def of(cls, values: Doubles) -> Spread:
        """Of (N,) values, none of them negative."""
        if not len(values):
            return cls(np.nan, np.nan, np.nan)
        p50, p99, most = np.quantile(values, (0.5, 0.99, 1.0))
        return cls(float(p50), float(p99), float(most))


@dataclass(frozen=True)
class Shift:
    """What became of the detections of one predictor in another, over all pictures.

    boxes    (K,) largest move of any side of a paired box, pixels of the picture
    scores   (K,) how far the scores of a pair lie apart
    before, after  detections from the threshold on, of each
    lost     of `before`, those without a partner that is shown as well
    gained   of `after`, likewise
    by_picture  (P,) lost and gained
    """

    boxes: Doubles
    scores: Doubles
    before: int
    after: int
    lost: int
    gained: int
    by_picture: NDArray[np.int64]

    @property
    def changed(self) -> float:
        """Detections lost or gained, as a share of those shown by either; 0 for one alone.

        A single score that lies on the threshold says nothing, and of twenty detections it would be 5 %.
        """
        many = self.lost + self.gained
        return many / (self.before + self.gained) if many > 1 else 0.0


@dataclass(frozen=True)
class Raw:
    """Graphs of one meaning compared before suppression, default box by default box.

    pictures  how many
    rows      how many default boxes either scores from FLOOR on
    boxes     largest move of a side, input pixels, of those
    scores    difference of their scores
    """

    pictures: int
    rows: int
    boxes: Spread
    scores: Spread

    @property
    def finite(self) -> bool:
        """Whether all that was compared are numbers."""
        return not self.rows or not (np.isnan(self.boxes.most) or np.isnan(self.scores.most))


@dataclass(frozen=True)
class Maps:
    """Two localisers compared: scores of whole pictures, and maps as shares of the largest value of a picture's."""

    scores: Spread
    maps: Spread


def shift_of(
    before: Sequence[Detections], after: Sequence[Detections], threshold_before: float, threshold_after: float
) -> Shift:
    """Pair the detections of each picture one to one: of one label, an IoU of at least SAME, the most IoU in all.

    before, after  one a picture, with every score down to a low floor, so that a score that fell is no lost box

    What both show is paired first; what is left over is then looked for among those that the other does not show: such
    a pair counts for shifts, and as lost or gained.
    """
    boxes, scores, changed = [np.zeros(0)], [np.zeros(0)], []
    shown_before = shown_after = lost = gained = 0
    for a, b in zip(before, after, strict=True):
        a_shown, b_shown = a.scores >= threshold_before, b.scores >= threshold_after
        rows, columns = _pair(a, b, a_shown, b_shown)
        boxes.append(np.abs(a.boxes[rows].astype(np.float64) - b.boxes[columns]).max(axis=1, initial=0))
        scores.append(np.abs(a.scores[rows].astype(np.float64) - b.scores[columns]))
        both = int((a_shown[rows] & b_shown[columns]).sum())
        here, there = int(a_shown.sum()), int(b_shown.sum())
        shown_before, shown_after = shown_before + here, shown_after + there
        lost, gained = lost + here - both, gained + there - both
        changed.append(here + there - 2 * both)
    return Shift(
        np.concatenate(boxes), np.concatenate(scores), shown_before, shown_after, lost, gained,
        np.array(changed, np.int64),
    )  # fmt: skip


def compare_raw(before: Predictor, after: Predictor, samples: SampleSet) -> Raw | None:
    """The first RAW_PICTURES through both graphs; None where their outputs are not boxes and scores, row by row.

    What sorts or suppresses inside the graph has no rows that mean the same in both.
    """
    boxes, scores, pictures = [np.zeros(0)], [np.zeros(0)], samples.samples[:RAW_PICTURES]
    for sample in pictures:
        pixels = read_picture(sample.path)
        answers = [_decoded(p.run(p.prepare(pixels)[0])) for p in (before, after)]
        if not all(_is_rows(x) for x in answers) or answers[0][0].shape != answers[1][0].shape:
            return None
        (box_a, score_a), (box_b, score_b) = answers
        if score_a.shape != score_b.shape:
            return None
        seen = ~(np.maximum(score_a, score_b).max(axis=1) < FLOOR)  # so that what is no number is seen
        boxes.append(np.abs(box_a[seen].astype(np.float64) - box_b[seen]).max(axis=1, initial=0))
        scores.append(np.abs(score_a[seen].astype(np.float64) - score_b[seen]).max(axis=1, initial=0))
    moved, apart = np.concatenate(boxes), np.concatenate(scores)
    return Raw(len(pictures), len(moved), Spread.of(moved), Spread.of(apart))


def _decoded(answer: Any) -> Any:
    """A raw answer whose boxes are an array, where they are worked out when asked."""
    return (answer[0][:], answer[1]) if isinstance(answer, tuple) and isinstance(answer[0], Undecoded) else answer


def compare_maps(before: Predictor, after: Predictor, samples: SampleSet) -> Maps:
    """Every picture through two localisers. Raises as `maps_apart` does."""
    answers: tuple[list[tuple[Floats, Floats]], ...] = ([], [])
    for sample in samples:
        pixels = read_picture(sample.path)
        for rows, predictor in zip(answers, (before, after), strict=True):
            rows.append(predictor.run(predictor.prepare(pixels)[0]))
    return maps_apart(*answers)


def maps_apart(before: Sequence[tuple[Floats, Floats]], after: Sequence[tuple[Floats, Floats]]) -> Maps:
    """Two localisers' scores (C,) and maps (C + 1, h, w) of the same pictures.

    Raises DataError where they have not one shape.
    """
    scores, maps = [], []
    for (score_a, map_a), (score_b, map_b) in zip(before, after, strict=True):
        if score_a.shape != score_b.shape or map_a.shape != map_b.shape:
            raise DataError(
                f"maps of {map_a.shape} and of {map_b.shape} cannot be set side by side; compare two files of one model"
            )
        scores.append(np.abs(score_a.astype(np.float64) - score_b).ravel())
        apart = np.abs(map_a.astype(np.float64) - map_b) / max(float(np.abs(map_a).max()), 1e-6)
        maps.append(apart.ravel())
    return Maps(Spread.of(np.concatenate(scores)), Spread.of(np.concatenate(maps)))


def _pair(a: Detections, b: Detections, a_shown: Mask, b_shown: Mask) -> tuple[Ints, Ints]:
    """Rows of a and of b that are one detection each, (K,) both."""
    gain = iou(a.boxes, b.boxes)
    gain[_names(a)[:, None] != _names(b)] = 0
    pairs: list[tuple[int, int]] = []
    for rows, columns in ((a_shown, b_shown), (a_shown, ~b_shown), (~a_shown, b_shown)):
        wanted = gain * (rows[:, None] & columns)
        for r, c in pairs:
            wanted[r], wanted[:, c] = 0, 0
        pairs += pair_up(wanted, SAME)
    found = np.array(pairs, np.int64).reshape(-1, 2)
    return found[:, 0], found[:, 1]


def _names(found: Detections) -> NDArray[np.str_]:
    """The label of each detection in words: two files may number them differently."""
    return np.array(found.names or ("",))[found.labels]


def _is_rows(answer: object) -> bool:
    """Whether a raw answer is boxes (A, 4) and scores (A, C), as `runtime.Detector` has them."""
    if not (isinstance(answer, tuple) and len(answer) == 2 and all(isinstance(x, np.ndarray) for x in answer)):
        return False
    boxes, scores = answer
    return bool(boxes.ndim == 2 == scores.ndim and boxes.shape == (len(scores), 4))
