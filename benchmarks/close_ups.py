"""Heads that fill the picture: large heads of SCUT-HEAD val_B, cut out so that they take a share of the height.

Found: some box at the model's threshold overlaps the head by IoU 0.5. A part is 1.4 times as wide as the head's height
over the share, as cameras are wider than tall; one that the border cuts by over a tenth of its height is left out.
python benchmarks/close_ups.py --root DIR [MODEL]...      DIR holds scut_head
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from common import save

from passerby import Detector, load_data
from passerby.geometry.boxes import iou
from passerby.pictures import read_picture

LARGE = 60  # pixels of height, at least
OF_A_PICTURE = 2
SHARES = (0.35, 0.5, 0.65)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("models", nargs="*", default=["head", "head-f38"])
    given = parser.parse_args()
    rows: list[dict[str, object]] = []
    for name in given.models:
        detector = Detector(name, engine="onnxruntime", threads=1)
        samples = load_data("voc:scut_head#val_B", ("head",), given.root)
        for share in SHARES:
            hits = []
            for sample in samples:
                pixels = read_picture(sample.path)
                heads = [b for b in sample.truth.boxes if b[3] - b[1] >= LARGE][:OF_A_PICTURE]
                for part, head in (cut for b in heads if (cut := cut_out(pixels, b, share))):
                    found = detector(part)
                    hits.append(bool((iou(found.boxes, head[None]) >= 0.5).any()))
            rows.append({"model": name, "share": share, "heads": len(hits), "found": f"{np.mean(hits):.3f}"})
    save("close_ups", "Large heads of val_B cut out so that they take a share of the height; ONNX Runtime", rows)


def cut_out(pixels, box, share):
    """The part of a picture in which a head takes the share of the height, and its box there; None over the border."""
    rows, columns = pixels.shape[:2]
    high = (box[3] - box[1]) / share
    wide = 1.4 * high
    left = int(np.clip((box[0] + box[2] - wide) / 2, 0, max(0, columns - wide)))
    top = int(np.clip((box[1] + box[3] - high) / 2, 0, max(0, rows - high)))
    part = np.ascontiguousarray(pixels[top : int(top + high), left : int(left + wide)])
    if part.shape[0] < 0.9 * high:
        return None
    return part, box - np.array([left, top, left, top], np.float32)


if __name__ == "__main__":
    main()
