"""Before an older database is brought forward it is copied, and put back if that fails."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import apsw
import pytest

from p2pchat.errors import DamagedStoreError, StoreError
from p2pchat.store import safe_copy, schema
from p2pchat.store.connection import create_database, open_database
from p2pchat.store.database import open_store
from p2pchat.store.safe_copy import bring_forward, copy_of
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


def test_the_copy_is_gone_when_the_start_that_made_it_is_over(
    older: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = older.read_bytes()
    seen: list[bytes] = []
    check = safe_copy._check

    def look(connection: apsw.Connection, content: list[tuple[Any, ...]]) -> None:
        copy = copy_of(older)
        assert copy.stat().st_mode & 0o777 == 0o600
        seen.append(copy.read_bytes())
        assert not older.with_name("chat.db-wal").stat().st_size, "the log is folded in"
        assert version_of(older) == schema.SCHEMA_VERSION
        check(connection, content)

    monkeypatch.setattr(safe_copy, "_check", look)
    open_and_close(older)
    assert seen == [before]
    assert not copy_of(older).exists()
    open_and_close(older)


def loses_a_contact(connection: apsw.Connection) -> None:
    connection.execute("DELETE FROM contact WHERE contact_id = 1")


def changes_the_identity(connection: apsw.Connection) -> None:
    connection.execute("UPDATE identity SET signing_seed = randomblob(32)")


@pytest.mark.parametrize("step", [loses_a_contact, changes_the_identity])
def test_a_step_that_succeeds_and_loses_something_is_undone(
    older: Path, monkeypatch: pytest.MonkeyPatch, step: Callable[[apsw.Connection], None]
) -> None:
    connection = open_database(older, KEY)
    connection.execute(
        "INSERT INTO contact VALUES (1, 'Bob', 'bob', zeroblob(32), 'unverified', NULL, '[]', '',"
        " 0, 0, NULL, 0, NULL, 0)"
    )
    connection.close()
    before = older.read_bytes()
    with monkeypatch.context() as newer:
        newer.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS[:-1], _both(step)))
        with pytest.raises(StoreError, match=r"another content.*it is as it was before"):
            open_store(older, KEY, DATABASE_ID)
    assert older.read_bytes() == before
    assert [file.name for file in older.parent.iterdir()] == ["chat.db"]
    open_and_close(older)


def _both(step: Callable[[apsw.Connection], None]) -> Callable[[apsw.Connection], None]:
    """Return the real last migration, followed by ``step``."""
    last = schema.MIGRATIONS[-1]

    def run(connection: apsw.Connection) -> None:
        last(connection)
        step(connection)

    return run


def spoil(path: Path) -> None:
    """Overwrite a piece of a page near the end."""
    raw = bytearray(path.read_bytes())
    raw[-4000:-3900] = bytes(100)
    path.write_bytes(raw)


def test_a_page_that_did_not_reach_the_disk_is_found_before_the_copy_goes(older: Path) -> None:
    before = older.read_bytes()
    opened = 0

    def open_writing() -> apsw.Connection:
        nonlocal opened
        opened += 1
        if opened == 2:
            spoil(older)
        return open_database(older, KEY)

    with pytest.raises(StoreError, match="it is as it was before"):
        bring_forward(open_writing, older)
    assert older.read_bytes() == before
    open_and_close(older)


def test_a_start_that_is_cut_off_leaves_the_copy_to_the_next(
    older: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut_off(*_: object) -> None:
        raise KeyboardInterrupt

    before = older.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(safe_copy, "_check", cut_off)
        with pytest.raises(KeyboardInterrupt):
            open_store(older, KEY, DATABASE_ID)
    migrated = older.read_bytes()
    spoil(older)
    with pytest.raises(DamagedStoreError, match=r"did not succeed.*chat\.db\.before-update"):
        bring_forward(partial(open_database, older, KEY), older)
    assert copy_of(older).read_bytes() == before
    older.write_bytes(migrated)
    open_and_close(older)
    assert not copy_of(older).exists()


def test_a_copy_that_cannot_be_deleted_is_tried_again(
    older: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(1, "Operation not permitted")

    with monkeypatch.context() as patch:
        patch.setattr(safe_copy, "sync_folder", refuse)
        patch.setattr(safe_copy, "_make", lambda *_: copy_of(older).write_bytes(b"copy"))
        patch.setattr(Path, "unlink", refuse)
        open_and_close(older)
    assert copy_of(older).exists()
    open_and_close(older)
    assert not copy_of(older).exists()


def test_a_step_that_fails_leaves_the_database_as_it_was(
    older: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(connection: apsw.Connection) -> None:
        connection.execute("SELECT no_such_function()")

    before = older.read_bytes()
    steps = (*schema.MIGRATIONS, broken)
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
