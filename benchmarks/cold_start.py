"""Cold start: `passerby detect one.jpg` beside a bare script that imports the engine, loads the same file, runs once.

Limits of the project: 1.5 times the bare script; `passerby --help` under 0.3 s.
python benchmarks/cold_start.py
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path

from common import interleaved, median, save

from passerby.runtime.model_file import find_model

BARE = {
    "onnxruntime": """
import sys, numpy, onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
session.run(None, {"pixels": numpy.zeros(session.get_inputs()[0].shape, numpy.uint8)})
""",
    "openvino": """
import sys, numpy, openvino
compiled = openvino.Core().compile_model(sys.argv[1], "CPU", {"PERFORMANCE_HINT": "LATENCY"})
compiled.create_infer_request().infer([numpy.zeros(compiled.input(0).shape, numpy.uint8)])
""",
}
ROUNDS = 15


def main() -> None:
    model = str(find_model("head"))
    picture = str(Path(__file__).resolve().parent.parent / "examples" / "pictures" / "astronaut.jpg")
    passerby = str(Path(sys.executable).parent / "passerby")
    rows: list[dict[str, object]] = []

    def runner(*command: str):
        return lambda: subprocess.run(command, check=True, capture_output=True)

    with tempfile.TemporaryDirectory() as folder:
        for engine, script in BARE.items():
            if importlib.util.find_spec(engine) is None:
                continue
            ours = runner(passerby, "detect", picture, "--to", folder, "--engine", engine)
            theirs = runner(sys.executable, "-c", script, model)
            a, b = interleaved([ours, theirs], ROUNDS, warmup=2)
            rows.append(
                {
                    "what": f"detect one.jpg, {engine}",
                    "bare script, s": f"{median(b) / 1000:.3f}",
                    "passerby, s": f"{median(a) / 1000:.3f}",
                    "ratio": f"{median(a) / median(b):.2f}",
                    "limit": "1.5 x",
                }
            )
    (shown,) = interleaved([runner(passerby, "--help")], ROUNDS, warmup=2)
    rows.append(
        {
            "what": "--help",
            "bare script, s": "-",
            "passerby, s": f"{median(shown) / 1000:.3f}",
            "ratio": "-",
            "limit": "0.3 s",
        }
    )
    save("cold_start", f"Cold start of the whole process, median of {ROUNDS} interleaved rounds", rows)


if __name__ == "__main__":
    main()
