"""Measure a detector that is not passerby's: any callable picture -> Detections.

python examples/judge_any_detector.py DATA     e.g. voc:scut_head#val_B
"""

import sys

import cv2
import numpy as np

import passerby
from passerby.measure.report import to_text

samples = passerby.load_data(sys.argv[1])


def bright_spots(pixels):
    """A poor detector: bright, roundish regions. pixels (H, W, 3) uint8 RGB."""
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    _, mask = cv2.threshold(grey, 200, 255, cv2.THRESH_BINARY)
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask)
    x, y, w, h, area = stats[1:].T
    boxes = np.stack([x, y, x + w, y + h], axis=1).astype(np.float32)
    scores = (area / (w * h)).astype(np.float32)
    best = np.argsort(-scores, kind="stable")[:100]
    return passerby.Detections(boxes[best], scores[best], np.zeros(len(best), np.int64), samples.labels)


print(to_text(passerby.evaluate(bright_spots, samples, ("average_precision", "miss_rate", "at_threshold", "by_size"))))
