"""Counting on a real video: identities, line counts and zone visits at several frame rates, beside a count by eye.

The video and the count: tests/unit/test_live_real_video.py. Six people come one at a time and leave; every one crosses
`entry` once, `exit` once and `both` twice, and stands in the zone once.
python benchmarks/counting.py [--video FILE]
"""

from __future__ import annotations

import argparse
from pathlib import Path

from common import save

from passerby import Detector
from passerby.live.scene import LineSpec, Scene, ZoneSpec
from passerby.live.watch import LOW, Watcher
from passerby.media.sources import video

ROOT = Path(__file__).resolve().parent.parent
SCENE = Scene(
    (
        LineSpec("entry", (1.0, 0.55), (0.0, 0.55)),
        LineSpec("exit", (0.75, 0.0), (0.75, 1.0)),
        LineSpec("both", (0.95, 0.0), (0.0, 1.0)),
    ),
    (ZoneSpec("table", ((0.45, 0.0), (0.7, 0.0), (0.7, 0.4), (0.45, 0.4)), point="centre"),),
)


def main() -> None:
    parser = argparse.ArgumentParser()
    default = ROOT.parent / "shared" / "data" / "video" / "one-by-one-person-detection.mp4"
    parser.add_argument("--video", type=Path, default=default)
    given = parser.parse_args()
    detector = Detector("head", engine="onnxruntime")
    looked = [(f.time, f.width, f.height, detector(f, LOW)) for f in video(given.video)]
    rows: list[dict[str, object]] = [
        {
            "frames a second": "by eye",
            "identities": 6,
            "entry in, out": "6, 0",
            "exit in, out": "0, 6",
            "both in, out": "6, 6",
            "table visitors": 6,
        }
    ]
    for step in (1, 2, 3, 4):
        watcher = Watcher(SCENE, detector.threshold)
        for time, width, height, found in looked[::step]:
            seen = watcher.see(found, float(time or 0.0), width, height)
        counts = {f"{name} in, out": f"{n['in']}, {n['out']}" for name, n in (seen.lines or {}).items()}
        zones = {"table visitors": (seen.zones or {})["table"]["visitors"]}
        rows.append({"frames a second": f"{10 / step:.1f}", "identities": seen.total, **counts, **zones})
    save("counting", f"{given.video.name}, {len(looked)} frames at 10 a second, model head, ONNX Runtime", rows)


if __name__ == "__main__":
    main()
