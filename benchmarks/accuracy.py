"""Accuracy of a shipped model on the validation splits, every definition by `passerby eval`.

python benchmarks/accuracy.py --root DIR    where DIR holds scut_head
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

from common import RESULTS

from passerby import Detector, evaluate, load_data
from passerby.data.check import check
from passerby.measure.report import to_json, to_text
from passerby.records import SampleSet

TRAINED_ON = "voc:scut_head#train_A,train_B"
DATA = ("voc:scut_head#val_B", "voc:scut_head#val_A")


def not_in_training(source: str, samples: SampleSet, root: Path) -> SampleSet:
    """The pictures of a split that are not, or not nearly, among those trained on, by `passerby data check`."""
    seen = set()
    for note in check([TRAINED_ON, source], root).notes:
        if note.kind in ("across-splits", "near-across"):
            seen |= {note.picture, note.other}
    return replace(samples, samples=tuple(s for s in samples if s.path not in seen))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--model", default="head")
    given = parser.parse_args()
    runs = {}
    for engine in ("onnxruntime", "openvino"):
        for source in DATA:
            detector = Detector(given.model, threshold=0.01, engine=engine)
            samples = load_data(source, detector.spec.labels, given.root)
            sets = {source.split("#")[1]: samples}
            if engine == "onnxruntime" and 0 < len(rest := not_in_training(source, samples, given.root)) < len(samples):
                sets[f"{source.split('#')[1]} without what is nearly in train too"] = rest
            for name, part in sets.items():
                report = evaluate(detector, part)
                document = json.loads(to_json(report))
                for noisy in ("ms_per_picture", "seconds"):  # speed has its own benchmark
                    document["settings"].pop(noisy)
                runs[f"{name}, {engine} {detector.engine_name.split()[-1]}"] = document
                print(to_text(report), file=sys.stderr)
    command = "python benchmarks/accuracy.py --root DIR"
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "accuracy.json").write_text(
        json.dumps({"command": command, "model": given.model, "runs": runs}, indent=1) + "\n"
    )


if __name__ == "__main__":
    main()
