"""Encrypted or not at all: every way in which the cipher library fails open is closed."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import apsw
import pytest

from p2pchat.crypto.secret import Secret
from p2pchat.errors import DamagedStoreError, StoreError
from p2pchat.store.connection import (
    PLAINTEXT_MAGIC,
    create_database,
    open_database,
    probe,
    require_cipher,
)
from p2pchat.store.database import create_store, open_store
from tests.unit.store.files import DATABASE_ID, IDENTITY, KEY, fill

OTHER_KEY = Secret(b"\x07" * 32)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "chat.db"
    create_store(path, KEY, DATABASE_ID, fill)
    return path


def snapshot(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.suffix == ".db"}


def test_the_cipher_is_the_one_we_name(database: Path) -> None:
    connection = open_database(database, KEY)
    assert connection.pragma("cipher") == "chacha20"
    assert connection.pragma("journal_mode") == "wal"
    assert connection.pragma("synchronous") == 2  # FULL
    assert connection.pragma("foreign_keys") == 1
    assert connection.pragma("temp_store") == 2  # memory
    assert connection.pragma("secure_delete") == 1
    connection.close()


def test_the_file_begins_with_the_database_id_and_holds_nothing_readable(database: Path) -> None:
    content = database.read_bytes()
    assert content.startswith(DATABASE_ID)
    # Each so long that it does not turn up by chance in what looks random.
    for canary in (PLAINTEXT_MAGIC, b"CREATE TABLE", IDENTITY.signing_seed.reveal()):
        assert canary not in content


def test_another_key_of_the_right_length_is_refused_as_damage(database: Path) -> None:
    before = snapshot(database.parent)
    with pytest.raises(DamagedStoreError, match="damaged"):
        open_store(database, OTHER_KEY, DATABASE_ID)
    assert snapshot(database.parent) == before


@pytest.mark.parametrize("length", [0, 31, 33, 48, 64])
def test_a_key_of_another_length_is_refused_before_the_file_is_touched(
    tmp_path: Path, length: int
) -> None:
    """A malformed raw key would silently be taken for a passphrase."""
    path = tmp_path / "chat.db"
    with pytest.raises(StoreError, match="32 bytes"):
        create_database(path, Secret(b"k" * length), DATABASE_ID)
    assert path.read_bytes() == b""


def test_a_stray_apsw_without_a_cipher_is_refused(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_cipher()
    monkeypatch.delattr(apsw, "mc_version")
    for attempt in (
        lambda: create_database(database.with_name("new.db"), KEY, DATABASE_ID),
        lambda: open_database(database, KEY),
        lambda: probe(database, KEY, DATABASE_ID),
    ):
        with pytest.raises(StoreError, match="uninstall 'apsw'"):
            attempt()
    assert not database.with_name("new.db").exists()


def test_a_library_that_ignores_the_key_is_refused(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A build that keeps ``mc_version`` but does not know the pragma answers nothing."""

    class Deaf(apsw.Connection):
        def pragma(self, name: str, *args: Any, **kwargs: Any) -> Any:
            return None if name in ("cipher", "key") else super().pragma(name, *args, **kwargs)

    monkeypatch.setattr(apsw, "Connection", Deaf)
    with pytest.raises(StoreError, match="did not take the cipher"):
        open_database(database, KEY)


def test_a_plaintext_database_in_its_place_is_refused_and_left_alone(database: Path) -> None:
    database.unlink()
    plain = apsw.Connection(str(database))
    plain.execute("CREATE TABLE identity (name)")
    plain.close()
    before = snapshot(database.parent)
    assert before["chat.db"].startswith(PLAINTEXT_MAGIC)
    with pytest.raises(DamagedStoreError, match="is a plaintext database"):
        open_store(database, KEY, DATABASE_ID)
    assert snapshot(database.parent) == before


def test_another_profiles_database_is_told_apart_from_a_damaged_one(
    tmp_path: Path, database: Path
) -> None:
    create_store(tmp_path / "other.db", OTHER_KEY, b"\x09" * 16, fill)
    (tmp_path / "other.db").rename(database)
    with pytest.raises(DamagedStoreError, match="does not belong to this profile's key file"):
        open_store(database, KEY, DATABASE_ID)


def test_a_missing_or_empty_database_is_never_made_anew(database: Path) -> None:
    database.write_bytes(b"")
    with pytest.raises(DamagedStoreError, match="does not belong"):
        open_store(database, KEY, DATABASE_ID)
    assert database.read_bytes() == b""
    database.unlink()
    with pytest.raises(DamagedStoreError, match="missing"):
        open_store(database, KEY, DATABASE_ID)
    assert not database.exists()


@pytest.mark.parametrize("keep", [16, 100, 4096, 8192, -4096, -1])
def test_a_truncated_file_is_refused_and_left_alone(database: Path, keep: int) -> None:
    database.write_bytes(database.read_bytes()[:keep])
    before = snapshot(database.parent)
    with pytest.raises(DamagedStoreError):
        open_store(database, KEY, DATABASE_ID)
    assert snapshot(database.parent) == before


@pytest.mark.parametrize("offset", [0, 17, 60, 4095, 4096, 4096 + 17, 9 * 4096 + 5, -1])
def test_a_flipped_bit_anywhere_is_refused_and_left_alone(database: Path, offset: int) -> None:
    content = bytearray(database.read_bytes())
    content[offset] ^= 1
    database.write_bytes(content)
    with pytest.raises(DamagedStoreError):
        open_store(database, KEY, DATABASE_ID)
    assert database.read_bytes() == bytes(content)


def test_an_unreadable_file_is_a_failure_not_damage(database: Path) -> None:
    database.unlink()
    database.mkdir()
    with pytest.raises(StoreError, match="cannot read") as caught:
        open_store(database, KEY, DATABASE_ID)
    assert not isinstance(caught.value, DamagedStoreError)


def test_an_existing_file_is_never_written_over(database: Path) -> None:
    before = snapshot(database.parent)
    with pytest.raises(StoreError, match="cannot make"):
        create_store(database, OTHER_KEY, b"\x09" * 16, fill)
    assert snapshot(database.parent) == before


def test_a_database_id_of_another_length_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="16 bytes"):
        create_database(tmp_path / "chat.db", KEY, b"short")


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077, 0o277])
def test_all_database_files_are_ours_alone_under_any_umask(tmp_path: Path, umask: int) -> None:
    path = tmp_path / "chat.db"
    before = os.umask(umask)
    try:
        create_store(path, KEY, DATABASE_ID, fill)
        store, _ = open_store(path, KEY, DATABASE_ID)
    finally:
        os.umask(before)
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
    store.close_now()
    assert modes == {"chat.db": 0o600, "chat.db-wal": 0o600, "chat.db-shm": 0o600}


def test_errors_and_reprs_do_not_show_the_key(database: Path) -> None:
    with pytest.raises(DamagedStoreError) as caught:
        open_store(database, OTHER_KEY, DATABASE_ID)
    assert OTHER_KEY.reveal().hex() not in f"{caught.value!r} {caught.value.__cause__!r}"
