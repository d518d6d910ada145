"""ExecuTorch: a .pte file for XNNPACK, the spec beside it as .json."""

from __future__ import annotations

import contextlib
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from passerby.deploy.targets.base import Job, Made
from passerby.errors import ModelError
from passerby.learn.targets.module import module_of
from passerby.runtime.outputs import Array, Read, first_line, names_of
from passerby.spec import ModelSpec


@dataclass(frozen=True)
class Executed:
    """A .pte file in ExecuTorch's runtime; `runtime.outputs.Answering`.

    owners  the file's bytes and the program, which the method needs and does not keep alive itself
    """

    method: Any
    owners: tuple[Any, ...]
    name: str
    outputs: tuple[str, ...]

    def answer(self, pixels: Array) -> list[Array]:
        """The input -> every output, in the order of `outputs`."""
        return [np.array(t.numpy()) for t in self.method.execute([torch.from_numpy(pixels.astype(np.float32))])]


def make_executorch(job: Job) -> Made:
    """Write a .pte file that takes float pixels 0..255. Raises ModelError where ExecuTorch fails."""
    module, pixels, spec = module_of(job, bytes_in=False)
    with warnings.catch_warnings(), contextlib.redirect_stdout(sys.stderr):
        warnings.simplefilter("ignore")  # of the converter's own libraries
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
        from executorch.exir import to_edge_transform_and_lower

        try:
            program = torch.export.export(module, (pixels,))
            lowered = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()]).to_executorch()
        except Exception as e:  # its errors have no public base class
            raise ModelError(f"{job.model}: ExecuTorch cannot convert it ({first_line(e)})") from e
        job.out.write_bytes(lowered.buffer)
        opened = open_pte(job.out, spec)
    notes = ("input: float pixels 0..255, RGB, (1, H, W, 3); the spec is beside it as .json",)
    return Made(spec, Read(opened, spec), opened.name, notes=notes)


def open_pte(path: Path, spec: ModelSpec) -> Executed:
    """A .pte file loaded into ExecuTorch's own runtime. Raises ModelError where it cannot be."""
    from importlib.metadata import version

    from executorch.runtime import Runtime, Verification

    try:
        data = path.read_bytes()
        program = Runtime.get().load_program(data, verification=Verification.Minimal)
        method = program.load_method("forward")
    except RuntimeError as e:
        raise ModelError(f"{path}: ExecuTorch cannot load it ({first_line(e)})") from e
    return Executed(
        method, (data, program), f"executorch {version('executorch')} {spec.precision}", tuple(names_of(spec))
    )
