"""Any Python callable as a predictor: `file.py:function` or `module:function`, picture -> Detections."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from passerby.errors import ModelError, did_you_mean
from passerby.geometry.resize import Placement
from passerby.records import Detections, Pixels
from passerby.runtime.adapters.foreign import Known
from passerby.runtime.detector import Picture, as_pixels


class Function:
    """A callable behind `runtime.predictor.Predictor`; all of its time is the network's, since nobody sees inside.

    text  "file.py:name" or "module:name"; the name is a callable (H, W, 3) uint8 RGB -> Detections in that picture's
          pixels, or a factory: a function or class without arguments that gives one. Where the callable has `spec`
          (name, labels, threshold), `threshold`, `nms_iou`, `max_detections` or `engine_name`, they are told

    Raises ModelError for a module that cannot be loaded, a name that it does not have, or one that is no callable.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        where, _, name = text.rpartition(":")
        found = _attribute(_load(where, text), name, text)
        if _is_factory(found):
            found = _guard(text, "making it", found)
            if not callable(found):
                raise ModelError(f"{text}: a factory that gave {_told(found)}, want a callable picture -> Detections")
        self.call: Callable[[Pixels], Any] = found
        spec = getattr(found, "spec", None)
        labels = tuple(getattr(spec, "labels", None) or ())
        self.spec = Known(str(getattr(spec, "name", name)), labels, float(getattr(spec, "threshold", 0.5)))
        self.threshold: float | None = getattr(found, "threshold", None)
        self.nms_iou: float | None = getattr(found, "nms_iou", None)
        self.max_detections: int | None = getattr(found, "max_detections", None)
        self.engine_name = str(getattr(found, "engine_name", "python"))

    def __call__(self, picture: Picture) -> Detections:
        """Ask the callable. Raises ModelError where it raises, or gives something else than Detections."""
        pixels, placement = self.prepare(picture)
        return self.finish(self.run(pixels), placement)

    def prepare(self, picture: Picture) -> tuple[Pixels, Placement]:
        """The picture as it is."""
        pixels = as_pixels(picture)
        return pixels, Placement(pixels.shape[1], pixels.shape[0], 1.0, 1.0)

    def run(self, pixels: Pixels) -> Any:
        """What the callable says."""
        return _guard(self.text, f"on a picture of {pixels.shape[1]} x {pixels.shape[0]}", self.call, pixels)

    def finish(self, answer: Any, placement: Placement, threshold: float | None = None) -> Detections:
        """The answer, if it is Detections; scores from `threshold` on."""
        if not isinstance(answer, Detections):
            raise ModelError(f"{self.text}: gave {_told(answer)}, want passerby.Detections")
        return answer if threshold is None else answer[answer.scores >= threshold]


def _load(where: str, text: str) -> ModuleType:
    if not where.endswith(".py"):
        return _guard(text, "importing it", importlib.import_module, where)  # type: ignore[no-any-return]
    path = Path(where)
    if not path.is_file():
        raise ModelError(f"{text}: no such file: {path}")
    spec = importlib.util.spec_from_file_location(f"compared_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    _guard(text, "loading it", spec.loader.exec_module, module)
    return module


def _attribute(module: ModuleType, name: str, text: str) -> Any:
    if not hasattr(module, name):
        known = [n for n in vars(module) if not n.startswith("_")]
        raise ModelError(f"{text}: {module.__name__} has no '{name}'{did_you_mean(name, known)}")
    found = getattr(module, name)
    if not callable(found):
        raise ModelError(f"{text}: is {_told(found)}, want a callable picture -> Detections, or a factory of one")
    return found


def _is_factory(found: Any) -> bool:
    """Whether it can be called without arguments, and does not need one."""
    try:
        parameters = inspect.signature(found).parameters.values()
    except ValueError:  # a builtin that does not say
        return False
    places = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return inspect.isclass(found) or not [
        p for p in parameters if p.kind in places or p.kind == inspect.Parameter.VAR_POSITIONAL
    ]


def _guard(text: str, doing: str, call: Callable[..., Any], *arguments: Any) -> Any:
    """Call what a user wrote; whatever it raises is told in one line, with its place in the user's file."""
    try:
        return call(*arguments)
    except Exception as e:  # it is the user's code: anything may come, and it is named
        frames = traceback.extract_tb(e.__traceback__)
        at = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if len(frames) > 1 else ""
        words = " ".join(str(e).split())[:200]
        raise ModelError(f"{text}: {doing}, it raised {type(e).__name__}{at}: {words}") from e


def _told(thing: Any) -> str:
    shape = getattr(thing, "shape", None)
    size = f" of shape {tuple(shape)}" if shape is not None else f" of length {len(thing)}" if _sized(thing) else ""
    return "None" if thing is None else f"a {type(thing).__name__}{size}"


def _sized(thing: Any) -> bool:
    return isinstance(thing, (list, tuple, dict, str))
