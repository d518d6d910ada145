"""Smaller files of a model: INT8 under a budget of accuracy, or weights in half precision; measured, not hoped."""

from __future__ import annotations

import importlib.util

from passerby.errors import MissingExtraError


def need_onnx() -> None:
    """Raises MissingExtraError where the extra [deploy] is not installed; the modules here import onnx."""
    if importlib.util.find_spec("onnx") is None:
        raise MissingExtraError("onnx", "deploy")
