"""Who may call: hosts by which the server is known, pages that may send, and the token."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import socket
from collections.abc import Iterable, Sequence
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs, urlsplit

from passerby.web.answers import Refused

COOKIE = "passerby_token"
Scope = Any
_SAFE = ("GET", "HEAD", "OPTIONS")


class Access:
    """Decides whether a request may be served.

    hosts  names of the server beside those of this machine; "0.0.0.0" and "::" stand for all of this machine's names.
           A page that gives its own name our address (DNS rebinding) comes with another name, and is refused
    token  what a caller must know: None: nothing
    """

    def __init__(self, hosts: Iterable[str], token: str | None) -> None:
        names = {h.strip("[]").rstrip(".").lower() for h in hosts}
        self._stated = {n for n in names if n != "localhost" and not _is_address(n)}  # a proxy may stand before these
        if names & {"0.0.0.0", "::"}:
            own = socket.gethostname().lower()
            names |= {own, own.partition(".")[0], f"{own.partition('.')[0]}.local"}
        self.hosts = frozenset(names | {"localhost"})
        self._secret = None if token is None else _digest(token.encode("utf-8", "surrogateescape"))

    @property
    def cookie(self) -> str:
        """What a browser keeps of the token: not the token itself."""
        return self._secret or ""

    def check(self, scope: Scope) -> None:
        """Raises Refused for a foreign Host or Origin, and for a missing or wrong token."""
        host = self._checked_host(scope)
        if scope["type"] == "websocket" or scope["method"] not in _SAFE:
            self._check_origin(scope, host)
        if self._secret is not None and not any(hmac.compare_digest(self._secret, s) for s in self._shown(scope)):
            raise Refused(
                401,
                "a token is needed: open the address with ?token=... that the server printed, or send it as "
                "'Authorization: Bearer ...'",
                {"WWW-Authenticate": "Bearer"},
            )

    def _checked_host(self, scope: Scope) -> str:
        hosts = header(scope, b"host")
        if len(hosts) != 1:
            raise Refused(400, f"{len(hosts)} Host headers, want one")
        name = _name(hosts[0])
        if not (name in self.hosts or _is_address(name)):
            raise Refused(403, "this server is not known by the name in the Host header; name it with --name")
        return hosts[0]

    def _check_origin(self, scope: Scope, host: str) -> None:
        for origin in header(scope, b"origin"):
            try:
                parts = urlsplit(origin)
                same = parts.netloc.lower() == host.lower() or parts.netloc.lower() in self._stated
            except ValueError:
                same = False
            if not same:
                raise Refused(403, "pages of other servers may not send anything here")

    def _shown(self, scope: Scope) -> list[str]:
        """Digests of the tokens that a request shows."""
        said = header(scope, b"authorization")
        shown = [_digest(v[7:].strip().encode("latin-1")) for v in said if v[:7].lower() == "bearer "]
        if scope["type"] == "websocket" or scope["path"] == "/":
            query = parse_qs(scope["query_string"].decode("latin-1"), max_num_fields=20)
            shown += [_digest(t.encode("utf-8", "surrogateescape")) for t in query.get("token", [])]
        for value in header(scope, b"cookie"):
            try:
                kept = SimpleCookie(value).get(COOKIE)
            except CookieError:
                continue
            if kept is not None and kept.value.isascii():
                shown.append(kept.value)
        return shown


def header(scope: Scope, name: bytes) -> list[str]:
    """All values of a header, its name in lower case."""
    headers: Sequence[tuple[bytes, bytes]] = scope["headers"]
    return [value.decode("latin-1") for key, value in headers if key == name]


def _name(host: str) -> str:
    """The name or address in a Host header, without its port; "" for what is neither."""
    try:
        return (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return ""


def _is_address(name: str) -> bool:
    """Whether it is an IP address: what an attacker's name server cannot forge."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _digest(token: bytes) -> str:
    return hashlib.sha256(b"passerby " + token).hexdigest()
