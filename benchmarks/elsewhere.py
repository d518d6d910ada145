"""How head detectors do outside SCUT-HEAD's classrooms: on everyday and street scenes that nothing was learnt from.

Empty pictures: person_or_not's valid/no_person, crops that show nobody; any box at the model's threshold is a false
alarm. Of people: person_boxes valid, which has no boxes of heads. A person of TALL pixels and more counts as found
where the middle of some box lies in the upper UPPER of theirs; a box whose middle lies in nobody's box is "beside
people": a false alarm, or somebody whom the labels lack. Of models of persons AP50 on these pictures stands instead.
python benchmarks/elsewhere.py --root DIR [[NAME=]MODEL]...      DIR holds person_or_not and person_boxes
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from common import save

from passerby import evaluate, load_data
from passerby.pictures import read_picture
from passerby.runtime.open import open_word, parse_word

TALL = 100  # pixels of height, of 416
FLOOR = 0.01
UPPER = 0.4  # of a person's box: heads are there, whatever the pose


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("models", nargs="*", default=["head", "head-tiny", "head-f38", "person"])
    given = parser.parse_args()
    nobody = load_data("folder:person_or_not/valid/no_person", (), given.root)
    people = load_data("coco:person_boxes#valid", ("person",), given.root)
    rows: list[dict[str, object]] = []
    for text in given.models:
        word = parse_word(text)
        detector = open_word(
            word, engine="onnxruntime" if word.file and word.file.suffix == ".onnx" else "auto", threads=1
        )
        what = "head" if "head" in detector.spec.labels else "person"
        alarms = [len(boxes_of(detector, s, what)) for s in nobody]
        seen, beside = [], []
        for sample in people if what == "head" else ():
            boxes = boxes_of(detector, sample, what)
            middles = (boxes[:, :2] + boxes[:, 2:]) / 2
            theirs = sample.truth.boxes
            seen += [bool(held(middles, upper_of(b)).any()) for b in theirs if b[3] - b[1] >= TALL]
            inside = np.array([held(middles, b) for b in theirs]).reshape(len(theirs), len(middles))
            beside.append(int((~inside.any(axis=0)).sum()))
        rows.append(
            {
                "model": word.name,
                "threshold": f"{detector.threshold:.3f}",
                "empty pictures": len(alarms),
                "with a false alarm": f"{np.mean(np.array(alarms) > 0):.3f}",
                "false alarms a picture": f"{np.mean(alarms):.3f}",
                "people": len(seen) or "-",
                "found by their head": f"{np.mean(seen):.3f}" if seen else "-",
                "beside people, a picture": f"{np.mean(beside):.3f}" if beside else "-",
                "AP50 of persons": "-" if seen else f"{average_precision(word, people):.4f}",
            }
        )
    save("elsewhere", f"{len(nobody)} empty pictures, {len(people)} of people; our models in ONNX Runtime", rows)


def average_precision(word, people):
    """AP50 (VOC area) of a model of persons, scores from 0.01."""
    report = evaluate(open_word(word, FLOOR, engine="onnxruntime", threads=1), people, ("average_precision",))
    return report.scores["ap50"]


def boxes_of(detector, sample, what):
    """The boxes (N, 4) of what is called so; other makers' files find other things too."""
    found = detector(read_picture(sample.path))
    return found.boxes[[found.names[k] == what for k in found.labels]]


def upper_of(box):
    """The upper UPPER of a person's box."""
    return np.array([box[0], box[1], box[2], box[1] + UPPER * (box[3] - box[1])])


def held(points, box):
    """Which of the points (N, 2) lie in the box."""
    return ((points >= box[:2]) & (points <= box[2:])).all(axis=1)


if __name__ == "__main__":
    main()
