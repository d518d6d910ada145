"""DLC: a folder for Qualcomm devices, with real .dlc files in it where a tool that writes them is there."""

from __future__ import annotations

from pathlib import Path

from passerby.deploy import qnn
from passerby.deploy.targets import dlc_folder
from passerby.deploy.targets.base import Job, Made
from passerby.deploy.targets.dlc_convert import convert, find_converter
from passerby.deploy.targets.dlc_ops import need_taken
from passerby.deploy.targets.onnx_file import write_onnx
from passerby.errors import MissingExtraError, ModelError
from passerby.runtime.outputs import Answering, Read
from passerby.runtime.session import OnnxRuntime
from passerby.spec import ModelSpec

EMULATED = 48  # pictures of the certificate on the emulator, which takes seconds for each; 1 % of 24 is four boxes
NO_PHONE = "no phone was there: loading the .dlc on a device was not tried"


def make_dlc(job: Job) -> Made:
    """Write the folder, and in it NAME.dlc and an HTP context binary where something can.

    Qualcomm's own converter is used where it is on the PATH, else the extra [qnn] where it is installed; where neither
    is, the folder holds what the converter needs. The caller has seen to the licence of [qnn].

    Raises ModelError for a graph with operators that Qualcomm's tools do not take, or where they fail.
    """
    import onnx

    name = job.spec.name
    job.out.mkdir()
    source = job.out / f"{name}.onnx"
    spec = write_onnx(job, source, bytes_in=False, convolutions=True)
    need_taken(onnx.load(str(source)), str(job.model))
    dlc_folder.prepare(job.out, spec, job.samples)
    converter = find_converter()
    if converter:
        said = [*convert(converter, job.out, name, spec.precision == "int8"), NO_PHONE]
    elif qnn.is_installed():
        said = write_by_extra(job, source, spec)
    else:
        missing = MissingExtraError("onnxruntime-qnn", "qnn")
        said = [f"no .dlc was written: no converter of Qualcomm is on the PATH, and {missing}; commands.sh says how"]
    engine, by, most = _prover(source, spec)
    dlc_folder.describe(job.out, spec, len(job.samples), [*said, f"the certificate in {name}.json: {by}"])
    return Made(spec, Read(engine, spec), by, most=most, notes=tuple(said))


def write_by_extra(job: Job, source: Path, spec: ModelSpec) -> list[str]:
    """NAME.dlc and NAME-htp-v73.bin by ONNX Runtime with Qualcomm's libraries; lines for people.

    A context binary that cannot be made is told, since the .dlc is there.
    """
    half = spec.precision != "int8"
    name, arch = spec.name, qnn.CHIP["htp_arch"]
    job.tell("writing the .dlc file and the HTP context binary with Qualcomm's libraries")
    qnn.write_dlc(source, job.out / f"{name}.dlc")
    said = [f"{name}.dlc, {spec.precision}, was written by Qualcomm's libraries in ONNX Runtime (extra [qnn])"]
    try:
        qnn.write_context(source, job.out / f"{name}-htp-v{arch}.bin", half)
        kind = "float16" if half else "int8"
        said.append(
            f"{name}-htp-v{arch}.bin, {kind}, is compiled for Hexagon v{arch} (soc_model {qnn.CHIP['soc_model']})"
        )
    except ModelError as e:
        said.append(f"no HTP context binary: {e}")
    return [*said, "nothing here reads a .dlc back", NO_PHONE]


def _prover(source: Path, spec: ModelSpec) -> tuple[Answering, str, int]:
    """What runs the graph for the certificate, in words, and over how many pictures at most (0: all)."""
    if not qnn.is_installed():
        engine = OnnxRuntime(source, str(source), 0)
        return engine, f"{source.name} by ONNX Runtime; nothing of Qualcomm's was run", 0
    half = spec.precision != "int8"
    words = "in float16, since HTP multiplies no float32" if half else "in int8"
    return qnn.emulate(source, half), f"{source.name} on Qualcomm's HTP emulator, {words}", EMULATED
