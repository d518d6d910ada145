"""LiteRT: a .tflite file by litert-torch, the spec in the zip at its end."""

from __future__ import annotations

import contextlib
import sys
import warnings
from typing import Any

from passerby.deploy.targets.base import Job, Made
from passerby.errors import ModelError
from passerby.learn.targets.module import module_of
from passerby.learn.targets.tflite_layout import drop_transposes
from passerby.runtime.formats import write_packed
from passerby.runtime.outputs import first_line


def make_tflite(job: Job) -> Made:
    """Write a .tflite file that takes bytes; of an INT8 model with its own rounding, so that nothing is calibrated.

    Raises ModelError where litert-torch fails.
    """
    module, pixels, spec = module_of(job, whole_weights=True, normalise_last=True)
    with warnings.catch_warnings(), contextlib.redirect_stdout(sys.stderr):
        warnings.simplefilter("ignore")  # of the converter's own libraries
        import litert_torch

        try:
            how = {"quant_config": _as_it_is()} if spec.precision == "int8" else {}
            litert_torch.convert(module, (pixels,), **how).export(str(job.out))
        except Exception as e:  # its errors have no public base class
            raise ModelError(f"{job.model}: litert-torch cannot convert it ({first_line(e)})") from e
    job.out.write_bytes(drop_transposes(job.out.read_bytes()))
    write_packed(job.out, spec.to_json(), job.out)
    return Made(spec)


def _as_it_is() -> Any:
    """The wish of litert-torch that makes it keep the rounding that stands in a program."""
    from litert_torch.quantize.pt2e_quantizer import PT2EQuantizer, get_symmetric_quantization_config
    from litert_torch.quantize.quant_config import QuantConfig

    return QuantConfig(pt2e_quantizer=PT2EQuantizer().set_global(get_symmetric_quantization_config()))
