"""Video as planes (`media/planar.py`) beside pictures that OpenCV converts first: what is found, and what it costs.

Found: every picture of val_B, made 4:2:0 as a video has it, goes to the network as planes, and as RGB made of them; the
picture itself beside it. Cost: the processor's ms a frame of an H.264 file, decoded and dropped, and decoded and made
the network's input, on one core, in turns; and of streams over HTTP of which every frame is looked at, or one of four.
python benchmarks/planes.py --root DIR [--model NAME]    where DIR holds scut_head
"""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
from common import median, save
from live import pictures, write_video

from passerby.geometry.planes import PlanarFrame, Planes
from passerby.measure.evaluate import evaluate, load_boxes
from passerby.media.live import open_capture
from passerby.media.planar import PlanarCapture
from passerby.runtime.detector import Detector, as_input

SIZES = ((640, 480), (1280, 720), (1920, 1080))
FRAMES, ROUNDS = 120, 7


def planes_of(pixels) -> Planes:
    """(H, W, 3) RGB -> 4:2:0, without the last row or column where a side is odd."""
    height, width = (side - side % 2 for side in pixels.shape[:2])
    block = cv2.cvtColor(pixels[:height, :width], cv2.COLOR_RGB2YUV_I420)
    u, v = block[height:].reshape(2, height // 2, width // 2)
    return Planes(block[:height], u, v)


class Through:
    """A detector whose pictures go through 4:2:0."""

    def __init__(self, detector: Detector, planar: bool) -> None:
        self.detector, self.planar, self.spec = detector, planar, detector.spec
        for name in ("threshold", "nms_iou", "max_detections", "engine_name"):
            setattr(self, name, getattr(detector, name))

    def __call__(self, pixels):
        planes = planes_of(pixels)
        return self.detector(PlanarFrame(planes, "") if self.planar else planes.rgb())


def found(model: str, root: Path) -> None:
    detector = Detector(model, threshold=0.01, engine="onnxruntime")
    samples = load_boxes("voc:scut_head#val_B", detector.spec.labels, root)
    rows: list[dict[str, object]] = []
    ways = {
        "the picture itself": detector,
        "4:2:0, made RGB, resized": Through(detector, False),
        "4:2:0, planes resized, made RGB": Through(detector, True),
    }
    for name, way in ways.items():
        scores = evaluate(way, samples, ("average_precision", "miss_rate", "at_threshold", "coco")).scores
        rows.append(
            {
                "what the network gets": name,
                "AP50": f"{scores['ap50']:.4f}",
                "COCO AP": f"{scores['coco_ap']:.4f}",
                "MR^-2": f"{scores['mr2']:.4f}",
                "F1": f"{scores['f1']:.4f}",
            }
        )
    save("planes", f"What {model} finds in SCUT-HEAD val_B, {len(samples)} pictures, by what it gets", rows)


def spent(capture, spec, every: int) -> float:
    """The processor's ms a frame of a video of which each `every`th becomes the network's input; 0: none does."""
    begun, count = time.process_time(), 0
    while (one := capture.read())[0]:
        if every and count % every == 0:
            picture = one[1]() if callable(one[1]) else cv2.cvtColor(one[1], cv2.COLOR_BGR2RGB)
            as_input(PlanarFrame(picture, "") if isinstance(picture, Planes) else picture, spec)
        count += 1
    seconds = time.process_time() - begun
    capture.release()
    assert count >= FRAMES - 6, f"{count} of {FRAMES} frames"  # the last of a stream of H.264 wait for others
    return 1000 * seconds / count


def cost(model: str) -> None:
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])
    cv2.setNumThreads(1)
    spec = Detector(model, engine="onnxruntime").spec
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as folder:
        for size in SIZES:
            path = Path(folder) / "people.mp4"
            write_video(path, [cv2.resize(p, size) for p in pictures()], 30, FRAMES / 30, size)
            times: dict[str, list[float]] = {}
            for _ in range(ROUNDS):
                for name, open_ in (
                    ("OpenCV", lambda p: cv2.VideoCapture(p, cv2.CAP_FFMPEG)),
                    ("planes", PlanarCapture),
                ):
                    for every, what in ((0, "dropped"), (1, "looked at")):
                        times.setdefault(f"{name}, {what}", []).append(spent(open_(str(path)), spec, every))
            each = {key: median(values) for key, values in times.items()}
            rows.append(
                {
                    "size": "{} x {}".format(*size),
                    **{f"{key}, ms": f"{value:.2f}" for key, value in each.items()},
                    "looked at, planes of OpenCV": f"{each['planes, looked at'] / each['OpenCV, looked at']:.2f}",
                }
            )
    title = f"H.264, one core: ms of the processor a frame, median of {ROUNDS} turns of {FRAMES} frames"
    save("planes_cost", f"{title}; input {spec.width} x {spec.height}", rows)


@contextmanager
def served(folder: str) -> Iterator[str]:
    """The address of a server of the folder's files, in a process of its own."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    words = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1", "--directory", folder]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            with socket.socket() as door:
                if door.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def by_opencv(uri: str) -> cv2.VideoCapture:
    return cv2.VideoCapture(uri, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])


def streams(model: str) -> None:
    spec = Detector(model, engine="onnxruntime").spec
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as folder, served(folder) as address:
        for codec, kind in (("libx264", "H.264"), ("mjpeg", "MJPEG")):
            for size in SIZES:
                frames = [cv2.resize(p, size) for p in pictures()]
                write_video(Path(folder) / "people.mkv", frames, 30, FRAMES / 30, size, codec)
                times: dict[str, list[float]] = {}
                for _ in range(ROUNDS):
                    for name, open_ in (("OpenCV", by_opencv), ("planes", open_capture)):
                        for every in (1, 4):
                            key = f"{name}, {'all' if every == 1 else 'one of four'}, ms"
                            times.setdefault(key, []).append(spent(open_(f"{address}/people.mkv"), spec, every))
                each = {key: f"{median(values):.2f}" for key, values in times.items()}
                rows.append({"stream": kind, "size": "{} x {}".format(*size), **each})
    title = f"A stream over HTTP, one core: ms of the processor a frame that comes, median of {ROUNDS} turns"
    save("planes_streams", f"{title} of {FRAMES} frames; all become the network's input, or one of four", rows)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--model", default="head")
    given = parser.parse_args()
    found(given.model, given.root)
    cost(given.model)
    streams(given.model)


if __name__ == "__main__":
    main()
