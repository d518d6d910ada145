"""The page's own files: listed once, so that a request can name nothing else."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from pathlib import Path

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from passerby.web.access import COOKIE, Access, header
from passerby.web.answers import Refused

STATIC = Path(__file__).resolve().parent / "static"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".wasm": "application/wasm",
    ".json": "application/json",
    ".webmanifest": "application/manifest+json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
}
PLAIN = "text/plain; charset=utf-8"


@dataclass(frozen=True)
class StaticFile:
    """A file of the page; `packed` where it lies there as .gz."""

    path: Path
    kind: str
    packed: bool
    tag: str


def static_files(folder: Path = STATIC) -> dict[str, StaticFile]:
    """All files below a folder by their names in addresses: "ort/x.wasm" for ort/x.wasm or ort/x.wasm.gz."""
    files = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and not p.name.startswith(".")):
        packed = path.suffix == ".gz"
        name = path.relative_to(folder).as_posix().removesuffix(".gz" if packed else "")
        tag = hashlib.sha256(path.read_bytes()).hexdigest()[:20]
        files[name] = StaticFile(path, TYPES.get(Path(name).suffix, PLAIN), packed, tag)
    return files


def file_routes(access: Access, folder: Path = STATIC) -> APIRouter:
    """GET / and GET /static/..."""
    files = static_files(folder)
    router = APIRouter(include_in_schema=False)

    @router.api_route("/", methods=["GET", "HEAD"])
    async def page(request: Request) -> Response:
        if "index.html" not in files:
            raise Refused(404, "the page is not installed; see /openapi.json for what programs can ask")
        response = await send_file(request, files["index.html"])
        if access.cookie and "token" in request.query_params:
            secure = request.url.scheme == "https"
            response.set_cookie(
                COOKIE, access.cookie, max_age=31536000, httponly=True, samesite="strict", secure=secure
            )
        return response

    @router.api_route("/static/{name:path}", methods=["GET", "HEAD"])
    async def static(request: Request, name: str) -> Response:
        if name not in files:
            raise Refused(404, "no such file")
        return await send_file(request, files[name])

    return router


async def send_file(request: Request, file: StaticFile) -> Response:
    """A file, or 304 where the browser has it; unpacked for the few who cannot do that themselves."""
    takes = any("gzip" in value for value in header(request.scope, b"accept-encoding"))
    packed = file.packed and takes
    tag = f'"{file.tag}{"-gz" if packed else ""}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    if file.packed:
        headers["Vary"] = "Accept-Encoding"
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    data = await run_in_threadpool(file.path.read_bytes)
    if packed:
        headers["Content-Encoding"] = "gzip"
    elif file.packed:
        data = await run_in_threadpool(gzip.decompress, data)
    return Response(data, headers=headers, media_type=file.kind)
