"""What `passerby compare` costs beside running its models bare: two models over 200 pictures.

Limit of the project: 1.2 times the sum of the bare run times plus decoding, everything else included: taking turns,
measuring stages, every metric, intervals and verdicts. Loading the models is in neither. Two pairs: passerby's model
beside another maker's on an engine of its own, and two of passerby's on one engine.
python benchmarks/compare.py --root DIR      (the folder with data/ and peers/)
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections.abc import Callable
from pathlib import Path

from common import median, save

from passerby.data import load_data
from passerby.measure.compare import TESTED, TESTED_QUICK, Contender, compare
from passerby.pictures import read_picture
from passerby.records import SampleSet
from passerby.runtime.open import open_word, parse_word

PEER = "yolox_n_body_head_hand_post_256x320_float16.tflite"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pictures", type=int, default=200)
    given = parser.parse_args()
    samples = load_data("voc:scut_head#val_B", ("head",), given.root / "data")
    samples = dataclasses.replace(samples, samples=samples.samples[: given.pictures])
    pairs = {
        "OpenVINO and LiteRT": (["head", f"pinto={given.root / 'peers' / PEER}"], "openvino"),
        "ONNX Runtime": (["head", "again=head"], "onnxruntime"),
    }
    rows: list[dict[str, object]] = []
    for engines, (models, engine) in pairs.items():
        times = measure(models, engine, samples, given.rounds)
        whole = sum(s for name, s in times.items() if not name.startswith("compare"))
        rows += [
            {
                "engines": engines,
                "what": name,
                "seconds": f"{s:.2f}",
                "times bare and decoding (limit 1.2)": f"{s / whole:.3f}" if name.startswith("compare") else "-",
            }
            for name, s in times.items()
        ]
    save("compare", f"Two models over {len(samples)} pictures, median of {given.rounds} interleaved rounds", rows)


def measure(models: list[str], engine: str, samples: SampleSet, rounds: int) -> dict[str, float]:
    """Seconds of decoding, of each model alone, and of `compare`."""
    words = [parse_word(m) for m in models]
    predictors = [open_word(w, 0.01, engine) for w in words]
    contenders = [Contender(w.name, p) for w, p in zip(words, predictors, strict=True)]
    pictures = [read_picture(s.path) for s in samples]

    def decode() -> None:
        for sample in samples:
            read_picture(sample.path)

    def bare(predictor) -> None:
        for pixels in pictures:
            predictor(pixels)

    calls: dict[str, Callable[[], object]] = {
        "decoding": decode,
        **{f"{w.name}, bare": lambda p=p: bare(p) for w, p in zip(words, predictors, strict=True)},
        "compare --quick": lambda: compare(contenders, samples, tested=TESTED_QUICK),
        "compare, noise of three numbers": lambda: compare(contenders, samples, tested=TESTED),
    }
    times: dict[str, list[float]] = {name: [] for name in calls}
    for k in range(rounds + 1):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            if k:  # the first round warms up
                times[name].append(time.perf_counter() - start)
    return {name: median(t) for name, t in times.items()}


if __name__ == "__main__":
    main()
