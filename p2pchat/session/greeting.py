"""HELLO: the first frame that each side sends to a proven peer (protocol.md §8.3).

Says whether the person accepted the peer and, only then, our name and a summary of the stored
session. A stranger and a blocked peer get the same empty one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Final

import msgspec

from p2pchat.constants import (
    GREETING_MAX_BYTES,
    HASH_LEN,
    KIND_MAX_CHARS,
    NAME_MAX_BYTES,
    NOTE_MAX_CHARS,
    SESSION_ID_LEN,
)
from p2pchat.errors import KeyStatementError, LocalProtocolError, ProtocolError
from p2pchat.identity.succession import SUCCESSION_LEN, Succession, parse_succession
from p2pchat.sanitize import clean_line
from p2pchat.session.codec import TimeMs, convert, decode_map, encode_map
from p2pchat.session.delivery import INDEX_MAX, SessionSummary
from p2pchat.session.ledger import Head, LedgerSummary

_Index = Annotated[int, msgspec.Meta(ge=0, le=INDEX_MAX)]
_Kind = Annotated[str, msgspec.Meta(min_length=1, max_length=KIND_MAX_CHARS)]


_Succession = Annotated[bytes, msgspec.Meta(min_length=SUCCESSION_LEN, max_length=SUCCESSION_LEN)]


class _Summary(msgspec.Struct, frozen=True):
    id: Annotated[bytes, msgspec.Meta(min_length=SESSION_ID_LEN, max_length=SESSION_ID_LEN)]
    sent: _Index
    received: _Index
    digest: Annotated[bytes, msgspec.Meta(min_length=HASH_LEN, max_length=HASH_LEN)]


class _Ledger(msgspec.Struct, frozen=True):
    sent: _Index
    sent_digest: Annotated[bytes, msgspec.Meta(min_length=HASH_LEN, max_length=HASH_LEN)]
    received: _Index
    received_digest: Annotated[bytes, msgspec.Meta(min_length=HASH_LEN, max_length=HASH_LEN)]


class _Hello(msgspec.Struct, frozen=True):
    accepted: bool
    name: Annotated[str, msgspec.Meta(max_length=NAME_MAX_BYTES)] = ""
    note: Annotated[str, msgspec.Meta(max_length=NOTE_MAX_CHARS)] = ""
    session: _Summary | None = None
    ledger: _Ledger | None = None
    recovered: TimeMs | None = None
    succession: _Succession | None = None
    kinds: tuple[_Kind, ...] = ()


@dataclass(frozen=True, slots=True)
class Announcement:
    """What the sender's identity has gone through and its contacts should know (§3.7).

    Attributes:
        recovered_at_ms: When it was brought back from its recovery kit, on another computer.
        succession: That it takes another identity's place; verified.
    """

    recovered_at_ms: int | None = None
    succession: Succession | None = None


NOTHING_ANNOUNCED: Final = Announcement()


@dataclass(frozen=True, slots=True)
class Greeting:
    """One HELLO; ``name``, ``note`` and ``kinds`` are empty, the rest None, where absent."""

    accepted: bool
    name: str = ""
    note: str = field(default="", repr=False)
    session: SessionSummary | None = None
    ledger: LedgerSummary | None = None
    announcement: Announcement = NOTHING_ANNOUNCED
    kinds: frozenset[str] = frozenset()


def encode_greeting(greeting: Greeting) -> bytes:
    """Return the body of a HELLO frame (R-8.3.1, R-8.3.2).

    Raises:
        LocalProtocolError: The name or the note is too long, or cannot be encoded.
    """
    if not greeting.accepted:
        return encode_map({"accepted": False})
    if _length(greeting.name) > NAME_MAX_BYTES:
        raise LocalProtocolError(f"a name has at most {NAME_MAX_BYTES} bytes of UTF-8")
    _length(greeting.note)
    if len(greeting.note) > NOTE_MAX_CHARS:
        raise LocalProtocolError(f"a note has at most {NOTE_MAX_CHARS} characters")
    fields: dict[str, Any] = {"accepted": True, "name": greeting.name}
    if greeting.note:
        fields["note"] = greeting.note
    if greeting.session is not None:
        summary = greeting.session
        fields["session"] = {
            "id": summary.session_id,
            "sent": summary.sent,
            "received": summary.received,
            "digest": summary.digest,
        }
    if greeting.ledger is not None:
        ledger = greeting.ledger
        fields["ledger"] = {
            "sent": ledger.sent.count,
            "sent_digest": ledger.sent.digest,
            "received": ledger.received.count,
            "received_digest": ledger.received.digest,
        }
    if greeting.announcement.recovered_at_ms is not None:
        fields["recovered"] = greeting.announcement.recovered_at_ms
    if greeting.announcement.succession is not None:
        fields["succession"] = greeting.announcement.succession.encoded
    if greeting.kinds:
        fields["kinds"] = sorted(greeting.kinds)
    return encode_map(fields)


def decode_greeting(body: bytes) -> Greeting:
    """Read a HELLO; name and note come out as one harmless line each (R-8.3.3).

    Raises:
        ProtocolError: Malformed or out of bounds, or a succession that does not verify (R-3.7.9).
    """
    hello = convert(decode_map(body, max_bytes=GREETING_MAX_BYTES), _Hello)
    if len(hello.name.encode()) > NAME_MAX_BYTES:
        raise ProtocolError("the name in a greeting is too long")
    session = None
    if hello.accepted and hello.session is not None:
        session = SessionSummary(
            hello.session.id, hello.session.sent, hello.session.received, hello.session.digest
        )
    ledger = None
    if hello.accepted and hello.ledger is not None:
        told = hello.ledger
        ledger = LedgerSummary(
            Head(told.sent, told.sent_digest), Head(told.received, told.received_digest)
        )
    return Greeting(
        hello.accepted,
        clean_line(hello.name, NAME_MAX_BYTES),
        clean_line(hello.note, NOTE_MAX_CHARS),
        session,
        ledger,
        _announcement(hello) if hello.accepted else NOTHING_ANNOUNCED,
        frozenset(hello.kinds) if hello.accepted else frozenset(),
    )


def _announcement(hello: _Hello) -> Announcement:
    if hello.succession is None:
        return Announcement(hello.recovered)
    try:
        return Announcement(hello.recovered, parse_succession(hello.succession))
    except KeyStatementError as error:
        raise ProtocolError(str(error)) from error


def _length(text: str) -> int:
    try:
        return len(text.encode())
    except UnicodeEncodeError as error:
        raise LocalProtocolError("the name or note holds half a surrogate pair") from error
