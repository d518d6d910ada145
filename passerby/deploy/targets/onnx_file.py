"""ONNX: decoded, raw or suppressed outputs, for one picture or any number."""

from __future__ import annotations

from pathlib import Path

from passerby.deploy.targets.base import Job, Made
from passerby.spec import ModelSpec


def make_onnx(job: Job) -> Made:
    """Write an .onnx file with the outputs and the batch that are asked for. Raises ModelError as `onnx_graph` does."""
    return Made(write_onnx(job, job.out))


def write_onnx(
    job: Job, path: Path, bytes_in: bool = True, channels_last: bool = True, convolutions: bool = False
) -> ModelSpec:
    """The job's graph as an .onnx file, with its spec inside; what other targets start from.

    convolutions   whether an INT8 graph's products over rows become convolutions (`quantise.arrange.to_convolutions`),
                   and weights in four bits plain INT8 (`quantise.four_bits`)
    bytes_in       whether it takes uint8; else float32, 0..255
    channels_last  whether it takes (1, H, W, 3); else (1, 3, H, W)
    """
    from passerby.deploy.targets import onnx_graph as graph
    from passerby.deploy.targets.onnx_input import channels_first, take_floats

    proto, spec = graph.load_graph(job.model)
    if convolutions:
        from passerby.deploy.quantise.four_bits import spell_out

        spell_out(proto)
    if job.outputs == "raw":
        spec = graph.cut_to_raw(proto, spec)
    elif job.outputs == "nms":
        spec = graph.add_suppression(proto, spec, job.floor)
    if job.free:
        graph.free_batch(proto)
    if not bytes_in:
        take_floats(proto)
    if not channels_last:
        channels_first(proto)
    if convolutions:
        from passerby.deploy.quantise.arrange import to_convolutions

        to_convolutions(proto)
    graph.to_file(proto, spec, path)
    return spec
