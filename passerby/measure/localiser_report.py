"""`evaluate_localiser(localiser, pictures)`: every number about a localiser, and its table."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from passerby.measure.classification import score_pictures
from passerby.measure.evaluate import METRICS, Report, judge_found, score
from passerby.measure.localisation import DELTAS, RULES, THRESHOLDS, MapRow, box_acc_curve, judge_map, score_maps
from passerby.measure.matching import Doubles
from passerby.measure.picture_labels import HOLDS, PictureSet
from passerby.measure.report import to_text as detector_text
from passerby.pictures import read_picture
from passerby.records import Detections
from passerby.runtime.localiser import Localiser

ON_PICTURES = {
    "accuracy": "accuracy at score 0.5",
    "accuracy_at_threshold": "accuracy at the model's threshold",
    "loss": "loss (cross-entropy)",
    "auc": "AUC of ROC",
    "precision": "precision at the model's threshold",
    "recall": "recall at the model's threshold",
}
ON_MAPS = {
    **{f"box_acc@{d:g}": f"MaxBoxAcc, IoU {d:g}, threshold of the other half" for d in DELTAS},
    "box_acc": "  mean of the three",
    "box_acc_any": "MaxBoxAccV2 (best of all regions), other half",
    "box_acc_own": "BoxAcc, mean, at the model's map threshold",
    **{f"max_box_acc@{d:g}": f"MaxBoxAcc, IoU {d:g}, threshold of these maps" for d in DELTAS},
    "best_map_threshold": "  map threshold best for these maps",
    "pxap": "PxAP, points inside all boxes",
}
IN_GROUPS = {
    "separated": "groups in which each has a region (by its peak)",
    "separated_iou": "  the same by IoU 0.3",
    "apart": "people in groups who have a region",
    "one_in_pieces": "single people who fall into several",
}


@dataclass(frozen=True)
class LocaliserReport:
    """What was measured of a localiser.

    pictures  numbers about whole pictures: `classification.score_pictures`
    maps      numbers about where: `localisation.score_maps`; empty where no boxes are known
    curve     BoxAcc (DELTAS, THRESHOLDS); empty where no boxes are known
    boxes     regions judged as a detector's boxes; None where no boxes are known
    settings  what was measured, and how
    """

    pictures: dict[str, float]
    maps: dict[str, float]
    curve: Doubles = field(repr=False)
    boxes: Report | None
    settings: dict[str, Any]

    def to_json(self) -> str:
        """One document: {"pictures", "maps", "curve": {"thresholds", "0.3", ...}, "boxes", "settings"}; NaN is null."""
        curve: dict[str, list[float]] = {}
        if self.curve.size:
            curve = {"thresholds": np.round(THRESHOLDS, 2).astype(np.float64).round(2).tolist()}
            curve |= {f"{d:g}": np.round(row, 6).tolist() for d, row in zip(DELTAS, self.curve, strict=True)}
        boxes = None if self.boxes is None else _plain(self.boxes.scores)
        document = {"pictures": _plain(self.pictures), "maps": _plain(self.maps), "curve": curve, "boxes": boxes}
        return json.dumps(document | {"settings": self.settings}, indent=1)

    def to_text(self) -> str:
        """Tables for people: pictures, maps, groups, and the regions as a detector's boxes."""
        s, p = self.settings, self.pictures
        lines = [
            f"{s['data']}: {s['pictures']} pictures; {p['positives']:.0f} hold what is looked for, "
            f"{p['negatives']:.0f} do not",
            f"engine: {s['engine']}, {s['ms_per_picture']:.1f} ms a picture, decoding not counted",
            "",
            f"whole pictures (threshold {s['threshold']:g})",
            *(_line(text, p[key]) for key, text in ON_PICTURES.items()),
        ]
        if self.maps:
            lines += [
                "",
                f"maps of {s['map_size']} cells, {self.maps['maps']:.0f} of pictures whose boxes are known "
                f"(map threshold {s['map_threshold']:g})",
                *(_line(text, self.maps[key]) for key, text in ON_MAPS.items()),
                "",
                f"people who stand together: {self.maps['groups']:.0f} groups of two or more; valleys of "
                f"{s['split']:g} part, beside plain connected regions",
                f"  {'':<48}" + "".join(f"{rule:>9}" for rule in RULES),
            ]
            for key, text in IN_GROUPS.items():
                lines.append(f"  {text:<48}" + "".join(f"{_number(self.maps[f'{key}/{r}']):>9}" for r in RULES))
        if self.boxes is not None:
            lines += ["", "regions judged as the boxes of a detector", detector_text(self.boxes)]
        return "\n".join(lines)


def evaluate_localiser(
    localiser: Localiser,
    pictures: PictureSet,
    floor: float = 0.01,
    metrics: tuple[str, ...] = tuple(METRICS),
    coco_cap: int = 100,
    progress: Callable[[int, int], None] | None = None,
    seed: int = 0,
) -> LocaliserReport:
    """Run a localiser over pictures, once each, and score what it says of them and where.

    floor     regions that score under this are dropped before they are judged as boxes
    metrics   names from METRICS, for the regions judged as boxes
    coco_cap  regions a picture that COCO AP looks at
    progress  called with (pictures done, pictures in all)
    seed      of the halves on which map thresholds are chosen and scored

    Raises SourceError for a picture that cannot be read, ModelError as Localiser does.
    """
    samples = pictures.samples
    scores = np.zeros((len(samples), len(samples.labels)), np.float32)
    rows: list[MapRow] = []
    found: list[Detections] = []
    size, spent, started = "", 0.0, time.perf_counter()
    for i, sample in enumerate(samples):
        pixels = read_picture(sample.path)
        before = time.perf_counter()
        prepared, placement = localiser.prepare(pixels)
        scores[i], maps = localiser.run(prepared)
        regions = localiser.settle(scores[i], maps, placement, floor)
        spent += time.perf_counter() - before
        size = f"{maps.shape[1]} x {maps.shape[2]}"
        if pictures.located[i]:
            found.append(regions)
            for k in np.flatnonzero(pictures.holds[i] == HOLDS).tolist():
                laid = localiser.lay_map(maps, k, placement)
                truth = sample.truth[(sample.truth.labels == k) | sample.truth.ignore]
                truth = replace(truth, boxes=laid.from_input(placement.forth(truth.boxes)))
                rows.append(judge_map(laid.heat, truth, localiser.map_threshold, localiser.split))
        if progress:
            progress(i + 1, len(samples))
    settings = {
        "data": samples.source,
        "pictures": len(samples),
        "threshold": localiser.spec.threshold,
        "map_threshold": localiser.map_threshold,
        "split": localiser.split,
        "map_size": size,
        "score_floor": floor,
        "seed": seed,
        "engine": localiser.engine_name,
        "ms_per_picture": 1000 * spent / max(len(samples), 1),
    }
    boxes = None
    if rows:
        seconds = time.perf_counter() - started
        run = judge_found(localiser, pictures.with_boxes(), found, coco_cap, spent, seconds)
        run = replace(run, judged=replace(run.judged, floor=floor), settings=run.settings | {"score_floor": floor})
        boxes = score(run, metrics)
    return LocaliserReport(
        score_pictures(scores, pictures.holds, localiser.spec.threshold),
        score_maps(rows, localiser.map_threshold, seed),
        box_acc_curve(rows) if rows else np.zeros((0, 0)),
        boxes,
        settings,
    )


def _plain(scores: dict[str, float]) -> dict[str, float | None]:
    return {k: None if math.isnan(v) else round(v, 6) for k, v in scores.items()}


def _line(text: str, value: float) -> str:
    return f"  {text:<48}{_number(value):>9}"


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.4f}"
