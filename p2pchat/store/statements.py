"""Statements about identities, as rows: revocations, in force or kept for the day; successions.

They are facts about identities: they have no contact, and stay when a contact is removed.
"""

from __future__ import annotations

from typing import Final

from p2pchat.crypto.secret import Secret
from p2pchat.identity.revocation import revoke
from p2pchat.store.execute import Execute
from p2pchat.store.records import RevocationRecord, SuccessionRecord

TABLES: Final = """
CREATE TABLE revocation (
    identity BLOB PRIMARY KEY CHECK (length(identity) = 32),
    statement BLOB NOT NULL,
    revoked_at_ms INTEGER,
    ours INTEGER NOT NULL CHECK (ours IN (0, 1))
) STRICT, WITHOUT ROWID;
CREATE TABLE succession (
    new BLOB PRIMARY KEY CHECK (length(new) = 32),
    old BLOB NOT NULL CHECK (length(old) = 32),
    statement BLOB NOT NULL,
    seen_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
"""


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


def succession_to(execute: Execute, new: bytes) -> SuccessionRecord | None:
    """Return the announcement of an identity that has taken another's place."""
    for row in execute(
        "SELECT old, new, statement, seen_at_ms FROM succession WHERE new = ?", (new,)
    ):
        return SuccessionRecord(*row)
    return None


def put_succession(execute: Execute, succession: SuccessionRecord) -> None:
    """Keep an announcement; of those of one new identity, the first."""
    execute(
        "INSERT INTO succession (old, new, statement, seen_at_ms) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (new) DO NOTHING",
        (succession.old, succession.new, succession.statement, succession.seen_at_ms),
    )
