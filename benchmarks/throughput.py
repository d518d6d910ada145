"""Pictures a second of one model on all cores: threads, several pictures at once, or batches.

The shipped graph takes one picture at a time; a batch is measured on a copy of the graph whose batch was set free. The
last rows are passerby's own pool, from decoded 640 x 480 pictures to Detections, as it is by default.
python benchmarks/throughput.py [--seconds 2] [--rounds 5]      (batches need the package onnx)
"""

from __future__ import annotations

import argparse
import importlib.util
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from common import median, save

from passerby.cores import cores
from passerby.live.pool import Pool, open_pool
from passerby.pictures import read_picture
from passerby.runtime.model_file import find_model, read_spec

CORES = cores()
Load = tuple[Callable[[int], object], int, int]  # what caller i does, how many callers, pictures a call


def openvino_load(path: Path, streams: int, threads: int, callers: int, batch: int = 1) -> Load:
    import openvino

    settings = {"INFERENCE_NUM_THREADS": str(streams * threads)}
    settings |= {"PERFORMANCE_HINT": "LATENCY"} if streams == 1 else {"NUM_STREAMS": str(streams)}
    core = openvino.Core()
    compiled = core.compile_model(core.read_model(model_of(path, batch)), "CPU", settings)
    requests = [compiled.create_infer_request() for _ in range(callers)]
    pixels = noise(path, batch)
    return lambda i: requests[i].infer([pixels], share_inputs=True, share_outputs=True), callers, batch


def onnxruntime_load(path: Path, streams: int, threads: int, callers: int, batch: int = 1) -> Load:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = streams * threads - streams + 1  # every caller is a thread, too
    session = onnxruntime.InferenceSession(model_of(path, batch), options, providers=["CPUExecutionProvider"])
    pixels = noise(path, batch)
    return lambda i: session.run(None, {"pixels": pixels}), callers, batch


def layouts(load: Callable[..., Load]) -> dict[str, Callable[[Path], Load]]:
    """Bare engines by name: one picture at a time on all cores, one a core, one a core with one more in line."""
    return {
        f"1 x {CORES} threads": partial(load, streams=1, threads=CORES, callers=1),
        f"{CORES} x 1 thread": partial(load, streams=CORES, threads=1, callers=CORES),
        f"{CORES} x 1 thread, {CORES + 1} callers": partial(load, streams=CORES, threads=1, callers=CORES + 1),
    }


LAYOUTS = {"openvino": layouts(openvino_load), "onnxruntime": layouts(onnxruntime_load)}


def model_of(path: Path, batch: int) -> bytes:
    """The graph; with its batch set free, as `passerby export --batch free` does, where it is over 1."""
    if batch == 1:
        return path.read_bytes()
    import onnx

    from passerby.deploy.targets.onnx_graph import free_batch

    model = onnx.load(path)
    free_batch(model)
    return model.SerializeToString()


def noise(path: Path, batch: int) -> np.ndarray:
    spec = read_spec(path)
    return np.random.default_rng(0).integers(0, 256, (batch, spec.height, spec.width, 3), np.uint8)


def pool_load(path: Path, engine: str, workers: int, callers: int, more: int = 0) -> Load:
    """Passerby's pool, with `more` places than it takes by itself."""
    photo = read_picture(Path(__file__).resolve().parent.parent / "examples" / "pictures" / "astronaut.jpg")
    photo = np.ascontiguousarray(cv2.resize(photo, (640, 480)))
    pool = open_pool(path, engine, CORES, workers)
    pool = Pool(pool.detector, pool.workers + more) if more else pool
    return lambda i: pool.detect(photo), callers, 1


def rate_of(load: Load, seconds: float) -> float:
    """Pictures a second while all callers call."""
    call, callers, batch = load
    done = [0] * callers
    begun = time.perf_counter()

    def work(i: int) -> None:
        while time.perf_counter() - begun < seconds:
            call(i)
            done[i] += batch

    threads = [threading.Thread(target=work, args=(i,)) for i in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(done) / (time.perf_counter() - begun)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=2.0, help="of each turn")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    path = find_model("head")
    rows: list[dict[str, object]] = []
    for engine, load in (("openvino", openvino_load), ("onnxruntime", onnxruntime_load)):
        if importlib.util.find_spec(engine) is None:
            continue
        loads = {f"bare, {name}": make(path) for name, make in LAYOUTS[engine].items()}
        if importlib.util.find_spec("onnx"):
            loads[f"bare, batch of 4, 1 x {CORES} threads"] = load(path, 1, CORES, 1, 4)
            loads[f"bare, batch of 4, {CORES} x 1 thread"] = load(path, CORES, 1, CORES, 4)
        loads[f"pool, 1 worker, {CORES + 1} callers"] = pool_load(path, engine, 1, CORES + 1)
        loads[f"pool, default, {CORES + 1} callers"] = pool_load(path, engine, 0, CORES + 1)
        loads[f"pool, one place less, {CORES + 1} callers"] = pool_load(path, engine, 0, CORES + 1, -1)
        rates: dict[str, list[float]] = {name: [] for name in loads}
        for one in loads.values():
            rate_of(one, 0.3)
        for _ in range(options.rounds):
            for name, one in loads.items():
                rates[name].append(rate_of(one, options.seconds))
        best = max(median(kept) for name, kept in rates.items() if name.startswith("bare"))
        for name, kept in rates.items():
            told = {"pictures/s": f"{median(kept):.1f}", "of the best bare one": f"{median(kept) / best:.3f}"}
            rows.append({"engine": engine, "how": name, **told})
    save(
        "throughput",
        f"One model, many callers, {CORES} cores: median of {options.rounds} turns of {options.seconds:g} s",
        rows,
    )


if __name__ == "__main__":
    main()
