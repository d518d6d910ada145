"""The door to `learn`: what is missing is named with its pip line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from passerby.errors import MissingExtraError

_PACKAGES = ("torch", "safetensors", "onnx", "onnxscript", "matplotlib", "hotcoco")


@contextmanager
def learn() -> Iterator[None]:
    """Around imports of `passerby.learn`. Raises MissingExtraError where the extra [train] is not installed."""
    try:
        yield
    except ModuleNotFoundError as e:
        if e.name in _PACKAGES:
            raise MissingExtraError(str(e.name), "train") from e
        raise
