"""Notices that the database, or a page of it, is older than it was (protocol.md §6.6, §8.4).

The pages of the database authenticate; that they are the newest, they do not say. A ratchet state
that came back would use its keys a second time. Two things tell:

- the *count*: each transaction that changes something raises it, in the database; after the commit
  it is also written into a small file beside it. A file that is ahead means that an older database
  was put back. The file may lag (it is not synced, so a power failure can cost it a moment) and is
  never ahead of what the disk has.
- the *seal*: the sum (exclusive or) of one hash for each stored session, changed in the transaction
  that changes the session. An old page with a session in it does not fit.

Whoever puts the whole folder back puts the file back as well: then the peers' counters and digests
are what notices it.
"""

from __future__ import annotations

import logging
import os
from hashlib import sha256
from pathlib import Path
from typing import Final

from p2pchat.store.execute import Execute

COUNT_LEN: Final = 8
MARK_LEN: Final = 16
"""Of a session: no two old pages can be chosen so that their marks cancel out."""
_LABEL: Final = b"p2pchat/1 session seal\x00"

OLDER_DATABASE: Final = "an older copy of the database was put back"
OLDER_PAGE: Final = "a part of the database is older than the rest"

TABLES: Final = """
CREATE TABLE freshness (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    count INTEGER NOT NULL,
    seal BLOB NOT NULL CHECK (length(seal) = 16)
) STRICT;
INSERT INTO freshness VALUES (1, 0, zeroblob(16));
ALTER TABLE session ADD COLUMN mark BLOB NOT NULL DEFAULT x'' CHECK (length(mark) <= 16);
"""

_log = logging.getLogger(__name__)


class CountFile:
    """The count outside of the database: 8 bytes, big-endian."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def read(self) -> int:
        """Return the count; 0 if there is no such file."""
        try:
            with self._path.open("rb") as file:
                return int.from_bytes(file.read(COUNT_LEN), "big")
        except FileNotFoundError:
            return 0

    def write(self, count: int) -> None:
        """Write the count in place; a disk that refuses is no failure, since the file may lag."""
        try:
            if self._descriptor is None:
                self._descriptor = os.open(
                    self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600
                )
            os.pwrite(self._descriptor, count.to_bytes(COUNT_LEN, "big"), 0)
        except OSError as error:
            _log.warning("the count beside the database was not written: %s", error.strerror)

    def close(self) -> None:
        """Give the file back."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


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


def restore(execute: Execute, outside: int) -> str:
    """Look for signs of age, and make what shows them harmless; in a transaction.

    Args:
        execute: In a transaction.
        outside: What the file beside the database says.

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
    return found


def _sum(execute: Execute) -> bytes:
    total = 0
    for contact_id, state in execute("SELECT contact_id, state FROM session", ()):
        total ^= int.from_bytes(mark(contact_id, state), "big")
    return total.to_bytes(MARK_LEN, "big")
