"""Steady state: one decoded 640 x 480 picture -> Detections, beside the bare engine on the same graph.

Limit of the project: at most 1.25 times the bare engine's time, with one thread and with two. The bare engine runs the
whole file; passerby's part of that, "of it the network", is without the nodes that decode every box (decision 0028).
python benchmarks/speed.py
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import cv2
import numpy as np
from common import blocks, median, save

from passerby import Detector
from passerby.pictures import read_picture
from passerby.runtime.model_file import find_model

ROUNDS = 300


def bare_onnxruntime(path: Path, threads: int, pixels: np.ndarray):
    """Nothing but the engine, fed with a picture of the right size."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {"pixels": pixels})


def bare_openvino(path: Path, threads: int, pixels: np.ndarray):
    import openvino

    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": str(threads)}
    request = openvino.Core().compile_model(str(path), "CPU", settings).create_infer_request()
    return lambda: request.infer([pixels], share_inputs=True, share_outputs=True)


def main() -> None:
    path = find_model("head")
    picture = Path(__file__).parent.parent / "examples" / "pictures" / "astronaut.jpg"
    photo = np.ascontiguousarray(cv2.resize(read_picture(picture), (640, 480)))
    bare = {"onnxruntime": bare_onnxruntime, "openvino": bare_openvino}
    rows: list[dict[str, object]] = []
    cv2.setNumThreads(1)
    for engine, make in bare.items():
        if importlib.util.find_spec(engine) is None:
            continue
        for threads in (1, 2):
            detector = Detector("head", engine=engine, threads=threads)
            small = cv2.resize(photo, (detector.spec.width, detector.spec.height))[None]
            pixels = detector.prepare(photo)[0]
            calls = [lambda d=detector: d(photo), make(path, threads, small), lambda d=detector, p=pixels: d.run(p)]
            ours, theirs, network = blocks(calls, ROUNDS)
            rows.append(
                {
                    "engine": detector.engine_name,
                    "threads": threads,
                    "bare engine, ms": f"{median(theirs):.2f}",
                    "picture to Detections, ms": f"{median(ours):.2f}",
                    "of it the network, ms": f"{median(network):.2f}",
                    "ratio (limit 1.25)": f"{median(ours) / median(theirs):.3f}",
                }
            )
    save(
        "speed",
        f"Steady state, one decoded 640 x 480 picture, median of {ROUNDS} rounds, in blocks that take turns",
        rows,
    )


if __name__ == "__main__":
    main()
