"""What each network of the family costs: parameters, multiply-adds, file, and milliseconds on this machine.

Weights are random: they do not change what the network costs. Engines run bare, on one picture, in blocks that take
turns; suppression is not in it. The networks are those of passerby/recipes, for 21 classes where `--classes 21` is
given (VOC's 20 and the background), which is how the published tables count.
python benchmarks/family.py [--classes N] [--rounds N]
"""

from __future__ import annotations

import argparse
import importlib.util
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from common import blocks, median, save

from passerby.learn.layers import layers_of
from passerby.learn.network import build, spec_of
from passerby.learn.to_onnx import to_bytes
from passerby.recipe import load_recipe
from passerby.runtime.session import open_engine


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--classes", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=60)
    given = parser.parse_args()
    shelf = Path(__file__).resolve().parent.parent / "passerby" / "recipes"
    names = sorted(p.stem for p in shelf.glob("*.py") if not p.name.startswith("_"))
    engines = [e for e in ("onnxruntime", "openvino") if importlib.util.find_spec(e)]
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as folder:
        calls, places = [], []
        for name in names:
            model = load_recipe(name).model
            if given.classes > 1:
                model = replace(model, labels=tuple(f"class {k + 1}" for k in range(given.classes)))
            spec = spec_of(model)
            network = build(spec).eval()
            path = Path(folder) / f"{name}.onnx"
            path.write_bytes(to_bytes(network, spec))
            layers = layers_of(network, spec)
            rows.append(
                {
                    "network": name.replace("_", "-"),
                    "input": f"{spec.width} x {spec.height}",
                    "default boxes": f"{sum(map(len, spec.anchors)):,}",
                    "parameters": f"{sum(x.parameters for x in layers):,}",
                    "multiply-adds, M": f"{sum(x.macs for x in layers) / 1e6:,.0f}",
                    "file, MB": f"{path.stat().st_size / 1e6:.1f}",
                }
            )
            pixels = np.random.default_rng(0).integers(0, 256, (1, spec.height, spec.width, 3), dtype=np.uint8)
            for kind in engines:
                for threads in (1, 2):
                    engine = open_engine(path, name, kind, threads)
                    calls.append(lambda e=engine, p=pixels: e.run(p))
                    places.append((len(rows) - 1, f"{engine.name}, {threads} thread{'s' * (threads > 1)}, ms"))
        for (row, column), times in zip(places, blocks(calls, given.rounds, block=14, settle=4), strict=True):
            rows[row][column] = f"{median(times):.1f}"
    what = "one class" if given.classes == 1 else f"{given.classes} classes"
    save("family" if given.classes == 1 else f"family_{given.classes}", f"The family of networks, {what}", rows)


if __name__ == "__main__":
    main()
