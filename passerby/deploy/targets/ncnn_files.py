"""ncnn: .param and .bin by pnnx, which is a program of its own; the spec goes beside them."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import tempfile
from pathlib import Path

from passerby.deploy.targets.base import Job, Made
from passerby.deploy.targets.ncnn_int8 import Rounded, round_layers, to_float
from passerby.deploy.targets.onnx_file import write_onnx
from passerby.errors import MissingExtraError, ModelError
from passerby.runtime.outputs import names_of
from passerby.spec import ModelSpec

TIME_LIMIT = 600.0  # seconds; `head` takes 2


def make_ncnn(job: Job) -> Made:
    """Write .param, .bin and .json: float pixels 0..255, channels first, in; logits and offsets of each map out.

    An INT8 model goes through pnnx in float, and its INT8 convolutions are put into what comes out: `ncnn_int8`.

    Raises ModelError where pnnx fails, or leaves an operator that ncnn has no layer for: named.
    """
    program = find_pnnx()
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "net.onnx"
        int8 = job.spec.precision == "int8"
        spec = write_onnx(job, source, bytes_in=False, channels_last=False, convolutions=int8)
        rounded = _without_rounding(source) if int8 else []
        words = [str(program), source.name, f"fp16={int(job.precision == 'float16')}"]
        try:
            done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=TIME_LIMIT, check=False)
        except subprocess.TimeoutExpired as e:
            raise ModelError(f"{job.model}: pnnx did not end within {TIME_LIMIT:.0f} s; give it a smaller model") from e
        param, weights = source.with_name("net.ncnn.param"), source.with_name("net.ncnn.bin")
        if done.returncode or not param.is_file() or not weights.is_file():
            last = (done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}").splitlines()[-1]
            raise ModelError(f"{job.model}: pnnx cannot convert it ({last[:200]})")
        text, data = name_blobs(param.read_text(encoding="utf-8"), spec, str(job.model)), weights.read_bytes()
    notes = ["input: float pixels 0..255, RGB, channels first; normalising is inside"]
    if int8:
        text, data, count = round_layers(text, data, rounded, str(job.model))
        notes.append(f"{count} convolutions multiply in INT8; depthwise ones, and what quantise kept, in float")
    job.out.write_text(text, encoding="utf-8")
    job.out.with_suffix(".bin").write_bytes(data)
    job.out.with_suffix(".json").write_text(spec.to_json(), encoding="utf-8")
    return Made(spec, notes=tuple(notes))


def _without_rounding(source: Path) -> list[Rounded]:
    import onnx

    proto = onnx.load(str(source))
    rounded = to_float(proto)
    onnx.save(proto, str(source))
    return rounded


def find_pnnx() -> Path:
    """The converter's program inside its package, found without importing it: the package imports torch.

    Raises MissingExtraError where it is not installed.
    """
    found = importlib.util.find_spec("pnnx")
    for place in (found.submodule_search_locations or ()) if found else ():
        for name in ("pnnx", "pnnx.exe"):
            if (Path(place) / name).is_file():
                return Path(place) / name
    raise MissingExtraError("pnnx", "ncnn")


def name_blobs(text: str, spec: ModelSpec, where: str) -> str:
    """A .param file whose input is `pixels` and whose outputs are named by `runtime.outputs.names_of`.

    pnnx calls them in0 and out0, out1, ... Raises ModelError where operators are left that ncnn has no layer for, or
    the outputs are not as many as expected.
    """
    lines = text.splitlines()
    foreign = sorted({line.split()[0] for line in lines[2:] if "." in line.split()[0] or "::" in line.split()[0]})
    if foreign:
        raise ModelError(
            f"{where}: ncnn has no layer for {', '.join(foreign)}; export raw outputs of a one-stage network"
        )
    names = names_of(spec)
    found = sorted(set(re.findall(r"(?<=\s)out\d+(?=\s|$)", text)), key=lambda n: int(n[3:]))
    if len(found) != len(names):
        raise ModelError(f"{where}: pnnx gave {len(found)} outputs, want {len(names)}")
    for old, new in (*zip(found, names, strict=True), ("in0", "pixels")):
        text = re.sub(rf"(?<=\s){old}(?=\s|$)", new, text)
    return text
