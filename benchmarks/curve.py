"""What accuracy costs: AP50 of detectors against their multiply-adds and against milliseconds, measured in turns.

Writes results/curve.json, docs/pictures/accuracy-by-macs.svg and docs/pictures/accuracy-by-ms.svg.
python benchmarks/curve.py --root DIR [NAME=MODEL]...    DIR holds scut_head; MODEL: a shipped name or an .onnx file
"""

from __future__ import annotations

import argparse
from pathlib import Path

from common import median, save

from passerby.data import load_data
from passerby.files import written_whole
from passerby.measure.compare import Contender, compare
from passerby.pages.plots import scatter
from passerby.runtime.costs import costs_of_file
from passerby.runtime.open import open_word, parse_word

PICTURES = Path(__file__).resolve().parent.parent / "docs" / "pictures"
DATA = "voc:scut_head#val_B"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("models", nargs="*", default=["head", "head-f38", "head-tiny"])
    given = parser.parse_args()
    words = [parse_word(m) for m in given.models]
    samples = load_data(DATA, ("head",), given.root)
    contenders = []
    for word in words:
        predictor = open_word(word, 0.01, "onnxruntime", 1)
        contenders.append(
            Contender(word.name, predictor, costs=costs_of_file(word.file), size=word.file.stat().st_size)
        )
    metrics = ("average_precision", "miss_rate", "at_threshold", "counting", "by_size")
    done = compare(contenders, samples, metrics, rounds=2, tested=("ap50",))
    rows: list[dict[str, object]] = []
    for k, result in enumerate(done.results):
        scores, spec, costs = result.report.scores, result.contender.predictor.spec, result.contender.costs
        rows.append(
            {
                "model": result.contender.name,
                "network": f"{spec.network['backbone']} {spec.network['width_multiplier']:g}",
                "input": f"{spec.width} x {spec.height}",
                "multiply-adds, M": f"{costs.macs / 1e6:.1f}",
                "AP50": f"{scores['ap50']:.4f}",
                "AP50, 95 %": f"{result.intervals['ap50'].low:.4f} to {result.intervals['ap50'].high:.4f}",
                "AP50 under 16 px": f"{scores['ap50@0-16']:.4f}",
                "MR^-2": f"{scores['mr2']:.4f}",
                "miss rate at 1 FPPI": f"{scores['miss_at_1fppi']:.4f}",
                "F1": f"{scores['f1']:.4f}",
                "count error (MAE)": f"{scores['count_mae']:.3f}",
                "network, ms": f"{median(done.turns.stages[k, :, :, 1].ravel().tolist()):.2f}",
                "MB": f"{result.contender.size / 1e6:.2f}",
            }
        )
    title = f"SCUT-HEAD val_B ({len(samples)} pictures), ONNX Runtime float32, 1 thread, models in turns"
    save("curve", title, rows)
    for name, column, words_ in (
        ("macs", "multiply-adds, M", "multiply-adds, millions"),
        ("ms", "network, ms", "milliseconds, 1 thread"),
    ):
        points = {str(r["model"]): (float(str(r[column])), 100 * float(str(r["AP50"]))) for r in rows}
        with written_whole(PICTURES / f"accuracy-by-{name}.svg") as path:
            path.write_text(scatter(points, words_, "AP50, val_B, %", f"AP50 against {words_}"))


if __name__ == "__main__":
    main()
