"""Messages on their way out (protocol.md §8.5, §10.3).

The store is the queue: nothing is held here that a restart could lose. This module reads the
next messages for a connection, keeps a cancelled one from being sealed at the same moment, holds
back one that has waited too long, and wakes those who wait for a delivery.

Which messages may wait for a limited time only: texts and statements that were never sealed, as
for cancelling. A change of another message, a receipt or a word about an agreement waits for good:
each is about what the contact has, and the two sides would differ without it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import takewhile
from typing import Final

from p2pchat.config import UNSENT_MAX_H, Config
from p2pchat.errors import UsageError
from p2pchat.identity.on_record import RecordStep
from p2pchat.node.clock import Clock
from p2pchat.node.tasks import Signal
from p2pchat.session.changes import Delete, Edit, Reaction, ReadUpTo, Timer
from p2pchat.session.messages import Message, Text
from p2pchat.session.on_record import Record, Signed
from p2pchat.session.vanishing import TimerStep
from p2pchat.store.ports import Store
from p2pchat.store.records import DeliveryState, MessageKind, MessageRecord

FETCH_MAX: Final = 128
"""Messages sealed in one round: enough that a commit's fixed cost no longer counts."""


class Outbox:
    """The undelivered messages of one contact.

    Args:
        store: Holds them.
        contact_id: Whose.
        expiring: Wakes who gives up what has waited too long.

    Attributes:
        sealing: Held from reading messages until their envelopes are committed, and while one
            is cancelled or given up.
    """

    def __init__(self, store: Store, contact_id: int, expiring: Signal) -> None:
        self._store = store
        self._contact_id = contact_id
        self._expiring = expiring
        self._waiters: dict[bytes, list[Waiter]] = {}
        self.sealing = asyncio.Lock()

    async def fetch(self, limit: int, now_ms: int) -> list[MessageRecord]:
        """Return the oldest messages without an envelope in the current session.

        One that has waited too long, and what stands behind it, has to wait until it is given up
        (a computer that was asleep wakes up with some): the order in which messages leave stays
        the one in which they are stored, by which the ledgers are compared (§8.6).
        """
        waiting = await self._store.read(
            lambda tx: tx.undelivered(self._contact_id, limit, unsealed_only=True)
        )
        ready = list(takewhile(lambda record: not _is_overdue(record, now_ms), waiting))
        if len(ready) < len(waiting):
            self._expiring.notify()
        return ready

    def waiter(self, message_id: bytes) -> Waiter:
        """Begin to wait until ``settled`` names the message; the caller closes it."""
        waiter = Waiter(self, message_id)
        self._waiters.setdefault(message_id, []).append(waiter)
        return waiter

    def forget(self, waiter: Waiter) -> None:
        """Nobody waits here any more."""
        waiters = self._waiters.get(waiter.message_id, [])
        if waiter in waiters:
            waiters.remove(waiter)
            if not waiters:
                del self._waiters[waiter.message_id]

    def settled(self, message_ids: Sequence[bytes]) -> None:
        """These were delivered, or will never be."""
        if self._waiters:
            for message_id in message_ids:
                for waiter in self._waiters.pop(message_id, []):
                    waiter.settled.notify()


class Waiter:
    """Someone who waits for one message to be delivered, cancelled or given up."""

    def __init__(self, outbox: Outbox, message_id: bytes) -> None:
        self._outbox = outbox
        self.message_id = message_id
        self.settled = Signal()

    async def until(self, clock: Clock, when: float) -> None:
        """Wait.

        Raises:
            TimeoutError: ``when`` came first.
        """
        if not await self.settled.wait_until(clock, when):
            raise TimeoutError

    def close(self) -> None:
        """Stop waiting."""
        self._outbox.forget(self)


def unsent_until_ms(config: Config, now_ms: int, expires_in_s: int | None = None) -> int | None:
    """Return until when a message that is queued now may wait; None is for ever.

    Args:
        config: What holds where nothing is said.
        now_ms: Wall clock.
        expires_in_s: What was said.

    Raises:
        UsageError: Not a time that can be waited for.
    """
    if expires_in_s is None:
        expires_in_s = config.unsent_expires_h * 3600
        return now_ms + expires_in_s * 1000 if expires_in_s else None
    if not 1 <= expires_in_s <= UNSENT_MAX_H * 3600:
        raise UsageError(f"a message can wait for 1 second to {UNSENT_MAX_H // 24} days")
    return now_ms + expires_in_s * 1000


def _is_overdue(record: MessageRecord, now_ms: int) -> bool:
    return (
        record.state is DeliveryState.QUEUED
        and record.unsent_until_ms is not None
        and record.unsent_until_ms <= now_ms
    )


def to_message(record: MessageRecord) -> Message:
    """Return the application message of a stored one."""
    message_id, at_ms, of = record.message_id, record.sent_at_ms, record.refers_to or b""
    match record.kind:
        case MessageKind.TEXT if record.deleted:
            return Delete(message_id, at_ms, message_id)  # the peer may still have to count it
        case MessageKind.TEXT:
            return Text(message_id, at_ms, record.text, record.refers_to, record.lifetime_s)
        case MessageKind.STATEMENT:
            return Signed(message_id, at_ms, record.signed or b"")
        case MessageKind.EDIT:
            return Edit(message_id, at_ms, of, record.text)
        case MessageKind.DELETE:
            return Delete(message_id, at_ms, of)
        case MessageKind.REACTION:
            return Reaction(message_id, at_ms, of, record.text)
        case MessageKind.READ:
            return ReadUpTo(message_id, at_ms, of)
        case _:
            room, _, step = record.kind.value.partition(".")
            if room == "record":
                return Record(message_id, at_ms, RecordStep(step))
            seconds = int(record.text or 0)
            return Timer(message_id, at_ms, TimerStep(step), seconds, record.refers_to)
