"""COCO AP, by hotcoco (a maintained implementation of the COCO evaluation)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from passerby.errors import MissingExtraError
from passerby.measure.matching import Judged
from passerby.records import Floats

NAMES = ("coco_ap", "coco_ap50", "coco_ap75", "coco_ap_small", "coco_ap_medium", "coco_ap_large")


def score(judged: Judged) -> dict[str, float]:
    """`coco_ap`, `coco_ap50`, `coco_ap75`, `coco_ap_small/medium/large`, and `coco_capped`.

    10 IoU thresholds 0.5 ... 0.95, 101 recall points, areas in original pixels. `coco_capped`: in how many pictures
    the cap of detections left some out. Difficult objects and ignore regions are passed as crowds, the regions as
    crowds of every class. COCO's own rule holds: a crowd excuses a detection whose share in it (intersection / own
    area) reaches the IoU threshold, so half of it is enough at 0.5, and 95 % is needed at 0.95.

    Raises MissingExtraError where hotcoco is not installed.
    """
    capped = sum(n > judged.coco_cap for n in most_of_a_class(judged))  # the cap counts per class
    return {**score_capped(judged, [judged.coco_cap])[0], "coco_capped": float(capped)}


def most_of_a_class(judged: Judged) -> list[int]:
    """Of each picture: how many detections the class with most of them has."""
    return [int(np.bincount(p.found.labels).max()) if len(p.found) else 0 for p in judged.pairs]


def score_capped(judged: Judged, caps: Sequence[int]) -> list[dict[str, float]]:
    """NAMES as `score` gives them, one dict a cap of detections (a picture and class); matched once.

    Raises MissingExtraError where hotcoco is not installed.
    """
    try:
        import hotcoco
    except ImportError as e:
        raise MissingExtraError("hotcoco", "measure") from e
    images, annotations, found = _as_coco(judged, max(caps))
    if not annotations:
        return [dict.fromkeys(NAMES, math.nan) for _ in caps]
    categories = [{"id": k + 1, "name": name} for k, name in enumerate(judged.labels)]
    truth = hotcoco.COCO({"images": images, "annotations": annotations, "categories": categories})
    judge = hotcoco.COCOeval(truth, truth.load_res(found), "bbox")
    judge.params.max_dets = list(caps)
    judge.evaluate()
    judge.accumulate()
    assert judge.eval is not None
    precision = np.asarray(judge.eval["precision"])  # (IoU, recall, class, area, cap); -1 where there is no object
    ious = np.asarray(judge.params.iou_thrs)
    at_50, at_75 = (precision[np.isclose(ious, iou), :, :, 0] for iou in (0.5, 0.75))
    areas = [precision[..., k, :] for k in range(4)]  # all, small, medium, large
    parts = (areas[0], at_50, at_75, *areas[1:])
    return [{n: _mean(part[..., c]) for n, part in zip(NAMES, parts, strict=True)} for c in range(len(caps))]


def _mean(precision: NDArray[np.float64]) -> float:
    real = precision[precision > -1]
    return float(real.mean()) if real.size else math.nan


def _as_coco(judged: Judged, cap: int) -> tuple[list[Any], list[Any], NDArray[np.float64]]:
    """Images, annotations, and the `cap` best detections of each picture and class, which COCO looks at.

    Detections (D, 7): image, x, y, w, h, score, category.
    """
    images: list[Any] = []
    annotations: list[Any] = []
    found = [np.zeros((0, 7))]
    for i, pair in enumerate(judged.pairs, 1):
        images.append({"id": i, "file_name": pair.name, "width": 1, "height": 1})
        truth = pair.truth
        hazy = (truth.difficult | truth.ignore).astype(int).tolist()
        sides = _sides(truth.boxes)
        columns = (
            sides.tolist(),
            sides[:, 2:].prod(axis=1).tolist(),
            truth.labels.tolist(),
            truth.ignore.tolist(),
            hazy,
        )
        for box, area, label, ignore, crowd in zip(*columns, strict=True):
            for k in range(len(judged.labels)) if ignore else (label,):
                row = {"id": len(annotations) + 1, "image_id": i, "category_id": k + 1, "iscrowd": crowd}
                annotations.append({**row, "bbox": box, "area": area})
        for k in range(len(judged.labels)):
            own = np.flatnonzero(pair.found.labels == k)
            own = own[np.argsort(-pair.found.scores[own], kind="stable")][:cap]
            rows = np.empty((len(own), 7))
            rows[:, 0], rows[:, 5], rows[:, 6] = i, pair.found.scores[own], k + 1
            rows[:, 1:5] = _sides(pair.found.boxes[own])
            found.append(rows)
    return images, annotations, np.concatenate(found)


def _sides(boxes: Floats) -> NDArray[np.float64]:
    """Boxes as x y w h."""
    wide = boxes.astype(np.float64)
    return np.hstack([wide[:, :2], wide[:, 2:] - wide[:, :2]])
