"""Live: results a second and delay of one 640 x 480 stream, and of four, beside the bare engine in the same run.

Source -> model -> identities and counts, as `passerby live` runs it, with a line and a zone. Everything is pinned to
one core, then to two, the bare engine alike; both take turns. Every source gives a quarter more frames than the bare
engine could take at its best, so that frames are dropped and the newest is looked at. Three kinds of sources:

raw     pictures in memory, given at their time, as a camera does that sends plain pixels; a copy each, no decoding
file    H.264, read by PyAV; decoding all frames, those too that are dropped, runs on the same cores
stream  the same over HTTP at its own speed (live_stream.py); what serves it runs on the machine's last core
Limit of the project: one stream gets at least 0.85 of the bare engine's rate.
python benchmarks/live.py [--rounds 5] [--seconds 4]
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path

WIDTH, HEIGHT = 640, 480
FASTER = 1.25  # frames of the sources for each that the bare engine could take
PICTURES = Path(__file__).parent.parent / "examples" / "pictures"


def pictures(count: int = 64) -> list:
    """Frames (480, 640, 3) BGR with six people in them: a window that moves over example pictures."""
    import cv2
    import numpy as np

    from passerby.pictures import read_picture

    small = [cv2.resize(read_picture(PICTURES / f"{n}.jpg"), (235, 272)) for n in ("astronaut", "grace_hopper")]
    large = np.concatenate([np.tile(one, (1, 3, 1)) for one in small])[:, :, ::-1]
    way = [*range(count // 2), *range(count // 2, 0, -1)]
    return [np.ascontiguousarray(large[k : k + HEIGHT, 2 * k : 2 * k + WIDTH]) for k in way]


class Camera:
    """Gives pictures in memory at a rate, for `LiveSource(opener=...)`."""

    def __init__(self, frames: list, rate: float) -> None:
        self.frames, self.rate, self.count, self.begun = frames, rate, 0, time.monotonic()

    def read(self):
        time.sleep(max(0.0, self.begun + self.count / self.rate - time.monotonic()))
        self.count += 1
        return True, self.frames[self.count % len(self.frames)].copy()

    def get(self, what: int) -> float:
        return 0.0

    def release(self) -> None: ...


class Server:
    """`live_stream.py` in a process of its own."""

    def __init__(self, video: Path) -> None:
        self.command = [sys.executable, str(Path(__file__).with_name("live_stream.py")), str(video)]

    def __enter__(self) -> Server:
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, text=True)
        self.uri = f"http://127.0.0.1:{self.process.stdout.readline().strip()}/people.ts"
        return self

    def __exit__(self, *error: object) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def write_video(
    path: Path,
    frames: list,
    rate: float,
    seconds: float,
    size: tuple[int, int] = (WIDTH, HEIGHT),
    codec: str = "libx264",
) -> None:
    """A file of that rate, as long as a turn takes; frames (height, width, 3) BGR of that size; codec: or "mjpeg"."""
    from fractions import Fraction

    import av

    with av.open(str(path), "w") as file:
        h264 = codec == "libx264"
        options = {"preset": "veryfast"} if h264 else {}
        stream = file.add_stream(codec, rate=Fraction(rate).limit_denominator(1000), options=options)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p" if h264 else "yuvj420p"
        for k in range(int(rate * seconds)):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(frames[k % len(frames)], format="bgr24")))
        file.mux(stream.encode())


def bare_rate(call, seconds: float) -> tuple[float, float]:
    """Runs a second of the engine alone, and processor seconds of each, all threads together."""
    begun, used, count = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() < begun + seconds:
        call()
        count += 1
    return count / (time.perf_counter() - begun), (time.process_time() - used) / count


def live_rate(make, pool, streams: int, seconds: float) -> tuple[float, float, list[float]]:
    """Results a second of all streams together, processor seconds and delay of each; the first second not counted.

    make  -> LiveSource
    """
    from passerby.live.hub import Hub
    from passerby.live.scene import LineSpec, Scene, ZoneSpec
    from passerby.live.stream import Stream

    scene = Scene(
        (LineSpec("door", (0.5, 0.0), (0.5, 1.0)),), (ZoneSpec("half", ((0, 0), (0.5, 0), (0.5, 1), (0, 1))),)
    )
    hub, told = Hub(), []
    for k in range(streams):
        stream = Stream(f"s{k}", make(), pool, scene)
        stream.listen(lambda moment: told.append((time.perf_counter(), moment.delay)))
        hub.add(stream)
    with hub:
        while not told and hub.error() is None:  # until it is open
            time.sleep(0.01)
        time.sleep(1.0)
        begun, used = time.perf_counter(), time.process_time()
        time.sleep(seconds)
        ended, used = time.perf_counter(), time.process_time() - used
    error = hub.error()
    if error:
        raise error
    delays = [delay for at, delay in told if begun <= at <= ended]
    return len(delays) / (ended - begun), used / len(delays), delays


def child(engine: str, cores: int, source: str, streams: int, rounds: int, seconds: float) -> dict[str, object]:
    """One row, measured in this process; source: "raw", "file" or "stream"."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    import cv2

    from passerby.live.pool import open_pool
    from passerby.media.live import LiveSource
    from passerby.runtime.model_file import find_model

    sys.path.insert(0, str(Path(__file__).parent))
    import speed

    cv2.setNumThreads(cores)
    path, frames = find_model("head"), pictures()
    pool = (
        open_pool(path, engine, streams=streams) if "streams" in open_pool.__annotations__ else open_pool(path, engine)
    )
    spec = pool.detector.spec
    small = cv2.resize(frames[0], (spec.width, spec.height))[None]
    bare = {"onnxruntime": speed.bare_onnxruntime, "openvino": speed.bare_openvino}[engine](path, cores, small)
    bare_rate(bare, 1.0)
    fastest, rate = max(bare_rate(bare, 1.0)[0] for _ in range(3)), 0.0
    while rate * streams < FASTER * fastest / 1.02:  # else it was slow while its pace was taken: once more, from anew
        rate = FASTER * fastest / streams
        with tempfile.TemporaryDirectory() as folder:
            video = Path(folder) / "people.mp4"
            if source != "raw":
                write_video(video, frames, rate, seconds + (10 if source == "stream" else 3))

            def make(rate: float = rate, video: Path = video) -> LiveSource:
                if source == "raw":
                    return LiveSource("0", opener=lambda uri: Camera(frames, rate))
                return LiveSource(str(video), repeat=True) if source == "file" else LiveSource(server.uri)

            alone, live, delays = [], [], []
            with Server(video) if source == "stream" else nullcontext() as server:
                for _ in range(rounds):
                    alone.append(bare_rate(bare, seconds))
                    *got, late = live_rate(make, pool, streams, seconds)
                    live.append(got)
                    delays += late
            alone.append(bare_rate(bare, seconds))
        fastest = max(pace for pace, _ in alone)
    delays.sort()
    ratios = [got[0] / ((a[0] + b[0]) / 2) for got, a, b in zip(live, alone[:-1], alone[1:], strict=True)]
    bare_a_second, bare_cost = (statistics.median(column) for column in zip(*alone, strict=True))
    live_a_second, live_cost = (statistics.median(column) for column in zip(*live, strict=True))
    return {
        "engine": pool.detector.engine_name,
        "cores": cores,
        "source": source if source == "raw" else f"H.264, {source}",
        "streams": streams,
        "frames a second": f"{rate * streams:.0f}",
        "bare engine, a second": f"{bare_a_second:.1f}",
        "live, results a second": f"{live_a_second:.1f}",
        "of the bare engine": f"{statistics.median(ratios):.3f}",
        "bare engine, processor ms": f"{1000 * bare_cost:.2f}",
        "live, processor ms": f"{1000 * live_cost:.2f}",
        "delay p50, ms": f"{1000 * delays[len(delays) // 2]:.1f}",
        "delay p95, ms": f"{1000 * delays[int(len(delays) * 0.95)]:.1f}",
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--row", nargs=4, help="one row: engine, cores, source, streams")
    given = parser.parse_args()
    if given.row:
        engine, cores, source, streams = given.row
        print(json.dumps(child(engine, int(cores), source, int(streams), given.rounds, given.seconds)))
        return
    from common import save

    rows: list[dict[str, object]] = []
    for engine in ("onnxruntime", "openvino"):
        if importlib.util.find_spec(engine) is None:
            continue
        for cores in (1, 2):
            for source, streams in (("raw", 1), ("file", 1), ("stream", 1), ("raw", 4), ("file", 4)):
                words = ["--row", engine, str(cores), source, str(streams)]
                words += ["--rounds", str(given.rounds), "--seconds", str(given.seconds)]
                done = subprocess.run([sys.executable, __file__, *words], check=True, capture_output=True, text=True)
                rows.append(json.loads(done.stdout.splitlines()[-1]))
    title = (
        f"Live, 640 x 480, {given.rounds} rounds of {given.seconds:g} seconds in turns with the bare engine, "
        "medians over rounds; four streams: results of all together"
    )
    save("live", title, rows)


if __name__ == "__main__":
    main()
