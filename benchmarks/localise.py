"""One decoded 640 x 480 picture -> score, map over the picture, and regions, beside the bare engine on the same graph.

Limit of the project: under 10 ms on one core. The published figure is 100 ms on a laptop.
python benchmarks/localise.py [MODEL ...]
"""

from __future__ import annotations

import argparse
import importlib.util
from pathlib import Path

import cv2
import numpy as np
from common import blocks, median, save
from speed import bare_onnxruntime, bare_openvino

from passerby import Localiser
from passerby.pictures import read_picture
from passerby.runtime.model_file import find_model

ROUNDS = 300
LIMIT = 10.0  # ms


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("models", nargs="*", default=["person-map"])
    models = parser.parse_args().models
    picture = Path(__file__).parent.parent / "examples" / "pictures" / "astronaut.jpg"
    photo = np.ascontiguousarray(cv2.resize(read_picture(picture), (640, 480)))
    bare = {"onnxruntime": bare_onnxruntime, "openvino": bare_openvino}
    rows: list[dict[str, object]] = []
    cv2.setNumThreads(1)
    for model in models:
        for engine, make in bare.items():
            if importlib.util.find_spec(engine) is None:
                continue
            localiser = Localiser(model, threshold=0.0, engine=engine, threads=1)  # 0: regions are worked out, always
            small = localiser.prepare(photo)[0]
            calls = [
                lambda it=localiser: it.locate(photo),
                lambda it=localiser: it(photo),
                make(find_model(model), 1, small),
            ]
            whole, regions, theirs = (median(times) for times in blocks(calls, ROUNDS))
            rows.append(
                {
                    "model": localiser.spec.name,
                    "engine": localiser.engine_name,
                    "bare engine, ms": f"{theirs:.2f}",
                    "picture to regions, ms": f"{regions:.2f}",
                    f"and map over it, ms (limit {LIMIT:g})": f"{whole:.2f}",
                }
            )
    save(
        "localise",
        f"Score, map and regions of one decoded 640 x 480 picture, one thread, median of {ROUNDS} rounds, in blocks "
        "that take turns",
        rows,
    )


if __name__ == "__main__":
    main()
