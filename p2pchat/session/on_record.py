"""Messages about the record, and statements on it (protocol.md §9.4).

Here they get their form and their bounds; whether a statement holds, and whether both sides have
agreed, is judged by whoever stores it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec

from p2pchat.errors import LocalProtocolError
from p2pchat.identity.on_record import RecordStep
from p2pchat.identity.statement import STATEMENT_MAX_LEN, STATEMENT_MIN_LEN
from p2pchat.session.codec import MessageId, TimeMs, convert


@dataclass(frozen=True, slots=True)
class Record:
    """A word about going on the record, or off it."""

    message_id: bytes
    sent_at_ms: int
    step: RecordStep


@dataclass(frozen=True, slots=True)
class Signed:
    """A statement, not yet verified: 283..65818 bytes."""

    message_id: bytes
    sent_at_ms: int
    signed: bytes


class _RecordBody(msgspec.Struct, frozen=True):
    t: str
    id: MessageId
    at: TimeMs
    state: Literal["propose", "accept", "decline", "end"]


class _StatementBody(msgspec.Struct, frozen=True):
    t: str
    id: MessageId
    at: TimeMs
    signed: Annotated[
        bytes, msgspec.Meta(min_length=STATEMENT_MIN_LEN, max_length=STATEMENT_MAX_LEN)
    ]


KINDS = frozenset({"record", "statement"})


def to_fields(message: Record | Signed) -> dict[str, Any]:
    """Return the fields of a message of ours, but for its id and time.

    Raises:
        LocalProtocolError: A statement is out of bounds.
    """
    if isinstance(message, Record):
        return {"t": "record", "state": message.step.value}
    if not STATEMENT_MIN_LEN <= len(message.signed) <= STATEMENT_MAX_LEN:
        raise LocalProtocolError("a statement is out of bounds")
    return {"t": "statement", "signed": message.signed}


def from_fields(fields: dict[str, Any]) -> Record | Signed:
    """Read a message of one of ``KINDS`` (R-9.4.5).

    Raises:
        ProtocolError: Malformed or out of bounds.
    """
    if fields["t"] == "record":
        record = convert(fields, _RecordBody)
        return Record(record.id, record.at, RecordStep(record.state))
    statement = convert(fields, _StatementBody)
    return Signed(statement.id, statement.at, statement.signed)
