"""The tables, and how an older database becomes a newer one.

``MIGRATIONS[n]`` turns version n into n + 1; ``user_version`` holds the version. All that are due
run in one transaction with the version mark, so a crash leaves the old version or the newest. A
migration is never edited after a release: it is what old files were made with.

Notes on the layout:

- ``message.position`` is chosen as one more than everything that was ever indexed or is stored,
  so the search index never confuses a new message with a deleted one.
- ``contact_id`` is AUTOINCREMENT: the id of a removed contact never becomes another person's.
- ``envelope`` keeps the small columns before the large one, so finding which messages are sealed
  reads no overflow page.
- ``audit_record`` has no column that its record does not have too: what is not under the hash
  could be changed unnoticed.
- ``revocation`` and ``succession`` are about identities, not contacts: they outlive a contact
  that is removed.
- ``message_index`` holds no text. ``search_state.indexed_to`` says how far it reaches.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import apsw

from p2pchat.crypto.secret import Secret
from p2pchat.errors import StoreError
from p2pchat.store import audit, changes, freshness, history, ledger, statements, unsent
from p2pchat.store.execute import executor

_VERSION_1: Final = """
CREATE TABLE identity (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    name TEXT NOT NULL,
    signing_seed BLOB NOT NULL CHECK (length(signing_seed) = 32),
    static_private BLOB NOT NULL CHECK (length(static_private) = 32),
    certificate BLOB NOT NULL
) STRICT;

CREATE TABLE setting (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE contact (
    contact_id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    name_key TEXT NOT NULL UNIQUE,
    identity BLOB NOT NULL UNIQUE CHECK (length(identity) = 32),
    trust TEXT NOT NULL
        CHECK (trust IN ('request', 'unverified', 'verified', 'changed', 'blocked')),
    offered BLOB CHECK (length(offered) = 32),
    addresses TEXT NOT NULL,
    note TEXT NOT NULL,
    certificate_generation INTEGER NOT NULL,
    added_at_ms INTEGER NOT NULL,
    verified_at_ms INTEGER,
    post_quantum INTEGER NOT NULL CHECK (post_quantum IN (0, 1)),
    static BLOB CHECK (length(static) = 32),
    handshake_time_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE message (
    position INTEGER PRIMARY KEY,
    contact_id INTEGER NOT NULL REFERENCES contact ON DELETE CASCADE,
    message_id BLOB NOT NULL,
    direction TEXT NOT NULL CHECK (direction IN ('in', 'out')),
    state TEXT NOT NULL CHECK (state IN ('queued', 'sent', 'delivered', 'read', 'failed')),
    sent_at_ms INTEGER NOT NULL,
    reason TEXT NOT NULL,
    body TEXT NOT NULL,
    UNIQUE (contact_id, message_id)
) STRICT;
CREATE INDEX message_by_contact ON message (contact_id, position);
CREATE INDEX message_undelivered ON message (contact_id, position)
    WHERE direction = 'out' AND state IN ('queued', 'sent');
CREATE INDEX message_unread ON message (contact_id)
    WHERE direction = 'in' AND state = 'delivered';

CREATE TABLE session (
    contact_id INTEGER PRIMARY KEY REFERENCES contact ON DELETE CASCADE,
    state BLOB NOT NULL
) STRICT;

CREATE TABLE envelope (
    contact_id INTEGER NOT NULL REFERENCES contact ON DELETE CASCADE,
    number INTEGER NOT NULL,
    message_id BLOB,
    digest BLOB NOT NULL,
    envelope BLOB NOT NULL,
    PRIMARY KEY (contact_id, number)
) STRICT, WITHOUT ROWID;

CREATE VIRTUAL TABLE message_index USING fts5 (
    contact, body,
    content = '', contentless_delete = 1, tokenize = 'unicode61 remove_diacritics 2'
);
CREATE TABLE search_state (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    indexed_to INTEGER NOT NULL,
    purge INTEGER NOT NULL
) STRICT;
INSERT INTO search_state VALUES (1, 0, 0);
"""

_AUDIT: Final = """
CREATE TABLE audit_log (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    seed BLOB NOT NULL CHECK (length(seed) = 32),
    certificate BLOB NOT NULL,
    sequence INTEGER NOT NULL,
    hash BLOB NOT NULL CHECK (length(hash) = 32),
    signature BLOB NOT NULL CHECK (length(signature) = 64),
    checkpoint INTEGER NOT NULL,
    checkpoint_at_ms INTEGER NOT NULL
) STRICT;
CREATE TABLE audit_record (
    sequence INTEGER PRIMARY KEY,
    record BLOB NOT NULL,
    hash BLOB NOT NULL CHECK (length(hash) = 32)
) STRICT;
"""

_PREVIOUS_STATIC_KEY: Final = """
CREATE TABLE previous_static_key (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    private BLOB NOT NULL CHECK (length(private) = 32),
    certificate BLOB NOT NULL,
    until_ms INTEGER NOT NULL
) STRICT;
"""

_VERIFICATION: Final = """
ALTER TABLE contact ADD COLUMN verified_by TEXT CHECK (verified_by IN ('number', 'secret'));
ALTER TABLE contact ADD COLUMN secret_tries INTEGER NOT NULL DEFAULT 0;
UPDATE contact SET verified_by = 'number' WHERE verified_at_ms IS NOT NULL;
"""

_STATEMENTS: Final = """
CREATE TABLE statement_key (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    seed BLOB NOT NULL CHECK (length(seed) = 32),
    certificate BLOB NOT NULL
) STRICT;
ALTER TABLE message ADD COLUMN kind TEXT NOT NULL DEFAULT 'text';
ALTER TABLE message ADD COLUMN signed BLOB;
"""

_VERSION_2: Final[tuple[str, ...]] = (
    _AUDIT,
    ledger.TABLES,
    freshness.TABLES,
    _PREVIOUS_STATIC_KEY,
    _VERIFICATION,
    _STATEMENTS,
    statements.TABLES,
    history.TABLES,
    changes.TABLES,
)


def _to_version_1(connection: apsw.Connection) -> None:
    connection.execute(_VERSION_1)


def _to_version_2(connection: apsw.Connection) -> None:
    """What the life of keys and of messages needs."""
    for part in _VERSION_2:
        connection.execute(part)
    execute = executor(connection)
    freshness.begin(execute)
    for (seed,) in execute("SELECT signing_seed FROM identity", ()):
        audit.begin(execute, Secret(seed))
        statements.seal_own_revocation(execute, Secret(seed))


def _to_version_3(connection: apsw.Connection) -> None:
    """Until when a message may wait, since when it is here, and which timers were proposed."""
    connection.execute(unsent.COLUMNS)
    connection.execute(history.ARRIVALS)
    connection.execute(changes.CROSSINGS)


MIGRATIONS: Final[tuple[Callable[[apsw.Connection], None], ...]] = (
    _to_version_1,
    _to_version_2,
    _to_version_3,
)
SCHEMA_VERSION: Final = len(MIGRATIONS)


def require_known(version: int) -> None:
    """Refuse a database that a newer p2pchat made.

    Raises:
        StoreError: It has a version that we do not know; nothing was written.
    """
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"the profile was made by a newer p2pchat (its version is {version}, this program "
            f"knows {SCHEMA_VERSION}); update p2pchat (nothing was changed)"
        )


def migrate(
    connection: apsw.Connection,
    migrations: Sequence[Callable[[apsw.Connection], None]] | None = None,
) -> None:
    """Bring the database to ``SCHEMA_VERSION``, in one transaction.

    Args:
        connection: Outside a transaction.
        migrations: Fewer of them lead to an older version.

    Raises:
        StoreError: The database is newer than this program.
        apsw.Error: A step failed; nothing is changed.
    """
    version = connection.pragma("user_version")
    require_known(version)
    steps = MIGRATIONS if migrations is None else migrations
    if version >= len(steps):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        for step in steps[version:]:
            step(connection)
        connection.pragma("user_version", len(steps))
        connection.execute("COMMIT")
    except BaseException:  # an interrupted step must leave the version before it
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
