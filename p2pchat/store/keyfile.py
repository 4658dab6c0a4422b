r"""The key file: the database key, wrapped by a passphrase or by a key in the OS keychain.

Layout, version 1, 146 bytes, integers big-endian::

    magic "p2pchat-key\n" 12 | version 1 | method 1 | salt 16 | time_cost 4 | memory_kib 4
    | database_id 16 | nonce 12 | wrapped key 32 + tag 16 | SHA-256 of all before, 32

Method 1 is Argon2id over a passphrase; method 2 is a 32-byte key in the OS keychain, whose entry
``salt`` names, and both costs are 0. Everything before the wrapped key is its associated data. The
hash at the end is no protection: it tells a damaged file from a wrong passphrase, so that the
person does not search for a typing mistake that is none.

Written atomically: by ``write`` never over an existing file, by ``replace`` in its place, so that
at each instant there is a whole one.
"""

from __future__ import annotations

import hashlib
import os
import struct
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Final

from p2pchat.constants import KEY_LEN, TAG_LEN
from p2pchat.crypto import aead, pwhash
from p2pchat.crypto.secret import Rng, Secret
from p2pchat.errors import (
    CryptoError,
    DamagedStoreError,
    DecryptionError,
    LockedError,
    ProfileExistsError,
    StoreError,
)
from p2pchat.store.connection import DATABASE_ID_LEN

MAGIC: Final = b"p2pchat-key\n"
VERSION: Final = 1
_LABEL: Final = b"p2pchat/1 database key\x00"
"""Begins the associated data: no other box of ours can be taken for this one."""
_HEADER: Final = struct.Struct(f">{len(MAGIC)}sBB{pwhash.SALT_LEN}sII{DATABASE_ID_LEN}s12s")
_WRAPPED_LEN: Final = KEY_LEN + TAG_LEN
_CHECKSUM_LEN: Final = 32
KEY_FILE_LEN: Final = _HEADER.size + _WRAPPED_LEN + _CHECKSUM_LEN


class Method(IntEnum):
    """What unwraps the database key."""

    PASSPHRASE = 1
    KEYCHAIN = 2


@dataclass(frozen=True, slots=True)
class KeyFile:
    """A parsed key file; ``header`` is kept as read, since it is authenticated as read.

    Attributes:
        method: How to unwrap.
        salt: For Argon2id, or the keychain entry's name; 16 bytes.
        time_cost: Argon2id passes, or 0.
        memory_kib: Argon2id memory, or 0.
        database_id: First 16 bytes of the database that this key opens.
        nonce: 12 bytes.
        header: All of the above, as stored.
        wrapped: Database key and tag, 48 bytes.
    """

    method: Method
    salt: bytes
    time_cost: int
    memory_kib: int
    database_id: bytes
    nonce: bytes
    header: bytes
    wrapped: bytes

    @property
    def keychain_entry(self) -> str:
        """Return the name under which the keychain holds the wrapping key."""
        return self.salt.hex()

    @property
    def count_entry(self) -> str:
        """Return the name under which the keychain holds the count (``store.outside_count``)."""
        return f"{self.database_id.hex()}.count"

    def encode(self) -> bytes:
        """Return the 146 bytes of the file."""
        body = self.header + self.wrapped
        return body + hashlib.sha256(body).digest()


def derive_wrapping_key(key_file: KeyFile, passphrase: Secret) -> Secret:
    """Derive the 32-byte wrapping key of a passphrase file; takes most of a second by design.

    Raises:
        StoreError: The memory could not be had.
    """
    parameters = pwhash.Parameters(key_file.salt, key_file.time_cost, key_file.memory_kib)
    try:
        return pwhash.derive_key(passphrase, parameters)
    except CryptoError as error:
        raise StoreError(
            f"unlocking needs {key_file.memory_kib // 1024} MiB of memory, which is not to be had"
        ) from error


def wrap_with_passphrase(
    database_key: Secret, database_id: bytes, passphrase: Secret, *, memory_kib: int, rng: Rng
) -> KeyFile:
    """Wrap a 32-byte database key by a passphrase, with a fresh salt."""
    draft = _draft(
        Method.PASSPHRASE,
        salt=rng(pwhash.SALT_LEN),
        time_cost=pwhash.DEFAULT_TIME_COST,
        memory_kib=memory_kib,
        database_id=database_id,
        nonce=rng(aead.NONCE_LEN),
    )
    return _wrap(draft, derive_wrapping_key(draft, passphrase), database_key)


def wrap_with_key(
    database_key: Secret, database_id: bytes, wrapping_key: Secret, *, entry: bytes, rng: Rng
) -> KeyFile:
    """Wrap a 32-byte database key by a 32-byte key that the keychain holds under ``entry``."""
    draft = _draft(
        Method.KEYCHAIN,
        salt=entry,
        time_cost=0,
        memory_kib=0,
        database_id=database_id,
        nonce=rng(aead.NONCE_LEN),
    )
    return _wrap(draft, wrapping_key, database_key)


def unwrap(key_file: KeyFile, wrapping_key: Secret) -> Secret:
    """Return the 32-byte database key.

    Raises:
        LockedError: The wrapping key is another one: for a passphrase file, it is wrong.
    """
    try:
        return Secret(
            aead.open_(
                wrapping_key.reveal(), key_file.nonce, key_file.wrapped, _LABEL + key_file.header
            )
        )
    except DecryptionError:
        match key_file.method:
            case Method.PASSPHRASE:
                raise LockedError("the passphrase is wrong") from None
            case Method.KEYCHAIN:
                raise LockedError(
                    "the key in the OS keychain is not this profile's; restore the keychain entry"
                ) from None


def parse(encoded: bytes) -> KeyFile:
    """Parse the bytes of a key file strictly.

    Raises:
        DamagedStoreError: Wrong length or magic, a changed byte, or figures out of range.
        StoreError: Made by a newer p2pchat.
    """
    if len(encoded) < len(MAGIC) + 1 or not encoded.startswith(MAGIC):
        raise _damaged("it is not a p2pchat key file")
    if encoded[len(MAGIC)] > VERSION:
        raise StoreError("the profile's key file was made by a newer p2pchat; update p2pchat")
    if len(encoded) != KEY_FILE_LEN:
        raise _damaged(f"it has {len(encoded)} bytes instead of {KEY_FILE_LEN}")
    body, checksum = encoded[:-_CHECKSUM_LEN], encoded[-_CHECKSUM_LEN:]
    if hashlib.sha256(body).digest() != checksum:
        raise _damaged("its checksum differs")
    header, wrapped = body[: _HEADER.size], body[_HEADER.size :]
    _, version, method, salt, time_cost, memory_kib, database_id, nonce = _HEADER.unpack(header)
    try:
        known = Method(method)
        if version != VERSION:
            raise ValueError
        match known:
            case Method.PASSPHRASE:
                # Bounds: a hostile file must not make us allocate without limit.
                pwhash.Parameters(salt, time_cost, memory_kib)
            case Method.KEYCHAIN:
                if time_cost or memory_kib:
                    raise ValueError
    except (ValueError, CryptoError):
        raise _damaged("its figures are out of range") from None
    return KeyFile(known, salt, time_cost, memory_kib, database_id, nonce, header, wrapped)


def read(path: Path) -> KeyFile:
    """Read and parse the key file at ``path``.

    Raises:
        DamagedStoreError: It is not what it should be.
        StoreError: It cannot be read.
    """
    try:
        with path.open("rb") as file:
            return parse(file.read(KEY_FILE_LEN + 1))
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror}") from error


def write(path: Path, key_file: KeyFile) -> None:
    """Write the file durably, whole or not at all; never over an existing one.

    Raises:
        ProfileExistsError: There is one already.
        StoreError: The disk refuses.
    """
    if path.exists():
        raise ProfileExistsError(f"{path} exists already; it is never overwritten")
    replace(path, key_file)


def replace(path: Path, key_file: KeyFile) -> None:
    """Put the file in the place of whatever is at ``path``, durably; a crash leaves either.

    Raises:
        StoreError: The disk refuses; what was there is still there.
    """
    temporary = path.with_name(path.name + ".tmp")
    try:
        temporary.unlink(missing_ok=True)  # of a run that was killed; the profile's lock is ours
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(key_file.encode())
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(path)
        sync_folder(path.parent)
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror}") from error


def sync_folder(folder: Path) -> None:
    """Make the names in ``folder`` durable: a rename is only then on the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _draft(
    method: Method,
    *,
    salt: bytes,
    time_cost: int,
    memory_kib: int,
    database_id: bytes,
    nonce: bytes,
) -> KeyFile:
    header = _HEADER.pack(MAGIC, VERSION, method, salt, time_cost, memory_kib, database_id, nonce)
    return KeyFile(method, salt, time_cost, memory_kib, database_id, nonce, header, b"")


def _wrap(draft: KeyFile, wrapping_key: Secret, database_key: Secret) -> KeyFile:
    # The wrapping key is new with each salt or keychain entry and seals this one box; the nonce
    # is random besides.
    wrapped = aead.seal(
        wrapping_key.reveal(), draft.nonce, database_key.reveal(), _LABEL + draft.header
    )
    return KeyFile(
        draft.method,
        draft.salt,
        draft.time_cost,
        draft.memory_kib,
        draft.database_id,
        draft.nonce,
        draft.header,
        wrapped,
    )


def _damaged(finding: str) -> DamagedStoreError:
    return DamagedStoreError(
        f"the profile's key file is damaged: {finding}; restore it from a backup"
    )
