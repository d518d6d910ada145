"""How detectors of heads do outside SCUT-HEAD's classrooms, on everyday and street scenes that nothing was learnt from.

Empty pictures: person_or_not's valid/no_person, crops that show nobody; any box at the model's threshold is a false
alarm. Pictures of people: person_boxes valid, with heads of results/elsewhere_verdicts.json: 520 on which detectors of
two makers agree, taken unseen, and 100 of 440 others that one found, looked at by eye. Boxes are the mean of those of
four detectors. What is unclear, crowds, and people in whom no head was found are not judged. A model of persons is
judged on the boxes of persons that the pictures come with.
python benchmarks/elsewhere.py --root DIR [[NAME=]MODEL]...      DIR holds person_or_not and person_boxes
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from common import RESULTS, save

from passerby import evaluate, load_data
from passerby.data.agree import without
from passerby.pictures import read_picture
from passerby.records import Truth
from passerby.runtime.adapters.foreign import Foreign
from passerby.runtime.open import open_word, parse_word

FLOOR = 0.01
METRICS = ("average_precision", "miss_rate", "at_threshold")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("models", nargs="*", default=["head", "head-tiny", "head-f38", "head-small-objects", "person"])
    given = parser.parse_args()
    nobody = load_data("folder:person_or_not/valid/no_person", (), given.root)
    people = load_data("coco:person_boxes#valid", ("person",), given.root)
    sets = {"head": with_heads(people), "person": people}
    rows: list[dict[str, object]] = []
    for text in given.models:
        word = parse_word(text)
        engine = "onnxruntime" if word.file is not None and word.file.suffix == ".onnx" else "auto"
        detector = open_word(word, FLOOR, engine, threads=1)
        what = "head" if "head" in detector.spec.labels else "person"
        if isinstance(detector, Foreign):
            detector.only([what])
        at = detector.spec.threshold
        alarms = np.array([(detector(read_picture(s.path)).scores >= at).sum() for s in nobody])
        scores = evaluate(detector, sets[what], METRICS).scores
        rows.append(
            {
                "model": word.name,
                "threshold": f"{at:.3f}",
                "empty pictures with a false alarm": f"{(alarms > 0).sum()} of {len(alarms)}",
                "false alarms an empty picture": f"{alarms.mean():.3f}",
                "objects": f"{sets[what].objects()} {what}s",
                "AP50": f"{scores['ap50']:.4f}",
                "MR^-2": f"{scores['mr2']:.4f}",
                "precision": f"{scores['precision']:.4f}",
                "recall": f"{scores['recall']:.4f}",
                "F1": f"{scores['f1']:.4f}",
            }
        )
    save("elsewhere", f"{len(nobody)} empty pictures, {len(people)} of people; our models in ONNX Runtime", rows)


def with_heads(people):
    """The pictures of people with the heads of the verdicts as what counts."""
    verdicts = json.loads((RESULTS / "elsewhere_verdicts.json").read_text())["pictures"]
    samples = []
    for sample in people:
        seen = verdicts[sample.path.name]
        heads, unclear = (np.array(seen[k], np.float32).reshape(-1, 4) for k in ("heads", "unclear"))
        boxes = np.concatenate([heads, unclear, without(sample.truth.boxes, heads)])
        samples.append(replace(sample, truth=Truth.of(boxes, ignore=np.arange(len(boxes)) >= len(heads))))
    return replace(people, samples=tuple(samples), labels=("head",))


if __name__ == "__main__":
    main()
