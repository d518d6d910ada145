"""COCO AP, by hotcoco (a maintained implementation of the COCO evaluation)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from passerby.errors import MissingExtraError
from passerby.measure.matching import Judged


def score(judged: Judged) -> dict[str, float]:
    """`coco_ap`, `coco_ap50`, `coco_ap75`, `coco_ap_small/medium/large`, and `coco_capped`.

    10 IoU thresholds 0.5 ... 0.95, 101 recall points, areas in original pixels. `coco_capped`: in how many pictures
    the cap of detections left some out. Difficult objects and ignore regions are passed as crowds, the regions as
    crowds of every class. COCO's own rule holds: a crowd excuses a detection whose share in it (intersection / own
    area) reaches the IoU threshold, so half of it is enough at 0.5, and 95 % is needed at 0.95.

    Raises MissingExtraError where hotcoco is not installed.
    """
    try:
        import hotcoco
    except ImportError as e:
        raise MissingExtraError("hotcoco", "measure") from e
    capped = sum(
        len(p.found) > 0 and int(np.bincount(p.found.labels).max()) > judged.coco_cap for p in judged.pairs
    )  # the cap counts per class
    images, annotations, found = _as_coco(judged)
    names = ("coco_ap", "coco_ap50", "coco_ap75", "coco_ap_small", "coco_ap_medium", "coco_ap_large")
    if not annotations:
        return {**dict.fromkeys(names, math.nan), "coco_capped": float(capped)}
    categories = [{"id": k + 1, "name": name} for k, name in enumerate(judged.labels)]
    truth = hotcoco.COCO({"images": images, "annotations": annotations, "categories": categories})
    judge = hotcoco.COCOeval(truth, truth.load_res(found), "bbox")
    judge.params.max_dets = [1, 10, judged.coco_cap]
    judge.evaluate()
    judge.accumulate()
    assert judge.eval is not None
    precision = np.asarray(judge.eval["precision"])  # (IoU, recall, class, area, cap); -1 where there is no object
    ious = np.asarray(judge.params.iou_thrs)
    areas = {"all": 0, "small": 1, "medium": 2, "large": 3}

    def mean(area: str, iou: float | None = None) -> float:
        part = precision[..., areas[area], -1]
        part = part if iou is None else part[np.isclose(ious, iou)]
        real = part[part > -1]
        return float(real.mean()) if real.size else math.nan

    values = (mean("all"), mean("all", 0.5), mean("all", 0.75), mean("small"), mean("medium"), mean("large"))
    return {**dict(zip(names, values, strict=True)), "coco_capped": float(capped)}


def _as_coco(judged: Judged) -> tuple[list[Any], list[Any], list[Any]]:
    images: list[Any] = []
    annotations: list[Any] = []
    found: list[Any] = []
    for i, pair in enumerate(judged.pairs):
        images.append({"id": i + 1, "file_name": pair.name, "width": 1, "height": 1})
        for box, label, difficult, ignore in zip(
            pair.truth.boxes, pair.truth.labels, pair.truth.difficult, pair.truth.ignore, strict=True
        ):
            classes = range(len(judged.labels)) if ignore else (int(label),)
            hazy = int(difficult or ignore)
            for k in classes:
                row = {"id": len(annotations) + 1, "image_id": i + 1, "category_id": k + 1, "iscrowd": hazy}
                annotations.append({**row, **_box(box)})
        for box, score_, label in zip(pair.found.boxes, pair.found.scores, pair.found.labels, strict=True):
            found.append({"image_id": i + 1, "category_id": int(label) + 1, **_box(box), "score": float(score_)})
    return images, annotations, found


def _box(box: Any) -> dict[str, Any]:
    x0, y0, x1, y1 = (float(v) for v in np.asarray(box))
    return {"bbox": [x0, y0, x1 - x0, y1 - y0], "area": (x1 - x0) * (y1 - y0)}
