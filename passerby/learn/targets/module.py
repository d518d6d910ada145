"""What the converters start from: the job's graph as a torch module, and an example of its input."""

from __future__ import annotations

import tempfile
from pathlib import Path

import onnx
import torch
from torch import Tensor

from passerby.deploy.targets.base import Job
from passerby.deploy.targets.onnx_file import write_onnx
from passerby.deploy.targets.onnx_input import turn_late
from passerby.learn.from_onnx import GraphModule, load_module
from passerby.learn.targets.signed import to_signed
from passerby.spec import ModelSpec


def module_of(
    job: Job, bytes_in: bool = True, whole_weights: bool = False, normalise_last: bool = False
) -> tuple[GraphModule, Tensor, ModelSpec]:
    """The module, pixels (1, H, W, 3) of noise, and the spec of what it is.

    bytes_in        whether it takes uint8; else float32, 0..255, for runtimes that know no bytes
    whole_weights   of an INT8 model: `signed.to_signed`
    normalise_last  whether pixels are normalised with their channels last: `onnx_input.turn_late`
    """
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "net.onnx"
        spec = write_onnx(job, source, bytes_in, convolutions=job.spec.precision == "int8")
        proto = onnx.load(str(source))
        if spec.precision == "int8":
            to_signed(proto, whole_weights)
        if normalise_last:
            turn_late(proto)
        onnx.save(proto, str(source))
        module = load_module(source)
    torch.manual_seed(0)
    pixels = torch.randint(0, 256, (1, spec.height, spec.width, 3), dtype=torch.uint8)
    return module, pixels if bytes_in else pixels.float(), spec
