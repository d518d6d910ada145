"""Export targets whose converters start from a torch module: `deploy.targets.TARGETS` describes them."""

from __future__ import annotations

from collections.abc import Callable

from passerby.deploy.targets.base import Job, Made
from passerby.learn.targets.coreml import make_coreml
from passerby.learn.targets.executorch_pte import make_executorch
from passerby.learn.targets.tflite import make_tflite

MAKERS: dict[str, Callable[[Job], Made]] = {
    "tflite": make_tflite,
    "coreml": make_coreml,
    "executorch": make_executorch,
}
