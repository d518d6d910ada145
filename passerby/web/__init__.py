"""The server and its page; the only room that imports a web framework."""

from __future__ import annotations

import importlib.util

from passerby.errors import MissingExtraError

NEEDED = ("fastapi", "uvicorn", "websockets", "prometheus_client")


def need_web() -> None:
    """Raises MissingExtraError for the first package of the extra that is not installed."""
    for module in NEEDED:
        if importlib.util.find_spec(module) is None:
            raise MissingExtraError(module, "serve")
