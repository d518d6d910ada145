"""Soak: `passerby live` for half an hour as users run it; its memory, descriptors and threads watched from outside.

A looped video; the page and one client that watches it; metrics asked for every ten seconds; JSON lines to a file.
Limit of the project: resident memory at the end within 5 % of that after the first minute, descriptors and threads
constant. Writes results/soak.json (with the series) and docs/pictures/soak.svg.
python benchmarks/soak.py [--minutes 30] [--record]
"""

from __future__ import annotations

import argparse
import json
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

from common import RESULTS, save

from passerby.pages.plots import lines

ROOT = Path(__file__).resolve().parent.parent
SAMPLE, SCRAPE = 5.0, 10.0  # seconds
FIRST = 60.0  # seconds until everything is loaded and warm


def sample(pid: int) -> tuple[float, int, int]:
    """Resident memory in MB, descriptors and threads of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = {k: int(re.search(rf"^{k}:\s+(\d+)", status, re.MULTILINE).group(1)) for k in ("VmRSS", "Threads")}
    return found["VmRSS"] / 1024, len(list(Path(f"/proc/{pid}/fd").iterdir())), found["Threads"]


class Viewer(threading.Thread):
    """A client that watches a stream as the page does: asks for the next moment, takes JSON and JPEG."""

    def __init__(self, address: str, stream: str) -> None:
        super().__init__(daemon=True)
        self.uri, self.moments = f"{address.replace('http', 'ws', 1).rstrip('/')}/ws/streams/{stream}", 0
        self.error: BaseException | None = None
        self.over = threading.Event()

    def run(self) -> None:
        from websockets.sync.client import connect

        try:
            with connect(self.uri, max_size=None) as socket:
                while not self.over.is_set():
                    socket.send("next")
                    moment, picture = json.loads(socket.recv(30)), socket.recv(30)
                    if not moment["stream"] or picture[:2] != b"\xff\xd8":
                        raise ValueError(f"no moment and its JPEG: {moment}")
                    self.moments += 1
        except Exception as e:
            self.error = e


def wait_for_page(errors: Path, process: subprocess.Popen) -> str:
    """The page's address, as the run says it."""
    while process.poll() is None:
        found = re.search(r"page: (http://\S+)", errors.read_text())
        if found:
            return found.group(1)
        time.sleep(0.1)
    raise SystemExit(f"the run ended at once:\n{errors.read_text()}")


def watch(process: subprocess.Popen, address: str, viewer: Viewer, seconds: float) -> list[tuple[float, ...]]:
    """Seconds, megabytes, descriptors, threads, each SAMPLE seconds."""
    rows, begun, scraped = [], time.monotonic(), 0.0
    while (now := time.monotonic() - begun) < seconds:
        if now - scraped >= SCRAPE:
            scraped = now
            urllib.request.urlopen(f"{address.rstrip('/')}/metrics", timeout=30).read()
            time.sleep(0.5)  # until the server has closed that connection
        if process.poll() is not None:
            raise SystemExit(f"the run ended after {now:.0f} s with code {process.returncode}")
        if viewer.error:
            raise SystemExit(f"the client was thrown out after {now:.0f} s: {viewer.error!r}")
        rows.append((round(now, 1), *sample(process.pid)))
        time.sleep(max(0.0, SAMPLE - (time.monotonic() - begun - now)))
    return rows


def summary(rows: list[tuple[float, ...]]) -> dict[str, object]:
    """Memory after the first minute and at the end (medians of six samples each), and what else must not change."""
    warm = [row for row in rows if row[0] >= FIRST]
    first, last = statistics.median(r[1] for r in warm[:6]), statistics.median(r[1] for r in warm[-6:])
    fds, threads = [r[2] for r in warm], [r[3] for r in warm]
    return {
        "minutes": round(rows[-1][0] / 60, 1),
        "memory after 1 minute, MB": f"{first:.1f}",
        "memory at the end, MB": f"{last:.1f}",
        "change (limit 5 %)": f"{100 * (last / first - 1):+.2f} %",
        "descriptors": f"{fds[0]}" if min(fds) == max(fds) else f"{min(fds)} to {max(fds)}",
        "threads": f"{threads[0]}" if min(threads) == max(threads) else f"{min(threads)} to {max(threads)}",
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--video", type=Path, help="default: the people video in ../shared")
    parser.add_argument("--record", action="store_true", help="record an MP4 beside it")
    parser.add_argument("--try", dest="trial", action="store_true", help="print only, keep no results")
    given = parser.parse_args()
    video = given.video or ROOT.parent / "shared" / "data" / "video" / "one-by-one-person-detection.mp4"
    with tempfile.TemporaryDirectory() as folder:
        out, errors = Path(folder) / "out.jsonl", Path(folder) / "errors.txt"
        words = [
            "live",
            f"soak={video}",
            "--repeat",
            "--to",
            "page:0",
            "--to",
            str(out),
            "--line",
            "door=0.75,0,0.75,1",
        ]
        if given.record:
            words += ["--to", str(Path(folder) / "out.mp4")]
        with errors.open("w") as file:
            process = subprocess.Popen([sys.executable, "-m", "passerby", *words], cwd=ROOT, stderr=file)
        try:
            address = wait_for_page(errors, process)
            viewer = Viewer(address, "soak")
            viewer.start()
            rows = watch(process, address, viewer, 60 * given.minutes)
            viewer.over.set()
            viewer.join(30)
            process.send_signal(signal.SIGTERM)
            code = process.wait(60)
        finally:
            process.kill()
        told = out.read_text().splitlines()
        last = json.loads(told[-1])
    row = summary(rows) | {"results": len(told), "seen by the client": viewer.moments, "exit code": code}
    row |= {"identities": last["total"], "crossings": sum(last["lines"]["door"].values())}
    title = f"Soak: a 10 fps video looped, page with one client, metrics every {SCRAPE:g} s, JSON lines"
    if given.trial:
        print(json.dumps(row, indent=1))
        return
    save("soak", title + (", recording" if given.record else ""), [row])
    path = RESULTS / "soak.json"
    series = {"seconds, memory MB, descriptors, threads": [[r[0], round(r[1], 1), *r[2:]] for r in rows]}
    path.write_text(json.dumps({**json.loads(path.read_text()), **series}) + "\n")
    minutes = [r[0] / 60 for r in rows]
    plot = lines(
        {
            "resident memory, MB": (minutes, [r[1] for r in rows]),
            "descriptors": (minutes, [r[2] for r in rows]),
            "threads": (minutes, [r[3] for r in rows]),
        },
        "minutes",
        "MB, or how many",
        "passerby live: memory, descriptors and threads",
        y_range=(0.0, 1.2 * max(r[1] for r in rows)),
    )
    (ROOT / "docs" / "pictures" / "soak.svg").write_text(plot)


if __name__ == "__main__":
    main()
