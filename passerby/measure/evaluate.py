"""`evaluate(predict, samples)`: every number about any predictor, the same in training, `eval` and comparisons."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from passerby.data import load_data
from passerby.errors import DataError, SettingError, did_you_mean
from passerby.measure import average_precision, coco, counting, jaccard, miss_rate
from passerby.measure.matching import Judged, Metric, Pair
from passerby.pictures import read_picture
from passerby.records import Detections, Pixels, SampleSet

Predict = Callable[[Pixels], Detections]

METRICS: dict[str, Metric] = {
    "average_precision": average_precision.score,
    "miss_rate": miss_rate.score,
    "jaccard": jaccard.score,
    "at_threshold": miss_rate.at_threshold,
    "counting": counting.score,
    "by_size": average_precision.by_size,
    "coco": coco.score,
}


@dataclass(frozen=True)
class Report:
    """What was measured, on what, with which settings."""

    scores: dict[str, float]
    settings: dict[str, Any]
    judged: Judged = field(repr=False)


def evaluate(
    predict: Predict,
    samples: SampleSet,
    metrics: tuple[str, ...] = tuple(METRICS),
    coco_cap: int = 100,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Run a predictor over a data set and score it.

    predict   any callable (H, W, 3) uint8 RGB -> Detections in that picture's pixels, with every score down to a low
              floor. A `passerby.Detector` made with `threshold=0.01` is one. Where it has `threshold`, `nms_iou`,
              `max_detections` and `engine_name`, they are printed with the scores, and the operating point is its
              `spec.threshold`, else 0.5; detections are matched to the data's labels by name
    metrics   names from METRICS
    coco_cap  detections a picture that COCO AP looks at
    progress  called with (pictures done, pictures in all)

    Raises DataError when the predictor's labels are not the data's or the data has no boxes, SettingError for an
    unknown metric.
    """
    need_metrics(metrics)
    return score(judge(predict, samples, coco_cap, progress), metrics)


@dataclass(frozen=True)
class Run:
    """A predictor's detections over a data set, and what is printed with every score of them."""

    judged: Judged
    settings: dict[str, Any]


def judge(
    predict: Predict, samples: SampleSet, coco_cap: int = 100, progress: Callable[[int, int], None] | None = None
) -> Run:
    """Run a predictor over a data set, without scoring; for the arguments and errors see `evaluate`."""
    need_boxes(samples)
    found, started, spent = [], time.perf_counter(), 0.0
    for i, sample in enumerate(samples):
        pixels = read_picture(sample.path)
        before = time.perf_counter()
        raw = predict(pixels)
        spent += time.perf_counter() - before
        found.append(renumber(raw, samples.labels))  # here, so that labels that do not fit are told after one picture
        if progress:
            progress(i + 1, len(samples))
    return judge_found(predict, samples, found, coco_cap, spent, time.perf_counter() - started)


def judge_found(
    predict: object, samples: SampleSet, found: Sequence[Detections], coco_cap: int, spent: float, seconds: float
) -> Run:
    """As `judge`, of detections that are there already, one a sample.

    spent    seconds in `predict`
    seconds  of the whole run
    """
    pairs = [Pair(s.path.name, s.truth, renumber(f, samples.labels)) for s, f in zip(samples, found, strict=True)]
    spec = getattr(predict, "spec", None)
    judged = Judged(
        pairs,
        samples.labels,
        threshold=spec.threshold if spec else 0.5,
        floor=getattr(predict, "threshold", None),
        nms_iou=getattr(predict, "nms_iou", None),
        cap=getattr(predict, "max_detections", None),
        coco_cap=coco_cap,
    )
    settings = {
        "data": samples.source,
        "pictures": len(samples),
        "objects": samples.objects(),
        "match_iou": 0.5,
        "score_floor": judged.floor,
        "nms": getattr(predict, "nms", None),
        "nms_iou": judged.nms_iou,
        "max_detections": judged.cap,
        "coco_cap": coco_cap,
        "threshold": judged.threshold,
        "engine": getattr(predict, "engine_name", None),
        "ms_per_picture": 1000 * spent / max(len(samples), 1),
        "seconds": seconds,
    }
    return Run(judged, settings)


def score(run: Run, metrics: tuple[str, ...] = tuple(METRICS)) -> Report:
    """Every number about what was detected. Raises SettingError for an unknown metric."""
    need_metrics(metrics)
    scores: dict[str, float] = {}
    for name in metrics:
        scores.update(METRICS[name](run.judged))
    return Report(scores, run.settings, run.judged)


def need_metrics(metrics: Sequence[str]) -> None:
    """Raises SettingError for an unknown metric, naming the nearest."""
    for name in metrics:
        if name not in METRICS:
            raise SettingError(f"no metric '{name}'{did_you_mean(name, METRICS)}")


def load_boxes(source: str, labels: Sequence[str], root: str | Path) -> SampleSet:
    """`load_data`, for training or measuring a detector. Raises DataError as `need_boxes` does."""
    samples = load_data(source, labels, root)
    need_boxes(samples)
    return samples


def labels_apart(source: str, wanted: Collection[str], root: str | Path) -> tuple[str, ...]:
    """The labels that a data set has, where none of them is wanted; () where one is, or where it has none."""
    own = load_data(source, (), root).labels
    return () if set(own) & set(wanted) else own


def need_boxes(samples: SampleSet) -> None:
    """Raises DataError where a picture has a label and no boxes: nobody said that it holds no object."""
    for sample in samples:
        if sample.label is not None and len(sample.truth) == 0:
            raise DataError(
                f"{samples.source}: has labels of whole pictures, no boxes ({sample.path.name} is "
                f"'{samples.labels[sample.label]}'); detectors are trained and measured on boxes: name such data"
            )


def renumber(found: Detections, labels: tuple[str, ...]) -> Detections:
    """Detections with the data's label numbers. Those of labels that the data does not have are left out."""
    if found.names == labels or len(found.names) == 0:
        return found
    if not set(found.names) & set(labels):
        raise DataError(f"the model finds {list(found.names)}, the data has {list(labels)}: no label in common")
    numbers = [labels.index(n) if n in labels else -1 for n in found.names]
    kept = [i for i, k in enumerate(found.labels) if numbers[int(k)] >= 0]
    part = found[kept]
    part.labels[:] = [numbers[int(k)] for k in part.labels]
    return Detections(part.boxes, part.scores, part.labels, labels)
