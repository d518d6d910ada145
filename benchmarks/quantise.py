"""A detector in float and in INT8: accuracy, size, latency, and how far each is from what a core can multiply.

Beside it the careless conversions of its float file: every node per tensor after eight pictures of noise, decoding
included (quantize_static as it comes), and weights alone (quantize_dynamic). Calibrated and judged on train pictures;
the numbers here are of val_B, which neither saw.

python benchmarks/quantise.py --root DIR    where DIR holds scut_head; some minutes, the times on a quiet machine
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

import numpy as np
from common import RESULTS, machine, median
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantType,
    quant_pre_process,
    quantize_dynamic,
    quantize_static,
)
from quantise_peak import Product, measure_peaks

from passerby import Detector, load_data
from passerby.cli.progress import Progress
from passerby.deploy.quantise.make import Choices, quantise, store_half
from passerby.deploy.quantise.pictures import split_pictures
from passerby.errors import ModelError
from passerby.measure.evaluate import evaluate
from passerby.measure.interval import difference
from passerby.measure.speed import ratio, take_turns
from passerby.records import SampleSet
from passerby.runtime.model_file import find_model, read_spec, write_spec
from passerby.runtime.session import open_engine

CALIBRATE, JUDGE = "voc:scut_head#train_B", "voc:scut_head#val_B"
NOISE = 8  # pictures that the careless conversion is calibrated with
TIMED = 60  # pictures that take turns
ROUNDS = 3
FLOAT = "float32 file"
OURS, CARELESS, DYNAMIC = "INT8 of passerby quantise", "INT8 as it comes (static, noise)", "INT8 weights (dynamic)"
HALF = "float16 weights"
RUNS = (  # file, engine, what it computes in
    (FLOAT, "onnxruntime", "float32"),
    (OURS, "onnxruntime", "int8"),
    (CARELESS, "onnxruntime", "int8"),
    (DYNAMIC, "onnxruntime", "int8"),
    (HALF, "onnxruntime", "float32"),
    (FLOAT, "openvino", "float32"),
    (FLOAT, "openvino", "bfloat16"),
    (OURS, "openvino", "int8"),
    (CARELESS, "openvino", "int8"),
)


class Noise(CalibrationDataReader):
    """Pictures of noise, as nobody should calibrate with."""

    def __init__(self, height: int, width: int) -> None:
        random = np.random.default_rng(0)
        self.left = [random.integers(0, 256, (1, height, width, 3), dtype=np.uint8) for _ in range(NOISE)]

    def get_next(self):
        return {"pixels": self.left.pop()} if self.left else None


def make_files(model: Path, root: Path, folder: Path) -> tuple[dict[str, Path], dict[str, object]]:
    """Every file, and the record of the search for ours."""
    spec, tell = read_spec(model), Progress()
    train = load_data(CALIBRATE, spec.labels, root)
    split = split_pictures(train, None)
    names = {OURS: "int8", CARELESS: "careless", DYNAMIC: "dynamic", HALF: "float16"}
    files = {FLOAT: model, **{k: folder / f"{v}.onnx" for k, v in names.items()}}
    report, certificate = quantise(model, files[OURS], split, Choices(threads=1), tell)
    print(report.told(), certificate.told(), sep="\n\n", file=sys.stderr)
    store_half(model, files[HALF], split.judge, Choices(precision="float16", threads=1), tell)
    ready = folder / "ready.onnx"
    quant_pre_process(model, ready, skip_symbolic_shape=True)
    quantize_static(ready, files[CARELESS], Noise(spec.height, spec.width))
    quantize_dynamic(ready, files[DYNAMIC], weight_type=QuantType.QUInt8)  # its convolutions take no other
    for name in (CARELESS, DYNAMIC):
        write_spec(files[name], spec.with_(precision="int8"), files[name])
    return files, report.record()


def open_run(run: tuple[str, str, str], files: dict[str, Path], threads: int) -> Detector:
    name, engine, precision = run
    kind = "openvino-f32" if (engine, precision) == ("openvino", "float32") else engine
    spec = read_spec(files[name])
    return Detector.of(spec, open_engine(files[name], name, kind, threads, spec=spec), 0.01)


def loaded(files: dict[str, Path]) -> list[tuple[str, str, str]]:
    """Those of RUNS whose engine takes the file: OpenVINO refuses the careless one on some processors."""
    able = []
    for run in RUNS:
        try:
            open_run(run, files, 1)
        except ModelError as e:
            print(f"left out: {e}", file=sys.stderr)
        else:
            able.append(run)
    return able


def measure_accuracy(files: dict[str, Path], samples: SampleSet) -> list[dict[str, object]]:
    """Each run on val_B, and what it lost against float32 of the same engine."""
    rows, base = [], {}
    for run in loaded(files):
        report = evaluate(open_run(run, files, 0), samples, ("average_precision", "miss_rate"))
        name, engine, precision = run
        base.setdefault(engine, report.judged)
        apart = difference(report.judged, base[engine], "ap50", 200)
        rows.append(
            {
                "file": name,
                "engine": engine,
                "computes in": precision,
                "MB": round(files[name].stat().st_size / 1e6, 3),
                "share of the float file": round(files[name].stat().st_size / files[FLOAT].stat().st_size, 3),
                "AP50": round(100 * report.scores["ap50"], 2),
                "points lost": _points(apart.value),
                "95 % interval": [_points(apart.high), _points(apart.low)],
                "MR^-2": round(100 * report.scores["mr2"], 2),
            }
        )
        print(rows[-1], file=sys.stderr)
    return rows


def _points(gained: float) -> float:
    """Points lost, of a share gained; never minus nothing."""
    return round(-100 * gained, 2) + 0.0


def measure_times(
    files: dict[str, Path], samples: SampleSet, macs: int, peaks: dict[Product, float]
) -> list[dict[str, object]]:
    """All runs in turns, with one thread and then with two; the network alone, and all stages.

    macs  of the network; peaks: multiply-adds a second of one thread's large product
    """
    rows: list[dict[str, object]] = []
    part = SampleSet(samples.samples[:TIMED], samples.labels, samples.source)
    runs = loaded(files)
    for threads in (1, 2):
        predictors = [open_run(run, files, threads) for run in runs]
        turns = take_turns(predictors, part, [p.spec.threshold for p in predictors], ROUNDS)
        network = [np.median(turns.stages[k, :, :, 1], axis=0) for k in range(len(runs))]
        first = {engine: k for k, (_, engine, precision) in reversed(list(enumerate(runs))) if precision == "float32"}
        for k, (name, engine, precision) in enumerate(runs):
            faster = ratio(network[first[engine]], network[k])
            ms = median(list(network[k]))
            row = {
                "file": name,
                "engine": predictors[k].engine_name,
                "computes in": precision,
                "threads": threads,
                "network, ms": round(float(ms), 2),
                "all stages, ms": round(median(list(turns.totals(k))), 2),
                "times faster than its float32": round(faster.value, 2),
                "interval": [round(faster.low, 2), round(faster.high, 2)],
            }
            peak = peaks.get(Product(engine, precision))
            if threads == 1 and peak:
                row["10^9 multiply-adds a second"] = round(float(macs / ms / 1e6), 1)
                row["share of the peak of one core"] = round(float(macs / (ms / 1000) / peak), 3)
            rows.append(row)
            print(row, file=sys.stderr)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--model", default="head")
    parser.add_argument("--work", type=Path, help="keep the files here; files that are there are taken as they are")
    parser.add_argument("--only-times", action="store_true", help="files of --work, accuracy as it was measured")
    given = parser.parse_args()
    model, target = find_model(given.model), RESULTS / "quantise.json"
    with tempfile.TemporaryDirectory() as folder:
        work = given.work or Path(folder)
        work.mkdir(parents=True, exist_ok=True)
        kept = work / "made.json"
        samples = load_data(JUDGE, read_spec(model).labels, given.root)
        if given.only_times:
            made = json.loads(kept.read_text())
            files = {k: Path(v) for k, v in made["files"].items()}
        else:
            files, search = make_files(model, given.root, work)
            made = {"search": search, "accuracy": measure_accuracy(files, samples)}
            kept.write_text(json.dumps({**made, "files": {k: str(v) for k, v in files.items()}}))
        peaks = measure_peaks()
        macs = sum(x.macs for x in read_spec(model).layers)
        times = measure_times(files, samples, macs, peaks)
    document = {
        "title": f"{given.model} in float and INT8; {JUDGE}, {len(samples)} pictures; times: {TIMED} of them, "
        f"{ROUNDS} rounds, blocks of 10 in turn",
        "machine": machine(),
        "command": "python benchmarks/quantise.py --root DIR",
        "multiply-adds of the network": macs,
        "peak of one core, 10^9 multiply-adds a second": [
            {**asdict(p), "rate": round(rate / 1e9, 1)} for p, rate in peaks.items()
        ],
        "accuracy": made["accuracy"],
        "times": times,
        "search": made["search"],
    }
    target.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
