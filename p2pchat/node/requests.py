"""Strangers who ask: how many from where, and whom the person has declined (protocol.md §8.3).

A declined stranger is served like one about whom nobody has decided: it may connect and waits,
and nothing that it asks is shown until a quiet time is over. The list of those is durable and
bounded; the oldest are forgotten first, which shows their request again and does no more.
"""

from __future__ import annotations

import json
from typing import Final

from p2pchat.constants import (
    DECLINED_MAX,
    REQUEST_QUIET_MS,
    REQUESTS_BURST_PER_ADDRESS,
    REQUESTS_PER_HOUR_PER_ADDRESS,
)
from p2pchat.node.environment import Environment
from p2pchat.node.limits import BUCKETS_MAX, HOUR_S, TokenBucket, is_loopback, source_of
from p2pchat.store.ports import Transaction

_DECLINED_KEY: Final = "requests.declined"


class RequestDesk:
    """Decides whether a stranger's request is shown to the person."""

    def __init__(self, env: Environment) -> None:
        self._env = env
        self._buckets: dict[str, TokenBucket] = {}
        self._declined: dict[bytes, int] = {}

    async def load(self) -> None:
        """Read who was declined."""
        stored = await self._env.store.read(lambda tx: tx.get_setting(_DECLINED_KEY))
        self._declined = {
            bytes.fromhex(identity): until_ms
            for identity, until_ms in json.loads(stored or "{}").items()
        }

    def take(self, address: str) -> bool:
        """Count one more new request from an address, unless there were too many.

        This computer's own address says nothing of who asks: a proxy brings everybody from it. So
        it is not limited by itself; ``PENDING_REQUESTS_MAX`` bounds all of them together.
        """
        if is_loopback(address):
            return True
        source, now = source_of(address), self._env.clock.monotonic()
        bucket = self._buckets.pop(source, None)
        if bucket is None:
            rate = REQUESTS_PER_HOUR_PER_ADDRESS / HOUR_S
            bucket = TokenBucket(rate, REQUESTS_BURST_PER_ADDRESS, now)
            if len(self._buckets) >= BUCKETS_MAX:
                del self._buckets[next(iter(self._buckets))]
        self._buckets[source] = bucket  # last in the order of use
        return bucket.take(now)

    def is_declined(self, identity: bytes) -> bool:
        """Whether this stranger's quiet time lasts."""
        return self._env.clock.wall_ms() < self._declined.get(identity, 0)

    async def decline(self, identity: bytes) -> None:
        """Begin a stranger's quiet time."""
        self._declined.pop(identity, None)
        self._declined[identity] = self._env.clock.wall_ms() + REQUEST_QUIET_MS
        while len(self._declined) > DECLINED_MAX:
            del self._declined[next(iter(self._declined))]
        await self._store()

    async def forget(self, identity: bytes) -> None:
        """The person has added this identity after all."""
        if self._declined.pop(identity, None) is not None:
            await self._store()

    async def _store(self) -> None:
        listed = {identity.hex(): until_ms for identity, until_ms in self._declined.items()}
        encoded = json.dumps(listed)

        def work(tx: Transaction) -> None:
            tx.put_setting(_DECLINED_KEY, encoded)

        await self._env.store.write(work)
