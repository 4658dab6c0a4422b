"""Before an older database is brought forward it is copied, and put back if that fails."""

from __future__ import annotations

import os
from pathlib import Path

import apsw
import pytest

from p2pchat.errors import StoreError
from p2pchat.store import safe_copy, schema
from p2pchat.store.connection import create_database, open_database
from p2pchat.store.database import open_store
from p2pchat.store.safe_copy import copy_of
from p2pchat.store.schema import migrate
from tests.unit.store.files import DATABASE_ID, IDENTITY, KEY, new_store


@pytest.fixture
def older(tmp_path: Path) -> Path:
    """A database of version 1 with an identity."""
    path = tmp_path / "chat.db"
    connection = create_database(path, KEY, DATABASE_ID)
    migrate(connection, schema.MIGRATIONS[:1])
    connection.execute(
        "INSERT INTO identity VALUES (1, ?, ?, ?, ?)",
        (
            IDENTITY.name,
            IDENTITY.signing_seed.reveal(),
            IDENTITY.static_private.reveal(),
            IDENTITY.certificate,
        ),
    )
    connection.close()
    return path


def version_of(path: Path) -> int:
    connection = open_database(path, KEY, read_only=True)
    try:
        return int(connection.pragma("user_version"))
    finally:
        connection.close()


def open_and_close(path: Path) -> None:
    store, identity = open_store(path, KEY, DATABASE_ID)
    store.close_now()
    assert identity == IDENTITY


def test_the_copy_stays_until_the_first_opening_after_the_update(older: Path) -> None:
    before = older.read_bytes()
    open_and_close(older)
    copy = copy_of(older)
    assert version_of(older) == schema.SCHEMA_VERSION
    assert copy.read_bytes() == before
    assert copy.stat().st_mode & 0o777 == 0o600
    open_and_close(older)
    assert not copy.exists()


def test_a_step_that_fails_puts_the_database_back(
    older: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(connection: apsw.Connection) -> None:
        connection.execute("SELECT no_such_function()")

    before = older.read_bytes()
    steps = (*schema.MIGRATIONS, broken)  # the second succeeds and is committed, the third fails
    with monkeypatch.context() as newer:
        newer.setattr(schema, "MIGRATIONS", steps)
        newer.setattr(schema, "SCHEMA_VERSION", len(steps))
        newer.setattr(safe_copy, "SCHEMA_VERSION", len(steps))
        with pytest.raises(StoreError, match="it is as it was before") as failed:
            open_store(older, KEY, DATABASE_ID)
    assert "no_such_function" in str(failed.value)
    assert older.read_bytes() == before
    assert [file.name for file in older.parent.iterdir()] == ["chat.db"]
    open_and_close(older)


def test_without_room_for_the_copy_nothing_is_changed(
    older: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = older.read_bytes()

    def full(_: int) -> None:
        raise OSError(28, os.strerror(28))

    with monkeypatch.context() as disk:
        disk.setattr(os, "fsync", full)
        with pytest.raises(StoreError, match=r"No space left.*nothing was changed"):
            open_store(older, KEY, DATABASE_ID)
    assert older.read_bytes() == before
    assert not copy_of(older).exists()
    open_and_close(older)


def test_a_new_profile_makes_no_copy(tmp_path: Path) -> None:
    new_store(tmp_path).close_now()
    assert not copy_of(tmp_path / "chat.db").exists()
