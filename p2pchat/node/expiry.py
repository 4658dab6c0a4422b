"""Removes messages whose time has come, on the hour of the person's own clock (protocol.md §9.6).

What has to go went by the time that the node is started, whoever starts it for whatever; from
then on one task waits for the next.
"""

from __future__ import annotations

import logging
from typing import Final

from p2pchat.errors import StoreError
from p2pchat.node.book import PeerBook
from p2pchat.node.environment import Environment
from p2pchat.node.views import MessageRemoved

LOOK_AGAIN_S: Final = 60.0
"""Longest wait while something is due: the wall clock may be set, or the store be full."""

_log = logging.getLogger(__name__)


class Expiry:
    """The one who removes."""

    def __init__(self, env: Environment, book: PeerBook) -> None:
        self._env = env
        self._book = book

    async def run(self) -> None:
        """Remove what is due, for ever; ``Environment.expiring`` tells of new times."""
        env = self._env
        while True:
            due_ms = await self.sweep()
            if due_ms is None:
                await env.expiring.wait()
                continue
            wait_s = min(max(0.0, (due_ms - env.clock.wall_ms()) / 1000), LOOK_AGAIN_S)
            await env.expiring.wait_until(env.clock, env.clock.monotonic() + wait_s)

    async def sweep(self) -> int | None:
        """Remove what is due now; returns when the next one is."""
        env = self._env
        while True:
            now_ms = env.clock.wall_ms()
            try:
                due_ms = await env.store.read(lambda tx: tx.next_expiry())
                if due_ms is None or due_ms > now_ms:
                    return due_ms
                gone = await env.store.write(lambda tx: tx.expire(now_ms))  # noqa: B023  # awaited
            except StoreError as error:
                _log.warning("what disappears could not be removed yet: %s", error)
                return now_ms + round(LOOK_AGAIN_S * 1000)
            for contact_id, message_id in gone:
                peer = self._book.by_number(contact_id)
                if peer is not None and env.hub.is_heard:
                    env.hub.publish(MessageRemoved(peer.record.name, message_id.hex()))
