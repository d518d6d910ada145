"""LiteRT: a .tflite file by litert-torch, the spec in the zip at its end."""

from __future__ import annotations

import contextlib
import sys
import warnings

from passerby.deploy.targets.base import Job, Made
from passerby.errors import ModelError
from passerby.learn.targets.module import module_of
from passerby.runtime.formats import write_packed
from passerby.runtime.outputs import first_line


def make_tflite(job: Job) -> Made:
    """Write a .tflite file that takes bytes. Raises ModelError where litert-torch fails."""
    module, pixels, spec = module_of(job)
    with warnings.catch_warnings(), contextlib.redirect_stdout(sys.stderr):
        warnings.simplefilter("ignore")  # of the converter's own libraries
        import litert_torch

        try:
            litert_torch.convert(module, (pixels,)).export(str(job.out))
        except Exception as e:  # its errors have no public base class
            raise ModelError(f"{job.model}: litert-torch cannot convert it ({first_line(e)})") from e
    write_packed(job.out, spec.to_json(), job.out)
    return Made(spec)
