"""Accuracy of a shipped model on the validation splits, every definition by `passerby eval`.

python benchmarks/accuracy.py --root DIR    where DIR holds scut_head
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from common import RESULTS

from passerby import Detector, evaluate, load_data
from passerby.measure.report import to_json, to_text

DATA = ("voc:scut_head#val_B", "voc:scut_head#val_A")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--model", default="head")
    given = parser.parse_args()
    runs = {}
    for engine in ("onnxruntime", "openvino"):
        for source in DATA:
            detector = Detector(given.model, threshold=0.01, engine=engine)
            report = evaluate(detector, load_data(source, detector.spec.labels, given.root))
            document = json.loads(to_json(report))
            for noisy in ("ms_per_picture", "seconds"):  # speed has its own benchmark
                document["settings"].pop(noisy)
            precision = detector.engine_name.split()[-1]
            runs[f"{source.split('#')[1]}, {engine} {precision}"] = document
            print(to_text(report), file=sys.stderr)
    command = "python benchmarks/accuracy.py --root DIR"
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "accuracy.json").write_text(
        json.dumps({"command": command, "model": given.model, "runs": runs}, indent=1) + "\n"
    )


if __name__ == "__main__":
    main()
