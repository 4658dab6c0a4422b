"""Notices that the database, or a page of it, is older than it was (protocol.md §6.6, §8.4).

The pages of the database authenticate; that they are the newest, they do not say. A ratchet state
that came back would use its keys a second time. Two things tell:

- the *count*: each transaction that changes something raises it, in the database; after the commit
  it is also kept outside (``store.outside_count``). One outside that is ahead means that an older
  database was put back.
- the *seal*: the sum (exclusive or) of one hash for each stored session, changed in the transaction
  that changes the session. An old page with a session in it does not fit.

The count says that the *database* is old; ``store.audit_head`` says that the *audit log* in it is.
Neither does the other's work: a database can be older and miss no record, and a log can have lost
its end, or be another's, in a database of the right count. Where both find something, they report
it as one (``node.journal``).
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final

from p2pchat.store.execute import Execute

MARK_LEN: Final = 16
"""Of a session: no two old pages can be chosen so that their marks cancel out."""
_LABEL: Final = b"p2pchat/1 session seal\x00"

OLDER_DATABASE: Final = "an older copy of the database was put back"
OLDER_PAGE: Final = "a part of the database is older than the rest"
LOST_KEY: Final = "sessions.lost"
"""Setting: why no session was left, until a node that looks for contacts has taken it over."""

TABLES: Final = """
CREATE TABLE freshness (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    count INTEGER NOT NULL,
    seal BLOB NOT NULL CHECK (length(seal) = 16)
) STRICT;
INSERT INTO freshness VALUES (1, 0, zeroblob(16));
ALTER TABLE session ADD COLUMN mark BLOB NOT NULL DEFAULT x'' CHECK (length(mark) <= 16);
"""


def begin(execute: Execute) -> None:
    """Seal the sessions of a database that had no seal before."""
    for contact_id, state in execute("SELECT contact_id, state FROM session", ()):
        sealed = change(execute, contact_id, state)
        execute("UPDATE session SET mark = ? WHERE contact_id = ?", (sealed, contact_id))


def mark(contact_id: int, state: bytes) -> bytes:
    """Return what a stored session adds to the seal."""
    return sha256(_LABEL + contact_id.to_bytes(8, "big") + state).digest()[:MARK_LEN]


def change(execute: Execute, contact_id: int, state: bytes | None) -> bytes:
    """Account for a session that is written, or deleted (None), in the same transaction.

    Returns:
        The session's mark, to be stored with it.
    """
    rows = execute("SELECT mark FROM session WHERE contact_id = ?", (contact_id,))
    before = int.from_bytes(rows[0][0], "big") if rows else 0
    new = b"" if state is None else mark(contact_id, state)
    ((seal,),) = execute("SELECT seal FROM freshness", ())
    changed = int.from_bytes(seal, "big") ^ before ^ int.from_bytes(new, "big")
    execute("UPDATE freshness SET seal = ?", (changed.to_bytes(MARK_LEN, "big"),))
    return new


def advance(execute: Execute) -> int:
    """Raise the count by one, in the transaction that changes something; returns it."""
    ((count,),) = execute("UPDATE freshness SET count = count + 1 RETURNING count", ())
    return int(count)


def count_of(execute: Execute) -> int:
    """Return the count in the database."""
    ((count,),) = execute("SELECT count FROM freshness", ())
    return int(count)


def restore(execute: Execute, outside: int) -> str:
    """Look for signs of age, and make what shows them harmless; in a transaction.

    Args:
        execute: In a transaction.
        outside: The count that is kept outside of the database.

    Returns:
        What was found, or an empty string. Then no session is left: each begins anew with the
        next connection.
    """
    ((count, seal),) = execute("SELECT count, seal FROM freshness", ())
    if outside > count:
        found = OLDER_DATABASE
    elif _sum(execute) != seal:
        found = OLDER_PAGE
    else:
        return ""
    execute("DELETE FROM session", ())
    execute("DELETE FROM envelope", ())
    execute(
        "UPDATE freshness SET count = ?, seal = ?",
        (max(count, outside) + 1, bytes(MARK_LEN)),
    )
    execute("INSERT OR REPLACE INTO setting VALUES (?, ?)", (LOST_KEY, found))
    return found


def _sum(execute: Execute) -> bytes:
    total = 0
    for contact_id, state in execute("SELECT contact_id, state FROM session", ()):
        total ^= int.from_bytes(mark(contact_id, state), "big")
    return total.to_bytes(MARK_LEN, "big")
