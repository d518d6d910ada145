"""Answers of the server: JSON for programs, and one shape for everything that is refused."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from fastapi import Response
from starlette.exceptions import HTTPException

from passerby.errors import BusyError, ModelError, PasserbyError, SettingError, SourceError
from passerby.records import Floats

STATUS: dict[type[PasserbyError], int] = {SettingError: 422, SourceError: 422, ModelError: 500, BusyError: 503}


class Refused(HTTPException):
    """A request that is not served: an HTTP status of 4xx or 5xx, and one line that says why."""

    def __init__(self, status: int, text: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status, text, dict(headers or {}))


def refusal(error: PasserbyError) -> Refused:
    """How an error of ours is answered."""
    status = next((code for kind, code in STATUS.items() if isinstance(error, kind)), 500)
    headers = {"Retry-After": str(math.ceil(error.retry))} if isinstance(error, BusyError) else {}
    return Refused(status, str(error), headers)


def to_json(content: Any) -> bytes:
    """JSON as `passerby detect --json` writes it."""
    return json.dumps(content).encode()


def json_answer(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """An answer of JSON, without a detour over models that check what we made ourselves."""
    return Response(to_json(content), status, dict(headers or {}), "application/json")


def error_answer(error: HTTPException) -> Response:
    """{"error": one line} with the error's status and headers."""
    return json_answer({"error": " ".join(str(error.detail).split())}, error.status_code, error.headers)


def heat_json(heat: Floats) -> dict[str, Any]:
    """A heat map (h, w), 0..1, for JSON: a byte a cell, row by row, in base64."""
    values = np.round(np.clip(heat, 0, 1) * 255).astype(np.uint8)
    return {
        "width": int(heat.shape[1]),
        "height": int(heat.shape[0]),
        "values": base64.b64encode(values.tobytes()).decode("ascii"),
    }
