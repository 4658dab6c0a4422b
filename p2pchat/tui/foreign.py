"""Contacts and messages as a node tells them, made safe to draw.

Types are checked; a message of a node of another version raises instead of being guessed at.
"""

from __future__ import annotations

from typing import Final

import msgspec

from p2pchat.constants import NAME_MAX_BYTES, NOTE_MAX_CHARS, REACTION_MAX_BYTES
from p2pchat.identity.trust import Trust
from p2pchat.sanitize import clean_line, clean_text
from p2pchat.tui.conversation import QUOTE_MAX_CHARS, Delivery, Message
from p2pchat.tui.state import Contact

REASON_MAX_CHARS: Final = 200
ID_MAX_CHARS: Final = 80
_REACTIONS_MAX: Final = 2
"""One of each side."""


class ForeignContact(msgspec.Struct):
    """An entry of ``contact.list``."""

    contact: str
    name: str
    peer_id: str
    trust: str
    online: bool
    pq: bool
    unread: int = 0
    note: str = ""
    offline_reason: str = ""
    offered_peer_id: str | None = None
    verified_at_ms: int | None = None
    verified_by: str | None = None
    verify_first: bool = False
    record: str = "off"
    revoked_at_ms: int | None = None
    announced: bool = False
    timer_s: int = 0
    timer_asked_s: int | None = None


class _Reaction(msgspec.Struct):
    direction: str
    emoji: str


class ForeignMessage(msgspec.Struct):
    """An entry of ``message.list``; an arriving message has fewer fields."""

    message_id: str
    text: str
    sent_at_ms: int
    direction: str = "in"
    state: str = Delivery.DELIVERED
    reason: str = ""
    kind: str = "text"
    reply_to: str | None = None
    quote: str = ""
    edited_at_ms: int | None = None
    deleted: bool = False
    reactions: list[_Reaction] = msgspec.field(default_factory=list)
    lifetime_s: int | None = None


def to_contact(wire: ForeignContact) -> Contact:
    """Return the contact; raises ValueError for a trust state that is unknown."""
    peer_id = clean_line(wire.peer_id, ID_MAX_CHARS)
    return Contact(
        handle=wire.contact,
        name=clean_line(wire.name, NAME_MAX_BYTES) or peer_id[:8],
        peer_id=peer_id,
        trust=Trust(wire.trust),
        online=wire.online,
        post_quantum=wire.pq,
        unread=max(0, wire.unread),
        note=clean_line(wire.note, NOTE_MAX_CHARS),
        offline_reason=clean_line(wire.offline_reason, REASON_MAX_CHARS),
        offered_peer_id=clean_line(wire.offered_peer_id or "", ID_MAX_CHARS),
        verified_at_ms=wire.verified_at_ms,
        verified_by=wire.verified_by or "",
        verify_first=wire.verify_first,
        record=wire.record,
        revoked_at_ms=wire.revoked_at_ms,
        announced=wire.announced,
        timer_s=wire.timer_s,
        timer_asked_s=wire.timer_asked_s or 0,
    )


def to_message(wire: ForeignMessage) -> Message:
    """Return the message; raises ValueError for a delivery state that is unknown."""
    return Message(
        key=wire.message_id,
        outgoing=wire.direction == "out",
        text=clean_text(wire.text),
        kind=wire.kind,
        sent_at_ms=wire.sent_at_ms,
        state=Delivery(wire.state),
        reason=clean_line(wire.reason, REASON_MAX_CHARS),
        answers=wire.reply_to or "",
        quote=clean_line(wire.quote, QUOTE_MAX_CHARS),
        edited=wire.edited_at_ms is not None,
        deleted=wire.deleted,
        reactions=tuple(
            (each.direction == "out", clean_line(each.emoji, REACTION_MAX_BYTES))
            for each in wire.reactions[:_REACTIONS_MAX]
        ),
        vanishes=wire.lifetime_s is not None,
    )
