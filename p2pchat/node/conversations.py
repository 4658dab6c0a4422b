"""What stands in a conversation: its pages, what has not left yet, and how far a message came.

Nothing here tells the contact anything; what does is in ``node.changes``.
"""

from __future__ import annotations

from typing import Final

from p2pchat.errors import UnreachableError, UsageError
from p2pchat.node.environment import Environment
from p2pchat.node.events import MessageRemoved
from p2pchat.node.peer import Peer
from p2pchat.store.ports import Transaction
from p2pchat.store.records import DeliveryState, Direction, MessageKind, MessageRecord

MESSAGES_MAX: Final = 10_000
"""In one answer of ``messages``; more is fetched page by page. A local client alone can ask."""


class ConversationDesk:
    """Reads the messages of a contact, and takes back what is still in the outbox."""

    def __init__(self, env: Environment) -> None:
        self._env = env

    async def messages(
        self,
        peer: Peer,
        *,
        before: bytes | None,
        after: bytes | None,
        limit: int,
        search: str | None,
        after_ms: int | None,
        before_ms: int | None,
        oldest: bool,
    ) -> list[MessageRecord]:
        """Return one page, at most ``MESSAGES_MAX``, oldest first."""
        if not 1 <= limit <= MESSAGES_MAX:
            raise UsageError(f"ask for 1 to {MESSAGES_MAX} messages at once")
        if after is not None:
            if oldest or any(each is not None for each in (before, search, after_ms, before_ms)):
                raise UsageError("what comes after a message is asked for with a limit alone")
            return await self._env.store.read(lambda tx: _after(tx, peer.contact_id, after, limit))
        return await self._env.store.read(
            lambda tx: tx.messages(
                peer.contact_id,
                before=before,
                limit=limit,
                search=search,
                after_ms=after_ms,
                before_ms=before_ms,
                oldest=oldest,
            )
        )

    async def cancel(self, peer: Peer, message_id: bytes) -> None:
        """Delete a message that has not left yet, while nothing is being sealed."""

        def work(tx: Transaction) -> None:
            record = tx.message(peer.contact_id, message_id)
            if record is None or record.direction is not Direction.OUT:
                raise UsageError("there is no such message of yours")
            if record.kind not in (MessageKind.TEXT, MessageKind.STATEMENT):
                raise UsageError("such a word is not taken back; say another one")
            if record.state is not DeliveryState.QUEUED:
                raise UsageError(f"too late: the message is {record.state.value}")
            tx.delete_message(peer.contact_id, message_id)

        async with peer.outbox.sealing:
            await self._env.store.write(work)
        peer.outbox.settled([message_id])
        self._env.hub.publish(MessageRemoved(peer.record.name, message_id.hex()))

    async def wait_delivered(
        self,
        peer: Peer,
        message_id: bytes,
        timeout: float,  # noqa: ASYNC109  # measured by the node's clock, which a test can move
    ) -> MessageRecord:
        """Wait at most ``timeout`` seconds until the peer has stored a message."""
        until = self._env.clock.monotonic() + timeout
        while True:
            # The waiter first, then the look: a delivery in between is not missed.
            waiting = peer.outbox.waiter(message_id)
            try:
                record = await self._env.store.read(
                    lambda tx: tx.message(peer.contact_id, message_id)
                )
                if record is None or record.direction is not Direction.OUT:
                    raise UsageError("there is no such message of yours")
                if record.state not in (DeliveryState.QUEUED, DeliveryState.SENT):
                    return record
                await waiting.until(self._env.clock, until)
            except TimeoutError:
                reason = peer.offline_reason() or "the contact has not confirmed it"
                raise UnreachableError(
                    f"not delivered within {timeout:g} s: {reason}; the message stays queued"
                ) from None
            finally:
                waiting.close()


def _after(tx: Transaction, contact_id: int, message_id: bytes, limit: int) -> list[MessageRecord]:
    start = tx.message(contact_id, message_id)
    if start is None:
        raise UsageError("there is no such message to start after")
    return tx.messages_above(contact_id, start.position, limit)
