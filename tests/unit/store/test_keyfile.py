"""The key file: strict, wholly authenticated, and clear about what is wrong with it."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

import pytest

from p2pchat.crypto import pwhash
from p2pchat.crypto.secret import Secret
from p2pchat.errors import (
    DamagedStoreError,
    DecryptionError,
    LockedError,
    ProfileExistsError,
    StoreError,
)
from p2pchat.store import keyfile
from tests.support.net_random import seeded_rng
from tests.unit.store.files import DATABASE_ID, KEY

PASSPHRASE = Secret(b"correct horse battery staple")
WRAPPING_KEY = Secret(b"\x55" * 32)
ENTRY = bytes(range(16))


@pytest.fixture(scope="module")
def wrapped() -> keyfile.KeyFile:
    return keyfile.wrap_with_passphrase(
        KEY, DATABASE_ID, PASSPHRASE, memory_kib=64, rng=seeded_rng(1)
    )


def unlock(encoded: bytes, passphrase: Secret = PASSPHRASE) -> Secret:
    parsed = keyfile.parse(encoded)
    return keyfile.unwrap(parsed, keyfile.derive_wrapping_key(parsed, passphrase))


def with_checksum(body: bytes) -> bytes:
    """Return a file that is damaged in a way that its checksum does not show."""
    return body + hashlib.sha256(body).digest()


def test_a_passphrase_gives_the_key_back(wrapped: keyfile.KeyFile) -> None:
    encoded = wrapped.encode()
    assert len(encoded) == keyfile.KEY_FILE_LEN == 146
    parsed = keyfile.parse(encoded)
    assert parsed == wrapped
    assert parsed.database_id == DATABASE_ID
    assert (parsed.time_cost, parsed.memory_kib) == (pwhash.DEFAULT_TIME_COST, 64)
    assert unlock(encoded) == KEY


def test_the_keychains_key_gives_the_key_back() -> None:
    made = keyfile.wrap_with_key(KEY, DATABASE_ID, WRAPPING_KEY, entry=ENTRY, rng=seeded_rng(2))
    parsed = keyfile.parse(made.encode())
    assert parsed.method is keyfile.Method.KEYCHAIN
    assert parsed.keychain_entry == ENTRY.hex()
    assert keyfile.unwrap(parsed, WRAPPING_KEY) == KEY
    with pytest.raises(LockedError, match="keychain"):
        keyfile.unwrap(parsed, Secret(b"\x56" * 32))


def test_nothing_secret_stands_in_the_file(wrapped: keyfile.KeyFile) -> None:
    encoded = wrapped.encode()
    derived = keyfile.derive_wrapping_key(wrapped, PASSPHRASE).reveal()
    for secret in (KEY.reveal(), PASSPHRASE.reveal(), derived):
        assert secret not in encoded
        assert secret.hex().encode() not in encoded
    assert PASSPHRASE.reveal().decode() not in repr(wrapped)


def test_each_file_has_its_own_salt_and_nonce() -> None:
    rng = seeded_rng(3)
    first, second = (
        keyfile.wrap_with_passphrase(KEY, DATABASE_ID, PASSPHRASE, memory_kib=64, rng=rng)
        for _ in range(2)
    )
    assert first.salt != second.salt
    assert first.nonce != second.nonce
    assert first.wrapped != second.wrapped


@pytest.mark.parametrize("wrong", [b"", b"correct horse battery stapl", b"Correct horse"])
def test_a_wrong_passphrase_is_called_that(wrapped: keyfile.KeyFile, wrong: bytes) -> None:
    with pytest.raises(LockedError, match="passphrase is wrong"):
        unlock(wrapped.encode(), Secret(wrong))


def test_any_changed_byte_is_called_damage(wrapped: keyfile.KeyFile) -> None:
    """A person is not sent looking for a typing mistake that is none."""
    encoded = wrapped.encode()
    for position in range(len(encoded)):
        changed = bytearray(encoded)
        changed[position] ^= 0x01
        with pytest.raises((DamagedStoreError, StoreError)) as caught:
            keyfile.parse(bytes(changed))
        assert not isinstance(caught.value, LockedError)


@pytest.mark.parametrize("length", [0, 1, 12, 13, 145, 147, 1000])
def test_any_other_length_is_called_damage(wrapped: keyfile.KeyFile, length: int) -> None:
    encoded = (wrapped.encode() * 8)[:length]
    with pytest.raises(DamagedStoreError):
        keyfile.parse(encoded)


# Offsets in the header, from the layout in the module's docstring.
SALT, TIME, MEMORY, DATABASE, NONCE = 14, 30, 34, 38, 54


@pytest.mark.parametrize("offset", [SALT, DATABASE, DATABASE + 15, NONCE, NONCE + 11])
def test_every_field_is_authenticated_even_with_a_matching_checksum(
    wrapped: keyfile.KeyFile, offset: int
) -> None:
    body = bytearray(wrapped.encode()[:-32])
    body[offset] ^= 0x01
    with pytest.raises(LockedError):
        unlock(with_checksum(bytes(body)))


def test_the_costs_are_authenticated(wrapped: keyfile.KeyFile) -> None:
    for offset, value in ((TIME, 2), (MEMORY, 65)):
        body = bytearray(wrapped.encode()[:-32])
        body[offset : offset + 4] = value.to_bytes(4, "big")
        with pytest.raises(LockedError):
            unlock(with_checksum(bytes(body)))


def test_the_database_id_is_bound_beyond_the_derived_key() -> None:
    """The database id does not enter the key, so only the associated data can protect it."""
    made = keyfile.wrap_with_key(KEY, DATABASE_ID, WRAPPING_KEY, entry=ENTRY, rng=seeded_rng(2))
    body = bytearray(made.encode()[:-32])
    body[DATABASE] ^= 0x01
    with pytest.raises(LockedError):
        keyfile.unwrap(keyfile.parse(with_checksum(bytes(body))), WRAPPING_KEY)


@pytest.mark.parametrize(
    ("offset", "value"),
    [
        (TIME, 0),
        (TIME, 17),
        (MEMORY, 0),
        (MEMORY, 7),
        (MEMORY, 2**21 + 1),
        (MEMORY, 2**32 - 1),
    ],
)
def test_costs_out_of_range_are_refused_before_any_memory_is_taken(
    wrapped: keyfile.KeyFile, offset: int, value: int
) -> None:
    body = bytearray(wrapped.encode()[:-32])
    body[offset : offset + 4] = value.to_bytes(4, "big")
    with pytest.raises(DamagedStoreError, match="out of range"):
        keyfile.parse(with_checksum(bytes(body)))


def test_unknown_methods_and_costs_without_a_passphrase_are_refused(
    wrapped: keyfile.KeyFile,
) -> None:
    for method in (0, 2, 3, 255):
        body = bytearray(wrapped.encode()[:-32])
        body[13] = method
        with pytest.raises(DamagedStoreError, match="out of range"):
            keyfile.parse(with_checksum(bytes(body)))


def test_a_newer_version_is_not_called_damage(wrapped: keyfile.KeyFile) -> None:
    body = bytearray(wrapped.encode()[:-32])
    body[12] = 2
    for encoded in (with_checksum(bytes(body)), with_checksum(bytes(body) + b"more")):
        with pytest.raises(StoreError, match="newer p2pchat") as caught:
            keyfile.parse(encoded)
        assert not isinstance(caught.value, DamagedStoreError)
    body[12] = 0
    with pytest.raises(DamagedStoreError):
        keyfile.parse(with_checksum(bytes(body)))


def test_memory_that_is_not_to_be_had_is_said(
    wrapped: keyfile.KeyFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> Secret:
        raise DecryptionError("as libsodium does")

    monkeypatch.setattr(pwhash, "derive_key", refuse)
    with pytest.raises(StoreError, match="MiB of memory"):
        keyfile.derive_wrapping_key(wrapped, PASSPHRASE)


def test_a_file_is_written_once_ours_alone_and_read_back(
    tmp_path: Path, wrapped: keyfile.KeyFile
) -> None:
    path = tmp_path / "key"
    (tmp_path / "key.tmp").write_bytes(b"of a killed run")
    keyfile.write(path, wrapped)
    assert keyfile.read(path) == wrapped
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(ProfileExistsError):
        keyfile.write(path, wrapped)
    assert [file.name for file in tmp_path.iterdir()] == ["key"]
    with pytest.raises(StoreError, match="cannot write"):
        keyfile.write(tmp_path / "none" / "key", wrapped)
    with pytest.raises(StoreError, match="cannot read"):
        keyfile.read(tmp_path / "none")


def test_a_file_is_on_the_disk_before_it_has_its_name_and_the_name_before_we_go_on(
    tmp_path: Path, wrapped: keyfile.KeyFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    sync, rename = os.fsync, Path.rename

    def note_sync(descriptor: int) -> None:
        is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        steps.append("sync folder" if is_folder else f"sync {os.fstat(descriptor).st_size} bytes")
        sync(descriptor)

    def note_rename(source: Path, target: Path) -> Path:
        steps.append("rename")
        return rename(source, target)

    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(Path, "rename", note_rename)
    keyfile.write(tmp_path / "key", wrapped)
    assert steps == ["sync 146 bytes", "rename", "sync folder"]
