"""Does to messages what their time brings, on the hour of the person's own clock.

A message that disappears is removed (protocol.md §9.6); one of ours that could not be sent for as
long as the person wanted is given up. What is due was done by the time that the node is started,
whoever starts it for whatever; from then on one task waits for the next.

A clock that leaps ahead is believed at once: a computer that was asleep looks the same, and what
must not be sent late would be. Nothing is lost by it: a message that was given up stays where it
is, says why, and can be sent again.
"""

from __future__ import annotations

import logging
from typing import Final

from p2pchat.errors import StoreError
from p2pchat.node.book import PeerBook
from p2pchat.node.environment import Environment
from p2pchat.node.messages import Announcer
from p2pchat.store.records import DeliveryState
from p2pchat.store.unsent import EXPIRED

LOOK_AGAIN_S: Final = 60.0
"""Longest wait while something is due: the wall clock may be set, or the store be full."""

_log = logging.getLogger(__name__)


class Expiry:
    """The one who removes and gives up."""

    def __init__(self, env: Environment, book: PeerBook) -> None:
        self._env = env
        self._book = book
        self._announce = Announcer(env)

    async def run(self) -> None:
        """Do what is due, for ever; ``Environment.expiring`` tells of new times."""
        env = self._env
        while True:
            due_ms = await self.sweep()
            if due_ms is None:
                await env.expiring.wait()
                continue
            wait_s = min(max(0.0, (due_ms - env.clock.wall_ms()) / 1000), LOOK_AGAIN_S)
            await env.expiring.wait_until(env.clock, env.clock.monotonic() + wait_s)

    async def sweep(self) -> int | None:
        """Do what is due now; returns when the next is."""
        env = self._env
        while True:
            now_ms = env.clock.wall_ms()
            try:
                due_ms = await env.store.read(lambda tx: tx.next_expiry())
                if due_ms is None or due_ms > now_ms:
                    return due_ms
                await self._remove(now_ms)
                await self._give_up(now_ms)
            except StoreError as error:
                _log.warning("what is due could not be removed or given up yet: %s", error)
                return now_ms + round(LOOK_AGAIN_S * 1000)

    async def _remove(self, now_ms: int) -> None:
        gone = await self._env.store.write(lambda tx: tx.expire(now_ms))
        for contact_id, message_id in gone:
            peer = self._book.by_number(contact_id)
            if peer is not None and self._env.hub.is_heard:
                self._announce.removed(peer, message_id)

    async def _give_up(self, now_ms: int) -> None:
        """Let what has waited too long fail, contact by contact, while nothing is being sealed."""
        store = self._env.store
        for contact_id in await store.read(lambda tx: tx.overdue(now_ms)):
            peer = self._book.by_number(contact_id)
            if peer is None:
                continue  # being removed at this moment, with its messages
            async with peer.outbox.sealing:
                given_up = await store.write(lambda tx: tx.give_up(peer.contact_id, now_ms))  # noqa: B023  # awaited
            peer.outbox.settled(given_up)
            for message_id in given_up:
                if self._env.hub.is_heard:
                    self._announce.state(peer, message_id, DeliveryState.FAILED, EXPIRED)
            if peer.link is not None:
                peer.link.messages_wait()  # what stood behind them
