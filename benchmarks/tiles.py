"""Small heads in large pictures: AP50 of `head` on SCUT-HEAD as it is, at other input sizes, and over tiles; its time.

python benchmarks/tiles.py --root DIR    where DIR holds scut_head; needs the extra [train], which makes the sizes
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from common import median, save

from passerby import Detector, evaluate, load_data
from passerby.learn.derived import Derived, export_derived
from passerby.pictures import read_picture
from passerby.runtime.tiled import Tiled

SIZES = ((448, 304), (672, 448), (768, 512), (960, 640), (1152, 768))
GRIDS = ("2x2", "3x2", "3x3")
ROUNDS = 2


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--model", default="head")
    given = parser.parse_args()
    detector = Detector(given.model, 0.01, "onnxruntime", 1)
    ways: dict[str, Detector | Tiled] = {"as it is": detector}
    with tempfile.TemporaryDirectory() as folder:
        for width, height in SIZES:
            path = Path(folder) / f"{width}.onnx"
            export_derived(given.model, path, Derived((width, height)))
            ways[f"--input {width}x{height}"] = Detector(path, 0.01, "onnxruntime", 1)
    for grid in GRIDS:
        across, down = (int(n) for n in grid.split("x"))
        ways[f"--tiles {grid}"] = Tiled(detector, (across, down))
    ways["--tiles auto"] = Tiled(detector)
    rows: list[dict[str, object]] = []
    for split in ("val_A", "val_B"):
        samples = load_data(f"voc:scut_head#{split}", detector.spec.labels, given.root)
        metrics = ("average_precision", "miss_rate", "at_threshold", "counting")
        scores = {name: evaluate(way, samples, metrics).scores for name, way in ways.items()}
        times = in_turns(ways, [read_picture(s.path) for s in samples][:10], detector.spec.threshold)
        for name, found in scores.items():
            rows.append(
                {
                    "split": split,
                    "how": name,
                    **{k: f"{found[k]:.4f}" for k in ("ap50", "mr2", "miss_at_1fppi", "f1")},
                    "count error (MAE)": f"{found['count_mae']:.2f}",
                    "ms a picture": f"{times[name]:.1f}",
                    "times as long": f"{times[name] / times['as it is']:.1f}",
                }
            )
    title = f"{given.model} at other input sizes and over tiles, ONNX Runtime float32, 1 thread"
    title += f"; ms: median of {ROUNDS} rounds of 10 pictures"
    save("tiles", f"{title}, in turns", rows)


def in_turns(ways: dict[str, Detector | Tiled], pictures: list[object], threshold: float) -> dict[str, float]:
    """Milliseconds a picture of each way, scores from `threshold` on."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for pixels in pictures:
            for name, way in ways.items():
                start = time.perf_counter()
                way(pixels, threshold)
                times[name].append(1000 * (time.perf_counter() - start))
    return {name: median(t) for name, t in times.items()}


if __name__ == "__main__":
    main()
