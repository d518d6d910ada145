"""Protocols for uvicorn, with patience that ends: for heads of requests, for readers, for too many connections."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

HEAD_TIME = 15.0  # seconds from the connection, or the last answer, in which the next request's head must be there
READ_TIME = 120.0  # seconds in which somebody must have read what was sent to him
REASONS = {400: "Bad Request", 503: "Service Unavailable"}


class PatientHttp(H11Protocol):
    """uvicorn's protocol, which by itself waits forever for a head that comes byte by byte (Slowloris)."""

    most = 256  # connections, set by the server
    _head: asyncio.TimerHandle | None = None
    _reader: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection, or refuse it at once where there are too many."""
        super().connection_made(transport)
        if len(self.connections) > self.most:
            self._say(503, "too many connections; try again later", "Retry-After: 1\r\n")
            return
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Feed the parser, and see whether a request is being served now."""
        super().data_received(data)
        self._rest()

    def handle_websocket_upgrade(self, event: Any) -> None:
        """Hand over to the socket's protocol."""
        self._stop_head()
        super().handle_websocket_upgrade(event)

    def on_response_complete(self) -> None:
        """Begin to wait for the next request; what is left of this one's body counts to that time."""
        self._wait()
        super().on_response_complete()
        self._rest()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timers."""
        self._stop_head()
        self._stop_reader()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """More was sent than was read."""
        super().pause_writing()
        self._stop_reader()
        self._reader = self.loop.call_later(READ_TIME, self.transport.abort)

    def resume_writing(self) -> None:
        """It was read after all."""
        self._stop_reader()
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP."""
        self._say(400, "this is no HTTP request that can be read")

    def _wait(self) -> None:
        self._stop_head()
        self._head = self.loop.call_later(HEAD_TIME, self.transport.abort)

    def _rest(self) -> None:
        """No need to wait while a request is being served."""
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_head()

    def _stop_head(self) -> None:
        if self._head is not None:
            self._head.cancel()

    def _stop_reader(self) -> None:
        if self._reader is not None:
            self._reader.cancel()

    def _say(self, status: int, text: str, headers: str = "") -> None:
        body = json.dumps({"error": text})
        lines = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nX-Content-Type-Options: nosniff\r\n"
        head = f"HTTP/1.1 {status} {REASONS[status]}\r\n{lines}{headers}Connection: close\r\n\r\n"
        self.transport.write((head + body).encode())
        self.transport.close()


class Sockets(WebSocketsSansIOProtocol):
    """uvicorn's sockets, which by themselves log an error for each that an app refuses with an answer."""

    async def send(self, message: Any) -> None:
        """Send, and take a refusal for the end of the handshake."""
        await super().send(message)
        if self.initial_response is not None and self.close_sent:
            self.handshake_complete = True
