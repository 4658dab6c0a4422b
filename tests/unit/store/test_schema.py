"""Versions: known ones are brought forward, newer ones refused, a failed step leaves the old."""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest

from p2pchat.errors import DamagedStoreError, StoreError
from p2pchat.store import schema
from p2pchat.store.connection import create_database, open_database
from p2pchat.store.database import create_store, open_store
from p2pchat.store.schema import SCHEMA_VERSION, migrate
from tests.unit.store.files import DATABASE_ID, IDENTITY, KEY, fill


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "chat.db"
    create_store(path, KEY, DATABASE_ID, fill)
    return path


def test_a_new_database_has_the_newest_version(database: Path) -> None:
    connection = open_database(database, KEY)
    assert connection.pragma("user_version") == SCHEMA_VERSION == len(schema.MIGRATIONS)
    migrate(connection)
    assert connection.pragma("user_version") == SCHEMA_VERSION
    connection.close()


def test_a_database_of_version_1_is_brought_forward_with_what_it_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "chat.db"
    with monkeypatch.context() as older:
        older.setattr(schema, "MIGRATIONS", schema.MIGRATIONS[:1])
        connection = create_database(path, KEY, DATABASE_ID)
        migrate(connection)
        connection.execute(
            "INSERT INTO identity VALUES (1, ?, ?, ?, ?)",
            (
                IDENTITY.name,
                IDENTITY.signing_seed.reveal(),
                IDENTITY.static_private.reveal(),
                IDENTITY.certificate,
            ),
        )
        assert connection.pragma("user_version") == 1
        connection.close()
    store, identity = open_store(path, KEY, DATABASE_ID)
    store.close_now()
    assert identity == IDENTITY


def test_version_2_brings_its_messages_along_without_a_time_of_arrival(tmp_path: Path) -> None:
    """Nobody noted it, and the store has no clock: retention gives them one when it looks."""
    path = tmp_path / "chat.db"
    connection = create_database(path, KEY, DATABASE_ID)
    migrate(connection, schema.MIGRATIONS[:2])
    connection.execute(
        "INSERT INTO contact (name, name_key, identity, trust, addresses, note,"
        " certificate_generation, added_at_ms, post_quantum, handshake_time_ms)"
        " VALUES ('Bob', 'bob', ?, 'unverified', '[]', '', 0, 0, 0, 0)",
        (bytes(32),),
    )
    connection.execute(
        "INSERT INTO message (contact_id, message_id, direction, state, sent_at_ms, reason, body)"
        " VALUES (1, x'01', 'out', 'queued', 5, '', 'waits')"
    )
    migrate(connection)
    found = connection.execute(
        "SELECT body, state, unsent_until_ms, stored_at_ms FROM message"
    ).fetchall()
    connection.close()
    assert found == [("waits", "queued", None, None)]


def test_every_table_of_ours_is_strict(database: Path) -> None:
    connection = open_database(database, KEY)
    loose = connection.execute(
        "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table'"
        " AND NOT strict AND name <> 'sqlite_schema' AND name <> 'sqlite_sequence'"
    ).fetchall()
    connection.close()
    assert loose == []


def test_a_newer_version_is_refused_and_the_file_stays_byte_identical(database: Path) -> None:
    connection = open_database(database, KEY)
    connection.pragma("user_version", SCHEMA_VERSION + 1)
    connection.close()
    before = database.read_bytes()
    with pytest.raises(StoreError, match="newer p2pchat") as caught:
        open_store(database, KEY, DATABASE_ID)
    assert not isinstance(caught.value, DamagedStoreError)
    assert database.read_bytes() == before
    connection = open_database(database, KEY)
    with pytest.raises(StoreError, match="newer p2pchat"):
        migrate(connection)
    connection.close()


def test_not_even_the_log_of_a_newer_version_is_folded_in(database: Path) -> None:
    """A newer program was killed: its log is for it to judge."""
    connection = open_database(database, KEY)
    connection.pragma("user_version", SCHEMA_VERSION + 1)
    crashed = {
        file.name: file.read_bytes() for file in database.parent.iterdir() if "shm" not in file.name
    }
    connection.close()
    for file in database.parent.iterdir():
        file.unlink()
    for name, content in crashed.items():
        (database.parent / name).write_bytes(content)
    assert len(crashed["chat.db-wal"]) > 4096
    with pytest.raises(StoreError, match="newer p2pchat"):
        open_store(database, KEY, DATABASE_ID)
    assert {name: (database.parent / name).read_bytes() for name in crashed} == crashed


def test_an_encrypted_but_empty_database_is_damage(tmp_path: Path) -> None:
    create_database(tmp_path / "chat.db", KEY, DATABASE_ID).close()
    with pytest.raises(DamagedStoreError, match="empty"):
        open_store(tmp_path / "chat.db", KEY, DATABASE_ID)


def test_a_database_without_an_identity_is_damage(database: Path) -> None:
    connection = open_database(database, KEY)
    connection.execute("DELETE FROM identity")
    connection.close()
    with pytest.raises(DamagedStoreError, match="no identity"):
        open_store(database, KEY, DATABASE_ID)


def test_a_step_that_fails_undoes_those_before_it(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def good(connection: apsw.Connection) -> None:
        connection.execute("CREATE TABLE good (x TEXT) STRICT")

    def bad(connection: apsw.Connection) -> None:
        connection.execute("CREATE TABLE bad (x TEXT) STRICT")
        connection.execute("CREATE TABLE bad (x TEXT) STRICT")

    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, good, bad))
    monkeypatch.setattr(schema, "SCHEMA_VERSION", SCHEMA_VERSION + 2)
    connection = open_database(database, KEY)
    with pytest.raises(apsw.SQLError):
        migrate(connection)
    assert connection.pragma("user_version") == SCHEMA_VERSION
    assert not connection.table_exists(None, "good")
    assert not connection.table_exists(None, "bad")
    assert not connection.in_transaction
    connection.close()


def test_version_1_brings_along_who_was_verified_and_how(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    connection = create_database(path, KEY, DATABASE_ID)
    schema.MIGRATIONS[0](connection)
    connection.pragma("user_version", 1)
    connection.execute(
        "INSERT INTO identity VALUES (1, 'me', ?, ?, ?)", (bytes(32), bytes(32), b"certificate")
    )
    for number, verified_at_ms in ((1, None), (2, 5)):
        connection.execute(
            "INSERT INTO contact VALUES"
            " (?, ?, ?, ?, 'unverified', NULL, '[]', '', 0, 0, ?, 0, NULL, 0)",
            (number, f"c{number}", f"c{number}", bytes([number]) * 32, verified_at_ms),
        )
    migrate(connection)
    found = connection.execute(
        "SELECT verified_by, secret_tries FROM contact ORDER BY contact_id"
    ).fetchall()
    connection.close()
    assert found == [(None, 0), ("number", 0)]


def test_proposals_of_a_timer_are_brought_forward() -> None:
    """Version 2 had room for one that is spent."""
    connection = apsw.Connection(":memory:")
    schema.migrate(connection, schema.MIGRATIONS[:2])
    connection.execute("PRAGMA foreign_keys = OFF")
    connection.execute("INSERT INTO timer_proposal VALUES (1, 'spent', x'0a', 60)")
    schema.migrate(connection)
    connection.execute("INSERT INTO timer_proposal VALUES (1, 'spent', x'0b', 30)")
    rows = list(connection.execute("SELECT message_id, seconds FROM timer_proposal ORDER BY 1"))
    assert rows == [(b"\x0a", 60), (b"\x0b", 30)]
    connection.close()
