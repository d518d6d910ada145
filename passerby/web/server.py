"""The server: uvicorn in a thread of its own, ready when entered, gone when left."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from passerby.errors import OutputError, SettingError
from passerby.web.limits import Limits
from passerby.web.protocol import PatientHttp, Sockets

GRACE = 2  # seconds that requests have to end


class PageServer:
    """Serves an app while it is entered.

    app        of `create_app`
    host       a name or address of this machine, "0.0.0.0" or "::" for all of them; port 0: any free one
    cert, key  PEM files, for https
    proxy      believe what a reverse proxy on this machine says of who calls (X-Forwarded-For, -Proto)

    Raises OutputError, when entered, for a port that is taken or a host that is not ours, SettingError for a
    certificate that cannot be used.
    """

    def __init__(
        self,
        app: FastAPI,
        host: str,
        port: int,
        cert: Path | None = None,
        key: Path | None = None,
        proxy: bool = False,
    ) -> None:
        limits: Limits = getattr(app.state, "limits", Limits())
        self.host, self.port, self.secure = host, port, cert is not None
        self._error: BaseException | None = None
        protocol = type("Http", (PatientHttp,), {"most": limits.connections})
        self._config = uvicorn.Config(
            app,
            http=protocol,
            ws=Sockets,
            ws_max_size=limits.body + 8,
            ws_per_message_deflate=False,  # a message cannot become larger than what was sent
            lifespan="on",
            log_config=None,
            log_level="error",
            access_log=False,
            proxy_headers=proxy,
            forwarded_allow_ips="127.0.0.1,::1",
            server_header=False,
            timeout_keep_alive=10,
            timeout_graceful_shutdown=GRACE,
            ssl_certfile=cert,
            ssl_keyfile=key,
            h11_max_incomplete_event_size=32 * 1024,
        )
        self._server = uvicorn.Server(self._config)
        self._thread = threading.Thread(target=self._run, name="page server", daemon=True)

    @property
    def url(self) -> str:
        """The page's address, with the port that was found; of all hosts the one that others most likely reach."""
        host = _outward() if self.host in ("0.0.0.0", "::", "") else self.host
        return f"{'https' if self.secure else 'http'}://{f'[{host}]' if ':' in host else host}:{self.port}"

    def __enter__(self) -> PageServer:
        try:
            self._config.load()
        except (ssl.SSLError, OSError) as e:
            raise SettingError(f"{self._config.ssl_certfile}: no certificate that fits its key ({e})") from e
        self._socket = self._bound()
        self.port = int(self._socket.getsockname()[1])
        self._thread.start()
        while not self._server.started and self._thread.is_alive():
            self._thread.join(0.01)
        if not self._server.started:
            self._socket.close()
            raise OutputError(f"{self.host} port {self.port}: the server did not start ({self._error})")
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """End it: open requests have GRACE seconds, sockets are closed at once."""
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join(3 * GRACE + 5)

    def _run(self) -> None:
        try:
            asyncio.run(self._server.serve([self._socket]))
        except BaseException as e:
            self._error = e

    def _bound(self) -> socket.socket:
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(
                self.host, self.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
            bound = socket.socket(family, kind, protocol)
        except OSError as e:
            raise OutputError(f"{self.host}: no address of this machine ({e.strerror or e})") from e
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(address)
            bound.listen(128)
        except OSError as e:
            bound.close()
            raise OutputError(
                f"{self.host} port {self.port}: cannot listen there ({e.strerror or e}); take another with --port"
            ) from e
        return bound


def _outward() -> str:
    """The address of this machine that others see. Nothing is sent: connecting a datagram socket only picks a route."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
            return str(probe.getsockname()[0])
        except OSError:
            return "127.0.0.1"
