"""Load on POST /detect, driven by wrk, beside the bare engine's rate on the same cores in the same run.

Limit of the project: at least 0.7 of the bare engine's rate. The bare engine runs its graph on pixels of the right
size in the thread layout that suits it best; the server receives, checks, decodes and resizes JPEGs, and wrk takes its
share of the same cores, too. The overload row drives many times more connections than there is room for: the rest is
told to come again later (503); what those who are served wait is measured by one caller beside wrk.
python benchmarks/load.py [--seconds 8] [--rounds 3]      (needs wrk)
"""

from __future__ import annotations

import argparse
import http.client
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
from common import median, save
from throughput import CORES, LAYOUTS, rate_of

from passerby.live.pool import open_pool
from passerby.pictures import read_picture
from passerby.runtime.model_file import find_model
from passerby.web.uploads import picture_of

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = """
local file = io.open("{body}", "rb")
local body = file:read("*a")
file:close()
wrk.method = "POST"
wrk.body = body
wrk.headers["Content-Type"] = "image/jpeg"
local threads = {{}}
function setup(thread) table.insert(threads, thread) end
function init() good, busy, other = 0, 0, 0 end
function response(status)
  if status == 200 then good = good + 1 elseif status == 503 then busy = busy + 1 else other = other + 1 end
end
function done(summary, latency)
  local good, busy, other = 0, 0, 0
  for _, t in ipairs(threads) do
    good, busy, other = good + t:get("good"), busy + t:get("busy"), other + t:get("other")
  end
  local e = summary.errors
  print(string.format("RESULT %d %d %d %d %d %f %f", good, busy, other, e.connect + e.read + e.write + e.timeout,
    summary.duration, latency:percentile(50) / 1000, latency:percentile(99) / 1000))
end
"""


@contextmanager
def served(engine: str) -> Iterator[str]:
    """The address of a `passerby serve` of its own."""
    words = [sys.executable, "-m", "passerby", "serve", "--port", "0", "--rate", "0", "--engine", engine]
    with subprocess.Popen(words, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        try:
            for line in process.stderr:
                if found := re.search(r"page: (http://\S+)", line):
                    yield found.group(1)
                    break
            else:
                raise SystemExit("passerby serve did not start")
        finally:
            process.terminate()
            process.wait(20)


def drive(url: str, script: Path, connections: int, seconds: float) -> dict[str, float]:
    """One run of wrk: answers by kind, answers a second, milliseconds."""
    words = ["wrk", "-t1", f"-c{connections}", f"-d{seconds:g}s", "--timeout", "30s", "-s", str(script)]
    said = subprocess.run([*words, f"{url}/detect"], capture_output=True, text=True, check=True).stdout
    numbers = re.search(r"RESULT (\d+) (\d+) (\d+) (\d+) (\d+) (\S+) (\S+)", said)
    good, busy, other, broken, took, p50, p99 = (float(n) for n in numbers.groups())
    per = 1e6 / took
    return {"good": good * per, "busy": busy * per, "errors": other + broken, "p50": p50, "p99": p99}


def ask(url: str, body: bytes, until: float, waits: list[float], kinds: Counter[int]) -> None:
    """One caller who sends the picture again and again, and comes later when he is told to."""
    host = url.removeprefix("http://")
    while time.perf_counter() < until:
        link = http.client.HTTPConnection(host, timeout=30)
        begun = time.perf_counter()
        link.request("POST", "/detect", body, {"Content-Type": "image/jpeg"})
        answer = link.getresponse()
        answer.read()
        link.close()
        kinds[answer.status] += 1
        if answer.status == 200:
            waits.append(1000 * (time.perf_counter() - begun))
        else:
            time.sleep(0.02)


def overload(url: str, script: Path, body: bytes, connections: int, seconds: float) -> dict[str, object]:
    waits: list[float] = []
    kinds: Counter[int] = Counter()
    until = time.perf_counter() + seconds
    caller = threading.Thread(target=ask, args=(url, body, until, waits, kinds))
    caller.start()
    run = drive(url, script, connections, seconds)
    caller.join()
    share = run["busy"] / max(1e-9, run["good"] + run["busy"])
    late = sorted(waits)[int(0.99 * (len(waits) - 1))] if waits else float("nan")
    return {**run, "share": share, "late": late, "served": len(waits), "asked": sum(kinds.values())}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=8.0, help="of each run of wrk")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--engine", action="append", choices=["openvino", "onnxruntime"])
    options = parser.parse_args()
    photo = cv2.resize(read_picture(ROOT / "examples" / "pictures" / "astronaut.jpg"), (640, 480))
    body = cv2.imencode(".jpg", cv2.cvtColor(photo, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as folder:
        picture, script = Path(folder) / "body.jpg", Path(folder) / "detect.lua"
        picture.write_bytes(body)
        script.write_text(SCRIPT.format(body=picture))
        for engine in options.engine or ["openvino", "onnxruntime"]:
            bare = {name: make(find_model("head")) for name, make in LAYOUTS[engine].items()}
            with served(engine) as url:
                drive(url, script, 4, 2)
                alone = {name: [] for name in bare}
                pool, inside = open_pool(find_model("head"), engine), []
                within = (lambda i, p=pool: p.detect(picture_of(body, 10**8)), CORES + 1, 1)
                runs = {connections: [] for connections in (1, 4, 8, 16)}
                for _ in range(options.rounds):
                    for name, call in bare.items():
                        alone[name].append(rate_of(call, options.seconds / 4))
                    inside.append(rate_of(within, options.seconds / 4))
                    for connections, kept in runs.items():
                        kept.append(drive(url, script, connections, options.seconds))
                best = max(alone, key=lambda name: median(alone[name]))
                limit = median(alone[best])
                for connections, kept in runs.items():
                    rows.append(row(engine, best, limit, median(inside), connections, kept))
                much = overload(url, script, body, 128, options.seconds)
                rows.append(
                    row(engine, best, limit, median(inside), 128, [much])
                    | {"503": f"{much['share']:.0%}", "p99 of the served, ms": f"{much['late']:.0f}"}
                )
    save(
        "load",
        f"POST /detect, a 640 x 480 JPEG of {len(body) / 1024:.0f} KiB, wrk and server on the same cores, "
        f"median of {options.rounds} runs of {options.seconds:g} s",
        rows,
    )


def row(
    engine: str, best: str, limit: float, inside: float, connections: int, kept: list[dict[str, float]]
) -> dict[str, object]:
    good = median([r["good"] for r in kept])
    return {
        "engine": engine,
        "bare engine": best,
        "bare, pictures/s": f"{limit:.1f}",
        "bytes to boxes without HTTP, pictures/s": f"{inside:.1f}",
        "connections": connections,
        "answers/s": f"{good:.1f}",
        "ratio (limit 0.7)": f"{good / limit:.3f}",
        "p50, ms": f"{median([r['p50'] for r in kept]):.1f}",
        "p99, ms": f"{median([r['p99'] for r in kept]):.1f}",
        "errors": int(sum(r["errors"] for r in kept)),
        "503": "0%" if not any(r["busy"] for r in kept) else "some",
        "p99 of the served, ms": f"{median([r['p99'] for r in kept]):.0f}",
    }


if __name__ == "__main__":
    main()
