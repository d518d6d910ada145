"""Ways to suppress boxes that lie on each other, on what one network says of val_B: accuracy, and time a picture.

The network runs once a picture; every method and threshold then works on the same raw boxes and scores. Time is the
processor's, so that other work on the machine does not count: threshold, suppression and the way back into the picture.
python benchmarks/suppression.py --root DIR [--model NAME]    where DIR holds scut_head
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from common import median, save

from passerby.geometry.nms import METHODS
from passerby.measure.evaluate import judge_found, load_boxes, score
from passerby.pictures import read_picture
from passerby.runtime.detector import Detector

IOUS = (0.4, 0.45, 0.5, 0.6)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--model", default="head")
    given = parser.parse_args()
    detector = Detector(given.model, threshold=0.01, engine="onnxruntime", threads=1)
    samples = load_boxes("voc:scut_head#val_B", detector.spec.labels, given.root)
    raw = [detector.raw(read_picture(sample.path)) for sample in samples]
    rows: list[dict[str, object]] = []
    for method in METHODS:
        for iou in IOUS:
            detector.nms, detector.nms_iou = method, iou
            found, times = [], []
            for boxes, scores, placement in raw:
                start = time.process_time()
                found.append(detector.settle(boxes, scores, placement))
                times.append(1000 * (time.process_time() - start))
            run = judge_found(detector, samples, found, 100, sum(times) / 1000, sum(times) / 1000)
            scored = score(run, ("average_precision", "miss_rate", "coco")).scores
            rows.append(
                {
                    "method": method,
                    "IoU": f"{iou:g}",
                    "AP50": f"{scored['ap50']:.4f}",
                    "COCO AP": f"{scored['coco_ap']:.4f}",
                    "MR^-2": f"{scored['mr2']:.4f}",
                    "miss rate at 1 FPPI": f"{scored['miss_at_1fppi']:.4f}",
                    "CPU ms a picture (median)": f"{median(times):.2f}",
                }
            )
    name = f"Suppression of what {given.model} says of SCUT-HEAD val_B, {len(samples)} pictures, scores from 0.01"
    save("suppression", name, rows)


if __name__ == "__main__":
    main()
