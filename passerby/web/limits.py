"""How much anybody may ask of the server."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from passerby.errors import SettingError

MIB = 2**20


@dataclass(frozen=True)
class Limits:
    """Bounds of the server; a request past one of them is answered with 4xx, or with 503 and when to come again.

    body         bytes of a request's body, and of a message on a socket
    body_time    seconds in which a body must have come
    memory       bytes of all bodies that are held at once
    pixels       of a picture, before it is decoded
    rate         requests a second and client, and messages a second and socket; twice as many at once; 0: no bound
    connections  open at once
    uploads      pictures that are looked at or stand in line for it; more are refused
    wait         seconds in line after which a picture is given up
    sockets      open at once, of all clients; client_sockets: of one
    socket_time  seconds after which a socket is closed; idle: seconds without a message after which it is
    """

    body: int = 10 * MIB
    body_time: float = 30.0
    memory: int = 256 * MIB
    pixels: int = 50_000_000
    rate: float = 100.0
    connections: int = 256
    uploads: int = 32
    wait: float = 5.0
    sockets: int = 32
    client_sockets: int = 16
    socket_time: float = 3600.0
    idle: float = 60.0

    def __post_init__(self) -> None:
        for one in fields(self):
            value = getattr(self, one.name)
            if not math.isfinite(value) or value < 0 or (value == 0 and one.name != "rate"):
                raise SettingError(f"limit {one.name} is {value}, want a number over 0")
