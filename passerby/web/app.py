"""The app: what can be asked of the server, and how everything is answered."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Query, Request, Response, WebSocket
from fastapi.exceptions import RequestValidationError
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from passerby import __version__
from passerby.errors import PasserbyError
from passerby.live.hub import Hub
from passerby.live.metrics import CONTENT_TYPE, Metrics
from passerby.live.pool import Models
from passerby.web.access import Access
from passerby.web.answers import Refused, error_answer, heat_json, json_answer, refusal, to_json
from passerby.web.files import STATIC, file_routes
from passerby.web.guard import Guard
from passerby.web.limits import Limits
from passerby.web.schema import ONNX, PICTURE_BODY, TEXT, Detected, Health, ModelFacts, refusals
from passerby.web.sockets import socket_routes
from passerby.web.streams import Watched, stream_routes
from passerby.web.uploads import TYPES, Uploads, picture_of

Share = Annotated[float | None, Query(ge=0, le=1, allow_inf_nan=False, description="default: the model's own")]
Name = Annotated[str | None, Query(max_length=200, description="one of /models; default: the first")]
HIDDEN: dict[str, Any] = {"docs_url": None, "redoc_url": None}  # FastAPI's own pages load from other servers


def create_app(
    hub: Hub,
    models: Models,
    metrics: Metrics,
    limits: Limits | None = None,
    token: str | None = None,
    hosts: Iterable[str] = (),
    static: Path = STATIC,
) -> FastAPI:
    """The ASGI app of the page, the REST interface and the sockets.

    hub     streams that can be watched; not entered here
    models  the only ones that can be named
    token   what a caller must know; None: nothing
    hosts   names of the server, see `Access`

    Create it before the hub is entered: it listens to the streams.
    """
    limits = limits or Limits()
    access, uploads, watched = Access(hosts, token), Uploads(limits), Watched(hub, models)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        uploads.close()
        watched.close()

    app = FastAPI(
        title="passerby", version=__version__, lifespan=lifespan, redirect_slashes=False, openapi_url=None, **HIDDEN
    )
    app.state.limits = limits
    app.add_middleware(Guard, access=access, limits=limits, metrics=metrics)
    for kind in (HTTPException, PasserbyError, RequestValidationError):
        app.add_exception_handler(kind, _answer_error)
    app.include_router(file_routes(access, static))
    app.include_router(_facts(models, watched, metrics, app))
    app.include_router(_detecting(models, uploads, limits))
    app.include_router(stream_routes(watched))
    app.include_router(socket_routes(models, watched, uploads, limits))
    return app


def _facts(models: Models, watched: Watched, metrics: Metrics, app: FastAPI) -> APIRouter:
    router = APIRouter(tags=["facts"])
    rows = [_model_facts(models, name) for name in models.names]

    @router.get("/health", response_model=Health, responses=refusals())
    async def health() -> Response:
        """Whether all streams run."""
        states = watched.states()
        good = all(state in ("live", "ended") for state in states.values())
        return json_answer({"status": "ok" if good else "degraded", "version": __version__, "streams": states})

    @router.get("/models", response_model=list[ModelFacts], responses=refusals())
    async def listed() -> Response:
        """The models that can be named."""
        return json_answer(rows)

    @router.get("/models/{name}.onnx", response_class=Response, responses={**refusals(404), **ONNX})
    async def model(request: Request, name: str) -> Response:
        """A model's file, for inference in the browser."""
        if name not in models.names:
            raise Refused(404, f"no model '{name[:60]}'; see /models")
        path = models.path(name)
        seen = path.stat()
        headers = {"ETag": f'"{seen.st_size:x}-{seen.st_mtime_ns:x}"', "Cache-Control": "no-cache"}
        if headers["ETag"] in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(await run_in_threadpool(path.read_bytes), 200, headers, "application/octet-stream")

    @router.get("/metrics", response_class=Response, responses={**refusals(), **TEXT})
    async def numbers() -> Response:
        """Numbers for Prometheus."""
        return Response(await run_in_threadpool(metrics.text), headers={"Content-Type": CONTENT_TYPE})

    @router.get("/openapi.json", include_in_schema=False)
    async def openapi() -> Response:
        return json_answer(app.openapi())

    return router


def _detecting(models: Models, uploads: Uploads, limits: Limits) -> APIRouter:
    router = APIRouter(tags=["detect"])

    @router.post(
        "/detect",
        response_model=Detected,
        response_model_exclude_none=True,
        openapi_extra=PICTURE_BODY,
        responses=refusals(400, 404, 408, 413, 415, 422, 503),
    )
    async def detect(request: Request, model: Name = None, threshold: Share = None, heat: bool = False) -> Response:
        """Find people in a picture, which is the body. The answer is a line of `passerby detect --json`."""
        kind = request.headers.get("content-type", TYPES[0]).partition(";")[0].strip().lower()
        if kind not in TYPES:
            raise Refused(415, f"a body of {kind[:80]}: want {', '.join(TYPES[:-1])}; set the header Content-Type")
        if model is not None and model not in models.names:
            raise Refused(404, f"no model '{model[:60]}'; see /models")
        data = await request.body()

        def look() -> bytes:
            pixels = picture_of(data, limits.pixels)
            pool = models.pool(model)
            row = {"source": "upload", "frame": 0, "width": int(pixels.shape[1]), "height": int(pixels.shape[0])}
            if not heat:
                return to_json({**row, "detections": pool.detect(pixels, threshold, limits.wait).to_list()})
            found, seen = pool.look(pixels, threshold, limits.wait)
            return to_json({**row, "detections": found.to_list(), "heat": heat_json(seen)})

        return Response(await uploads.run(look), media_type="application/json")

    return router


def _model_facts(models: Models, name: str) -> dict[str, Any]:
    spec = models.spec(name)
    return {
        "name": name,
        "default": name == models.names[0],
        "labels": list(spec.labels),
        "width": spec.width,
        "height": spec.height,
        "resize": spec.resize,
        "threshold": spec.threshold,
        "nms": spec.nms,
        "nms_iou": spec.nms_iou,
        "max_detections": spec.max_detections,
        "bytes": models.path(name).stat().st_size,
    }


async def _answer_error(caller: Any, error: Exception) -> Response:
    """Everything that is refused, in one shape; a socket is refused before it is accepted."""
    response = error_answer(_refused(error))
    if isinstance(caller, WebSocket):
        await caller.send_denial_response(response)
    return response


def _refused(error: Exception) -> HTTPException:
    if isinstance(error, PasserbyError):
        return refusal(error)
    if isinstance(error, RequestValidationError):
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"][1:])
        return Refused(422, f"{where}: {first['msg']}" if where else str(first["msg"]))
    if isinstance(error, HTTPException) and not isinstance(error, Refused) and error.status_code == 404:
        return Refused(404, "nothing is here; see /openapi.json")
    if isinstance(error, HTTPException) and error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "")
        return Refused(405, f"it cannot be asked in this way, only with {allowed}", error.headers)
    return error if isinstance(error, HTTPException) else Refused(500, "the server failed; see its log")
