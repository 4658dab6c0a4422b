"""How much strangers may ask of us (protocol.md §11): pure counting, ``now`` is an argument.

The gate stands in front of everything: a connection that it turns away costs an accept and a
close, no key and no object. It knows addresses, not identities, so it is generous enough for a
household behind one address. What we dial ourselves never passes here.
"""

from __future__ import annotations

import ipaddress
from collections import deque
from dataclasses import dataclass
from typing import Final

from p2pchat.constants import (
    HALF_OPEN_MAX,
    HALF_OPEN_MAX_PER_ADDRESS,
    HANDSHAKE_BURST,
    HANDSHAKES_PER_SECOND,
)

BUCKETS_MAX: Final = 4096
"""Addresses remembered at once; the longest unused is forgotten. About 1 MB."""
IPV6_PREFIX_BITS: Final = 64
"""One customer has at least so many bits to choose from: they count as one address."""
HOUR_S: Final = 3600.0


class TokenBucket:
    """``rate`` a second on average, ``burst`` at once."""

    def __init__(self, rate: float, burst: int, now: float) -> None:
        self._rate = rate
        self._burst = float(burst)
        self._tokens = float(burst)
        self._updated = now

    def take(self, now: float) -> bool:
        """Take one token if there is one."""
        self._tokens = min(self._burst, self._tokens + (now - self._updated) * self._rate)
        self._updated = now
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True


@dataclass(frozen=True, slots=True)
class Ticket:
    """Permission of one half-open connection; handed back exactly once."""

    source: str


class AcceptGate:
    """Decides whether an incoming connection is looked at, before anything is read."""

    def __init__(self) -> None:
        self._buckets: dict[str, TokenBucket] = {}
        self._half_open: dict[str, int] = {}
        self._half_open_total = 0

    @property
    def half_open(self) -> int:
        """Connections that have not authenticated yet."""
        return self._half_open_total

    @property
    def is_full(self) -> bool:
        """Whether one must leave before another may enter."""
        return self._half_open_total >= HALF_OPEN_MAX

    def enter(self, peer_address: str, now: float) -> Ticket | None:
        """Admit a connection, or None: too many, or too fast from there."""
        source = source_of(peer_address)
        if self.is_full:
            return None
        if self._half_open.get(source, 0) >= HALF_OPEN_MAX_PER_ADDRESS:
            return None
        bucket = self._buckets.pop(source, None)
        if bucket is None:
            bucket = TokenBucket(HANDSHAKES_PER_SECOND, HANDSHAKE_BURST, now)
            if len(self._buckets) >= BUCKETS_MAX:
                del self._buckets[next(iter(self._buckets))]
        self._buckets[source] = bucket  # last in the order of use
        if not bucket.take(now):
            return None
        self._half_open[source] = self._half_open.get(source, 0) + 1
        self._half_open_total += 1
        return Ticket(source)

    def leave(self, ticket: Ticket) -> None:
        """The connection authenticated, or ended."""
        count = self._half_open[ticket.source] - 1
        self._half_open_total -= 1
        if count:
            self._half_open[ticket.source] = count
        else:
            del self._half_open[ticket.source]


class HourlyBudget:
    """What one contact may cause within an hour; ``limit`` is its share."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._times: deque[float] = deque()

    def take(self, now: float) -> bool:
        """Count one more, unless the hour's share is used up."""
        while self._times and self._times[0] <= now - HOUR_S:
            self._times.popleft()
        if len(self._times) >= self._limit:
            return False
        self._times.append(now)
        return True


def source_of(peer_address: str) -> str:
    """Return what limits are counted by: the host, of IPv6 its /64 network."""
    host = peer_address.rpartition(":")[0].removeprefix("[").removesuffix("]")
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.IPv6Network((address, IPV6_PREFIX_BITS), strict=False))
    return host


def is_loopback(peer_address: str) -> bool:
    """Tell whether a peer comes from this computer itself, as through a proxy of its own."""
    source = source_of(peer_address)
    try:
        return ipaddress.ip_network(source, strict=False).is_loopback or source == "::/64"
    except ValueError:
        return False
