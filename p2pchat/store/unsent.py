"""How long a message of ours may wait to be sent, and giving up one that has waited longer.

Only one that has never been sealed is given up: of any other the peer may have a copy, and the
ledger must count what the peer counts (protocol.md §8.6). So the condition is the state ``queued``,
which a message leaves in the transaction that stores its envelope. It stays in the conversation
as ``failed``, with the reason ``EXPIRED``, and is never sent unless the person sends it again.

Of a database that is older than what was sent from it (a backup, an old copy) ``queued`` may be
out of date. What has expired in the meantime is given up all the same: the person said not to send
it later, and the ledger tells what the peer has.
"""

from __future__ import annotations

from typing import Final

from p2pchat.store.execute import Execute

COLUMNS: Final = """
ALTER TABLE message ADD COLUMN unsent_until_ms INTEGER;
CREATE INDEX message_unsent ON message (unsent_until_ms)
    WHERE state = 'queued' AND unsent_until_ms IS NOT NULL;
"""
"""Wall clock; NULL waits for ever. Of a message that is not queued any more it means nothing.
The index is named in statements: SQLite would take that of the whole conversation."""

EXPIRED: Final = "expired"
"""Stored as the reason of a failed message, so it never changes."""
GIVEN_UP_MAX: Final = 256
"""Messages given up in one transaction."""


def next_due(execute: Execute) -> int | None:
    """Return when the next message has waited long enough, as Unix milliseconds."""
    ((at_ms,),) = execute(
        "SELECT min(unsent_until_ms) FROM message"
        " WHERE state = 'queued' AND unsent_until_ms IS NOT NULL",
        (),
    )
    return None if at_ms is None else int(at_ms)


def overdue(execute: Execute, now_ms: int) -> list[int]:
    """Return the contacts for whom messages have waited long enough."""
    rows = execute(
        "SELECT DISTINCT contact_id FROM message INDEXED BY message_unsent"
        " WHERE state = 'queued' AND unsent_until_ms <= ?",
        (now_ms,),
    )
    return [contact_id for (contact_id,) in rows]


def give_up(execute: Execute, contact_id: int, now_ms: int) -> list[bytes]:
    """Let up to ``GIVEN_UP_MAX`` messages to a contact fail; returns their ids."""
    rows = execute(
        "UPDATE message SET state = 'failed', reason = ? WHERE position IN"
        " (SELECT position FROM message INDEXED BY message_unsent WHERE state = 'queued'"
        " AND unsent_until_ms <= ? AND contact_id = ? ORDER BY unsent_until_ms LIMIT ?)"
        " RETURNING message_id",
        (EXPIRED, now_ms, contact_id, GIVEN_UP_MAX),
    )
    return [message_id for (message_id,) in rows]
