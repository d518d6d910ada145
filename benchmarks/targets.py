"""Every export target that installs here, float and int8: its certificate, and latency in one interleaved run.

    python benchmarks/targets.py [--int8 FILE.onnx] [--data DATA] [--root DIR] [--first N] [--rounds N]

Each target is made by `passerby export` and certified on the first N pictures of --data; certificates are kept in
docs/certificates/TARGET.json. A target whose tool is not installed is a row that says so. Where `onnxruntime-qnn` is
installed, PASSERBY_ACCEPT_QNN=1 says that its licence was read.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # ncnn's threads would spin in the way of the next engine's
ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from common import blocks, median, save  # noqa: E402

from passerby.data import load_data  # noqa: E402
from passerby.deploy.qnn import is_installed  # noqa: E402
from passerby.deploy.qnn_licence import need_accepted  # noqa: E402
from passerby.deploy.targets import MAKERS, TARGETS  # noqa: E402
from passerby.deploy.targets.base import Job, noise_input  # noqa: E402
from passerby.deploy.targets.export import export_to  # noqa: E402
from passerby.errors import PasserbyError  # noqa: E402
from passerby.runtime.model_file import find_model, read_spec  # noqa: E402
from passerby.runtime.session import open_engine  # noqa: E402

CERTIFICATES = ROOT / "docs" / "certificates"
RUNTIMES = ("onnx", "openvino", "tflite", "ncnn")  # whose files `Detector` runs
JOBS = [  # target, what it is called, wishes of Job
    ("onnx", "onnx-raw", {"outputs": "raw"}),
    ("onnx", "onnx-nms", {"outputs": "nms"}),
    ("onnx", "onnx-free", {"free": True}),
    ("openvino", "openvino", {}),
    ("openvino", "openvino-float16", {"precision": "float16"}),
    ("tflite", "tflite", {}),
    ("ncnn", "ncnn", {}),
    ("coreml", "coreml", {}),
    ("executorch", "executorch", {}),
    ("dlc", "dlc", {}),
]
INT8 = ("onnx", "openvino", "tflite", "ncnn", "executorch", "dlc")


def makers():
    """Every maker that can be imported: those of `learn` need torch."""
    try:
        from passerby.learn.targets import MAKERS as LEARNT
    except ImportError:
        return MAKERS
    return MAKERS | LEARNT


def certify(source: Path, kind: str, name: str, wishes, data, folder: Path) -> tuple[dict[str, object], Path | None]:
    """One export: a row, and its file where there is one. The certificate is written to docs/certificates."""
    spec = read_spec(source)
    target = TARGETS[kind]
    out = folder / name / (spec.name if target.suffix == "/" else f"{spec.name}{target.suffix}")
    row: dict[str, object] = {"target": name, "precision": spec.precision}
    empty = {"pictures": 0, "AP50 before": "-", "AP50 after": "-", "box p99, px": "-", "score p99": "-"}
    try:
        done = export_to(kind, target, makers().get(kind, MAKERS["onnx"]), Job(source, spec, out, **wishes), data)
    except PasserbyError as e:
        return {**row, **empty, "what ran": str(e).replace(str(folder), "")}, None
    made, certificate = done.made, done.certificate
    if certificate is None:
        return {**row, **empty, "what ran": made.unproven}, out
    CERTIFICATES.mkdir(parents=True, exist_ok=True)
    record = {**certificate.record(), "run_by": made.by, "notes": list(made.notes)}
    (CERTIFICATES / f"{name}-{spec.precision}.json").write_text(json.dumps(record, indent=1) + "\n")
    ap50 = certificate.accuracy.get("ap50")
    row |= {
        "pictures": certificate.pictures,
        "AP50 before": f"{100 * ap50.before:.2f}" if ap50 else "-",
        "AP50 after": f"{100 * ap50.after:.2f}" if ap50 else "-",
        "box p99, px": f"{certificate.boxes.p99:.3g}",
        "score p99": f"{certificate.scores.p99:.3g}",
        "what ran": certificate.after.engine,
    }
    return row, out


def time_all(files: dict[str, Path], rounds: int) -> list[dict[str, object]]:
    """Latency of the network alone, one thread and two, all files in turns."""
    rows = []
    for threads in (1, 2):
        opened = [
            (name, open_engine(p, name, engine, threads, 1, read_spec(p)))
            for name, p in files.items()
            for engine in (("onnxruntime", "openvino") if p.suffix == ".onnx" else ("auto",))
        ]
        pixels = noise_input(read_spec(next(iter(files.values()))))
        calls = [partial(engine.run, pixels) for _, engine in opened]
        for (name, engine), times in zip(opened, blocks(calls, rounds), strict=True):
            row = {"file": name, "engine": engine.name, "threads": threads, "ms": round(median(times), 2)}
            rows.append({**row, "ms p90": round(sorted(times)[int(0.9 * len(times))], 2)})
    return rows


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--model", default="head")
    words.add_argument("--int8", type=Path, help="the model in int8, made by passerby quantise")
    words.add_argument("--data", default="voc:scut_head#val_B")
    words.add_argument("--root", type=Path, default=ROOT.parent / "shared" / "data")
    words.add_argument("--first", type=int, default=100)
    words.add_argument("--rounds", type=int, default=110)
    asked = words.parse_args()
    sys.argv = [Path(w).name if w == str(asked.int8) else w for w in sys.argv]  # what `save` keeps beside the numbers
    if is_installed():
        need_accepted(False)
    source = find_model(asked.model)
    data = load_data(asked.data, read_spec(source).labels, asked.root)
    data = replace(data, samples=data.samples[: asked.first])
    rows, files = [], {"head.onnx": source}
    with tempfile.TemporaryDirectory() as place:
        for path in [source, *([asked.int8] if asked.int8 else [])]:
            whole = path == source
            for kind, name, wishes in JOBS:
                if not whole and (kind not in INT8 or "float16" in name):
                    continue
                folder = Path(place) / path.stem
                folder.mkdir(exist_ok=True)
                row, out = certify(path, kind, name, wishes, data, folder)
                rows.append(row)
                print(row, file=sys.stderr)
                if out and kind in RUNTIMES and not name.startswith("onnx-") and "float16" not in name:
                    files[f"{name}-{row['precision']}"] = out
            if not whole:
                files["head-int8.onnx"] = path
        save("targets", f"Export targets of {read_spec(source).name}: certificates on {len(data)} pictures", rows)
        timed = time_all(files, asked.rounds)
        save("targets_speed", "Latency of the network alone, by file and engine, interleaved", timed)


if __name__ == "__main__":
    main()
