"""What the store's tests share: keys, records, and a store in a temporary folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import apsw

from p2pchat.crypto.secret import Secret
from p2pchat.identity.trust import Pin, Trust
from p2pchat.store.database import Database, create_store, open_store, write_identity
from p2pchat.store.ports import Transaction
from p2pchat.store.records import (
    ContactRecord,
    DeliveryState,
    Direction,
    IdentityRecord,
    MessageRecord,
)

KEY = Secret(bytes(range(32)))
DATABASE_ID = bytes(range(100, 116))
IDENTITY = IdentityRecord("Ada", Secret(b"\xa1" * 32), Secret(b"\xb2" * 32), b"certificate")


def fill(connection: apsw.Connection) -> None:
    """Give a new database its identity."""
    write_identity(connection, IDENTITY)


def new_store(folder: Path) -> Database:
    """Make and open a store in ``folder``."""
    path = folder / "chat.db"
    create_store(path, KEY, DATABASE_ID, fill)
    return reopen(folder)


def reopen(folder: Path) -> Database:
    """Open the store that ``new_store`` made."""
    store, _ = open_store(folder / "chat.db", KEY, DATABASE_ID)
    return store


def contact(name: str = "Bob", identity: bytes | None = None) -> ContactRecord:
    """Return an unstored contact whose key follows from its name."""
    key = identity or name.encode().ljust(32, b"\0")[:32]
    return ContactRecord(0, name, Pin(key, Trust.UNVERIFIED))


def message_id(number: int) -> bytes:
    """Return a message id that can be read back."""
    return number.to_bytes(16, "big")


def outgoing(contact_id: int, number: int, text: str = "text") -> MessageRecord:
    """Return a queued message of ours."""
    return MessageRecord(
        message_id(number), contact_id, Direction.OUT, text, number, DeliveryState.QUEUED
    )


def incoming(contact_id: int, number: int, text: str = "text") -> MessageRecord:
    """Return a message of theirs."""
    return MessageRecord(
        message_id(number), contact_id, Direction.IN, text, number, DeliveryState.DELIVERED
    )


def numbers(records: list[MessageRecord]) -> list[int]:
    """Return the numbers that ``message_id`` was given."""
    return [int.from_bytes(record.message_id, "big") for record in records]


def new_contact(transaction: Transaction) -> int:
    """Store Bob; a unit of work."""
    return transaction.put_contact(contact()).contact_id


def adds(record: MessageRecord) -> Callable[[Transaction], MessageRecord | None]:
    """Return a unit that adds a message."""
    return lambda transaction: transaction.add_message(record)


def sets(key: str, value: str) -> Callable[[Transaction], None]:
    """Return a unit that writes a setting."""
    return lambda transaction: transaction.put_setting(key, value)


def gets(key: str) -> Callable[[Transaction], str | None]:
    """Return a unit that reads a setting."""
    return lambda transaction: transaction.get_setting(key)


def puts(record: ContactRecord) -> Callable[[Transaction], ContactRecord]:
    """Return a unit that stores a contact."""
    return lambda transaction: transaction.put_contact(record)


def puts_identity(record: IdentityRecord) -> Callable[[Transaction], None]:
    """Return a unit that stores the profile's own identity."""
    return lambda transaction: transaction.put_identity(record)


def moves(contact_id: int, number: int, state: DeliveryState) -> Callable[[Transaction], None]:
    """Return a unit that sets the state of one message."""
    return lambda transaction: transaction.set_message_state(
        contact_id, [message_id(number)], state
    )


def looks(
    contact_id: int, *, search: str | None = None, limit: int = 100
) -> Callable[[Transaction], list[MessageRecord]]:
    """Return a unit that reads messages."""
    return lambda transaction: transaction.messages(contact_id, search=search, limit=limit)
