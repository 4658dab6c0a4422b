"""Messages as the person sees them: views, and the notifications about them."""

from __future__ import annotations

from typing import Final

from p2pchat.constants import MESSAGE_ID_LEN
from p2pchat.errors import UsageError
from p2pchat.node.environment import Environment
from p2pchat.node.events import (
    MessageArrived,
    MessageChanged,
    MessageQueued,
    MessageRemoved,
    MessageStateChanged,
)
from p2pchat.node.inbox import Batch, Outcome
from p2pchat.node.peer import Peer
from p2pchat.node.views import MessageView
from p2pchat.store.records import DeliveryState, MessageKind, MessageRecord
from p2pchat.store.unsent import EXPIRED

_WORDS: Final = {EXPIRED: "it expired before it could be sent; send it again if it still matters"}
"""Of reasons that are stored as a word."""
VERIFY_FIRST: Final = "the settings allow messages to verified contacts only"


class Announcer:
    """Publishes what a committed batch means for the conversation."""

    def __init__(self, env: Environment) -> None:
        self._hub = env.hub

    def batch(self, peer: Peer, batch: Batch, outcome: Outcome) -> None:
        """Tell of messages sent, delivered and arrived, in that order."""
        if outcome.arrived:
            peer.set_unread(peer.record.unread + len(outcome.arrived))
        if batch.delivered:
            peer.outbox.settled(batch.delivered)
        if not self._hub.is_heard:
            return
        for message_id in batch.sent:
            if message_id not in batch.hidden:
                self.state(peer, message_id, DeliveryState.SENT)
        for message_id in batch.delivered:
            if message_id not in outcome.settled:
                self.state(peer, message_id, DeliveryState.DELIVERED)
        for message_id in outcome.read:
            self.state(peer, message_id, DeliveryState.READ)
        for record in outcome.arrived:
            self._hub.publish(MessageArrived(message_view(peer, record)))
        for record in outcome.changed:
            self.changed(peer, record)

    def state(self, peer: Peer, message_id: bytes, state: DeliveryState, reason: str = "") -> None:
        """Tell that an outgoing message moved on."""
        reason = _WORDS.get(reason, reason)
        self._hub.publish(MessageStateChanged(peer.record.name, message_id.hex(), state, reason))

    def queued(self, peer: Peer, record: MessageRecord) -> None:
        """Tell every client of a message that one of them has sent."""
        if self._hub.is_heard:
            self._hub.publish(MessageQueued(message_view(peer, record)))

    def changed(self, peer: Peer, record: MessageRecord) -> None:
        """Tell how a message looks now."""
        self._hub.publish(MessageChanged(message_view(peer, record)))

    def removed(self, peer: Peer, message_id: bytes) -> None:
        """Tell that a message is not there any more."""
        self._hub.publish(MessageRemoved(peer.record.name, message_id.hex()))


def message_view(peer: Peer, record: MessageRecord) -> MessageView:
    """Return a stored message; its text is as it was sent (R-9.3.5)."""
    reason = _WORDS.get(record.reason, record.reason)
    waits = record.state is DeliveryState.QUEUED
    if waits and not reason:
        reason = VERIFY_FIRST if peer.verify_first else peer.offline_reason()
    answers = record.refers_to if record.kind is MessageKind.TEXT else None
    return MessageView(
        contact=peer.record.name,
        message_id=record.message_id.hex(),
        direction=record.direction,
        text=record.text,
        sent_at_ms=record.sent_at_ms,
        state=record.state,
        reason=reason,
        kind=record.kind,
        reply_to=None if answers is None else answers.hex(),
        quote="" if answers is None else record.quote,
        edited_at_ms=record.edited_at_ms,
        deleted=record.deleted,
        reactions=record.reactions,
        lifetime_s=record.lifetime_s,
        expires_at_ms=record.expires_at_ms,
        unsent_until_ms=record.unsent_until_ms if waits else None,
    )


def parse_message_id(text: str) -> bytes:
    """Return the 16 bytes of a message id.

    Raises:
        UsageError: Not 32 hexadecimal digits.
    """
    try:
        raw = bytes.fromhex(text)
    except ValueError:
        raw = b""
    if len(raw) != MESSAGE_ID_LEN or len(text) != 2 * MESSAGE_ID_LEN:
        raise UsageError(f"a message id has {2 * MESSAGE_ID_LEN} hexadecimal digits")
    return raw
