"""Any model by its name on the command line -> a predictor: ours, a file of another maker, or a Python callable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from passerby.errors import ModelError, SettingError, did_you_mean
from passerby.runtime.adapters import ADAPTERS
from passerby.runtime.adapters.foreign import Foreign
from passerby.runtime.function import Function
from passerby.runtime.localiser import open_model
from passerby.runtime.model_file import CHECKPOINT, is_ours, shipped_models
from passerby.runtime.predictor import Predictor

FILES = (".onnx", ".xml", ".tflite", ".param")


@dataclass(frozen=True)
class Word:
    """A model as it was named: "[NAME=]WHAT[:ADAPTER]".

    name     what it is called in tables
    what     a shipped name, a file, or MODULE:FUNCTION
    adapter  a name from ADAPTERS; "": found out by looking
    """

    name: str
    what: str
    adapter: str = ""

    @property
    def file(self) -> Path | None:
        """The file it comes from; None where there is none (a module's function)."""
        if self.what in shipped_models():
            return shipped_models()[self.what]
        path = Path(self.what.rpartition(":")[0] if self.is_function else self.what)
        return path if path.is_file() else None

    @property
    def is_function(self) -> bool:
        """Whether it is a Python callable."""
        return ":" in self.what and not Path(self.what).is_file()


def parse_word(text: str) -> Word:
    """What a model's word on the command line means. Raises SettingError for an unknown adapter or an empty word."""
    name, sep, what = text.partition("=")
    if not sep or Path(text).is_file():
        name, what = "", text
    if not what or (sep and not name and not Path(text).is_file()):
        raise SettingError(f"model '{text}': want NAME, FILE or MODULE:FUNCTION, or any of them after NAME=")
    file, colon, adapter = what.rpartition(":")
    if colon and file.endswith(FILES):
        if adapter not in ADAPTERS:
            raise SettingError(f"model '{text}': no adapter '{adapter}'{did_you_mean(adapter, ADAPTERS)}")
        return Word(name or Path(file).stem, file, adapter)
    if colon and file and not Path(what).is_file():
        return Word(name or adapter, what)
    return Word(name or Path(what).stem, what)


def open_word(
    word: Word,
    floor: float | None = None,
    engine: str = "auto",
    threads: int = 0,
    nms_iou: float | None = None,
    max_detections: int | None = None,
    labels: Sequence[str] = (),
) -> Predictor:
    """The predictor of a word; checkpoints are `learn`'s, and refused here.

    Raises ModelError, SettingError and MissingExtraError as Detector, Foreign and Function do.
    """
    if word.is_function:
        return Function(word.what)
    suffix = Path(word.what).suffix.lower()
    if word.what not in shipped_models() and suffix in FILES:
        path = Path(word.what)
        if word.adapter or (path.is_file() and not is_ours(path)):  # a missing file is told by `find_model`
            return Foreign(path, floor, engine, threads, word.adapter, labels, nms_iou, max_detections)
    elif suffix and word.what not in shipped_models():
        raise ModelError(
            f"{word.what}: a model is a shipped name, a file of {', '.join((*FILES, CHECKPOINT))}, or MODULE:FUNCTION"
        )
    return open_model(word.what, floor, engine, threads, nms_iou, max_detections)
