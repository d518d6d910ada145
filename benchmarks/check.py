"""`data check` and `data stats` beside a bare loop that only decodes the same pictures, in pictures a second.

Limit of the project: at least 0.8 of the bare loop. The loop over all cores is the harder peer; it is shown too.
python benchmarks/check.py --root DIR    (DIR holds scut_head/)
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
from common import interleaved, median, save

from passerby.cores import cores
from passerby.data import load_data
from passerby.data.check import check
from passerby.data.statistics import describe

ROUNDS = 7
CAMERA = 200  # pictures of 1920 x 1080


def decode(path: Path) -> None:
    cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)


def on_all_cores(paths: list[Path]) -> None:
    with ThreadPoolExecutor(cores()) as pool:
        list(pool.map(decode, paths, chunksize=16))


def measure(what: str, root: Path, source: str) -> list[dict[str, object]]:
    paths = [s.path for s in load_data(source, root=root)]
    cv2.setNumThreads(1)
    calls: dict[str, Callable[[], object]] = {
        "loop": lambda: [decode(p) for p in paths],
        "pool": lambda: on_all_cores(paths),
        "check": lambda: check([source], root),
        "stats": lambda: describe(load_data(source, root=root), 300, 300, "stretch"),
    }
    times = interleaved(list(calls.values()), ROUNDS, warmup=1)
    rate = {name: len(paths) / median(t) * 1000 for name, t in zip(calls, times, strict=True)}
    return [
        {
            "what": f"{verb}, {what}",
            "pictures a second": f"{rate[verb]:.0f}",
            "bare loop": f"{rate['loop']:.0f}",
            "ratio": f"{rate[verb] / rate['loop']:.2f}",
            f"bare loop on {cores()} cores": f"{rate['pool']:.0f}",
            "ratio to that": f"{rate[verb] / rate['pool']:.2f}",
        }
        for verb in ("check", "stats")
    ]


def enlarged(root: Path, folder: Path) -> str:
    """A copy of some pictures at a camera's size, with their labels: what `check` meets outside a benchmark."""
    for name in ("Annotations", "JPEGImages"):
        (folder / "camera" / name).mkdir(parents=True)
    for sample in load_data("voc:scut_head", root=root)[:CAMERA]:
        pixels = cv2.resize(cv2.imread(str(sample.path)), (1920, 1080), interpolation=cv2.INTER_CUBIC)
        target = folder / "camera" / "JPEGImages" / sample.path.name
        cv2.imwrite(str(target), pixels, [cv2.IMWRITE_JPEG_QUALITY, 90])
        label = root / "scut_head" / "Annotations" / f"{sample.name}.xml"
        (folder / "camera" / "Annotations" / label.name).write_bytes(label.read_bytes())
    return "voc:camera"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, required=True)
    root = parser.parse_args().root
    with tempfile.TemporaryDirectory() as folder:
        rows = measure("SCUT-HEAD at hand (2,192 pictures of 720 px and less)", root, "voc:scut_head")
        rows += measure(f"{CAMERA} of them at 1920 x 1080", Path(folder), enlarged(root, Path(folder)))
    save("check", "Pictures a second of `data check` and `data stats` beside loops that only decode", rows)


if __name__ == "__main__":
    main()
