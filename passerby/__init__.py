"""passerby: finds people, heads or whole persons, in pictures and video on small hardware.

    import passerby
    found = passerby.Detector()("photo.jpg")    # boxes, scores, labels

The names below are loaded on first use, so that `import passerby` costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME = {
    "Detector": "passerby.runtime.detector",
    "Localiser": "passerby.runtime.localiser",
    "Detections": "passerby.records",
    "Frame": "passerby.records",
    "open_source": "passerby.media.sources",
    "open_sink": "passerby.media.sinks",
    "draw": "passerby.media.draw",
    "load_data": "passerby.data",
    "evaluate": "passerby.measure.evaluate",
    "PasserbyError": "passerby.errors",
}

__all__ = ["__version__", *_HOME]

if TYPE_CHECKING:
    from passerby.data import load_data as load_data
    from passerby.errors import PasserbyError as PasserbyError
    from passerby.measure.evaluate import evaluate as evaluate
    from passerby.media.draw import draw as draw
    from passerby.media.sinks import open_sink as open_sink
    from passerby.media.sources import open_source as open_source
    from passerby.records import Detections as Detections
    from passerby.records import Frame as Frame
    from passerby.runtime.detector import Detector as Detector
    from passerby.runtime.localiser import Localiser as Localiser


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'passerby' has no attribute '{name}'")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
