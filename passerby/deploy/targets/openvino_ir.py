"""OpenVINO IR: .xml and .bin, float32, float16 weights, or int8 as the .onnx file has it."""

from __future__ import annotations

from passerby.deploy.targets.base import Job, Made
from passerby.deploy.targets.onnx_file import write_onnx
from passerby.errors import ModelError
from passerby.runtime.outputs import Read, first_line
from passerby.runtime.session import OpenVino, openvino_core
from passerby.spec import METADATA_KEY


def make_openvino(job: Job) -> Made:
    """Write .xml and .bin, the spec in `rt_info`. Raises ModelError where OpenVINO cannot read the graph."""
    import onnx
    import openvino

    source = job.out.with_suffix(".onnx")
    spec = write_onnx(job, source)
    proto = onnx.load(str(source))
    del proto.metadata_props[:]  # OpenVINO would keep the spec a second time
    try:
        model = openvino_core().read_model(proto.SerializeToString())
    except RuntimeError as e:
        raise ModelError(f"{job.model}: OpenVINO cannot read its graph ({first_line(e)}); export another one") from e
    finally:
        source.unlink()
    model.set_friendly_name(spec.name)
    model.set_rt_info(spec.to_json(), [METADATA_KEY])
    openvino.save_model(model, job.out, compress_to_fp16=job.precision == "float16")
    if spec.precision == "int8":
        return Made(spec)
    engine = Read(OpenVino(job.out, str(job.out), 0, precision="f32"), spec)
    notes = (
        "left to itself OpenVINO computes in bfloat16 or float16 where the processor does, whatever the weights are "
        "stored in; passerby parity says what that changes, INFERENCE_PRECISION_HINT=f32 forbids it",
    )
    return Made(spec, engine, "OpenVINO told to compute in float32: the file is proven, not a processor", notes=notes)
