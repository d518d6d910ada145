"""How often, and how many at once: a bucket of tokens a client, and places that are given out."""

from __future__ import annotations

import ipaddress
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from passerby.errors import BusyError

CLIENTS = 10_000  # remembered; who was not seen for longest is forgotten first


class Bucket:
    """Fills with `rate` tokens a second up to twice that; each thing done takes one. A rate of 0 means no bound."""

    def __init__(self, rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.rate, self.clock = rate, clock
        self.level, self.at = 2 * rate, clock()

    def take(self, tokens: float = 1.0) -> float:
        """Take tokens; returns the seconds until there will be enough, 0 where there were and they are taken."""
        if not self.rate:
            return 0.0
        now = self.clock()
        self.level = min(2 * self.rate, self.level + (now - self.at) * self.rate)
        self.at = now
        most = min(tokens, 2 * self.rate)
        if self.level < most:
            return (most - self.level) / self.rate
        self.level -= most
        return 0.0

    def spill(self, tokens: float) -> None:
        """Take tokens whether they are there or not, so that it is a while until there are some again."""
        self.level = max(-2 * self.rate, self.level - tokens)


class Rates:
    """A bucket for every client."""

    def __init__(self, rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.rate, self.clock = rate, clock
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()

    def of(self, client: str) -> Bucket:
        """The client's bucket; a new one is full."""
        bucket = self._buckets.pop(client, None) or Bucket(self.rate, self.clock)
        self._buckets[client] = bucket
        if len(self._buckets) > CLIENTS:
            self._buckets.popitem(last=False)
        return bucket


class Places:
    """Places that are given out: so many in all, and so many to one client."""

    def __init__(self, most: int, each: int) -> None:
        self.most, self.each = most, each
        self._held: Counter[str] = Counter()

    @contextmanager
    def one(self, client: str) -> Iterator[None]:
        """A place for as long as it is needed. Raises BusyError where none is left."""
        if self._held.total() >= self.most or self._held[client] >= self.each:
            raise BusyError("too many sockets are open; close one, or try again later", 5.0)
        self._held[client] += 1
        try:
            yield
        finally:
            self._held[client] -= 1
            if not self._held[client]:
                del self._held[client]


def client_of(scope: Any) -> str:
    """Who calls, for limits: an address; of IPv6 its network, since one household has all addresses of it."""
    address = str(scope["client"][0]) if scope.get("client") else ""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address
    if ip.version == 6 and ip.ipv4_mapped is None:
        return str(ipaddress.ip_network((int(ip) >> 64 << 64, 64)))
    return str(getattr(ip, "ipv4_mapped", None) or ip)
