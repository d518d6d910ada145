"""What tells how good a candidate is: average precision of a detector; AUC of a localiser, and how far its maps moved.

ONNX Runtime runs every candidate, the float file too: the same engine for both.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from passerby.deploy.parity import FLOOR
from passerby.deploy.parity_limits import Limits
from passerby.deploy.parity_shift import Maps, maps_apart
from passerby.errors import DataError
from passerby.measure.average_precision import mean_area_ap
from passerby.measure.classification import score_pictures
from passerby.measure.evaluate import judge
from passerby.measure.picture_labels import pictures_of
from passerby.pictures import read_picture
from passerby.records import Floats, SampleSet
from passerby.runtime.detector import Detector
from passerby.runtime.localiser import Localiser
from passerby.runtime.session import open_engine
from passerby.spec import ModelSpec

Answer = tuple[Floats, Floats]


@dataclass(frozen=True)
class Verdict:
    """Of one file.

    value   0..1, the higher the better: what the budget is in
    strain  what else must hold, in multiples of its limit: over 1 it does not
    """

    value: float
    strain: float = 0.0


class Judge(Protocol):
    """Measures candidates; the first that it is given is the float file."""

    @property
    def measure(self) -> str:
        """What `Verdict.value` is: "AP50" or "AUC"."""
        ...

    def __call__(self, data: bytes, spec: ModelSpec) -> Verdict:
        """Of one file's bytes."""
        ...


class DetectorJudge:
    """AP50 on labelled pictures. Raises DataError where they hold no object."""

    measure = "AP50"

    def __init__(self, samples: SampleSet, threads: int = 0) -> None:
        if not samples.objects():
            raise DataError(
                f"{samples.source}: has no labelled object to judge accuracy on; name labelled pictures by --check"
            )
        self.samples, self.threads = samples, threads

    def __call__(self, data: bytes, spec: ModelSpec) -> Verdict:
        """AP50 of a file."""
        engine = open_engine(data, spec.name, "onnxruntime", self.threads, spec=spec)
        return Verdict(mean_area_ap(judge(Detector.of(spec, engine, FLOOR), self.samples).judged))


class LocaliserJudge:
    """AUC of what is said of whole pictures; beside it maps and scores have to stay within the certificate's limits.

    samples  class folders, one of them of another name than the model's labels, or any set with boxes
    limits   of which `maps_p99` and `score_p99` are held

    Raises DataError where not both are there: pictures with, and pictures without what the model looks for.
    """

    measure = "AUC"

    def __init__(self, samples: SampleSet, labels: tuple[str, ...], limits: Limits, threads: int = 0) -> None:
        self.pictures, self.limits, self.threads = pictures_of(samples, labels), limits, threads
        self.before: list[Answer] = []
        if math.isnan(self._auc(np.zeros(self.pictures.holds.shape, np.float32))):
            raise DataError(
                f"{samples.source}: to judge by, pictures with {' and '.join(labels)} are needed and pictures without; "
                "name class folders of both by --check, without --classes"
            )

    def __call__(self, data: bytes, spec: ModelSpec) -> Verdict:
        """AUC of a file, and by how much it differs from the float one."""
        engine = open_engine(data, spec.name, "onnxruntime", self.threads, spec=spec)
        localiser = Localiser.of(spec, engine)
        answers = [localiser.run(localiser.prepare(read_picture(s.path))[0]) for s in self.pictures.samples]
        self.before = self.before or answers
        return Verdict(self._auc(np.stack([scores for scores, _ in answers])), self._strain(answers))

    def _auc(self, scores: Floats) -> float:
        return score_pictures(scores, self.pictures.holds, 0.5)["auc"]

    def _strain(self, answers: list[Answer]) -> float:
        apart: Maps = maps_apart(self.before, answers)
        held = ((apart.maps.p99, self.limits.maps_p99), (apart.scores.p99, self.limits.score_p99))
        return max((value / max(limit, 1e-9) for value, limit in held if limit is not None), default=0.0)
