"""Rows of the database as records: which columns, in which order, and how they are read."""

from __future__ import annotations

import json
from typing import Any, Final

from p2pchat.identity.trust import Pin, Trust, VerifiedBy
from p2pchat.store.records import (
    ContactRecord,
    DeliveryState,
    Direction,
    MessageKind,
    MessageRecord,
)

Row = tuple[Any, ...]
"""STRICT tables fix the types of the columns."""

MESSAGE_QUERY: Final = (
    "SELECT message_id, contact_id, direction, body, sent_at_ms, state, position, reason,"
    " kind, signed, refers_to, lifetime_s, expires_at_ms, edited_at_ms, deleted,"
    " (SELECT substr(quoted.body, 1, 200) FROM message AS quoted"
    " WHERE quoted.contact_id = message.contact_id AND quoted.message_id = message.refers_to),"
    " (SELECT json_group_array(json_array(direction, emoji)) FROM reaction"
    " WHERE reaction.contact_id = message.contact_id"
    " AND reaction.message_id = message.message_id),"
    " unsent_until_ms"
    " FROM message"
)
"""All messages, in the order of ``MessageRecord``; conditions and order are to be appended."""

CONTACT_QUERY: Final = (
    "SELECT contact_id, name, identity, trust, offered, addresses, note, certificate_generation,"
    " added_at_ms, verified_at_ms, post_quantum, static, handshake_time_ms, verified_by,"
    " secret_tries,"
    " (SELECT count(*) FROM message WHERE message.contact_id = contact.contact_id"
    " AND direction = 'in' AND state = 'delivered'),"
    " (SELECT revoked_at_ms FROM revocation WHERE revocation.identity = contact.identity),"
    " EXISTS (SELECT 1 FROM succession WHERE old = contact.identity AND new = contact.offered)"
    " FROM contact"
)
"""All contacts; conditions and order are to be appended."""


def contact_from(row: Row) -> ContactRecord:
    """Return the record of a row of ``CONTACT_QUERY``."""
    return ContactRecord(
        contact_id=row[0],
        name=row[1],
        pin=Pin(row[2], Trust(row[3]), row[4], row[16], bool(row[17])),
        addresses=tuple(json.loads(row[5])),
        note=row[6],
        certificate_generation=row[7],
        added_at_ms=row[8],
        verified_at_ms=row[9],
        post_quantum=bool(row[10]),
        static=row[11],
        handshake_time_ms=row[12],
        verified_by=None if row[13] is None else VerifiedBy(row[13]),
        secret_tries=row[14],
        unread=row[15],
    )


def message_from(row: Row) -> MessageRecord:
    """Return the record of a row of ``MESSAGE_QUERY``."""
    return MessageRecord(
        row[0],
        row[1],
        Direction(row[2]),
        row[3],
        row[4],
        DeliveryState(row[5]),
        row[6],
        row[7],
        MessageKind(row[8]),
        row[9],
        row[10],
        row[11],
        row[12],
        row[13],
        bool(row[14]),
        row[15] or "",
        () if row[16] == "[]" else _reactions(row[16]),
        row[17],
    )


def _reactions(listed: str) -> tuple[tuple[Direction, str], ...]:
    return tuple((Direction(direction), emoji) for direction, emoji in json.loads(listed))
