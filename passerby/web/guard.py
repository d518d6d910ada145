"""The gate before every route: who calls, how often, and how much is sent; and the headers on every answer."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from fastapi import Response
from starlette.exceptions import HTTPException

from passerby.live.metrics import Metrics
from passerby.web.access import Access, header
from passerby.web.answers import Refused, error_answer
from passerby.web.limits import Limits
from passerby.web.rates import Rates, client_of

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Any, Receive, Send], Awaitable[None]]

POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self' 'wasm-unsafe-eval'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "media-src 'self' blob:",
        "font-src 'self'",
        "connect-src 'self' blob:",
        "worker-src 'self'",
        "manifest-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
)
HEADERS = [
    (b"content-security-policy", POLICY.encode()),
    (b"cross-origin-opener-policy", b"same-origin"),  # with the next: what threads in WebAssembly need
    (b"cross-origin-embedder-policy", b"require-corp"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"permissions-policy", b"camera=(self), microphone=(), geolocation=(), payment=(), usb=()"),
]
GUESS = 20  # requests that a wrong token counts for
DRAIN = 2.0  # seconds for which a body that is refused is still taken, so that its sender comes to read why

log = logging.getLogger("passerby.web")


class Guard:
    """ASGI middleware around everything. What it refuses is answered in JSON, on sockets before they are accepted."""

    def __init__(self, app: App, access: Access, limits: Limits, metrics: Metrics) -> None:
        self.app, self.access, self.limits, self.metrics = app, access, limits, metrics
        self.rates = Rates(limits.rate)
        self.held = 0  # bytes of bodies

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        begun, status = time.perf_counter(), 0

        async def send_on(message: Message) -> None:
            nonlocal status
            if message["type"].endswith("response.start"):
                status = int(message["status"])
                message["headers"] = _dressed(list(message.get("headers", ())))
            await send(message)

        try:
            await self._serve(scope, receive, send_on)
        except (HTTPException, ConnectionError) as e:
            if not status and isinstance(e, HTTPException):
                await answer(scope, receive, send_on, error_answer(e))
        except Exception:
            log.exception("a request failed: %s", scope["path"])
            if status or scope["type"] == "websocket":
                raise
            await answer(scope, receive, send_on, error_answer(Refused(500, "the server failed; see its log")))
        finally:
            if scope["type"] == "http" and status:
                path = getattr(scope.get("route"), "path", "other")
                self.metrics.request(path, status, time.perf_counter() - begun, scope["method"])
                if status == 503:
                    self.metrics.busy(path)

    async def _serve(self, scope: Any, receive: Receive, send: Send) -> None:
        bucket = self.rates.of(client_of(scope))
        if wait := bucket.take():
            raise Refused(
                429, f"more than {self.limits.rate:g} requests a second", {"Retry-After": str(math.ceil(wait))}
            )
        try:
            self.access.check(scope)
        except Refused as e:
            if e.status_code == 401:
                bucket.spill(GUESS)
            raise
        if scope["type"] == "websocket" or not (
            header(scope, b"content-length") or header(scope, b"transfer-encoding")
        ):
            await self.app(scope, receive, send)
            return
        body = await self._body(scope, receive)
        if body is None:
            return
        try:
            await self.app(scope, _replayed(body, receive), send)
        finally:
            self.held -= len(body)

    async def _body(self, scope: Any, receive: Receive) -> bytes | None:
        """The whole body, counted in `held`; None where the client is gone. Raises Refused past a limit."""
        stated = header(scope, b"content-length")
        if stated and stated[0].isdigit() and int(stated[0][:20]) > self.limits.body:
            if not header(scope, b"expect"):
                await _drain(receive)
            raise self._too_large()
        parts: list[bytes] = []
        size, more = 0, True
        try:
            async with asyncio.timeout(self.limits.body_time):
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        self.held -= size
                        return None
                    part = message.get("body", b"")
                    more = message.get("more_body", False)
                    parts.append(part)
                    size += len(part)
                    self.held += len(part)
                    self._check_size(size)
        except TimeoutError as e:
            self.held -= size
            limit = self.limits.body_time
            raise Refused(408, f"the body did not come within {limit:g} seconds", {"Connection": "close"}) from e
        except BaseException:
            self.held -= size
            if more:
                await _drain(receive)
            raise
        return b"".join(parts)

    def _check_size(self, size: int) -> None:
        if size > self.limits.body:
            raise self._too_large()
        if self.held > self.limits.memory:
            raise Refused(503, "too much is being sent at once; try again later", {"Retry-After": "1"})

    def _too_large(self) -> Refused:
        return Refused(413, f"the body is over {self.limits.body:,} bytes; send less", {"Connection": "close"})


async def answer(scope: Any, receive: Receive, send: Send, response: Response) -> None:
    """Send an answer; a socket that is not yet accepted is refused with it."""
    if scope["type"] == "http":
        await response(scope, receive, send)
        return
    headers = list(response.raw_headers)
    await send({"type": "websocket.http.response.start", "status": response.status_code, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": bytes(response.body)})


def _dressed(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """An answer's headers with those that every answer has."""
    if not any(name.lower() == b"cache-control" for name, _ in headers):
        headers.append((b"cache-control", b"no-store"))
    return headers + HEADERS


async def _drain(receive: Receive) -> None:
    """Take what a client goes on sending, for a while."""
    try:
        async with asyncio.timeout(DRAIN):
            while (message := await receive())["type"] == "http.request" and message.get("more_body", False):
                pass
    except TimeoutError:
        pass


def _replayed(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the body first, and then what comes after it."""
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay
