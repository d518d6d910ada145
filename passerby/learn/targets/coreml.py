"""Core ML: an .mlpackage by coremltools, the spec in its user-defined metadata. It predicts on a Mac only."""

from __future__ import annotations

import contextlib
import sys
import warnings

import numpy as np
import torch

from passerby.deploy.targets.base import Job, Made
from passerby.errors import ModelError
from passerby.learn.targets.module import module_of
from passerby.runtime.outputs import first_line, names_of
from passerby.spec import METADATA_KEY

DEBUG = "executorch_debug_handle_mapping.json"  # coremltools leaves it in the package, and nothing reads it
UNPROVEN = "Core ML predicts on a Mac only; check it there: docs/guides/export.md"


def make_coreml(job: Job) -> Made:
    """Write an ML program that takes float pixels 0..255. Raises ModelError where coremltools fails."""
    module, pixels, spec = module_of(job, bytes_in=False)
    with warnings.catch_warnings(), contextlib.redirect_stdout(sys.stderr):
        warnings.simplefilter("ignore")  # of the converter's own libraries
        import coremltools

        half = job.precision == "float16"
        try:
            program = torch.export.export(module, (pixels,)).run_decompositions({})
            model = coremltools.convert(
                program,
                inputs=[coremltools.TensorType("pixels", tuple(pixels.shape), dtype=np.float32)],
                outputs=[coremltools.TensorType(name, dtype=np.float32) for name in names_of(spec)],
                minimum_deployment_target=coremltools.target.iOS16,
                compute_precision=coremltools.precision.FLOAT16 if half else coremltools.precision.FLOAT32,
            )
        except Exception as e:  # its errors have no public base class
            raise ModelError(f"{job.model}: coremltools cannot convert it ({first_line(e)})") from e
        model.user_defined_metadata[METADATA_KEY] = spec.to_json()
        model.short_description = f"{spec.name}: {', '.join(spec.labels)}"
        model.save(str(job.out))
        (job.out / DEBUG).unlink(missing_ok=True)
    notes = ("input: float pixels 0..255, RGB, (1, H, W, 3); boxes in pixels of that input",)
    return Made(spec, unproven=UNPROVEN, notes=notes)
