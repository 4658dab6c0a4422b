"""What one round of a connection changes in the store, as one unit of work (protocol.md §8.5).

A ``Batch`` collects the session events of a round and applies them in one transaction: session
state, envelopes, messages and delivery states move together or not at all. Only after its commit
does the link transmit or acknowledge anything that depends on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import assert_never

from p2pchat.identity.on_record import OnRecord
from p2pchat.node import on_record
from p2pchat.session.delivery import Envelope, SessionState, encode_session
from p2pchat.session.events import (
    MessageReceived,
    MessagesDelivered,
    MessageSealed,
    SessionBroke,
    SessionResumed,
    SessionStarted,
)
from p2pchat.session.ledger import Head
from p2pchat.session.messages import Message, Text, Unsupported
from p2pchat.session.on_record import Record, Signed
from p2pchat.store.ports import (
    AuditEvent,
    DeliveryState,
    Direction,
    EnvelopeRecord,
    MessageRecord,
    Transaction,
)

SessionEvent = (
    SessionStarted
    | SessionResumed
    | MessageSealed
    | MessageReceived
    | MessagesDelivered
    | SessionBroke
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the committed batch brought.

    Attributes:
        arrived: Messages that were not known before.
        on_record: Where we stand now, if something about the record came.
        sent: Our direction of the ledger, if messages of ours were delivered (§8.6).
    """

    arrived: tuple[MessageRecord, ...] = ()
    sent: Head | None = None
    on_record: OnRecord | None = None


@dataclass(slots=True)
class Batch:
    """The session events of one round, in order.

    Attributes:
        revision: Of the last change; what ``Connection.committed`` is told.
        state: The session after the last change.
        sealed: Envelopes made in this round.
        delivered: Message ids that the peer has stored.
        opened: The session was started or resumed in this round.
        broke: The session is of no more use.
    """

    revision: int = 0
    state: SessionState | None = None
    sealed: list[Envelope] = field(default_factory=list)
    received: list[Message] = field(default_factory=list)
    delivered: list[bytes] = field(default_factory=list)
    acknowledged: int | None = None
    started: SessionStarted | None = None
    opened: bool = False
    broke: bool = False

    def add(self, event: SessionEvent) -> None:
        """Take one more event."""
        match event:
            case SessionBroke():
                self.broke = True
                return
            case SessionStarted():
                self.started = event
                self.opened = True
            case SessionResumed():
                self.delivered += event.delivered
                self.acknowledged = event.state.acknowledged
                self.opened = True
            case MessageSealed():
                self.sealed.append(event.envelope)
            case MessageReceived():
                if event.message is not None:
                    self.received.append(event.message)
            case MessagesDelivered():
                self.delivered += event.delivered
                self.acknowledged = event.acknowledged
            case _ as unreachable:
                assert_never(unreachable)
        self.revision, self.state = event.revision, event.state

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to commit."""
        return self.state is None and not self.broke

    @property
    def sent(self) -> list[bytes]:
        """Ids of the messages that leave with this batch."""
        return [item.message_id for item in self.sealed if item.message_id is not None]

    def apply(self, tx: Transaction, contact_id: int, events: Sequence[AuditEvent] = ()) -> Outcome:
        """Write it all, and ``events`` into the audit log.

        Runs on the store's thread, and touches nothing but ``tx``.
        """
        for event in events:
            tx.audit(event)
        sent: Head | None = None
        if self.state is not None:
            tx.put_session(contact_id, encode_session(self.state))
        if self.started is not None:
            tx.replace_envelopes(contact_id, _records(self.started.envelopes))
        if self.sealed:
            tx.append_envelopes(contact_id, _records(self.sealed))
            tx.set_message_state(contact_id, self.sent, DeliveryState.SENT)
        if self.acknowledged is not None:
            tx.acknowledge(contact_id, self.acknowledged)
        if self.delivered:
            tx.set_message_state(contact_id, self.delivered, DeliveryState.DELIVERED)
            tx.count_delivered(contact_id, self.delivered)
            sent = tx.ledger(contact_id).sent
        arrived = [
            stored
            for message in self.received
            if (stored := tx.add_message(_incoming(tx, message, contact_id))) is not None
        ]
        if arrived:
            tx.count_received(contact_id, [message.message_id for message in arrived])
        if self.broke:
            tx.break_session(contact_id)
        told = any(isinstance(message, Record) for message in self.received)
        state = on_record.stored_state(tx, contact_id) if told else None
        return Outcome(tuple(arrived), sent, state)


def _records(envelopes: tuple[Envelope, ...] | list[Envelope]) -> list[EnvelopeRecord]:
    return [
        EnvelopeRecord(item.index, item.envelope, item.digest, item.message_id)
        for item in envelopes
    ]


def _incoming(tx: Transaction, message: Message, contact_id: int) -> MessageRecord:
    match message:
        case Text(message_id, sent_at_ms, body):
            text = body
        case Record() | Signed():
            return on_record.arrived(tx, message, contact_id)
        case Unsupported(message_id, sent_at_ms, kind):
            text = f"[a message of kind {kind!r}, which this version cannot show]"
        case _ as unreachable:
            assert_never(unreachable)
    return MessageRecord(
        message_id, contact_id, Direction.IN, text, sent_at_ms, DeliveryState.DELIVERED
    )
