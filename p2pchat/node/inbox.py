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
from p2pchat.node.arriving import Changed, text_record, timer_record
from p2pchat.session.changes import Change, Timer
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
from p2pchat.session.vanishing import Vanishing
from p2pchat.store.audit_types import AuditEvent
from p2pchat.store.ports import Transaction
from p2pchat.store.records import DeliveryState, Direction, EnvelopeRecord, MessageRecord

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
        changed: Messages that look different now.
        read: Messages of ours that the contact has seen now.
        settled: Of the delivered ones, those that are no line of the conversation.
        vanishing: Where we stand now, if something about disappearing messages came.
        expiring: There are new times to wait for.
    """

    arrived: tuple[MessageRecord, ...] = ()
    sent: Head | None = None
    on_record: OnRecord | None = None
    changed: tuple[MessageRecord, ...] = ()
    read: tuple[bytes, ...] = ()
    settled: frozenset[bytes] = frozenset()
    vanishing: Vanishing | None = None
    expiring: bool = False


@dataclass(slots=True)
class Batch:
    """The session events of one round, in order.

    Attributes:
        revision: Of the last change; what ``Connection.committed`` is told.
        state: The session after the last change.
        sealed: Envelopes made in this round.
        hidden: Message ids of those that are no line of the conversation.
        delivered: Message ids that the peer has stored.
        opened: The session was started or resumed in this round.
        broke: The session is of no more use.
    """

    revision: int = 0
    state: SessionState | None = None
    sealed: list[Envelope] = field(default_factory=list)
    hidden: set[bytes] = field(default_factory=set)
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

    def apply(
        self,
        tx: Transaction,
        contact_id: int,
        now_ms: int,
        events: Sequence[AuditEvent] = (),
    ) -> Outcome:
        """Write it all, and ``events`` into the audit log.

        Runs on the store's thread, and touches nothing but ``tx``.
        """
        for event in events:
            tx.audit(event)
        sent: Head | None = None
        settled: frozenset[bytes] = frozenset()
        expiring = False
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
            settled = frozenset(tx.changes(contact_id).settle())
            expiring = tx.changes(contact_id).start(Direction.OUT, now_ms)
        arrived, changed = self._receive(tx, contact_id, now_ms)
        if self.broke:
            tx.break_session(contact_id)
        told = {type(message) for message in self.received}
        return Outcome(
            arrived,
            sent,
            on_record.stored_state(tx, contact_id) if Record in told else None,
            tuple(
                record
                for message_id in changed.messages
                if (record := tx.message(contact_id, message_id)) is not None
            ),
            tuple(changed.read),
            settled,
            tx.changes(contact_id).vanishing() if Timer in told else None,
            expiring,
        )

    def _receive(
        self, tx: Transaction, contact_id: int, now_ms: int
    ) -> tuple[tuple[MessageRecord, ...], Changed]:
        """Store what came for the first time, and carry out what it changes (R-8.5.4)."""
        arrived: list[MessageRecord] = []
        changed = Changed()
        fresh: list[bytes] = []
        for message in self.received:
            if tx.is_counted(contact_id, message.message_id) or message.message_id in fresh:
                continue
            if isinstance(message, Change):
                if tx.message(contact_id, message.message_id) is not None:
                    continue
                changed.apply(tx, message, contact_id)
            else:
                record = _incoming(tx, message, contact_id)
                stored = tx.add_message(record, stored_at_ms=now_ms)
                if stored is None:
                    continue
                arrived.append(stored)
            fresh.append(message.message_id)
        if fresh:
            tx.count_received(contact_id, fresh)
        return tuple(arrived), changed


def _records(envelopes: tuple[Envelope, ...] | list[Envelope]) -> list[EnvelopeRecord]:
    return [
        EnvelopeRecord(item.index, item.envelope, item.digest, item.message_id)
        for item in envelopes
    ]


def _incoming(
    tx: Transaction, message: Text | Record | Signed | Timer | Unsupported, contact_id: int
) -> MessageRecord:
    match message:
        case Text():
            return text_record(tx, message, contact_id)
        case Timer():
            return timer_record(tx, message, contact_id)
        case Record() | Signed():
            return on_record.arrived(tx, message, contact_id)
        case Unsupported(message_id, sent_at_ms, kind):
            text = f"[a message of kind {kind!r}, which this version cannot show]"
        case _ as unreachable:
            assert_never(unreachable)
    return MessageRecord(
        message_id, contact_id, Direction.IN, text, sent_at_ms, DeliveryState.DELIVERED
    )
