"""The record inside the store's transaction: agreement, signing, what arrives (protocol.md §9.4).

Agreement, statement and signature are written in one transaction with the message that carries
them. What arrives is judged where it is stored: a statement that does not hold, or that comes
while both have not agreed, is shown as a text that says so, never as a statement.
"""

from __future__ import annotations

from typing import Final

from p2pchat.crypto import ed25519
from p2pchat.crypto.secret import Secret
from p2pchat.errors import StatementError
from p2pchat.identity import statement
from p2pchat.identity.keys import key_id
from p2pchat.identity.on_record import THEIRS, OnRecord
from p2pchat.session.on_record import Record, Signed
from p2pchat.store.audit_types import AuditEvent, AuditKind
from p2pchat.store.ports import Transaction
from p2pchat.store.records import DeliveryState, Direction, MessageKind, MessageRecord

_STATE_KEY: Final = "contact.{}.on_record"


def stored_state(tx: Transaction, contact_id: int) -> OnRecord:
    """Return where we stand with a contact."""
    return OnRecord(tx.get_setting(_STATE_KEY.format(contact_id)) or OnRecord.OFF)


def put_state(tx: Transaction, contact_id: int, state: OnRecord) -> None:
    """Note where we stand with a contact."""
    tx.put_setting(_STATE_KEY.format(contact_id), state.value)


def forget_state(tx: Transaction, contact_id: int) -> None:
    """Go off the record: the contact is removed, or has another key."""
    put_state(tx, contact_id, OnRecord.OFF)


def arrived(tx: Transaction, message: Record | Signed, contact_id: int) -> MessageRecord:
    """Judge what came, inside the transaction that stores it."""
    state = stored_state(tx, contact_id)
    if isinstance(message, Record):
        following = THEIRS.get((state, message.step))
        if following is not None:
            put_state(tx, contact_id, following)
        kind = MessageKind(f"record.{message.step.value}")
        return _incoming(message, contact_id, message.step.value, kind)
    contact, own = tx.contact(contact_id), tx.identity()
    try:
        if contact is None or own is None:
            raise StatementError("nobody is there to receive it")
        recipient = ed25519.public_key(own.signing_seed)
        said = statement.verify_from(
            message.signed, signer=contact.pin.identity, recipient=recipient
        )
    except StatementError as error:
        text = f"[a statement that does not hold: {error}]"
        return _incoming(message, contact_id, text, MessageKind.TEXT)
    if state is not OnRecord.ON:
        text = f"[signed, but you have not both agreed to be on the record] {said.text}"
        return _incoming(message, contact_id, text, MessageKind.TEXT)
    return _incoming(message, contact_id, said.text, MessageKind.STATEMENT, message.signed)


def _incoming(
    message: Record | Signed,
    contact_id: int,
    text: str,
    kind: MessageKind,
    signed: bytes | None = None,
) -> MessageRecord:
    return MessageRecord(
        message.message_id,
        contact_id,
        Direction.IN,
        text,
        message.sent_at_ms,
        DeliveryState.DELIVERED,
        kind=kind,
        signed=signed,
    )


def signed_now(tx: Transaction, record: MessageRecord, *, recipient: bytes, fresh: Secret) -> bytes:
    """Sign with the statement key of this time; the first use of all makes one.

    Args:
        tx: The transaction that queues it.
        record: The message.
        recipient: 32-byte identity.
        fresh: 32 random bytes, for the seed of a new key.

    Raises:
        StatementError: There is no identity.
    """
    own = tx.identity()
    if own is None:
        raise StatementError("there is no identity to sign for")
    identity = ed25519.public_key(own.signing_seed)
    known = tx.statement_key()
    if known is not None:
        key = statement.read_certificate(known[1])
        if key.identity != identity or not key.is_current(record.sent_at_ms):
            known = None
    if known is None:
        public = ed25519.public_key(fresh)
        known = fresh, statement.certify(own.signing_seed, public, now_ms=record.sent_at_ms)
        tx.put_statement_key(*known)
    seed, certificate = known
    tx.audit(
        AuditEvent(
            AuditKind.STATEMENT_SIGNED,
            record.sent_at_ms,
            principal=recipient,
            key_id=key_id(statement.read_certificate(certificate).public),
        )
    )
    return statement.sign(
        seed, certificate, recipient=recipient, at_ms=record.sent_at_ms, text=record.text
    )
