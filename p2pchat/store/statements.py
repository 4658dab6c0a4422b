"""Statements about identities, as rows: revocations in force, and our own kept for the day.

A revocation is a fact about an identity: it has no contact, and stays when a contact is removed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from p2pchat.crypto.secret import Secret
from p2pchat.identity.revocation import revoke
from p2pchat.store.ports import RevocationRecord
from p2pchat.store.rows import Row

TABLES: Final = """
CREATE TABLE revocation (
    identity BLOB PRIMARY KEY CHECK (length(identity) = 32),
    statement BLOB NOT NULL,
    revoked_at_ms INTEGER,
    ours INTEGER NOT NULL CHECK (ours IN (0, 1))
) STRICT, WITHOUT ROWID;
"""

Execute = Callable[[str, Sequence[Any]], list[Row]]
"""Runs one statement inside the current transaction and returns all its rows."""


def seal_own_revocation(execute: Execute, identity_seed: Secret) -> None:
    """Keep the revocation of the profile's own identity, unless it is there already."""
    own = revoke(identity_seed)
    put_revocation(execute, RevocationRecord(own.identity, own.encoded, None, ours=True))


def revocations(execute: Execute) -> list[RevocationRecord]:
    """Return all, in the order of their identities."""
    rows = execute(
        "SELECT identity, statement, revoked_at_ms, ours FROM revocation ORDER BY identity", ()
    )
    return [
        RevocationRecord(identity, statement, revoked_at_ms, ours=bool(ours))
        for identity, statement, revoked_at_ms, ours in rows
    ]


def put_revocation(execute: Execute, revocation: RevocationRecord) -> None:
    """Write one; the first time at which it took effect stays, and so does that it is ours."""
    execute(
        "INSERT INTO revocation VALUES (?, ?, ?, ?) ON CONFLICT (identity) DO UPDATE SET"
        " revoked_at_ms = coalesce(revoked_at_ms, excluded.revoked_at_ms),"
        " ours = max(ours, excluded.ours)",
        (
            revocation.identity,
            revocation.statement,
            revocation.revoked_at_ms,
            int(revocation.ours),
        ),
    )
