"""The shapes of requests and answers: what /openapi.json tells, and what a PUT is checked against."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from passerby.web.uploads import TYPES

Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
State = Literal["connecting", "live", "stale", "lost", "ended"]


class Wrong(BaseModel):
    """What every refusal looks like."""

    error: str = Field(description="one line: what is wrong, and the cure")


class Found(BaseModel):
    """One detection."""

    box: list[float] = Field(min_length=4, max_length=4, description="x0 y0 x1 y1, pixels of the picture")
    score: Share
    label: str
    id: int | None = Field(None, description="identity, where somebody tracks")


class Heat(BaseModel):
    """Where the model saw something: lies evenly over the picture."""

    width: int
    height: int
    values: str = Field(description="base64 of width x height bytes, row by row, 0 to 255")


class Detected(BaseModel):
    """What was found in a picture: a line of `passerby detect --json`."""

    source: str
    frame: int
    width: int
    height: int
    detections: list[Found]
    heat: Heat | None = Field(None, description="where it was asked for")


class Health(BaseModel):
    """Whether all streams run."""

    status: Literal["ok", "degraded"]
    version: str
    streams: dict[str, State]


class ModelFacts(BaseModel):
    """A model that the operator listed."""

    name: str
    default: bool
    labels: list[str]
    width: int = Field(description="of the network's input, pixels")
    height: int
    resize: Literal["stretch", "bounded", "letterbox"]
    threshold: float = Field(description="scores under this are not reported")
    nms: Literal["hard", "soft"] = Field(description="what overlaps a better box is dropped, or its score lowered")
    nms_iou: float
    max_detections: int
    bytes: int = Field(description="size of the file")


class StreamFacts(BaseModel):
    """How a stream is now."""

    name: str
    state: State
    rate: float = Field(description="results a second")
    delay: float | None = Field(description="seconds from capture to result")
    people: int
    threshold: float
    model: str
    width: int | None
    height: int | None


class MomentFacts(BaseModel):
    """One frame of a stream, and what is known of it; boxes are in pixels of the frame."""

    model_config = ConfigDict(extra="allow")

    stream: str
    source: str
    frame: int
    time: float
    wall: float = Field(description="seconds of Unix time")
    width: int
    height: int
    state: State
    age: float | None
    delay: float
    rate: float
    detections: list[Found]
    events: list[dict[str, Any]]
    people: int = Field(description="in view now")
    total: int = Field(description="identities so far")
    lines: dict[str, dict[str, int]]
    zones: dict[str, dict[str, Any]]
    heat: Heat | None = None


class StreamSettings(BaseModel):
    """What holds for a stream."""

    threshold: float
    model: str
    scene: dict[str, Any] = Field(description="lines and zones, in shares of the picture")
    heat: bool = Field(description="whether heat maps are made")


class StreamChange(BaseModel):
    """What shall hold for a stream from now on; what is left out stays. Another model brings its own threshold."""

    model_config = ConfigDict(extra="forbid")

    threshold: Share | None = None
    model: str | None = Field(None, max_length=200)
    scene: dict[str, Any] | None = None
    heat: bool | None = None


_FILE: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}
PICTURE_BODY = {"requestBody": {"required": True, "content": dict.fromkeys(TYPES, _FILE)}}
JPEG: dict[int | str, dict[str, Any]] = {200: {"content": {"image/jpeg": _FILE}, "description": "a JPEG"}}
ONNX: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/octet-stream": _FILE}, "description": "the file"}
}
TEXT: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "in the format of Prometheus"}
}


def refusals(*codes: int) -> dict[int | str, dict[str, Any]]:
    """The refusals of a route, for OpenAPI: its own, and those that every route has."""
    words = {
        400: "a request that cannot be read",
        401: "no token, or a wrong one",
        403: "a foreign Host or Origin",
        404: "no such name",
        408: "the body came too slowly",
        413: "too many bytes or pixels",
        415: "no picture",
        422: "a wrong value, or a damaged picture",
        429: "too many requests; see Retry-After",
        503: "overloaded; see Retry-After",
    }
    return {code: {"model": Wrong, "description": words[code]} for code in sorted({400, 401, 403, 429, *codes})}
