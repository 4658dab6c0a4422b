"""How long messages are kept, and deleting those that are older.

Only what is settled grows old: a message of ours that may still be delivered, and one of theirs
that nobody has read, stay whatever their age. Age is counted from when a message was stored here,
by our own clock: the time that it states is its sender's word, and a wrong clock there neither
keeps a message here for ever nor deletes it at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from p2pchat.store.execute import Execute

TABLES: Final = """
DROP INDEX message_by_contact;
CREATE INDEX message_by_contact ON message (contact_id, position, sent_at_ms);
CREATE TABLE retention (
    contact_id INTEGER PRIMARY KEY REFERENCES contact ON DELETE CASCADE,
    days INTEGER NOT NULL CHECK (days >= 0)
) STRICT;
"""
"""The index tells a message's time as well, so that looking for a date reads no texts: 400,000
messages are passed in some 30 ms, and a commit touches no page more than before."""

ARRIVALS: Final = """
ALTER TABLE message ADD COLUMN stored_at_ms INTEGER;
CREATE INDEX message_undated ON message (contact_id) WHERE stored_at_ms IS NULL;
DROP INDEX message_by_contact;
CREATE INDEX message_by_contact ON message (contact_id, position, sent_at_ms, stored_at_ms);
"""
"""NULL in the messages of an older version, which did not note it; they have no age until
``date_undated`` has given them one."""

ALWAYS_MS: Final = (-(2**63), 2**63 - 1)
"""From, and before: every time that can be stored."""

_SETTLED: Final = (
    "NOT (direction = 'out' AND state IN ('queued', 'sent'))"
    " AND NOT (direction = 'in' AND state = 'delivered')"
)


def days_of(execute: Execute, contact_id: int) -> int | None:
    """Return for how many days this contact's messages are kept; None if as the settings say."""
    for (days,) in execute("SELECT days FROM retention WHERE contact_id = ?", (contact_id,)):
        return int(days)
    return None


def keep_for(execute: Execute, contact_id: int, days: int | None) -> None:
    """Set it; 0 keeps all, None leaves it to the settings again."""
    if days is None:
        execute("DELETE FROM retention WHERE contact_id = ?", (contact_id,))
    else:
        execute("INSERT OR REPLACE INTO retention VALUES (?, ?)", (contact_id, days))


def outlived(execute: Execute, contact_id: int, before_ms: int, limit: int) -> list[int]:
    """Return positions of settled messages that were stored before ``before_ms``, oldest first."""
    rows = execute(
        "SELECT position FROM message"  # noqa: S608  # a constant
        f" WHERE contact_id = ? AND stored_at_ms < ? AND {_SETTLED} ORDER BY position LIMIT ?",
        (contact_id, before_ms, limit),
    )
    return [position for (position,) in rows]


def has_undated(execute: Execute, contact_id: int) -> bool:
    """Tell whether a contact has messages of which nobody noted when they were stored."""
    return bool(
        execute(
            "SELECT 1 FROM message WHERE contact_id = ? AND stored_at_ms IS NULL LIMIT 1",
            (contact_id,),
        )
    )


def date_undated(execute: Execute, contact_id: int, now_ms: int, limit: int) -> None:
    """Let some of them count from the time that they state, as far as that can be true.

    None came before its contact was there, or after now; what states such a time counts from now,
    so that it is kept for as long as the person wants at least.
    """
    execute(
        "UPDATE message SET stored_at_ms = iif(sent_at_ms < (SELECT added_at_ms FROM contact"
        " WHERE contact.contact_id = message.contact_id), ?1, min(sent_at_ms, ?1))"
        " WHERE position IN (SELECT position FROM message"
        " WHERE contact_id = ?2 AND stored_at_ms IS NULL LIMIT ?3)",
        (now_ms, contact_id, limit),
    )


def delete(execute: Execute, positions: Sequence[int]) -> None:
    """Delete these rows and the reactions to them; the index has to forget them as well."""
    for position in positions:
        execute(
            "DELETE FROM reaction WHERE (contact_id, message_id) IN"
            " (SELECT contact_id, message_id FROM message WHERE position = ?)",
            (position,),
        )
        execute("DELETE FROM message WHERE position = ?", (position,))
