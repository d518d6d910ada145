"""Finished runs side by side: how they were trained, what they find in people's pictures, what they cost.

The runs are trained first (docs/study.md, docs/guides/localise.md); this exports and compares them.
python benchmarks/study.py --root DIR --run RUN --run RUN [--name RESULT]    where DIR holds person_boxes
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from common import RESULTS, save

from passerby.learn.checkpoint import load_network
from passerby.learn.to_onnx import export
from passerby.measure.compare import Verdict
from passerby.measure.compare_report import sentence
from passerby.measure.interval import Difference
from passerby.measure.speed import Ratio
from passerby.media.sources import open_source

DATA = "coco:person_boxes#valid"
SIZES = ("0-16", "16-32", "32-64", "64+")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--run", dest="runs", type=Path, action="append", required=True)
    parser.add_argument("--name", default="study")
    parser.add_argument("--html", type=Path)
    given = parser.parse_args()
    examples = [f.pixels for f in open_source(Path(__file__).parent.parent / "examples" / "pictures")]
    with tempfile.TemporaryDirectory() as folder:
        words = []
        for run in given.runs:
            path = Path(folder) / f"{run.name}.onnx"
            export(run / "best.safetensors", path, examples)
            words.append(str(path))
        command = [sys.executable, "-m", "passerby", "compare", *words, DATA, "--root", str(given.root), "--json"]
        command += ["--engine", "onnxruntime", "--rounds", "3", *(["--html", str(given.html)] if given.html else [])]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    told = json.loads(done.stdout)
    rows = [row(run, model) for run, model in zip(given.runs, told["models"], strict=True)]
    names = " and ".join(run.name for run in given.runs)
    save(given.name, f"{names} on {DATA}, {told['settings']['pictures']} pictures; ONNX Runtime", rows)
    words = [said(v) for v in told["verdicts"]]
    (RESULTS / f"{given.name}_verdicts.json").write_text(json.dumps(words, indent=1) + "\n")


def said(verdict: dict) -> str:
    """One of `compare`'s verdicts in words."""
    numbers = {k: v for k, v in verdict.items() if k not in ("metric", "best", "other")}
    kind = Ratio if verdict["metric"] == "ms" else Difference
    return sentence(Verdict(verdict["metric"], verdict["best"], verdict["other"], kind(**numbers)))


def row(run: Path, model: dict) -> dict[str, object]:
    """One detector: how it was trained, what it finds, what it costs."""
    _, _, facts = load_network(run / "best.safetensors")
    recipe = json.loads(facts["recipe"])
    history = json.loads((run / "history.json").read_text())
    per_epoch = _pictures_an_epoch(recipe, facts)
    seconds = sum(per_epoch / h["pictures_a_second"] for h in history)
    scores, process, ms = model["scores"], model["process"], model["ms"]
    return {
        "detector": run.name,
        "parameters": f"{model['costs']['parameters']:,}",
        "multiply-adds, M": f"{model['costs']['macs'] / 1e6:,.0f}",
        "pictures seen": f"{per_epoch * len(history):,}",
        "training, pictures/s": f"{per_epoch * len(history) / seconds:.1f}",
        "AP50": f"{scores['ap50']:.3f}",
        "interval": f"{model['intervals']['ap50']['low']:.3f} to {model['intervals']['ap50']['high']:.3f}",
        "COCO AP": f"{scores['coco_ap']:.3f}",
        **{f"AP50, {s} px": f"{scores[f'ap50@{s}']:.3f}" for s in SIZES},
        "MR^-2": f"{scores['mr2']:.3f}",
        "count MAE": f"{scores['count_mae']:.2f}",
        "a picture": f"{ms['p50']['value']:.1f} ms",
        "p95": f"{ms['p95']['value']:.1f} ms",
        "network": f"{ms['stages']['p50']['network']:.1f} ms",
        "cold start": f"{process['cold_start']:.2f} s",
        "peak memory": f"{process['peak']:.0f} MiB",
        "added by the model": f"{process['increment']:.0f} MiB",
        "memory that pictures add": f"{process['peak'] - process['loaded']:.1f} MiB",
        "file": f"{model['bytes'] / 1e6:.1f} MB",
    }


def _pictures_an_epoch(recipe: dict, facts: dict[str, str]) -> int:
    """Pictures of an epoch's whole batches: what the spec says it was trained on, less the short last batch."""
    told = json.loads(facts["spec"])["provenance"]["trained_on"]
    pictures = int(told.rsplit(": ", 1)[1].split(" ")[0])
    return pictures // recipe["run"]["batch"] * recipe["run"]["batch"]


if __name__ == "__main__":
    main()
