"""Application messages: what two people say, inside the ratchet (protocol.md §9).

A message of a kind that we do not know is acknowledged and shown as such: refusing it would
stop the conversation for ever, since the peer would send it again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Final, assert_never

import msgspec

from p2pchat.constants import (
    CONTENT_MAX_BYTES,
    KIND_MAX_CHARS,
    MESSAGE_ID_LEN,
    TEXT_MAX_BYTES,
    TIMER_MAX_S,
    TIMER_MIN_S,
)
from p2pchat.errors import LocalProtocolError, ProtocolError
from p2pchat.session import changes, on_record
from p2pchat.session.changes import Delete, Edit, Reaction, ReadUpTo, Timer
from p2pchat.session.codec import (
    MANDATORY_MARK,
    TIME_MAX_MS,
    MessageId,
    TimeMs,
    convert,
    decode_map,
    encode_map,
)
from p2pchat.session.on_record import Record, Signed


@dataclass(frozen=True, slots=True)
class Text:
    """A text message: 16-byte id, the sender's wall clock, 1..65536 bytes of UTF-8.

    Attributes:
        reply_to: The message that it answers, of either side.
        lifetime_s: It disappears after so many seconds (§9.6).
    """

    message_id: bytes
    sent_at_ms: int
    body: str = field(repr=False)
    reply_to: bytes | None = None
    lifetime_s: int | None = None


@dataclass(frozen=True, slots=True)
class Unsupported:
    """A message of a kind, or with a mandatory field, from a later minor version."""

    message_id: bytes
    sent_at_ms: int
    kind: str


Message = Text | Record | Signed | Edit | Delete | Reaction | ReadUpTo | Timer | Unsupported


class _Head(msgspec.Struct, frozen=True):
    """What every message has."""

    t: Annotated[str, msgspec.Meta(min_length=1, max_length=KIND_MAX_CHARS)]
    id: MessageId
    at: TimeMs


class _TextBody(msgspec.Struct, frozen=True):
    t: str
    id: MessageId
    at: TimeMs
    body: Annotated[str, msgspec.Meta(min_length=1, max_length=TEXT_MAX_BYTES)]
    re: MessageId | None = None
    ttl: Annotated[int, msgspec.Meta(ge=TIMER_MIN_S, le=TIMER_MAX_S)] | None = None


KINDS: Final = on_record.KINDS | changes.KINDS | {"text"}
"""What this program understands, and says so in HELLO (§8.3)."""


def check_text(body: str) -> None:
    """Return only if ``body`` may be sent.

    Raises:
        LocalProtocolError: Empty, longer than 64 KiB of UTF-8, or not encodable.
    """
    try:
        length = len(body.encode())
    except UnicodeEncodeError as error:
        raise LocalProtocolError("the message holds half a surrogate pair") from error
    if not 1 <= length <= TEXT_MAX_BYTES:
        raise LocalProtocolError(f"a message has 1 to {TEXT_MAX_BYTES} bytes, not {length}")


def encode_message(message: Message) -> bytes:
    """Return the msgpack bytes of a message that we may send.

    Raises:
        LocalProtocolError: Out of bounds, or of a kind that only a peer can send.
    """
    match message:
        case Text(body=body):
            check_text(body)
            fields: dict[str, Any] = {"t": "text", "body": body, **_optional(message)}
        case Record() | Signed():
            fields = on_record.to_fields(message)
        case Edit() | Delete() | Reaction() | ReadUpTo() | Timer():
            if isinstance(message, Edit):
                check_text(message.body)
            fields = changes.to_fields(message)
        case Unsupported():
            raise LocalProtocolError("a message of an unknown kind cannot be sent")
        case _ as unreachable:
            assert_never(unreachable)
    if len(message.message_id) != MESSAGE_ID_LEN or not 0 <= message.sent_at_ms <= TIME_MAX_MS:
        raise LocalProtocolError("the message's id or time is out of bounds")
    kind = fields.pop("t")
    return encode_map({"t": kind, "id": message.message_id, "at": message.sent_at_ms, **fields})


def decode_message(content: bytes) -> Message:
    """Read one message (R-9.2.1 to R-9.2.3).

    Raises:
        ProtocolError: Malformed or out of bounds.
    """
    fields: dict[str, Any] = decode_map(content, max_bytes=CONTENT_MAX_BYTES)
    head = convert({key: fields[key] for key in ("t", "id", "at") if key in fields}, _Head)
    if head.t not in KINDS or any(name.startswith(MANDATORY_MARK) for name in fields):
        return Unsupported(head.id, head.at, head.t)
    if head.t in on_record.KINDS:
        return on_record.from_fields(fields)
    if head.t in changes.KINDS:
        return changes.from_fields(fields)
    text = convert(fields, _TextBody)
    if len(text.body.encode()) > TEXT_MAX_BYTES:
        raise ProtocolError("a text message exceeds its limit")
    return Text(text.id, text.at, text.body, text.re, text.ttl)


def _optional(text: Text) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    if text.reply_to is not None:
        if len(text.reply_to) != MESSAGE_ID_LEN:
            raise LocalProtocolError("a message id has another length")
        fields["re"] = text.reply_to
    if text.lifetime_s is not None:
        if not TIMER_MIN_S <= text.lifetime_s <= TIMER_MAX_S:
            raise LocalProtocolError("the time until a message disappears is out of bounds")
        fields["ttl"] = text.lifetime_s
    return fields
